"""How alike two signals are, whatever their heights and wherever in the heart's rhythm they begin."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Likeness(NamedTuple):
    """Two signals at the shift at which they are most alike."""

    correlation: float
    """1: the same but for a factor and each lead's level; 0 where one of them is flat."""
    shift: int
    """Samples by which the first lags the second."""


def likeness(one: NDArray[Any], other: NDArray[Any]) -> Likeness:
    """The largest normalised cross-correlation of two signals over all shifts that leave half of them in common.

    All leads are shifted together, and from what is in common each lead's mean is taken away. By the FFT: some 1.5 ms
    for two records.

    Args:
        one: (leads, samples), any unit.
        other: of the same shape.
    """
    samples = one.shape[1]
    # Sums over what two signals have in common are differences of two large numbers without this.
    one, other = (signal.astype(np.float64) - signal.mean(axis=1, keepdims=True) for signal in (one, other))
    spectrum = np.fft.rfft(one, 2 * samples) * np.conj(np.fft.rfft(other, 2 * samples))
    products = np.fft.irfft(spectrum.sum(axis=0), 2 * samples)
    shifts = np.arange(samples // 2 - samples, samples - samples // 2 + 1)
    first, last = np.maximum(shifts, 0), np.minimum(shifts + samples, samples)  # what they have in common, in `one`
    common = last - first
    mean_one, variance_one = _spread(one, first, last)
    mean_other, variance_other = _spread(other, first - shifts, last - shifts)
    covariance = products[shifts] / common - (mean_one * mean_other).sum(axis=0)
    scale = np.sqrt(variance_one * variance_other)
    correlation = np.divide(covariance, scale, out=np.zeros(len(shifts)), where=scale > _FLAT)
    best = int(correlation.argmax())
    return Likeness(float(correlation[best]), int(shifts[best]))


_FLAT = 1e-6
"""Of a variance, in squared units: what rounding leaves of nothing."""


def self_likeness(signal: NDArray[Any]) -> float:
    """How alike the two halves of one record are: the same heart with its own noise, a moment later.

    Args:
        signal: (leads, samples), any unit.
    """
    half = signal.shape[1] // 2
    return likeness(signal[:, :half], signal[:, half : 2 * half]).correlation


def _spread(
    signal: NDArray[np.float64], first: NDArray[np.int64], last: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Every lead's mean from `first` to before `last`, (leads, shifts), and the sum of all leads' variances."""
    sums = np.pad(signal.cumsum(axis=1), ((0, 0), (1, 0)))
    mean = (sums[:, last] - sums[:, first]) / (last - first)
    squares = np.pad((signal**2).sum(axis=0).cumsum(), (1, 0))
    return mean, (squares[last] - squares[first]) / (last - first) - (mean**2).sum(axis=0)
