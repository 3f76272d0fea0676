"""Distances between a dataset's measurements and those of a reference, such as real ECGs measured by this program."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.spatial.distance import pdist, squareform

from pipeline.errors import DatasetError, InputError
from pipeline.quality.check import Check
from pipeline.quality.coverage import GRID, cells
from pipeline.quality.features import FEATURES, MOST_SD, NUMBERS, groups, numbers
from pipeline.quality.wording import percent
from pipeline.store.tables import read_columns, read_table

FEWEST = 100
"""Records of a reference: with fewer, its distributions say next to nothing."""

FEWEST_COMPLETE = 20
"""Records with all features, of each side: with fewer there is no covariance to speak of."""

MMD_RECORDS = 2000
"""Of each side, evenly spread: the kernel's matrix grows with their square."""

METHODS = {
    "ks": (
        "largest distance of the two distribution functions, 0 to 1 (Kolmogorov and Smirnov); no p-value, for among so "
        "many records any difference is significant"
    ),
    "wasserstein_1": (
        "area between the two distribution functions: by how much a value has to be moved on average, in its unit"
    ),
    "mmd2": (
        "squared maximum mean discrepancy, unbiased, so that it may be below 0; Gaussian kernel as wide as the median "
        f"distance, on at most {MMD_RECORDS:,} records of each side: Gretton et al., JMLR 13:723 (2012)"
    ),
    "frechet": (
        "squared distance of two normal distributions with the features' means and covariances: Heusel et al., arXiv "
        "1706.08500, whose features are a network's; here they are measurements"
    ),
    "between_halves": (
        "the same between every second record of the reference and the others: what chance makes of a reference of "
        "this size; with half of the records it is rather too large than too small"
    ),
    "shared_cells": (
        "records of one side in a cell, of the grid of coverage.json, that the other occupies; of those in any cell"
    ),
}

LIMITS = (
    "Both sides are as this program measures them, so that what it overlooks is in neither. The distances hold for "
    "this reference, its people and its devices, and are of median beats, not of waveforms; a small reference makes "
    "them large by chance, as its halves show."
)

_SHOWN = {
    "heart_rate_bpm": "heart rate, 1/min",
    "p_duration_ms": "P duration, ms",
    "pr_interval_ms": "PR interval, ms",
    "qrs_duration_ms": "QRS duration, ms",
    "qt_interval_ms": "QT interval, ms",
    "r_amplitude_v5_uv": "R in V5, µV",
}


def read_reference(path: Path) -> pa.Table:
    """The measured numbers of a reference table, such as `ecg-foundry measure` writes.

    Raises:
        InputError: when it cannot be read, is too small or lacks columns.
    """
    remedy = "Give a table that `ecg-foundry measure` wrote"
    try:
        table = read_table(path, [name for name in NUMBERS if name in read_columns(path)])
    except DatasetError as error:
        raise InputError(f"reference {path} cannot be read: {error}. {remedy}") from error
    lacking = [name for name in (*FEATURES, *GRID) if name not in table.column_names]
    if lacking:
        raise InputError(f"reference {path} has no column {lacking[0]}. {remedy}")
    if table.num_rows < FEWEST:
        raise InputError(
            f"reference {path} has {table.num_rows} records, too few to tell a distribution. Give {FEWEST} or more"
        )
    return table


def check_distances(table: pa.Table, reference: pa.Table) -> Check:
    """How far the distributions of a dataset's measurements are from those of a reference.

    Args:
        table: a measurement table, (n,).
        reference: as of `read_reference`, (m,).
    """
    found = {name: _of_group(group, reference) for name, group in groups(table).items()}
    theirs = _complete(reference)
    floor = _joint(theirs[::2], theirs[1::2], theirs)
    everything, normal = found["all"], found["normal"]
    joint = {
        label: f"{_shown(everything[key])} (normal {_shown(normal[key])}, halves of the reference {_shown(floor[key])})"
        for key, label in (("frechet", "Fréchet distance"), ("mmd2", "MMD²"))
    }
    return Check(
        name="distances",
        title="Distances to the reference",
        summary=(
            f"{table.num_rows:,} records ({everything['complete']:,} with all {len(FEATURES)} features) against "
            f"{reference.num_rows:,} of the reference ({len(theirs):,} with all): "
            f"{'; '.join(f'{label} {text}' for label, text in joint.items())}. {LIMITS}"
        ),
        rows=(
            *((f"{label}: KS, Wasserstein-1", _text(everything["columns"][name])) for name, label in _SHOWN.items()),
            *joint.items(),
            ("reference in the dataset's cells", f"{everything['reference_in_shared_cells_percent']:.3g} %"),
            ("dataset in the reference's cells", f"{everything['dataset_in_shared_cells_percent']:.3g} %"),
        ),
        document={
            "reference_records": reference.num_rows,
            "reference_complete": len(theirs),
            "features": list(FEATURES),
            "standardised_by": f"mean and SD of the reference's complete records, cut off at {MOST_SD} SD",
            "missing_rule": "columns: their known values; all features together: complete records",
            "groups": found,
            "between_halves": floor,
            "methods": METHODS,
            "limits": LIMITS,
        },
    )


def column_distance(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> dict[str, Any]:
    """Kolmogorov-Smirnov statistic and Wasserstein-1 distance of two samples, each (n,), NaN where missing."""
    known = [np.sort(values[np.isfinite(values)]) for values in (ours, theirs)]
    n, m = map(len, known)
    counts = {"n": n, "missing": len(ours) - n, "reference_n": m, "reference_missing": len(theirs) - m}
    if not n or not m:
        return {"ks": None, "wasserstein_1": None} | counts
    support = np.unique(np.concatenate(known))
    apart = np.abs(np.searchsorted(known[0], support, "right") / n - np.searchsorted(known[1], support, "right") / m)
    return {"ks": float(apart.max()), "wasserstein_1": float((apart[:-1] * np.diff(support)).sum())} | counts


def mmd2(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    """Unbiased squared maximum mean discrepancy, Gaussian kernel of the median distance; samples are (n, features)."""
    n, m = len(ours), len(theirs)
    apart = pdist(np.concatenate([ours, theirs]), "sqeuclidean")
    kernel = squareform(np.exp(-apart / max(2 * np.median(apart), np.finfo(float).tiny)))  # with a diagonal of 0
    within = kernel[:n, :n].sum() / (n * (n - 1)) + kernel[n:, n:].sum() / (m * (m - 1))
    return float(within - 2 * kernel[:n, n:].mean())


def frechet(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    """Squared Fréchet distance of two normal distributions with the samples' means and covariances; (n, features)."""
    shift = ours.mean(axis=0) - theirs.mean(axis=0)
    one, other = np.cov(ours, rowvar=False), np.cov(theirs, rowvar=False)
    size, direction = np.linalg.eigh(one)
    root = (direction * np.sqrt(np.maximum(size, 0))) @ direction.T
    mixed = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ other @ root), 0)).sum()
    return max(0.0, float(shift @ shift + np.trace(one) + np.trace(other) - 2 * mixed))


def _of_group(table: pa.Table, reference: pa.Table) -> dict[str, Any]:
    theirs, ours = _complete(reference), _complete(table)
    mine, known = cells(table), cells(reference)
    return {
        "records": table.num_rows,
        "complete": len(ours),
        **_joint(ours, theirs, theirs),
        "dataset_in_shared_cells_percent": _shared(mine, known),
        "reference_in_shared_cells_percent": _shared(known, mine),
        "columns": {
            name: column_distance(numbers(table, name), numbers(reference, name))
            for name in NUMBERS
            if name in reference.column_names
        },
    }


def _complete(table: pa.Table) -> NDArray[np.float64]:
    """(records with all features, features) as measured."""
    values = np.stack([numbers(table, name) for name in FEATURES], axis=1)
    complete: NDArray[np.float64] = values[np.isfinite(values).all(axis=1)]
    return complete


def _joint(
    ours: NDArray[np.float64], theirs: NDArray[np.float64], scale: NDArray[np.float64]
) -> dict[str, float | None]:
    """Distances in all features at once, in which those of `scale` have mean 0 and SD 1; of too few records none."""
    if min(len(ours), len(theirs)) < FEWEST_COMPLETE:
        return {"frechet": None, "mmd2": None}
    mean, spread = scale.mean(axis=0), scale.std(axis=0)
    varies = spread > 0
    one, other = (
        np.clip((side[:, varies] - mean[varies]) / spread[varies], -MOST_SD, MOST_SD) for side in (ours, theirs)
    )
    return {"frechet": frechet(one, other), "mmd2": mmd2(_evenly(one), _evenly(other))}


def _evenly(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """At most so many of the records as the kernel takes, evenly spread."""
    count = min(len(values), MMD_RECORDS)
    return values[np.arange(count) * len(values) // count]


def _shared(mine: NDArray[np.int64], others: NDArray[np.int64]) -> float:
    """Percentage of records, (n, 5) cells, in a cell that is among the others."""
    place = np.unique(np.concatenate([mine, others]), axis=0, return_inverse=True)[1].ravel()
    return percent(int(np.isin(place[: len(mine)], place[len(mine) :]).sum()), len(mine))


def _shown(value: float | None) -> str:
    return "too few records" if value is None else f"{value:.3g}"


def _text(distance: dict[str, Any]) -> str:
    missing = f"{distance['missing']:,} and {distance['reference_missing']:,} missing"
    if distance["ks"] is None:
        return f"none: {missing}"
    return f"{distance['ks']:.3f}, {distance['wasserstein_1']:.3g} ({missing})"
