"""Measurement of 10-second 12-lead ECGs by the published definitions of GE Marquette 12SL.

The values are this program's own: 12SL's definitions, not its thresholds, which are not public. A record's row
is a pure function of its samples, bit for bit the same whatever batch it is measured in.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.columns import MEASUREMENT_SCHEMA
from pipeline.errors import InputError
from pipeline.leads import LARGEST_UV, SAMPLES, STORED_LEADS
from pipeline.measurement.constants import CHUNK_RECORDS, MEASUREMENT_VERSION
from pipeline.measurement.rows import measure_rows
from pipeline.measurement.table import to_table

__all__ = ["MEASUREMENT_VERSION", "measure"]


def measure(signals_uv: NDArray[Any]) -> pa.Table:
    """Measure intervals, amplitudes, axes and quality of ECGs.

    Args:
        signals_uv: (records, 8, 5000) µV, integer or floating, 500 Hz, leads in the order of `STORED_LEADS`.

    Returns:
        A table of `pipeline.columns.MEASUREMENT_SCHEMA`, one row a record, in order; what cannot be measured is
        null.

    Raises:
        InputError: for another shape, and for samples that are no numbers or beyond 1 V.
    """
    signals = np.asarray(signals_uv)
    _check_shape(signals)
    if len(signals) == 0:
        return MEASUREMENT_SCHEMA.empty_table()
    chunks = []
    for first in range(0, len(signals), CHUNK_RECORDS):
        chunk = signals[first : first + CHUNK_RECORDS]
        _check_samples(chunk, first)
        chunks.append(measure_rows(chunk))
    return to_table(chunks)


def _check_shape(signals: NDArray[Any]) -> None:
    if signals.dtype.kind not in "iuf":
        raise InputError(f"signals of type {signals.dtype} are not numbers. Give integers or floats in µV")
    if signals.ndim != 3 or signals.shape[1:] != (len(STORED_LEADS), SAMPLES):
        raise InputError(
            f"signals of shape {signals.shape} are not (records, 8, 5000). "
            f"Give 10 s at 500 Hz of the leads {', '.join(STORED_LEADS)}"
        )


def _check_samples(chunk: NDArray[Any], first: int) -> None:
    """Refuse samples that are not finite or cannot be µV; row numbers count from the whole input's start."""
    if chunk.dtype.kind in "iu" and chunk.dtype.itemsize <= 2:
        return
    largest = np.abs(chunk.astype(np.float64)).max(axis=(1, 2))
    refused = np.flatnonzero(~(largest <= LARGEST_UV))  # NaN is not
    if not len(refused):
        return
    row = int(refused[0])
    if np.isfinite(largest[row]):
        raise InputError(f"record {first + row} exceeds 1 V, so its unit is not µV. Convert it to µV")
    raise InputError(f"record {first + row} has samples that are NaN or infinite. Leave it out or repair it")
