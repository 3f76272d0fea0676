"""Doubts about a record: what in the signal or in the measurement a careful reader would not trust."""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pipeline.measurement import constants as c

Flags = dict[str, NDArray[np.bool_]]
Values = dict[str, tuple[NDArray[Any], NDArray[np.bool_]]]
"""Column name to its values and whether each is known."""


def signal_flags(raw: NDArray[Any], filtered: NDArray[np.float32]) -> tuple[Flags, NDArray[np.bool_]]:
    """Faults of the recording itself, each (n,), and which leads are flat, (n, 8).

    Args:
        raw: (n, 8, 5000) as given, where clipping shows, and a lead that was off for a while at another level.
        filtered: (n, 8, 5000) µV without baseline wander, which hides that a lead is flat.
    """
    high, low = _half_seconds(filtered)
    raw_high, raw_low = _half_seconds(raw)
    flat = _flat(high, low) | _flat(raw_high, raw_low) | (raw_high == raw_low).any(axis=-1)
    clipped = _clipped(raw, raw_high.max(axis=-1)) | _clipped(raw, raw_low.min(axis=-1))
    flags = {
        "flat_lead": flat.any(axis=1),
        "clipped": (clipped & ~flat).any(axis=1),
        "above_5_mv": (np.maximum(high, -low) > c.HIGHEST_UV).any(axis=(1, 2)),
    }
    return flags, flat


def _half_seconds(signals: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The highest and the lowest sample of every half second, each (n, 8, 20)."""
    halves = signals.reshape(*signals.shape[:2], 20, -1)
    return halves.max(axis=-1), halves.min(axis=-1)


def _flat(high: NDArray[Any], low: NDArray[Any]) -> NDArray[np.bool_]:
    """(n, 8) whether two half seconds in a row together show no QRS."""
    top, bottom = np.maximum(high[..., 1:], high[..., :-1]), np.minimum(low[..., 1:], low[..., :-1])
    swing = top.astype(np.float32) - bottom.astype(np.float32)
    flat: NDArray[np.bool_] = (swing < c.FLAT_UV).any(axis=-1)
    return flat


def _clipped(raw: NDArray[Any], extremum: NDArray[Any]) -> NDArray[np.bool_]:
    """(n, 8) whether a lead stays at an extremum for 10 samples, or again and again for 3."""
    clipped = np.zeros(raw.shape[:2], np.bool_)
    reached = raw == extremum[..., None]
    leads = np.flatnonzero(reached) // raw.shape[-1]  # few samples are: counting them all takes longer
    suspect = np.bincount(leads, minlength=clipped.size).reshape(clipped.shape) >= c.CLIPPED_SAMPLES
    if not suspect.any():
        return clipped
    at_limit = reached[suspect]
    long = sliding_window_view(at_limit, c.CLIPPED_SAMPLES, axis=1).all(axis=-1).any(axis=-1)
    short = np.asarray(sliding_window_view(at_limit, c.CLIPPED_BRIEFLY, axis=1).all(axis=-1))
    begins = (short[:, 1:] & ~short[:, :-1]).sum(axis=-1) + short[:, 0]
    clipped[suspect] = long | (begins >= c.CLIPPED_TIMES)
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
        "p_upon_t": _p_upon_t(values),
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


def _p_upon_t(values: Values) -> NDArray[np.bool_]:
    """Whether P begins where the T before it ends, so that the two cannot well be told apart."""
    names = ("mean_rr_ms", "qt_interval_ms", "pr_interval_ms")
    rr, qt, pr = (values[name][0].astype(np.float64) for name in names)
    known = np.logical_and.reduce([values[name][1] for name in names])
    upon: NDArray[np.bool_] = known & (rr - qt - pr < c.P_AFTER_T_MS)
    return upon
