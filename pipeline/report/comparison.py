"""Our statistics beside published ones, cell by cell: the paper's Table 2, and 12SL's figures on its normals.

Numbers are rounded to 6 decimals, so that the order of a sum does not show. A statistic of nothing is None; standard
deviations are those of a sample (n - 1).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from pipeline.leads import LEADS
from pipeline.report import published
from pipeline.report.records import Records, Values

TABLE_2_TOLERANCE = dict.fromkeys(published.TABLE_2, 4.0) | {
    "heart_rate_bpm": 1.0,
    "p_duration_ms": 6.0,
    "stj_amplitude_v5_uv": 10.0,
    "r_amplitude_v5_uv": 40.0,
    "t_amplitude_v5_uv": 25.0,
}
"""How far each of our four statistics may be from the paper's, in the column's unit, rounding left out."""

ROUNDING = 0.5
"""The paper prints whole units."""


class Tolerance(NamedTuple):
    """How far a statistic of some columns of our normals may be from 12SL's: the larger of an amount and a share."""

    of: str
    columns: tuple[str, ...]
    statistic: str
    amount: float = 0
    unit: str = ""
    share: float = 0


_INTERVALS = "PR, QRS, QT and QTcF", ("pr_interval_ms", "qrs_duration_ms", "qt_interval_ms", "qtc_fridericia_ms")
NORMALS_TOLERANCES = (
    Tolerance(*_INTERVALS, "mean", amount=3, unit="ms"),
    Tolerance(*_INTERVALS, "sd", share=0.15),
    Tolerance("the axes", ("p_axis_deg", "qrs_axis_deg", "t_axis_deg"), "mean", amount=4, unit="degrees"),
    Tolerance(
        "R in each lead", tuple(f"r_amplitude_{lead.lower()}_uv" for lead in LEADS), "mean", 15, "µV", share=0.05
    ),
)
"""What the normals are held to; their other statistics are shown alone."""


@dataclass(frozen=True)
class Cell:
    """One statistic beside its published value."""

    statistic: str
    ours: float | None
    published: float
    difference: float | None
    tolerance: float | None
    within: bool | None
    """None where there is no tolerance."""


@dataclass(frozen=True)
class Row:
    """Some statistics of one column over the normal or all records."""

    column: str
    label: str
    unit: str
    records: str
    values: int
    missing: int
    in_doubt: int
    """Values, counted in the statistics, that a quality flag casts doubt on."""
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Comparison:
    """A table beside a published one, and how many of its cells with a tolerance are within it."""

    rows: tuple[Row, ...]
    within: int
    checks: int


@dataclass(frozen=True)
class Correlation:
    """Pearson's r of two columns over the normal records that have both."""

    columns: tuple[str, str]
    values: int
    ours: float | None
    published: float
    difference: float | None


def described(values: Values) -> dict[str, float | None]:
    """Mean, SD, extremes, quartiles and central 95 % (linear interpolation) of the values that are there, (n,)."""
    there = values[~np.isnan(values)]
    percentiles = {"min": 0, "p2_5": 2.5, "p25": 25, "p50": 50, "p75": 75, "p97_5": 97.5, "max": 100}
    if not there.size:
        return dict.fromkeys(["mean", "sd", *percentiles])
    found = np.percentile(there, list(percentiles.values()))
    sd = rounded(there.std(ddof=1)) if there.size > 1 else None
    return {"mean": rounded(there.mean()), "sd": sd} | dict(zip(percentiles, map(rounded, found), strict=True))


def rounded(value: ArrayLike) -> float:
    """To 6 decimals; there is no negative zero."""
    return round(float(np.asarray(value)), 6) + 0.0


def table_2(records: Records, normal: Records) -> Comparison:
    """The paper's Table 2: 8 parameters x normal and all records x mean, SD, 2.5 % and 97.5 %, 64 cells."""
    rows = []
    for column, parameter in published.TABLE_2.items():
        tolerance = TABLE_2_TOLERANCE[column] + ROUNDING
        for name, some, theirs in (("normal", normal, parameter.normal), ("all", records, parameter.all)):
            tolerances = dict.fromkeys(theirs._fields, tolerance)
            rows.append(_row(some, name, column, (parameter.label, parameter.unit), theirs._asdict(), tolerances))
    return _comparison(rows)


def normals(normal: Records) -> Comparison:
    """Our normal records beside 12SL's: 22 columns x mean, SD, extremes and quartiles, of which 23 have a tolerance."""
    return _comparison(
        [
            _row(normal, "normal", column, (their.label, their.unit), their.described._asdict(), _tolerances(column))
            for column, their in published.MUSE_NORMALS.items()
        ]
    )


def _tolerances(column: str) -> dict[str, float]:
    """What a column of the normals is held to, by statistic."""
    theirs = published.MUSE_NORMALS[column].described._asdict()
    return {
        each.statistic: max(float(each.amount), rounded(each.share * theirs[each.statistic]))
        for each in NORMALS_TOLERANCES
        if column in each.columns
    }


def _row(
    records: Records,
    name: str,
    column: str,
    label_and_unit: tuple[str, str],
    theirs: Mapping[str, float],
    tolerances: Mapping[str, float],
) -> Row:
    values = records[column]
    there = ~np.isnan(values)
    ours = described(values)
    return Row(
        column,
        *label_and_unit,
        records=name,
        values=int(there.sum()),
        missing=int((~there).sum()),
        in_doubt=int((there & records.doubted(column)).sum()),
        cells=tuple(_cell(key, ours[key], value, tolerances.get(key)) for key, value in theirs.items()),
    )


def _cell(statistic: str, ours: float | None, theirs: float, tolerance: float | None) -> Cell:
    difference = None if ours is None else rounded(ours - theirs)
    within = None if tolerance is None else difference is not None and abs(difference) <= tolerance
    return Cell(statistic, ours, float(theirs), difference, tolerance, within)


def _comparison(rows: list[Row]) -> Comparison:
    checks = [cell.within for row in rows for cell in row.cells if cell.within is not None]
    return Comparison(tuple(rows), sum(checks), len(checks))


def correlations(normal: Records) -> tuple[Correlation, ...]:
    """Pearson's r of every two of rate, PR, QRS, QT, QTcF and RR."""
    values = {column: normal[column] for column in published.CORRELATED}
    found = []
    for (one, other), theirs in published.CORRELATIONS.items():
        n, r = pearson(values[one], values[other])
        difference = None if r is None else rounded(r - theirs)
        found.append(Correlation((one, other), n, r, theirs, difference))
    return tuple(found)


def pearson(x: Values, y: Values) -> tuple[int, float | None]:
    """How many of n pairs are whole, and their correlation; None where one of the two does not vary."""
    both = ~np.isnan(x) & ~np.isnan(y)
    if not both.any() or not np.ptp(x[both]) or not np.ptp(y[both]):
        return int(both.sum()), None
    x, y = x[both] - x[both].mean(), y[both] - y[both].mean()
    return x.size, rounded((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum()))
