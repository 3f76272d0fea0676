"""The end of T: the median of three estimators that fail in different ways."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.leads import to_twelve_leads
from pipeline.measurement import constants as c
from pipeline.measurement.filters import sum_of_squares
from pipeline.measurement.waves import (
    Index,
    Signal,
    at,
    cut_out,
    first_below,
    highest,
    hump,
    latest,
    level,
    lowest,
    magnitude,
    slopes,
    upright,
)


@dataclass(frozen=True)
class TEnd:
    """The end of T of every record, the spread of its estimators in samples, and the T wave's height."""

    offset: Index
    spread: Index
    prominence_uv: Signal


@dataclass(frozen=True)
class _Span:
    """(n,) where T may lie, from `start` up to, not including, `stop`, in samples of the cut-out."""

    start: Index
    stop: Index


def t_end(slow: Signal, scale: Signal, onset: Index, offset: Index, last: NDArray[np.float64]) -> TEnd:
    """Find the end of T of every median beat.

    Args:
        slow: (n, 8, 600) µV, smoothed over `SMOOTHING_SLOW`.
        scale: (n, 8, 1) weights of the leads.
        onset: (n,) QRS onset.
        offset: (n,) QRS offset.
        last: (n,) samples after QRS onset that may still be T.
    """
    origin = np.minimum(onset, slow.shape[-1] - c.T_AFTER_QRS_MOST)
    stop = np.minimum(onset - origin + last.astype(np.intp), c.T_AFTER_QRS_MOST - 5)
    span = _Span(np.minimum(offset - origin + c.T_AFTER_J, stop - 1), stop)
    resting = level(slow, onset, c.T_LEVEL)
    waves = cut_out(slow, origin, c.T_AFTER_QRS_MOST) - resting
    weighted = waves * scale
    size = magnitude(weighted)
    peak, prominence = hump(size, span.start, span.stop)
    bottom = lowest(size, peak, span.stop)
    steepest = lowest(slopes(size), peak, bottom + 1)
    velocity = np.sqrt(sum_of_squares(slopes(weighted)))
    estimates = np.stack(
        [
            _trapezium(size, steepest, span.stop),
            _velocity_end(velocity, peak, bottom, span.stop),
            2 * _tangents(waves[..., ::2], _Span(span.start // 2, (span.stop + 1) // 2)),
        ]
    )
    estimates.sort(axis=0)
    return TEnd(estimates[1] + origin, estimates[2] - estimates[0], prominence)


def _trapezium(size: Signal, steepest: Index, stop: Index) -> Index:
    """Where the trapezium with the steepest point and the window's end is largest (Zhang et al. 2006)."""
    samples = np.arange(size.shape[1])
    fall = at(size, steepest)[:, None] - size
    base = (2 * stop[:, None] - samples - steepest[:, None]).astype(np.float32)
    return highest(fall * base, steepest, stop)


def _velocity_end(velocity: Signal, peak: Index, bottom: Index, stop: Index) -> Index:
    """Where the spatial velocity after T's peak has fallen to a fifth of its largest."""
    fastest = highest(velocity, peak, bottom + 1)
    return first_below(velocity, np.float32(c.T_VELOCITY_SHARE) * at(velocity, fastest), fastest, stop)


def _tangents(waves: Signal, span: _Span) -> Index:
    """The latest but three of the leads' T ends, each where the tangent at the steepest point meets the level after T.

    By convention the latest of all leads counts; three are passed over, because a flat T's tangent leads anywhere. The
    waves are so smooth that 250 samples a second tell as much as 500.
    """
    leads = to_twelve_leads(waves)
    n, number, width = leads.shape
    start, stop = np.repeat(span.start, number), np.repeat(span.stop, number)
    rows, peak, prominence = upright(leads.reshape(n * number, width), start, stop)
    bottom = lowest(rows, peak, stop)
    slope = slopes(rows)
    steepest = lowest(slope, peak, bottom + 1)
    descent = np.minimum(at(slope, steepest), np.float32(-1e-3)).astype(np.float64)
    met = (at(rows, steepest) - at(rows, bottom)) / -descent
    ends = np.clip(np.rint(steepest + met + c.T_TANGENT_SHIFT / 2), steepest, stop - 1).reshape(n, number)
    height = prominence.reshape(n, number)
    has_t = height >= np.float32(c.T_LEAD_SHARE) * height.max(axis=1, keepdims=True)
    return latest(ends, has_t, c.T_LEADS_PASSED_OVER).astype(np.intp)
