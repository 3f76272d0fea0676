"""Doubts about a record: what in the signal or in the measurement a careful reader would not trust."""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pipeline.measurement import constants as c

Flags = dict[str, NDArray[np.bool_]]
Values = dict[str, tuple[NDArray[Any], NDArray[np.bool_]]]
"""Column name to its values and whether each is known."""


def signal_flags(raw: NDArray[Any], filtered: NDArray[np.float32]) -> Flags:
    """Faults of the recording itself, each (n,).

    Args:
        raw: (n, 8, 5000) as given, where clipping shows.
        filtered: (n, 8, 5000) µV without baseline wander.
    """
    seconds = filtered.reshape(*filtered.shape[:2], 10, -1)
    high, low = seconds.max(axis=-1), seconds.min(axis=-1)
    flat = (high - low < c.FLAT_UV).any(axis=2)
    return {
        "flat_lead": flat.any(axis=1),
        "clipped": (_clipped(raw) & ~flat).any(axis=1),
        "above_5_mv": (np.maximum(high, -low) > c.HIGHEST_UV).any(axis=(1, 2)),
    }


def _clipped(raw: NDArray[Any]) -> NDArray[np.bool_]:
    """(n, 8) whether a lead stays at its maximum or minimum for 10 samples."""
    clipped = np.zeros(raw.shape[:2], np.bool_)
    for extremum in (raw.max(axis=-1, keepdims=True), raw.min(axis=-1, keepdims=True)):
        reached = raw == extremum
        suspect = reached.sum(axis=-1) >= c.CLIPPED_SAMPLES
        runs = sliding_window_view(reached[suspect], c.CLIPPED_SAMPLES, axis=1)
        clipped[suspect] |= runs.all(axis=-1).any(axis=-1)
    return clipped


def measurement_flags(values: Values) -> Flags:
    """Doubts that follow from the measured values, each (n,)."""
    flags = {
        "noisy": _above(values, "noise_uv", c.NOISY_UV),
        "baseline_wander": _above(values, "baseline_wander_uv", c.WANDER_UV),
        "unlike_beats": _below(values, "beat_correlation", c.UNLIKE_CORRELATION),
        "varying_beats": _above(values, "beat_residual_uv", c.RESIDUAL_UV[1]),
        "template_beats": _below(values, "beat_residual_uv", c.RESIDUAL_UV[0]),
        "template_rhythm": _template_rhythm(values),
        "uncertain_p": _below(values, "p_correlation", c.P_CORRELATION_DOUBT) & values["p_duration_ms"][1],
        "uncertain_t_end": _above(values, "t_end_spread_ms", c.T_SPREAD_DOUBT_MS),
    }
    for name, (least, most) in c.LIKELY_MS.items():
        flags[f"unlikely_{name.removesuffix('_ms')}"] = _below(values, name, least) | _above(values, name, most)
    return flags


def _above(values: Values, name: str, limit: float) -> NDArray[np.bool_]:
    value, known = values[name]
    return known & (value.astype(np.float64) > limit)


def _below(values: Values, name: str, limit: float) -> NDArray[np.bool_]:
    value, known = values[name]
    return known & (value.astype(np.float64) < limit)


def _template_rhythm(values: Values) -> NDArray[np.bool_]:
    """Whether the RR intervals vary less than any heart's."""
    (deviation, known), (mean, _) = values["rr_sd_ms"], values["mean_rr_ms"]
    return known & (deviation.astype(np.float64) < c.RR_VARIATION_LEAST * mean.astype(np.float64))
