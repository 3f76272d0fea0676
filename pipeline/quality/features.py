"""The measurements of many records as numbers that can be compared, and in which groups they are looked at."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.columns import MEASURED, QUALITY
from pipeline.leads import STORED_LEADS

_WAVES = ("p", "q", "r", "s", "stj", "stm", "ste", "t")

FEATURES = (
    *("mean_rr_ms", "p_duration_ms", "pr_interval_ms", "qrs_duration_ms", "qt_interval_ms"),
    *(f"{wave}_amplitude_{lead.lower()}_uv" for lead in STORED_LEADS for wave in _WAVES),
)
"""The median beat in 69 numbers: intervals, and amplitudes in the stored leads. Left out is what says the same again
(other leads, fiducials, QTc, axes), what jumps when a record begins a little later (regularity, quality), and T', which
next to no record has."""

NUMBERS = tuple(
    column.name
    for column in (*MEASURED, *QUALITY)
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
)
"""Every measured number."""

MOST_SD = 5
"""Standardised values end here: waves that most records lack (Q in V1) have values at 15 SD, which would be all that a
distance sees."""

STEPS = 64
"""Standardised values are rounded to 1/64 SD, far below what a measurement resolves, so that sums of their products are
exact in float64: the same bytes whatever adds them up, in whatever order and number of threads."""

_BLOCK = 8192


@dataclass(frozen=True)
class Features:
    """Standardised measurements of records of which at least half could be measured."""

    names: tuple[str, ...]
    """(features,) the columns, without those that are the same in all records."""
    constant: tuple[str, ...]
    """The columns that are the same in all records, or missing in all."""
    rows: NDArray[np.int64]
    """(n,) the records' places in their table."""
    values: NDArray[np.int16]
    """(n, features) in 1/64 SD from the mean, -320 to 320; 0 where missing, as if the record had the mean."""
    missing: int
    """How many of the values are."""
    left_out: int
    """Records with less than half of the measurements."""

    def covariance(self) -> NDArray[np.float64]:
        """(features, features) in SD², about the mean of all records; exact up to its last division."""
        total = np.zeros((len(self.names), len(self.names)))
        for start in range(0, len(self.rows), _BLOCK):
            block = self.values[start : start + _BLOCK].astype(np.float64)
            total += block.T @ block
        return total / max(len(self.rows), 1) / STEPS**2


def numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    """One column, (n,) in its unit; what is missing is NaN."""
    values: NDArray[np.float64] = table[name].cast(pa.float64()).to_numpy()
    return values


def groups(table: pa.Table) -> dict[str, pa.Table]:
    """All records, and those of verdict Normal, of which the normal subset consists."""
    return {"all": table, "normal": table.filter(pc.equal(table["verdict"], "Normal"))}


def features(table: pa.Table, names: Sequence[str] = FEATURES) -> Features:
    """The measurements of a table, each column less its mean and divided by its standard deviation.

    Args:
        table: (n,) with the named columns.
        names: columns of numbers.
    """
    known = np.zeros(table.num_rows, np.int64)
    for name in names:
        known += np.asarray(table[name].is_valid())
    rows = np.flatnonzero(2 * known >= len(names))
    values = np.zeros((len(rows), len(names)), np.int16)
    kept, missing = [], 0
    for i, name in enumerate(names):
        column = numbers(table, name)[rows]
        there = np.isfinite(column)
        spread = column[there].std() if there.any() else 0.0
        if spread > 0:
            standard = np.clip((column[there] - column[there].mean()) / spread, -MOST_SD, MOST_SD)
            values[there, i] = np.rint(standard * STEPS)
            kept.append(i)
            missing += int((~there).sum())
    return Features(
        names=tuple(names[i] for i in kept),
        constant=tuple(name for i, name in enumerate(names) if i not in kept),
        rows=rows,
        values=values[:, kept],
        missing=missing,
        left_out=table.num_rows - len(rows),
    )
