"""Rows of the measurement table: what is measured on signals, what it means, and which signals they were."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.columns import RECORD_ID, SIGNAL_SHA256, TABLE_SCHEMA
from pipeline.digest import signal_sha256
from pipeline.interpret import interpret
from pipeline.measurement import measure


def interpreted_rows(signals_uv: NDArray[Any]) -> pa.Table:
    """Measure and interpret signals.

    Args:
        signals_uv: (records, 8, 5000) µV, leads in the order of `STORED_LEADS`.

    Returns:
        One row a record, the columns `MEASURED`, `QUALITY` and `INTERPRETED`.
    """
    return with_interpretation(measure(signals_uv))


def stored_rows(signals: NDArray[np.int16], start: int) -> pa.Table:
    """The full rows of stored signals: measured, interpreted and identified, one step after the other.

    Args:
        signals: (records, 8, 5000) int16, µV, as stored.
        start: number of the first record.

    Returns:
        A table with the columns of `TABLE_SCHEMA`.
    """
    return with_identity(interpreted_rows(signals), signals, start)


def with_interpretation(measured: pa.Table) -> pa.Table:
    """Rows of the columns `MEASURED` and `QUALITY` with what they mean: the columns `INTERPRETED` as well."""
    return _beside(measured, interpret(measured))


def with_identity(rows: pa.Table, signals: NDArray[np.int16], start: int) -> pa.Table:
    """Interpreted rows with the numbers of their records, from `start` on, and the hashes of their signals.

    Args:
        rows: of the columns `MEASURED`, `QUALITY` and `INTERPRETED`.
        signals: (records, 8, 5000) int16, µV, of which they are.
        start: number of the first record.

    Returns:
        A table with the columns of `TABLE_SCHEMA`.
    """
    numbers, hashes = pa.array(np.arange(start, start + len(signals))), pa.array(signal_sha256(signals))
    identity = pa.table({RECORD_ID.name: numbers, SIGNAL_SHA256.name: hashes})
    return _beside(rows, identity).select(TABLE_SCHEMA.names).cast(TABLE_SCHEMA)


def _beside(left: pa.Table, right: pa.Table) -> pa.Table:
    """The columns of two tables with the same number of rows."""
    return pa.table([*left.columns, *right.columns], schema=pa.schema([*left.schema, *right.schema]))
