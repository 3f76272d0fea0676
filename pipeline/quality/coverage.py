"""Coverage: how widely a dataset fills the space of its measurements, and how evenly."""

import math
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import gammaln

from pipeline.interpret import STATEMENT_TEXTS
from pipeline.quality.check import Check
from pipeline.quality.features import Features, features, groups, numbers
from pipeline.quality.wording import histogram, percent, share
from pipeline.store.tables import count_values

GRID = {
    "heart_rate_bpm": 10,
    "pr_interval_ms": 20,
    "qrs_duration_ms": 10,
    "qt_interval_ms": 20,
    "qrs_axis_deg": 30,
}
"""Steps of a coarse grid: of each column about one standard deviation, as published of such ECGs."""

METHODS = {
    "cells": "heart rate, PR, QRS, QT and QRS axis, each cut into steps of about a standard deviation",
    "expected_cells": "mean number of cells in a random part of the records: Hurlbert, Ecology 52:577 (1971)",
    "next_record_in_known_cell": "1 - cells of a single record / records: Good, Biometrika 40:237 (1953)",
    "effective_cells": "exp of Shannon's entropy, so many cells if all held as many: Hill, Ecology 54:427 (1973)",
    "effective_dimensions": (
        "exp of the entropy of the correlation matrix's eigenvalues, so many independent measurements say as much, a "
        "missing value counting as the mean and records with less than half of the values left out: "
        "effective rank of Roy and Vetterli, EUSIPCO 2007; the Vendi score of arXiv 2210.02410 is the same of a kernel"
    ),
}

LIMITS = (
    "How much of real hearts' variety this is, only a reference can tell; and a dataset of nonsense would cover more."
)

_SIZES = (100, 300, 1000, 3000, 10_000, 30_000, 100_000)


def check_coverage(table: pa.Table) -> Check:
    """How many cells of a grid of measurements are occupied, how evenly, and what statements and verdicts there are.

    Args:
        table: a measurement table, (n,).
    """
    found = {name: _of_group(group) for name, group in groups(table).items()}
    everything, normal = found["all"], found["normal"]
    counts = cell_counts(table)
    return Check(
        name="coverage",
        title="Mode coverage and diversity",
        summary=(
            f"The records lie in {everything['cells']:,} cells of a coarse grid of rate, PR, QRS, QT and axis, as many "
            f"as {everything['effective_cells']:.0f} evenly filled ones; the fullest holds "
            f"{everything['largest_cell_percent']:.3g} %, and the next record would fall into a known one with "
            f"{100 * everything['next_record_in_known_cell']:.4g} % probability. "
            f"{share(everything['incomplete'], everything['records'])} records lack a value and are left out. {LIMITS}"
        ),
        rows=(
            ("occupied cells, all (normal)", f"{everything['cells']:,} ({normal['cells']:,})"),
            (
                "effective number of cells, all (normal)",
                f"{everything['effective_cells']:.0f} ({normal['effective_cells']:.0f})",
            ),
            ("records in the fullest cell", f"{everything['largest_cell_percent']:.3g} %"),
            ("next record in a known cell", f"{100 * everything['next_record_in_known_cell']:.4g} %"),
            (
                "effective dimensions of the measurements",
                (
                    f"{everything['effective_dimensions']:.1f} of {everything['dimensions']}; "
                    f"{share(everything['values_missing'], everything['values'])} values missing, taken as the mean"
                ),
            ),
            ("kinds of statements", f"{len(everything['statements'])}"),
            ("sets of statements", f"{everything['statement_sets']:,}"),
            ("records left out: a value missing", f"{everything['incomplete']:,}"),
        ),
        document={"grid": GRID, "methods": METHODS, "groups": found, "limits": LIMITS},
        histograms=(
            histogram(
                np.log2(counts),
                np.arange(0.0, max(1, math.ceil(np.log2(counts.max(initial=1)))) + 1),
                title="Records a cell",
                quantity="log2 of the records in a cell",
                caption="Occupied cells of the grid. Where modes have collapsed, few cells hold most records.",
            ),
        ),
    )


def cells(table: pa.Table) -> NDArray[np.int64]:
    """The cell of every record that has all values of the grid, (complete records, 5)."""
    values = np.stack([np.floor(numbers(table, name) / step) for name, step in GRID.items()], axis=1)
    complete: NDArray[np.int64] = values[np.isfinite(values).all(axis=1)].astype(np.int64)
    return complete


def cell_counts(table: pa.Table) -> NDArray[np.int64]:
    """(occupied cells,) how many records each holds."""
    counts: NDArray[np.int64] = np.unique(cells(table), axis=0, return_counts=True)[1]
    return counts


def expected_cells(counts: NDArray[np.int64], size: int) -> float:
    """How many cells so many of the records, drawn at random, occupy on average.

    Args:
        counts: records of each cell.
        size: at most as many as there are records.
    """
    total = int(counts.sum())
    others = total - counts
    # The probability that none is drawn from a cell: C(total - count, size) / C(total, size).
    missed = np.where(
        others >= size,
        np.exp(
            gammaln(others + 1)
            - gammaln(np.maximum(others - size, 0) + 1)
            - gammaln(total + 1)
            + gammaln(total - size + 1)
        ),
        0,
    )
    return float((1 - missed).sum())


def effective_number(shares: NDArray[np.float64]) -> float:
    """How many equal shares have the entropy of these; shares are scaled to a sum of 1."""
    shares = shares[shares > 0] / shares.sum() if shares.sum() > 0 else np.ones(1)
    return float(np.exp(-(shares * np.log(shares)).sum()))


def effective_dimensions(found: Features) -> float:
    """How many independent measurements vary as much as these do together."""
    covariance = found.covariance()
    spread = np.sqrt(covariance.diagonal())
    return effective_number(np.maximum(np.linalg.eigvalsh(covariance / np.outer(spread, spread)), 0))


def _of_group(table: pa.Table) -> dict[str, Any]:
    counts = cell_counts(table)
    complete = int(counts.sum())
    measured = features(table)
    statements = table["statements"].to_pylist()
    codes, times = np.unique(np.fromiter(chain.from_iterable(filter(None, statements)), np.int64), return_counts=True)
    return {
        "records": table.num_rows,
        "incomplete": table.num_rows - complete,
        "cells": len(counts),
        "effective_cells": effective_number(counts.astype(np.float64)) if complete else 0.0,
        "largest_cell_percent": percent(int(counts.max(initial=0)), complete),
        "next_record_in_known_cell": 1 - int((counts == 1).sum()) / complete if complete else 0.0,
        "expected_cells": [
            {"records": size, "cells": expected_cells(counts, size)} for size in (*_SIZES, complete) if size <= complete
        ],
        "dimensions": len(measured.names),
        "effective_dimensions": effective_dimensions(measured) if measured.names else 0.0,
        "values": measured.values.size,
        "values_missing": measured.missing,
        "left_out": measured.left_out,
        "verdicts": count_values(table["verdict"]),
        "statements": [
            {"code": code, "text": STATEMENT_TEXTS.get(code, ""), "records": count}
            for code, count in zip(codes.tolist(), times.tolist(), strict=True)
        ],
        "statement_sets": len({tuple(each or ()) for each in statements}),
    }
