"""Whether samples can be µV: an ECG in another unit is refused, a flat line in µV is not."""

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.measurement import constants as c
from pipeline.measurement.beats import find_beats
from pipeline.measurement.filters import split_bands
from pipeline.measurement.median_beat import average


def check_unit(name: str, signal: NDArray[np.floating]) -> None:
    """Refuse a recording that is in another unit than it says.

    A typical second of an ECG has between 0.3 and 10 mV from peak to peak in its largest lead. A thousand times
    that is no ECG in µV. A thousandth is an ECG in mV, or a millionth one in V, if it then shows beats that are
    alike; if not, it is a flat line.

    Args:
        name: of the recording, for errors.
        signal: (8, 5000), said to be µV.

    Raises:
        InputError: names the recording.
    """
    seconds = signal.reshape(len(signal), 10, -1)
    height = float(np.median((seconds.max(axis=-1) - seconds.min(axis=-1)).max(axis=0)))
    lowest, highest = c.SECOND_UV
    if height > highest:
        raise InputError(f"{name}: swings by {height / 1000:.0f} mV, as no ECG does; correct its unit, which is not µV")
    for unit, factor in (("mV", 1e3), ("V", 1e6)) if height < lowest else ():
        if lowest <= height * factor <= highest and _is_ecg(signal * factor):
            remedy = f"correct its unit, or multiply by {factor:,.0f}"
            raise InputError(f"{name}: swings by {height:.2g} µV, but is an ECG if that is {unit}; {remedy}")


def _is_ecg(signal: NDArray[np.floating]) -> bool:
    """Whether a record has as many QRS complexes as an ECG needs, and P to T of its beats are alike."""
    bands = split_bands(signal[None])
    beats = find_beats(bands)
    median = average(bands.signals, beats)
    used = median.used[0]
    enough = beats.counts[0] >= c.FEWEST_QRS and used.sum() >= c.FEWEST_USED
    return bool(enough and np.median(median.correlation[0][used]) >= c.UNLIKE_CORRELATION)
