"""Records made again are identical, or within the tolerance of other arithmetic, or a failure: it says which."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import regenerate as subject
from pipeline.cli import main
from pipeline.dataset import Dataset, open_dataset
from pipeline.errors import DatasetError, RecipeError
from pipeline.generators import load_generator
from pipeline.regenerate import Comparison, Regenerator, draw_sample, regenerate
from tests.conftest import build

RECORDS = np.array([0, 5, 31, 32, 79])
LOADED = cache(load_generator)
Edit = Callable[..., None]


@pytest.fixture(autouse=True)
def one_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    """To load one takes longer than to make a block."""
    monkeypatch.setattr(subject, "load_generator", LOADED)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine is of another class than the one that the dataset names."""
    monkeypatch.setattr(subject, "instruction_set", lambda _: "riscv64 VECTOR Elsewhere")


@pytest.fixture
def signals_differ(monkeypatch: pytest.MonkeyPatch) -> Edit:
    """Let the generator give something else: `by` µV more on the first samples of every record."""

    def edit(samples: int, by: int = 1) -> None:
        generate = vars(subject)["generate_block"]

        def other(*arguments: Any) -> Any:
            signals = generate(*arguments)
            signals.reshape(len(signals), -1)[:, :samples] += by
            return signals

        monkeypatch.setattr(subject, "generate_block", other)

    return edit


@pytest.fixture
def rows_differ(monkeypatch: pytest.MonkeyPatch) -> Edit:
    """Let the measurement say something else of some records of every block."""

    def edit(column: str, change: Callable[[Any], Any], rows: slice) -> None:
        measure = vars(subject)["stored_rows"]

        def other(*arguments: Any) -> pa.Table:
            table = measure(*arguments)
            place = table.column_names.index(column)
            values = table[column].to_pylist()
            values[rows] = [change(value) for value in values[rows]]
            return table.set_column(place, table.schema.field(place), pa.array(values, table.schema.field(place).type))

        monkeypatch.setattr(subject, "stored_rows", other)

    return edit


def compared(dataset: Dataset, records: Any = RECORDS) -> Comparison:
    return Regenerator(dataset).compare(np.asarray(records))


def test_on_the_machine_that_made_it_everything_is_identical(dataset: Dataset) -> None:
    comparison = compared(dataset)
    assert comparison.identical
    assert (comparison.records, comparison.samples) == (5, 200_000)
    assert comparison.outcome() == "identical to the last bit, signals and rows"


def test_a_subset_is_made_again_by_its_sources_numbers(dataset: Dataset) -> None:
    normal = open_dataset(dataset.folder / "normal")
    comparison = compared(normal, range(len(normal)))
    assert comparison.identical
    assert comparison.records == len(normal)
    assert comparison.made_on == comparison.here


def test_a_subset_alone_does_not_know_what_it_was_made_on(
    tmp_path: Path, dataset: Dataset, signals_differ: Edit
) -> None:
    shutil.copytree(dataset.folder / "normal", tmp_path / "alone")
    signals_differ(samples=100)
    outcome = compared(open_dataset(tmp_path / "alone"), [1, 2]).outcome()
    assert "within the tolerance of another instruction set" in outcome
    assert "On what instruction set it was made is not known; this machine is " in outcome


def test_an_empty_subset_has_nothing_to_make_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build(tmp_path / "d", records=1, seed=12, second_opinion=0.0)
    normal = open_dataset(tmp_path / "d" / "normal")
    assert len(normal) == 0
    assert main(["verify", str(normal.folder), "--regenerate", "3"]) == 0
    assert "0 of 0 records drawn" in capsys.readouterr().out


def test_on_the_same_class_and_versions_one_sample_is_a_failure(dataset: Dataset, signals_differ: Edit) -> None:
    signals_differ(samples=1)
    comparison = compared(dataset)
    assert comparison.differing_signals == RECORDS.tolist()
    assert comparison.differing_samples == 5
    with pytest.raises(DatasetError, match=r"record 0, 5, 31 first: 5 of 5 signals differ.*Between equals nothing may"):
        comparison.outcome()


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    ("records", "samples", "by", "fits"),
    [
        (RECORDS, 200, 1, True),  # 0.5 % of all
        (RECORDS, 201, 1, False),
        (RECORDS, 1, 2, False),
        ([7], 800, -1, True),  # one record may have more, as one in 250 does
        ([7], 801, -1, False),
    ],
)
def test_on_another_class_the_published_tolerance_holds(
    dataset: Dataset, signals_differ: Edit, records: Any, samples: int, by: int, fits: bool
) -> None:
    signals_differ(samples, by)
    comparison = compared(dataset, records)
    assert comparison.differing_samples == samples * len(records)
    assert comparison.largest_difference_uv == abs(by)
    assert comparison.within_tolerance is fits
    if fits:
        assert "this machine is riscv64 VECTOR Elsewhere" in comparison.outcome()
    else:
        with pytest.raises(DatasetError, match="is no rounding"):
            comparison.outcome()


@pytest.mark.usefixtures("elsewhere")
def test_identical_on_another_class_is_identical_and_names_both(dataset: Dataset) -> None:
    comparison = compared(dataset, [40])
    assert comparison.made_on is not None
    assert comparison.outcome() == (
        f"identical to the last bit, signals and rows. It was made on {comparison.made_on.instruction_sets[0]}; "
        f"this machine is riscv64 VECTOR Elsewhere"
    )


def test_with_other_library_versions_the_tolerance_holds_and_says_which(
    dataset: Dataset, signals_differ: Edit, monkeypatch: pytest.MonkeyPatch
) -> None:
    signals_differ(samples=3)
    monkeypatch.setattr(subject, "version", lambda name: "99.9" if name == "torch" else version(name))
    outcome = compared(dataset).outcome()
    assert "within the tolerance of other library versions: 5 of 5 signals differ, in 15 of 200,000 samples" in outcome
    assert f"torch {version('torch')} there, 99.9 here" in outcome
    assert "numpy" not in outcome


def test_a_row_measured_otherwise_is_a_failure_here(dataset: Dataset, rows_differ: Edit) -> None:
    rows_differ("noise_uv", lambda value: value * (1 + 3e-7), slice(1))
    comparison = compared(dataset, [3, 40])
    assert comparison.differing_rows == [3, 40]
    assert comparison.rows_beyond_rounding == 0
    with pytest.raises(
        DatasetError, match=r"2 rows measured again .* differ, 0 of them by more than rounding, in noise"
    ):
        comparison.outcome()


@pytest.mark.usefixtures("elsewhere")
def test_elsewhere_last_digits_of_rows_may_differ_and_few_decisions(dataset: Dataset, rows_differ: Edit) -> None:
    rows_differ("noise_uv", lambda value: value * (1 + 3e-7), slice(None))
    comparison = compared(dataset, range(32))
    assert (len(comparison.differing_rows), comparison.rows_beyond_rounding) == (32, 0)
    assert "32 rows measured again" in comparison.outcome()
    rows_differ("quality_flags", lambda flags: [*flags, "?"], slice(1))
    comparison = compared(dataset, range(32))
    assert comparison.rows_beyond_rounding == 1
    with pytest.raises(DatasetError, match="one row among so few may be, which 200 records or more will tell"):
        comparison.outcome()
    outcome = replace(comparison, records=50).outcome()
    assert "1 of them by more than rounding, in noise_uv, quality_flags" in outcome
    rows_differ("qt_interval_ms", lambda _: None, slice(2))
    with pytest.raises(DatasetError, match="2 of them by more than rounding, in noise_uv, qt_interval_ms, quality_fl"):
        replace(compared(dataset, range(32)), records=50).outcome()


def test_a_float_that_is_missing_differs_by_more_than_rounding(dataset: Dataset, rows_differ: Edit) -> None:
    rows_differ("noise_uv", lambda _: None, slice(1))
    assert compared(dataset, [3]).rows_beyond_rounding == 1


def test_the_regenerate_command_accepts_what_is_within_the_tolerance(
    dataset: Dataset, signals_differ: Edit, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    signals_differ(samples=20)
    command = ["regenerate", str(dataset.folder), "--record", "66"]
    assert main(command) == 4
    assert "in record 66 first: 1 of 1 signals differ, in 20 of 40,000 samples (0.05 %)" in capsys.readouterr().err
    monkeypatch.setattr(subject, "instruction_set", lambda _: "riscv64 VECTOR Elsewhere")
    assert main(command) == 0
    assert "record 66: made again, within the tolerance of another instruction set" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["GENERATION_VERSION", "MEASUREMENT_VERSION", "RULE_SET"])
def test_a_dataset_of_other_code_is_not_compared(dataset: Dataset, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(subject, name, "99.0")
    with pytest.raises(DatasetError, match=r"99\.0.*Make its records again with the version") as caught:
        regenerate(dataset, 3)
    assert "\n" not in str(caught.value)


@given(size=st.integers(1, 200), seed=st.integers(0, 2**40))
def test_a_draw_is_repeatable_ascending_and_of_none_twice(dataset: Dataset, size: int, seed: int) -> None:
    drawn, kept = draw_sample(dataset, size, seed)
    assert kept == seed
    assert len(drawn) == min(size, 80)
    assert np.all(np.diff(drawn) > 0)
    assert set(drawn.tolist()) <= set(range(80))
    assert np.array_equal(draw_sample(dataset, size, seed)[0], drawn)


def test_a_draw_without_a_seed_tells_the_one_it_took(dataset: Dataset) -> None:
    drawn, seed = draw_sample(dataset, 20)
    assert np.array_equal(draw_sample(dataset, 20, seed)[0], drawn)
    assert any(not np.array_equal(draw_sample(dataset, 20)[0], drawn) for _ in range(5))


@pytest.mark.parametrize(("size", "seed"), [(0, None), (-3, None), (1, -1)])
def test_a_draw_that_cannot_be_is_refused(dataset: Dataset, size: int, seed: int | None) -> None:
    with pytest.raises(RecipeError):
        draw_sample(dataset, size, seed)


def test_verify_prints_the_seed_of_its_draw_and_what_came_of_it(
    dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(dataset.folder), "--regenerate", "4", "--sample-seed", "11"]) == 0
    out = capsys.readouterr().out
    assert "every file, row and signal" in out
    assert "4 of 80 records drawn, with --sample-seed 11" in out
    assert "made again: identical to the last bit, signals and rows" in out


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--regenerate", "0"], "a sample of 0 records"),
        (["--regenerate", "-1"], "a sample of -1 records"),
        (["--regenerate", "2", "--sample-seed", "-1"], "sample seed -1"),
        (["--sample-seed", "1"], "--regenerate N"),
        (["--checkpoint", "x"], "--regenerate N"),
        (["--regenerate", "2", "--checkpoint", "none.pt"], "none.pt"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_read(
    dataset: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    named: str,
) -> None:
    monkeypatch.setattr("pipeline.verify.verify", lambda _: pytest.fail("it was verified"))
    assert main(["verify", str(dataset.folder), *options]) == 2
    error = capsys.readouterr().err
    assert named in error
    assert len(error.splitlines()) == 1


def test_a_damaged_dataset_is_not_made_again(
    tmp_path: Path, dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(dataset.folder, tmp_path / "d")
    (tmp_path / "d" / "signals.zarr" / "signal" / "c" / "1" / "0" / "0").unlink()
    assert main(["verify", str(tmp_path / "d"), "--regenerate", "4"]) == 4
    captured = capsys.readouterr()
    assert "signal/c/1/0/0: is missing" in captured.out
    assert "made again" not in captured.out


def rewritten(folder: Path, source: Path, change: Callable[[pa.Table], pa.Table]) -> Dataset:
    """A copy with other rows, vouched for by nobody: files and digests are `verify`'s business."""
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("ledger"))
    table = pq.read_table(folder / "measurements.parquet")
    pq.write_table(change(table), folder / "measurements.parquet")
    return open_dataset(folder)


def with_sources(table: pa.Table, sources: list[int | None]) -> pa.Table:
    column = pa.array((sources * len(table))[: len(table)], pa.int64())
    return table.set_column(1, table.schema.field(1), column)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda table: table.add_column(1, "source_record_id", pa.array([0] * len(table))), r"\(source_record_id\)"),
        (lambda table: table.append_column("age", pa.array([50] * len(table))), r"\(age\)"),
        (lambda table: table.drop_columns(["qt_interval_ms"]), r"\(qt_interval_ms\)"),
        (lambda table: table.select(table.column_names[::-1]), r"\(their order\)"),
    ],
)
def test_a_table_of_other_columns_is_none_of_the_recipe(
    tmp_path: Path, dataset: Dataset, change: Callable[[pa.Table], pa.Table], reason: str
) -> None:
    with pytest.raises(DatasetError, match=f"has other columns than its version writes {reason}"):
        compared(rewritten(tmp_path / "d", Path(dataset.folder), change))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda table: with_sources(table, [0]), "not records of its recipe in order"),
        (lambda table: with_sources(table, [0, None, 2]), "not records of its recipe in order"),
        (lambda table: with_sources(table, list(range(79, -1, -1))), "not records of its recipe in order"),
        (lambda table: with_sources(table, list(range(80 - len(table) + 1, 81))), "not records of its recipe in order"),
        (
            lambda table: table.set_column(
                table.column_names.index("verdict"), table.schema.field("verdict"), [["Abnormal"] * len(table)]
            ),
            "has records that are not Normal",
        ),
    ],
    ids=["one record over and over", "without a source", "backwards", "beyond the recipe", "not normal"],
)
def test_a_forged_subset_is_none_of_the_recipe(
    tmp_path: Path, dataset: Dataset, change: Callable[[pa.Table], pa.Table], reason: str
) -> None:
    with pytest.raises(DatasetError, match=reason):
        compared(rewritten(tmp_path / "d", Path(dataset.folder) / "normal", change), [0])


def test_nan_is_not_what_null_is() -> None:
    nan, null = (pa.table({"r_amplitude_v5_uv": pa.array([value], pa.float64())}) for value in (float("nan"), None))
    [(_, differs, by_more)] = vars(subject)["_differing_columns"](nan, null)
    assert (differs.tolist(), by_more.tolist()) == ([True], [True])
