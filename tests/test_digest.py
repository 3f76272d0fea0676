"""The content digest sees values, not layout."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.digest import digests, signal_sha256, table_digest

ROWS = st.lists(
    st.tuples(
        st.none() | st.integers(-(2**15), 2**15 - 1),
        st.none() | st.floats(allow_nan=False, allow_infinity=False, width=32),
        st.none() | st.text(max_size=5),
        st.none() | st.lists(st.integers(-300, 300), max_size=4),
        st.none() | st.booleans(),
    ),
    min_size=1,
    max_size=20,
)


def table(rows: list[tuple[object, ...]]) -> pa.Table:
    types = (pa.int16(), pa.float32(), pa.string(), pa.list_(pa.int16()), pa.bool_())
    return pa.table({name: pa.array(c, t) for name, c, t in zip("abcde", zip(*rows, strict=True), types, strict=True)})


@given(ROWS, st.data())
def test_layout_does_not_matter(rows: list[tuple[object, ...]], data: st.DataObject) -> None:
    plain = table(rows)
    cut = data.draw(st.integers(0, len(rows)))
    chunked = pa.concat_tables([plain.slice(0, cut), plain.slice(cut)])
    encoded = chunked.set_column(2, "c", chunked["c"].dictionary_encode())
    wider = encoded.set_column(0, "a", encoded["a"].cast(pa.int64())).set_column(
        1, "b", encoded["b"].cast(pa.float64())
    )
    expected = table_digest(plain)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.digest._PIECE_ROWS", 3)
        assert table_digest(wider.select(["d", "b", "e", "a", "c"])) == expected


@given(ROWS, ROWS)
def test_other_values_have_another_digest(one: list[tuple[object, ...]], other: list[tuple[object, ...]]) -> None:
    same = table(one).equals(table(other))
    assert (table_digest(table(one)) == table_digest(table(other))) == same


def test_negative_zero_is_zero_and_null_is_not() -> None:
    def digest(values: list[float | None]) -> str:
        return table_digest(pa.table({"x": pa.array(values, pa.float64())}))

    assert digest([0.0]) == digest([-0.0])
    assert digest([0.0]) != digest([None])


def test_lists_are_not_run_together() -> None:
    one, other = ([[1], [2, 3]], [[1, 2], [3]])
    assert table_digest(pa.table({"x": one})) != table_digest(pa.table({"x": other}))


def test_signals_count_record_by_record_and_in_order() -> None:
    signals = np.arange(3 * 8 * 5000).reshape(3, 8, 5000).astype(np.int16)
    hashes = signal_sha256(signals)
    assert hashes == [signal_sha256(signals[i : i + 1])[0] for i in range(3)]
    forward, backward = (pa.table({"signal_sha256": h}) for h in (hashes, hashes[::-1]))
    assert digests(forward).content != digests(backward).content


def test_a_type_without_canonical_form_is_refused() -> None:
    with pytest.raises(TypeError, match="no canonical form"):
        table_digest(pa.table({"x": [b"raw"]}))
