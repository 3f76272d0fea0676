"""What holds for samples of any origin: they are numbers of µV, 10 s long, and brought to 500 Hz by one method."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from pipeline.errors import InputError
from pipeline.leads import LARGEST_UV, SAMPLES, SAMPLING_RATE_HZ, STORED_LEADS
from pipeline.measurement.units import check_unit

SECONDS = SAMPLES // SAMPLING_RATE_HZ

LOWEST_RATE_HZ = 250.0
"""Up to 125 Hz, of the 150 Hz that AHA 2007, part I, wants of adults' ECGs; intervals bear that, 100 Hz they do not."""

HIGHEST_RATE_HZ = 32000.0
"""What cardiographs that look for pacing spikes sample at; beyond it a header claims nonsense, at a cost in memory."""

LARGEST_FACTOR = 100_000
"""Of the exact ratio of rates: five digits are more than any clock keeps, and the filter has 20 taps for each."""

CLIPPED_RUN = 3
"""Equal samples at a lead's extremum that count as cut off, so that interpolation must not round them."""


@dataclass(frozen=True)
class Recording:
    """One recording as the measurement wants it.

    Attributes:
        signal: (8, 5000) µV at 500 Hz, leads as in `STORED_LEADS`.
        remarks: what was done with it, or is odd about it, in words that follow "so many of them".
    """

    signal: NDArray[np.float32]
    remarks: tuple[str, ...] = ()


def check_rate(name: str, rate_hz: float) -> None:
    """Refuse a sampling rate from which 500 Hz cannot be made.

    Raises:
        InputError: names the recording.
    """
    if not LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ:
        raise InputError(
            f"{name}: sampled at {rate_hz:g} Hz; {LOWEST_RATE_HZ:g} Hz to {HIGHEST_RATE_HZ:g} Hz can be measured, and "
            f"{SAMPLING_RATE_HZ} Hz are best. Get the recording as it was taken: resampling brings nothing back"
        )
    if max(_ratio(rate_hz).as_integer_ratio()) > LARGEST_FACTOR:
        raise InputError(
            f"{name}: {rate_hz!r} Hz has no usable ratio to {SAMPLING_RATE_HZ} Hz; round the sampling rate"
        )


def ten_seconds(rate_hz: float) -> int:
    """Samples that 10 s have."""
    return round(SECONDS * rate_hz)


def is_ten_seconds(samples: int, rate_hz: float) -> bool:
    """Whether so many samples are 10 s, to the sample."""
    return abs(samples - SECONDS * rate_hz) < 1


def check_samples(name: str, signal: NDArray[np.floating]) -> None:
    """Refuse samples that are no µV; wfdb gives NaN where a file marks a sample as invalid.

    Args:
        name: of the recording.
        signal: (8, samples) µV.

    Raises:
        InputError: names the recording, and the lead that is worst.
    """
    invalid = signal.shape[-1] - np.isfinite(signal).sum(axis=-1)
    if invalid.any():
        lead = int(invalid.argmax())
        raise InputError(
            f"{name}: {invalid[lead]} invalid samples (NaN or infinite) in lead {STORED_LEADS[lead]}; "
            "repair or remove it"
        )
    if np.abs(signal).max() > LARGEST_UV:
        raise InputError(f"{name}: samples beyond 1 V, which no ECG reaches; correct the units or the gain")


def to_recording(name: str, signal: NDArray[np.float32], rate_hz: float, remarks: tuple[str, ...] = ()) -> Recording:
    """Bring checked samples to 500 Hz where they are at another rate, and hold them against their unit.

    Args:
        name: of the recording.
        signal: (8, samples) µV, 10 s.
        rate_hz: their sampling rate, which `check_rate` lets pass.
        remarks: what is known of them already.

    Raises:
        InputError: names the recording, which is in another unit.
    """
    if rate_hz != SAMPLING_RATE_HZ:
        signal = _resampled(signal.astype(np.float64), rate_hz)
        to = f"from {rate_hz:g} Hz to {SAMPLING_RATE_HZ} Hz"
        remarks = (*remarks, f"resampled {to} (scipy.signal.resample_poly, its default filter)")
    check_unit(name, signal)
    return Recording(signal, remarks)


def _ratio(rate_hz: float) -> Fraction:
    """500 Hz by the sampling rate, which is taken for the decimal number that it is written as."""
    return SAMPLING_RATE_HZ / Fraction(repr(float(rate_hz)))


def _resampled(signal: NDArray[np.float64], rate_hz: float) -> NDArray[np.float32]:
    """By the exact ratio; mirrored at either end, and about each lead's median, so that a flat line stays flat."""
    up, down = _ratio(rate_hz).as_integer_ratio()
    reach = 10 * max(up, down) // up + 1  # input samples that scipy's filter, 10 of the slower rate's, looks at
    padding = down * -(-reach // down)  # a multiple, so that the first sample falls on one of the new ones
    level = np.median(signal, axis=-1, keepdims=True)
    padded = np.pad(signal - level, ((0, 0), (padding, padding)), mode="reflect")
    first = padding // down * up
    resampled = resample_poly(padded, up, down, axis=-1)[:, first : first + SAMPLES] + level
    return _cut_off_where_it_was(signal, resampled, down / up).astype(np.float32)


def _cut_off_where_it_was(
    signal: NDArray[np.float64], resampled: NDArray[np.float64], step: float
) -> NDArray[np.float64]:
    """Cut off again a lead that stayed at its extremum: the filter's ripples would hide that it was clipped."""
    place = np.arange(SAMPLES) * step
    last = signal.shape[-1] - 1
    before, after = np.minimum(np.floor(place).astype(np.intp), last), np.minimum(np.ceil(place).astype(np.intp), last)
    for lead, samples in enumerate(signal):
        for extremum, cut in ((samples.max(), np.minimum), (samples.min(), np.maximum)):
            run = _in_runs(samples == extremum)
            if run.any():
                cut(resampled[lead], extremum, out=resampled[lead])
                resampled[lead, run[before] & run[after]] = extremum
    return resampled


def _in_runs(reached: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which samples belong to a run of as many as count."""
    starts = np.flatnonzero(np.convolve(reached, np.ones(CLIPPED_RUN), mode="valid") == CLIPPED_RUN)
    inside = np.zeros(len(reached), np.bool_)
    for offset in range(CLIPPED_RUN):
        inside[starts + offset] = True
    return inside
