"""Whether samples can be µV: an ECG in another unit is refused, a flat line in µV is not."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.measurement import constants as c
from pipeline.measurement.beats import find_beats
from pipeline.measurement.filters import split_bands
from pipeline.measurement.median_beat import average


def wrong_units(signals: NDArray[Any]) -> list[str | None]:
    """What is wrong with every record's unit, in words that follow its name; None where nothing is.

    A typical second of an ECG has between 0.3 and 10 mV from peak to peak in its largest lead. A thousand times
    that is no ECG in µV. A thousandth is an ECG in mV, or a millionth one in V, if it then shows beats that are
    alike; if not, it is a flat line.

    Args:
        signals: (n, 8, 5000), said to be µV.
    """
    seconds = signals.reshape(*signals.shape[:2], 10, -1)
    swing = seconds.max(axis=-1).astype(np.float64) - seconds.min(axis=-1).astype(np.float64)
    typical = np.median(swing.max(axis=1), axis=-1)
    return [_wrong_unit(signal, float(height)) for signal, height in zip(signals, typical, strict=True)]


def _wrong_unit(signal: NDArray[Any], height: float) -> str | None:
    lowest, highest = c.SECOND_UV
    if height > highest:
        return f"swings by {height / 1000:.0f} mV, as no ECG does, so its unit is not µV. Convert it to µV"
    for unit, factor in (("mV", 1e3), ("V", 1e6)) if height < lowest else ():
        if lowest <= height * factor <= highest and _is_ecg(signal * factor):
            remedy = f"Correct its unit, or multiply by {factor:,.0f}"
            return f"swings by {height:.2g} µV, but is an ECG if that is {unit}. {remedy}"
    return None


def _is_ecg(signal: NDArray[Any]) -> bool:
    """Whether a record has as many QRS complexes as an ECG needs, and P to T of its beats are alike."""
    bands = split_bands(signal[None])
    beats = find_beats(bands)
    median = average(bands.signals, beats)
    used = median.used[0]
    enough = beats.counts[0] >= c.FEWEST_QRS and used.sum() >= c.FEWEST_USED
    return bool(enough and np.median(median.correlation[0][used]) >= c.UNLIKE_CORRELATION)
