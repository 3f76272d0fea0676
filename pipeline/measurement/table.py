"""Measured values as an Arrow table of the published schema."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.columns import MEASURED, MEASUREMENT_SCHEMA
from pipeline.measurement.quality import Flags
from pipeline.measurement.rows import OUT_OF_RANGE, TOO_FEW_QRS, Rows


def to_table(chunks: Sequence[Rows]) -> pa.Table:
    """Join chunks of records, in order, into a table of `MEASUREMENT_SCHEMA`."""
    columns: dict[str, pa.Array] = {}
    reasons = _joined([chunk.reasons for chunk in chunks])
    measured = {column.name for column in MEASURED}
    missing = np.zeros(len(reasons[OUT_OF_RANGE]), np.bool_)
    for field in MEASUREMENT_SCHEMA:
        if field.name in chunks[0].values:
            values = np.concatenate([chunk.values[field.name][0] for chunk in chunks])
            known = np.concatenate([chunk.values[field.name][1] for chunk in chunks])
            fits = _fits(values, field.type)
            columns[field.name] = _numbers(values, known & fits, field.type)
            reasons[OUT_OF_RANGE] |= known & ~fits
            if field.name in measured:
                missing |= ~(known & fits)
    columns["r_peaks"] = _lists(
        pa.array(np.concatenate([chunk.r_peaks for chunk in chunks])),
        np.concatenate([chunk.beats for chunk in chunks]),
    )
    columns["quality_flags"] = _flag_lists(_joined([chunk.flags for chunk in chunks]))
    columns["status"], columns["status_reason"] = _status(reasons, missing)
    return pa.table([columns[name] for name in MEASUREMENT_SCHEMA.names], schema=MEASUREMENT_SCHEMA)


def _fits(values: NDArray[Any], kind: pa.DataType) -> NDArray[np.bool_]:
    """Whether a column's type can hold each value."""
    target = np.dtype(kind.to_pandas_dtype())
    if target.kind != "i":
        return np.ones(len(values), np.bool_)
    limits = np.iinfo(target)
    return (values >= limits.min) & (values <= limits.max)


def _numbers(values: NDArray[Any], known: NDArray[np.bool_], kind: pa.DataType) -> pa.Array:
    """A column of numbers, null where they are not known."""
    return pa.array(np.where(known, values, 0).astype(kind.to_pandas_dtype()), type=kind, mask=~known)


def _lists(flat: pa.Array, lengths: NDArray[np.intp]) -> pa.Array:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), flat)


def _joined(parts: Sequence[Flags]) -> dict[str, NDArray[np.bool_]]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _flag_lists(flags: Flags) -> pa.Array:
    """The names of the flags raised in every record."""
    raised = np.stack(list(flags.values()), axis=1)
    names = pa.array(list(flags), type=pa.string())
    return _lists(names.take(pa.array(np.nonzero(raised)[1])), raised.sum(axis=1))


def _status(reasons: Flags, missing: NDArray[np.bool_]) -> tuple[pa.Array, pa.Array]:
    """Status of every record, of which some miss a value, and every reason why something in it is null."""
    unmeasurable = reasons[TOO_FEW_QRS]
    code = np.stack(list(reasons.values()), axis=1) @ (1 << np.arange(len(reasons)))
    texts = [
        "; ".join(name for bit, name in enumerate(reasons) if value >> bit & 1) for value in range(1 << len(reasons))
    ]
    texts_or_null = pa.array([text or None for text in texts], type=pa.string())
    status = np.where(unmeasurable, 2, np.where(missing, 1, 0))
    words = pa.array(["measured", "partial", "unmeasurable"])
    return words.take(pa.array(status)), texts_or_null.take(pa.array(code))
