"""The nearest neighbour of every record among all others, exactly, by products of blocks of a matrix."""

from itertools import combinations_with_replacement
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from pipeline.progress import tracked
from pipeline.quality.features import STEPS, Features
from pipeline.store.threads import in_threads

DIMENSIONS = 64
STEPS_A_SD = 32
"""Coordinates are rounded to 1/32 SD. Of 69 features within 5 SD each, a point is then at most 1,333 steps from the
origin, and every sum that leads to half a squared distance is a multiple of 1/2 below 2^23: float32 holds it exactly.
So the order in which a BLAS adds up, which depends on the machine and the number of threads, changes nothing."""

_TILE = 2048  # records: of 1,024 to 4,096 the quickest; a tile of products has 16 MB
_LONGEST = np.sqrt(2.0**23 / 2)


class Neighbours(NamedTuple):
    """The nearest other record of each; of several as near, the first."""

    place: NDArray[np.int64]
    """(n,) which it is among the points."""
    distance: NDArray[np.float64]
    """(n,) in SD."""


class Space(NamedTuple):
    """Records as points in their principal components."""

    points: NDArray[np.float32]
    """(n, dimensions) whole numbers of 1/32 SD."""
    explained: float
    """Share of the features' variance that the dimensions keep."""


def principal_space(features: Features) -> Space:
    """The principal components of standardised measurements, the 64 with the largest variance, not scaled again."""
    size, direction = np.linalg.eigh(features.covariance())
    kept = direction[:, ::-1][:, :DIMENSIONS]
    points = np.empty((len(features.rows), kept.shape[1]), np.float32)
    for start in range(0, len(points), _TILE):
        block = features.values[start : start + _TILE].astype(np.float64)
        points[start : start + _TILE] = np.rint(block @ kept * (STEPS_A_SD / STEPS))
    total = size.sum()
    return Space(points, float(size[::-1][:DIMENSIONS].sum() / total) if total else 1.0)


def nearest_neighbours(points: NDArray[np.float32]) -> Neighbours:
    """The nearest other point of every point; the same bytes on any machine and in any number of threads.

    Every pair of blocks is multiplied once and looked at by rows and by columns: 150,000 points take 1.5e12
    multiplications and no more memory than three times the points.

    Args:
        points: (n, dimensions) whole numbers in float32.

    Returns:
        Nothing for fewer than two points.

    Raises:
        ValueError: for points so far from the origin that float32 would round.
    """
    if len(points) < 2:
        return Neighbours(np.empty(0, np.int64), np.empty(0))
    half = (points.astype(np.float64) ** 2).sum(axis=1) / 2
    if 2 * half.max() > _LONGEST**2:
        raise ValueError(f"points are up to {np.sqrt(2 * half.max()):.0f} from the origin, beyond {_LONGEST:.0f}")
    # With these two columns more, a product of two points is minus half their squared distance.
    one, minus_half = np.ones(len(points), np.float32), -half.astype(np.float32)
    left = np.column_stack([points, minus_half, one])
    right = np.column_stack([points, one, minus_half])
    best = np.full(len(points), -np.inf, np.float32)
    where = np.zeros(len(points), np.int64)

    def closest(pair: tuple[int, int]) -> tuple[int, int, NDArray[np.float32], NDArray[np.float32]]:
        row, column = pair
        closeness = left[row : row + _TILE] @ right[column : column + _TILE].T
        if row == column:
            np.fill_diagonal(closeness, -np.inf)
        return row, column, closeness.max(axis=1), closeness.max(axis=0)

    # In this order every point meets the others block by block, so that of equals the first stays.
    pairs = list(combinations_with_replacement(range(0, len(points), _TILE), 2))
    with threadpool_limits(1, "blas"):  # ours do more than multiply, and a BLAS's own burn a core while they wait
        for row, column, of_rows, of_columns in in_threads(closest, tracked(pairs, "comparing records", "blocks")):
            _keep_closer(of_columns, column, row, best, where)
            _keep_closer(of_rows, row, column, best, where)
        place = _places(left, right, where)
    return Neighbours(place, np.sqrt(-2 * best.astype(np.float64)) / STEPS_A_SD)


def _keep_closer(
    closeness: NDArray[np.float32], start: int, others: int, best: NDArray[np.float32], where: NDArray[np.int64]
) -> None:
    """Note for the points of a block, from `start` on, which of them have met a closer one in the block `others`."""
    block = slice(start, start + len(closeness))
    where[block][closeness > best[block]] = others
    np.maximum(best[block], closeness, out=best[block])


def _places(left: NDArray[np.float32], right: NDArray[np.float32], where: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) the place of every point's neighbour, sought again in the one block that holds it.

    To look for it whenever a block holds a closer one would take longer than the products.
    """
    index = np.empty(len(where), np.int64)
    for row in range(0, len(where), _TILE):
        block = where[row : row + _TILE]
        for others in np.unique(block).tolist():
            rows = row + np.flatnonzero(block == others)
            closeness = left[rows] @ right[others : others + _TILE].T
            closeness[rows[:, None] == others + np.arange(closeness.shape[1])] = -np.inf
            index[rows] = others + closeness.argmax(axis=1)
    return index
