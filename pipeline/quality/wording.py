"""How figures are put into words."""

import numpy as np
from numpy.typing import NDArray

from pipeline.quality.check import Histogram

PERCENTILES = (0, 1, 5, 25, 50, 75, 95, 99, 100)


def share(part: int, whole: int) -> str:
    """A part of a whole with its percentage."""
    return f"{part:,} of {whole:,} ({percent(part, whole):.3g} %)" if whole else "none of 0"


def percent(part: int, whole: int) -> float:
    """A part of a whole in %, of nothing 0."""
    return 100 * part / whole if whole else 0.0


def percentiles(values: NDArray[np.float64]) -> dict[str, float]:
    """Some percentiles of values, from the least to the greatest; of nothing none."""
    found = np.percentile(values, PERCENTILES).tolist() if values.size else []
    return dict(zip((f"p{each}" for each in PERCENTILES), found, strict=False))


def histogram(
    values: NDArray[np.float64], edges: NDArray[np.float64], *, title: str, quantity: str, caption: str
) -> Histogram:
    """Counts of values between edges; those beyond the first and last count with the outermost."""
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return Histogram(
        title, quantity, tuple(float(f"{edge:.6g}") for edge in edges.tolist()), tuple(counts.tolist()), caption
    )
