"""How measured values agree with a reference: bias, scatter and slope, with the scatter's uncertainty."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.inputs import Recordings
from pipeline.measurement import measure

Row = Mapping[str, Any]
"""What was measured on one record, by column; null is None."""

FEWEST = 3
"""Pairs below which nothing is said about scatter."""
RESAMPLES = 2000
NORMAL_IQR = 1.349
"""Interquartile range of a normal distribution, in SD."""


@dataclass(frozen=True)
class Agreement:
    """Measured minus reference, in ms throughout; SDs have n in the denominator."""

    bias: float
    sd: float
    sd_interval: tuple[float, float]
    """Bootstrap 95 % interval of the SD: percentiles over resamples with replacement."""
    robust_sd: float
    """Interquartile range of the errors / 1.349: what the SD would be without outliers."""
    p95: float
    """95th percentile of |error - bias|."""
    slope: float
    """Of the reference on the measured, by least squares: well below 1, the measurement invents spread; well above,
    it shrinks towards the mean. NaN where the measured do not vary."""


def agree(
    measured: Sequence[float], reference: Sequence[float], random: np.random.Generator | None = None
) -> Agreement | None:
    """Compare pairs of values.

    Args:
        measured: in ms.
        reference: in ms, of the same records in the same order.
        random: draws the resamples; a new one with seed 0 where none is given.

    Returns:
        The agreement, or None for fewer than 3 pairs.
    """
    if len(measured) < FEWEST:
        return None
    got, want = np.asarray(measured, np.float64), np.asarray(reference, np.float64)
    errors = got - want
    generator = random or np.random.default_rng(0)
    resampled = errors[generator.integers(len(errors), size=(RESAMPLES, len(errors)))].std(axis=1)
    low, high = np.percentile(resampled, [2.5, 97.5])
    quarter, three_quarters = np.percentile(errors, [25, 75])
    bias = errors.mean()
    return Agreement(
        bias=float(bias),
        sd=float(errors.std()),
        sd_interval=(float(low), float(high)),
        robust_sd=float((three_quarters - quarter) / NORMAL_IQR),
        p95=float(np.percentile(np.abs(errors - bias), 95)),
        slope=_slope(got, want),
    )


def _slope(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    deviation = x - x.mean()
    squares = deviation @ deviation
    return float(deviation @ (y - y.mean()) / squares) if squares else float("nan")


def measured_rows(recordings: Recordings) -> Iterator[tuple[str, Row]]:
    """Measure named recordings, a batch at a time; gives (record name, row) in their order."""
    for batch in recordings.read_batches():
        yield from zip(batch.names, measure(batch.signals).to_pylist(), strict=True)
