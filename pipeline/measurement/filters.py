"""Band filters of the whole recording: one transform gives the signal, the QRS energy and the noise."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from pipeline.leads import SAMPLES, SAMPLING_RATE_HZ
from pipeline.measurement import constants as c

PADDED = SAMPLES + 2 * c.PADDING


@dataclass(frozen=True)
class Bands:
    """What the filters make of a batch of recordings."""

    signals: NDArray[np.float32]
    """(n, 8, 5000) µV without the baseline wander."""
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
    spectrum *= _highpass_gain()
    filtered = fft.irfft(spectrum, n=PADDED, axis=-1)[..., c.PADDING : c.PADDING + SAMPLES]
    return Bands(filtered, detection, noise.max(axis=1), wander.max(axis=1))


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


def sum_of_squares(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum over axis 1 of the squares, added lead by lead so that no batch size changes the order of addition.

    Args:
        values: (n, leads, ...).

    Returns:
        (n, ...).
    """
    total = values[:, 0] * values[:, 0]
    for lead in range(1, values.shape[1]):
        total += values[:, lead] * values[:, lead]
    return total


def moving_mean(values: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Centred mean of an odd number of neighbours along the last axis; edge values are repeated."""
    return weighted_mean(values, (1.0,) * width)


def weighted_mean(values: NDArray[np.float32], weights: tuple[float, ...]) -> NDArray[np.float32]:
    """Centred weighted mean along the last axis with an odd, symmetric set of weights; edges are repeated."""
    half = len(weights) // 2
    padded = np.concatenate(
        [np.repeat(values[..., :1], half, axis=-1), values, np.repeat(values[..., -1:], half, axis=-1)],
        axis=-1,
    )
    length = values.shape[-1]
    scale = np.float32(1 / sum(weights))
    total = padded[..., half : half + length] * (np.float32(weights[half]) * scale)
    for offset in range(half):
        pair = padded[..., offset : offset + length] + padded[..., -1 - offset - length : -1 - offset or None]
        total += pair * (np.float32(weights[offset]) * scale)
    return total


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
    """Squared Butterworth magnitude, as a filter run forwards and backwards would have it."""
    ratio = (_frequencies() / c.HIGHPASS_HZ) ** c.HIGHPASS_EXPONENT
    return (ratio / (1 + ratio)).astype(np.float32)


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
