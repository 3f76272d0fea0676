"""Band filters of the whole recording: one transform gives the signal, the QRS energy and the noise."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from pipeline.leads import SAMPLES, SAMPLING_RATE_HZ
from pipeline.measurement import constants as c

PADDED = SAMPLES + 2 * c.PADDING
VELOCITY_MARGIN = c.ALIGN_HALF + c.ALIGN_SEARCH
"""Zeros before and after the spatial velocity: what the alignment of beats looks at beyond the recording's ends."""


@dataclass(frozen=True)
class Bands:
    """What the filters make of a batch of recordings."""

    signals: NDArray[np.float32]
    """(n, 8, 5000) µV without the baseline wander."""
    velocity: NDArray[np.float32]
    """(n, 5110) spatial velocity; sample t of the recording is at index t + `VELOCITY_MARGIN`."""
    detection: NDArray[np.float32]
    """(n, 1250) QRS energy, 125 values a second, in µV/s."""
    noise_uv: NDArray[np.float32]
    """(n,) RMS above 40 Hz in the worst lead."""
    wander_uv: NDArray[np.float32]
    """(n,) RMS below 0.5 Hz in the worst lead."""


def split_bands(signals: NDArray[Any]) -> Bands:
    """Filter recordings without phase shift.

    Args:
        signals: (n, 8, 5000) µV.
    """
    spectrum = fft.rfft(_reflected(signals), axis=-1)
    first_noise = np.searchsorted(_frequencies(), c.NOISE_ABOVE_HZ, side="right")
    noise = _rms(spectrum[..., first_noise:])
    wander = _rms(spectrum[..., 1 : np.searchsorted(_frequencies(), c.WANDER_BELOW_HZ)])
    detection = _detection(spectrum)
    parts = spectrum.view(np.float32)
    parts *= _highpass_gain()
    filtered = fft.irfft(spectrum, n=PADDED, axis=-1, overwrite_x=True)[..., c.PADDING : c.PADDING + SAMPLES]
    return Bands(filtered, _spatial_velocity(filtered), detection, noise.max(axis=1), wander.max(axis=1))


def joined_bands(parts: Sequence[Bands]) -> Bands:
    """The bands of several batches, in order, as those of one."""
    return Bands(**{each.name: np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(Bands)})


def _reflected(signals: NDArray[Any]) -> NDArray[np.float32]:
    """The signals with a second of their mirror image at either end, so that filters find no step there."""
    padded = np.empty((*signals.shape[:-1], PADDED), np.float32)
    padded[..., c.PADDING : c.PADDING + SAMPLES] = signals
    padded[..., : c.PADDING] = signals[..., c.PADDING : 0 : -1]
    padded[..., c.PADDING + SAMPLES :] = signals[..., -2 : -c.PADDING - 2 : -1]
    return padded


def _detection(spectrum: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Root of the summed squares over leads of the band-limited slope, smoothed over a QRS."""
    gain = _detection_gain()
    length = PADDED // c.DETECTION_DECIMATION
    slopes = fft.irfft(spectrum[..., : len(gain)] * gain, n=length, axis=-1)
    edge = c.PADDING // c.DETECTION_DECIMATION
    slopes = slopes[..., edge : length - edge]
    energy = np.sqrt(sum_of_squares(slopes))
    return moving_mean(energy, c.DETECTION_MEAN)


def _spatial_velocity(signals: NDArray[np.float32]) -> NDArray[np.float32]:
    """Root of the summed squares over leads of the slope across 4 samples, zero beyond the recording's ends."""
    total = np.zeros((len(signals), SAMPLES + 2 * VELOCITY_MARGIN), np.float32)
    inner = total[:, VELOCITY_MARGIN + 2 : VELOCITY_MARGIN + SAMPLES - 2]
    for lead in range(signals.shape[1]):
        slope = signals[:, lead, 4:] - signals[:, lead, :-4]
        slope *= slope
        inner += slope
    return np.sqrt(total, out=total)


def sum_of_squares(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum over axis 1 of the squares, added lead by lead so that no batch size changes the order of addition.

    Args:
        values: (n, leads, ...).

    Returns:
        (n, ...).
    """
    squares = values * values
    total = squares[:, 0].copy()
    for lead in range(1, values.shape[1]):
        total += squares[:, lead]
    return total


def one_by_one(values: NDArray[np.floating], dtype: type = np.float64) -> NDArray[Any]:
    """Sum over the first axis in a type, added in its order, so that no batch size changes the order of addition."""
    total: NDArray[Any] = np.zeros(values.shape[1:], dtype)
    for value in values:
        total += value
    return total


def moving_mean(values: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Centred mean of an odd number of neighbours along the last axis; edge values are repeated."""
    return weighted_mean(values, (1.0,) * width)


def weighted_mean(values: NDArray[np.float32], weights: tuple[float, ...]) -> NDArray[np.float32]:
    """Weighted mean along the last axis with an odd, symmetric set of weights; edges are repeated.

    Each weight but the middle one belongs to a pair of samples, one to the left and one to the right. The right one is
    taken a sample nearer, so that the mean lies up to half a sample to the left of the middle.
    """
    half, length = len(weights) // 2, values.shape[-1]
    padded = np.empty((*values.shape[:-1], length + 2 * half), np.float32)
    padded[..., half : half + length] = values
    padded[..., :half] = values[..., :1]
    padded[..., half + length :] = values[..., -1:]
    # Rows end to end are one long row, which is faster; the means that straddle two rows are left out in the end.
    line = padded.reshape(-1)
    size = line.size - 2 * half
    smoothed = np.empty_like(padded)
    total = smoothed.reshape(-1)[:size]
    scale = np.float32(1 / sum(weights))
    np.multiply(line[half : half + size], np.float32(weights[half]) * scale, out=total)
    pair = np.empty_like(total)
    for offset in range(half):
        opposite = 2 * half - 1 - offset
        np.add(line[offset : offset + size], line[opposite : opposite + size], out=pair)
        pair *= np.float32(weights[offset]) * scale
        total += pair
    return smoothed[..., :length]


def _rms(bins: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Parseval: RMS of the part of a real signal that lies in some bins of its one-sided spectrum."""
    parts = bins.view(np.float32)  # real and imaginary parts, of which the squares add up alike
    rms: NDArray[np.float32] = np.sqrt(2 * np.einsum("nlf,nlf->nl", parts, parts)) / np.float32(PADDED)
    return rms


@cache
def _frequencies() -> NDArray[np.float64]:
    frequencies: NDArray[np.float64] = fft.rfftfreq(PADDED, 1 / SAMPLING_RATE_HZ)
    return frequencies


@cache
def _highpass_gain() -> NDArray[np.float32]:
    """Squared Butterworth magnitude, as a filter run forwards and backwards would have it; for both complex parts."""
    ratio = (_frequencies() / c.HIGHPASS_HZ) ** c.HIGHPASS_EXPONENT
    return np.repeat((ratio / (1 + ratio)).astype(np.float32), 2)


@cache
def _detection_gain() -> NDArray[np.complex64]:
    """Derivative times pass band up to half of the decimated rate, scaled for the shorter transform."""
    length = PADDED // c.DETECTION_DECIMATION
    frequencies = _frequencies()[: length // 2 + 1]
    low, low_full, high_full, high = c.DETECTION_BAND_HZ
    rising = 0.5 - 0.5 * np.cos(np.pi * np.clip((frequencies - low) / (low_full - low), 0, 1))
    falling = 0.5 + 0.5 * np.cos(np.pi * np.clip((frequencies - high_full) / (high - high_full), 0, 1))
    gain = 2j * np.pi * frequencies * rising * falling / c.DETECTION_DECIMATION
    return gain.astype(np.complex64)
