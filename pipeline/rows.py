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
    measured = measure(signals_uv)
    interpreted = interpret(measured)
    for field in interpreted.schema:
        measured = measured.append_column(field, interpreted[field.name])
    return measured


def stored_rows(signals: NDArray[np.int16], start: int) -> pa.Table:
    """The full rows of stored signals.

    Args:
        signals: (records, 8, 5000) int16, µV, as stored.
        start: number of the first record.

    Returns:
        A table with the columns of `TABLE_SCHEMA`.
    """
    rows = interpreted_rows(signals)
    rows = rows.append_column(RECORD_ID.name, pa.array(np.arange(start, start + len(signals))))
    rows = rows.append_column(SIGNAL_SHA256.name, pa.array(signal_sha256(signals)))
    return pa.table([rows[name] for name in TABLE_SCHEMA.names], schema=TABLE_SCHEMA)
