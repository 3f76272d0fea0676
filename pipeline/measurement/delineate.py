"""Global boundaries of P, QRS and T on the median beat, one set over all leads."""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pipeline.measurement import constants as c
from pipeline.measurement.filters import moving_mean, sum_of_squares, weighted_mean
from pipeline.measurement.humps import (
    Index,
    Signal,
    at,
    crossing,
    first_below,
    gaussian_weights,
    highest,
    hump,
    last_below,
    lowest,
    within,
)


@dataclass(frozen=True)
class PWave:
    """The P wave of every record; boundaries have no meaning where `prominence_uv` is too small for a P."""

    onset: Index
    offset: Index
    prominence_uv: Signal


@dataclass(frozen=True)
class TEnd:
    """The end of T of every record, the spread of its estimators in samples, and the T wave's height."""

    offset: Index
    spread: Index
    prominence_uv: Signal


@dataclass(frozen=True)
class Fiducials:
    """All boundaries, as samples of the median beat."""

    r_peak: Index
    qrs_onset: Index
    qrs_offset: Index
    p: PWave
    t: TEnd


def delineate(waves: Signal, rr: NDArray[np.float64]) -> Fiducials:
    """Find the boundaries of every median beat.

    Args:
        waves: (n, 8, 600) µV.
        rr: (n,) median RR in samples.
    """
    smooth = weighted_mean(waves, gaussian_weights(c.SMOOTHING_QRS))
    slopes = _slopes(smooth)
    scale = _lead_scale(slopes)
    velocity = np.sqrt(sum_of_squares(slopes * scale))
    onset, offset = _qrs_bounds(velocity)
    smooth *= scale
    further = float(np.sqrt(c.SMOOTHING_PT**2 - c.SMOOTHING_QRS**2))
    smoother = weighted_mean(smooth, gaussian_weights(further))
    p = _p_wave(smooth, smoother, onset, rr)
    t = _t_end(smoother, onset, offset, rr)
    return Fiducials(_r_peak(waves, onset, offset), onset, offset, p, t)


def _slopes(waves: Signal) -> Signal:
    """Slope in µV a sample; zero at the outermost samples."""
    slopes = np.zeros_like(waves)
    slopes[..., 1:-1] = (waves[..., 2:] - waves[..., :-2]) * np.float32(0.5)
    return slopes


def _lead_scale(slopes: Signal) -> Signal:
    """(n, 8, 1) weights that keep one lead of high gain from deciding alone; their RMS over leads is 1.

    A lead is divided by its steepest slope to the power 3/4, which on LUDB, whose leads differ in gain, scattered
    least: with power 0 one lead decides, with 1 a lead without signal brings in its noise.
    """
    near = slice(c.BEAT_BEFORE - c.QRS_REACH - 10, c.BEAT_BEFORE + c.QRS_REACH + 10)
    steepest = np.abs(slopes[..., near]).max(axis=-1, keepdims=True)
    least = np.maximum(np.float32(c.EQUALISING_FLOOR) * steepest.max(axis=1, keepdims=True), np.float32(1e-3))
    root = np.sqrt(np.maximum(steepest, least))
    weight = 1 / (root * np.sqrt(root))
    mean_square = sum_of_squares(weight) / np.float32(weight.shape[1])
    scale: Signal = weight / np.sqrt(mean_square)[:, None]
    return scale


def _level(waves: Signal, onset: Index, span: tuple[int, int]) -> Signal:
    """(n, 8, 1) mean of each lead over a span of samples relative to QRS onset."""
    rows = np.arange(len(waves))
    total = np.zeros(waves.shape[:2], np.float32)
    for offset in range(*span):
        total += waves[rows, :, np.maximum(onset + offset, 0)]
    return (total / np.float32(span[1] - span[0]))[..., None]


def _magnitude(waves: Signal, level: Signal) -> Signal:
    """(n, 600) length of the vector of all leads from a level of each."""
    return np.sqrt(sum_of_squares(waves - level))


def _quiet(velocity: Signal, start: Index, span: tuple[int, int]) -> Signal:
    """A low percentile of the spatial velocity from a start on: the level of noise and slow waves."""
    width, rank = span
    columns = np.clip(start[:, None] + np.arange(width), 0, velocity.shape[1] - 1)
    return np.sort(np.take_along_axis(velocity, columns, axis=1), axis=1)[:, rank]


def _qrs_bounds(velocity: Signal) -> tuple[Index, Index]:
    """The points nearest to the steepest where the spatial velocity stays below threshold for 14 ms."""
    n, length = velocity.shape
    middle = np.full(n, c.BEAT_BEFORE)
    steepest = highest(velocity, middle - c.QRS_REACH, middle + c.QRS_REACH)
    top = at(velocity, steepest)
    before = _quiet(velocity, steepest - c.PQ_QUIET[0], c.PQ_QUIET)
    after = _quiet(velocity, steepest, c.ST_QUIET)
    run = c.QRS_QUIET_SAMPLES
    longest = sliding_window_view(velocity, run, axis=1).max(axis=-1)
    on_threshold = np.maximum(c.QRS_EDGE_SHARE * top, c.QRS_QUIET_FACTOR * before)
    off_threshold = np.maximum(c.QRS_EDGE_SHARE * top, c.QRS_QUIET_FACTOR * after)
    onset = last_below(longest, on_threshold, steepest - c.QRS_BEFORE_MOST - run + 1, steepest - run + 2) + run - 1
    offset = first_below(longest, off_threshold, steepest, np.minimum(steepest + c.QRS_AFTER_MOST, length - run))
    return onset, offset


def _r_peak(waves: Signal, onset: Index, offset: Index) -> Index:
    """Where the vector of all leads is longest between QRS onset and offset."""
    return highest(_magnitude(waves, _level(waves, onset, (0, 1))), onset, offset + 1)


def _p_wave(smooth: Signal, smoother: Signal, qrs_onset: Index, rr: NDArray[np.float64]) -> PWave:
    """The highest hump before the QRS and its feet at a fifth of its height.

    The onset's foot is measured from the trough before P. The offset's is measured from the quietest point between
    P and QRS: where the PQ segment slopes, the level just before the QRS is not the level at which P ends.
    """
    level = _level(smoother, qrs_onset, c.P_LEVEL)
    reach = np.minimum(c.P_BEFORE_MOST, (rr / 2).astype(np.intp))
    start = np.maximum(qrs_onset - reach, 0)
    peak, prominence = hump(_magnitude(smoother, level), start, qrs_onset)
    magnitude = _magnitude(smooth, _level(smooth, qrs_onset, c.P_LEVEL))
    first = np.maximum(start, peak - c.P_HALF_MOST)
    before = lowest(magnitude, first, peak + 1)
    threshold = _foot_level(magnitude, before, peak)
    outer = last_below(magnitude, threshold, before, peak + 1)
    onset = crossing(magnitude, threshold, outer, 1) - c.P_FOOT_SHIFT
    offset = _p_offset(smoother, qrs_onset, peak) + c.P_FOOT_SHIFT
    return PWave(
        np.maximum(np.rint(onset).astype(np.intp), 0),
        np.minimum(np.rint(offset).astype(np.intp), qrs_onset),
        prominence,
    )


def _p_offset(waves: Signal, qrs_onset: Index, peak: Index) -> NDArray[np.float64]:
    """Where P has fallen to a fifth of its height above the quietest point between it and the QRS."""
    velocity = moving_mean(np.sqrt(sum_of_squares(_slopes(waves))), c.P_QUIET_MEAN)
    first = np.minimum(peak + c.P_QUIET_AFTER, qrs_onset - c.P_QUIET_BEFORE_QRS)
    stop = np.minimum(qrs_onset, peak + c.P_HALF_MOST) - c.P_QUIET_BEFORE_QRS + 2
    quiet = np.maximum(lowest(velocity, first, stop), peak)
    magnitude = _magnitude(waves, _level(waves, quiet, (-2, 3)))
    threshold = _foot_level(magnitude, quiet, peak)
    return crossing(magnitude, threshold, first_below(magnitude, threshold, peak, quiet + 1), -1)


def _foot_level(magnitude: Signal, trough: Index, peak: Index) -> Signal:
    low = at(magnitude, trough)
    return low + np.float32(c.P_FOOT_SHARE) * (at(magnitude, peak) - low)


def _t_end(waves: Signal, qrs_onset: Index, qrs_offset: Index, rr: NDArray[np.float64]) -> TEnd:
    """Median of three estimators of the end of T, and how far apart they are."""
    length = waves.shape[-1]
    share, extra = c.T_RR_SHARE
    reach = np.minimum(c.T_AFTER_QRS_MOST, (share * rr + extra).astype(np.intp))
    stop = np.minimum(qrs_onset + reach, length - 5)
    start = np.minimum(qrs_offset + c.T_AFTER_J, stop - 1)
    magnitude = _magnitude(waves, _level(waves, qrs_onset, c.T_LEVEL))
    peak, prominence = hump(magnitude, start, stop)
    bottom = lowest(magnitude, peak, stop)
    slope = _slopes(magnitude)
    steepest = lowest(slope, peak, bottom + 1)
    velocity = np.sqrt(sum_of_squares(_slopes(waves)))
    estimates = np.stack(
        [
            _trapezium_end(magnitude, steepest, stop),
            _velocity_end(velocity, peak, bottom, stop),
            _tangent_end(magnitude, slope, steepest, bottom, stop),
        ]
    )
    estimates.sort(axis=0)
    return TEnd(estimates[1], estimates[2] - estimates[0], prominence)


def _trapezium_end(magnitude: Signal, steepest: Index, stop: Index) -> Index:
    """Where the trapezium with the steepest point and the window's end is largest (Zhang et al. 2006)."""
    samples = np.arange(magnitude.shape[1])
    fall = at(magnitude, steepest)[:, None] - magnitude
    base = (2 * stop[:, None] - samples - steepest[:, None]).astype(np.float32)
    return highest(fall * base, steepest, stop)


def _velocity_end(velocity: Signal, peak: Index, bottom: Index, stop: Index) -> Index:
    """Where the spatial velocity after T's peak has fallen to a fifth of its largest."""
    fastest = highest(velocity, peak, bottom + 1)
    return first_below(velocity, np.float32(c.T_VELOCITY_SHARE) * at(velocity, fastest), fastest, stop)


def _tangent_end(magnitude: Signal, slope: Signal, steepest: Index, bottom: Index, stop: Index) -> Index:
    """Where the tangent at the steepest point meets the level after T, moved by its known 20 ms."""
    descent = np.minimum(at(slope, steepest), np.float32(-1e-3)).astype(np.float64)
    met = (at(magnitude, steepest) - at(magnitude, bottom)) / -descent
    end = np.rint(steepest + met + c.T_TANGENT_SHIFT)
    return np.clip(end, steepest, stop - 1).astype(np.intp)


def p_correlation(
    signals: Signal, starts: Index, used: NDArray[np.bool_], waves: Signal, p: PWave
) -> NDArray[np.float32]:
    """Median over the used beats of the correlation of their P, over 8 leads, with the median beat's.

    Args:
        signals: (n, 8, 5000) filtered recordings.
        starts: (n, slots) sample at which a beat's window begins; any valid one in unused slots.
        used: (n, slots) beats that entered the median beat.
        waves: (n, 8, 600) median beats.
        p: P waves on the median beat.
    """
    width = 2 * c.P_HALF_MOST + 10
    rows = np.arange(len(signals))
    first = np.minimum(p.onset, waves.shape[-1] - width)
    inside = within(width, np.zeros_like(first), np.maximum(p.offset - first, 1)).astype(np.float32)
    samples = inside.sum(axis=1)
    product, own, common = np.zeros((3, used.shape[1], len(signals)), np.float32)
    for lead in range(signals.shape[1]):
        single = sliding_window_view(signals[:, lead], width, axis=1)[rows, (starts + first[:, None]).T]
        single = _centred(single, inside, samples)
        median = _centred(sliding_window_view(waves[:, lead], width, axis=1)[rows, first], inside, samples)
        product += (single * median).sum(axis=-1)
        own += (single * single).sum(axis=-1)
        common += (median * median).sum(axis=-1)
    correlation = product / np.sqrt(np.maximum(own * common, np.finfo(np.float32).tiny))
    ordered = np.sort(np.where(used.T, correlation, np.float32(np.inf)), axis=0)
    counts = np.maximum(used.sum(axis=1), 1)
    middle = (ordered[(counts - 1) // 2, rows] + ordered[counts // 2, rows]) * np.float32(0.5)
    return np.where(used.any(axis=1), middle, np.float32(0))


def _centred(values: Signal, inside: Signal, samples: Signal) -> Signal:
    """Values less their mean inside the P wave, zero outside it."""
    mean = (values * inside).sum(axis=-1) / samples
    centred: Signal = (values - mean[..., None]) * inside
    return centred
