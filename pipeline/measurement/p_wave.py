"""P onset and offset: the median of three views of the wave; and whether it comes with every beat."""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pipeline.leads import to_twelve_leads
from pipeline.measurement import constants as c
from pipeline.measurement.filters import moving_mean, one_by_one, sum_of_squares
from pipeline.measurement.median_beat import with_equally_many
from pipeline.measurement.medians import median_of_slots
from pipeline.measurement.waves import (
    Index,
    Signal,
    at,
    crossing,
    cut_out,
    first_below,
    highest,
    hump,
    last_below,
    latest,
    level,
    lowest,
    magnitude,
    running_max,
    slopes,
    upright,
    within,
)

Edges = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Onset and offset, (n,) samples."""


@dataclass(frozen=True)
class PWave:
    """The P wave of every record; boundaries have no meaning where `prominence_uv` is too small for a P."""

    onset: Index
    offset: Index
    prominence_uv: Signal


def p_wave(
    quick: Signal, medium: Signal, slow: Signal, scale: Signal, qrs_onset: Index, room: NDArray[np.float64]
) -> PWave:
    """Find the highest hump before the QRS and its bounds.

    Three views are taken: the feet of the hump of all leads together, the feet of the leads' own waves, and where the
    leads' slopes begin and end. The first is steady but late where leads differ in time; the others follow the earliest
    and latest leads, as 12SL does, but also their noise.

    Args:
        quick: (n, 8, 600) µV, smoothed over `SMOOTHING_QUICK`.
        medium: the same, smoothed over `SMOOTHING_MEDIUM`.
        slow: the same, smoothed over `SMOOTHING_SLOW`.
        scale: (n, 8, 1) weights of the leads.
        qrs_onset: (n,) samples.
        room: (n,) samples before the QRS in which there may be a P wave.
    """
    reach = np.clip(room, 1, c.P_BEFORE_MOST).astype(np.intp)
    start = np.maximum(qrs_onset - reach, 0)
    origin = np.maximum(qrs_onset - c.P_BEFORE_MOST - c.P_MARGIN, 0)
    there = start - origin, qrs_onset - origin
    near_quick, near_slow = (cut_out(waves, origin, c.P_BEFORE_MOST + 2 * c.P_MARGIN) for waves in (quick, slow))
    peak, prominence = hump(magnitude((near_slow - level(near_slow, there[1], c.P_LEVEL)) * scale), *there)
    onset, offset = _hump_feet(near_quick * scale, near_slow * scale, peak, *there)
    peak += origin
    views = np.stack(
        [
            (onset + origin, offset + origin),
            _lead_feet(medium, peak, qrs_onset),
            _lead_slopes(slow, peak, qrs_onset),
        ]
    )
    onset, offset = np.rint(np.sort(views, axis=0)[1]).astype(np.intp)
    return PWave(np.maximum(onset, 0), np.minimum(offset, qrs_onset), prominence)


def _hump_feet(quick: Signal, slow: Signal, peak: Index, start: Index, qrs_onset: Index) -> Edges:
    """Where the vector of all leads reaches a fifth of its height above its troughs.

    The onset's foot is measured from the trough before P. The offset's is measured from the quietest point between
    P and QRS: where the PQ segment slopes, the level just before the QRS is not the level at which P ends.
    """
    size = magnitude(quick - level(quick, qrs_onset, c.P_LEVEL))
    trough = lowest(size, np.maximum(start, peak - c.P_HALF_MOST), peak + 1)
    foot = _foot(size, trough, peak)
    onset = crossing(size, foot, last_below(size, foot, trough, peak + 1), 1)
    velocity = moving_mean(np.sqrt(sum_of_squares(slopes(slow))), c.P_QUIET_MEAN)
    first = np.minimum(peak + c.P_QUIET_AFTER, qrs_onset - c.P_QUIET_BEFORE_QRS)
    stop = np.minimum(qrs_onset, peak + c.P_HALF_MOST) - c.P_QUIET_BEFORE_QRS + 2
    quiet = np.maximum(lowest(velocity, first, stop), peak)
    size = magnitude(slow - level(slow, quiet, (-2, 3)))
    foot = _foot(size, quiet, peak)
    offset = crossing(size, foot, first_below(size, foot, peak, quiet + 1), -1)
    return onset - c.P_FOOT_SHIFT, offset + c.P_FOOT_SHIFT


def _foot(size: Signal, trough: Index, peak: Index) -> Signal:
    low = at(size, trough)
    foot: Signal = low + np.float32(c.P_FOOT_SHARE) * (at(size, peak) - low)
    return foot


@dataclass(frozen=True)
class _Leads:
    """Every lead near its record's P as a row of its own: (n * 12, width) and (n * 12,), in samples of the cut-out."""

    rows: Signal
    peak: Index
    stop: Index
    """The last sample that may belong to P, and 1."""
    origin: Index
    """(n,) sample of the median beat at which the cut-out begins."""

    def highest_in_record(self, values: Signal) -> Signal:
        """(n * 12,) the largest that any lead of the same record has."""
        of_record = values.reshape(len(self.origin), -1)
        return np.broadcast_to(of_record.max(axis=1, keepdims=True), of_record.shape).reshape(-1)

    def outermost(self, edges: Edges, passed_over: int, has_p: NDArray[np.bool_]) -> Edges:
        """The earliest onset and the latest offset of a record's leads that have a P, but for some."""
        onset, offset = (edge.reshape(len(self.origin), -1) for edge in edges)
        counts = has_p.reshape(onset.shape)
        return -latest(-onset, counts, passed_over) + self.origin, latest(offset, counts, passed_over) + self.origin


def _near_p(waves: Signal, peak: Index, qrs_onset: Index, before_qrs: int) -> _Leads:
    """The 12 leads from 140 ms before P's peak to 140 ms after it or shortly before the QRS."""
    origin = np.maximum(peak - c.P_HALF_MOST, 0)
    leads = to_twelve_leads(cut_out(waves, origin, 2 * c.P_HALF_MOST + 1))
    n, number, width = leads.shape
    stop = np.minimum(peak + c.P_HALF_MOST, qrs_onset - before_qrs) - origin
    return _Leads(leads.reshape(n * number, width), np.repeat(peak - origin, number), np.repeat(stop, number), origin)


def _lead_feet(waves: Signal, peak: Index, qrs_onset: Index) -> Edges:
    """The earliest and latest foot but two, at a fifth of the height of the lead's own wave, up or down."""
    leads = _near_p(waves, peak, qrs_onset, 2)
    near = np.maximum(leads.peak - c.P_LEADS_APART, 0), np.minimum(leads.peak + c.P_LEADS_APART + 1, leads.stop)
    rows, top, prominence = upright(leads.rows, *near)
    trough = lowest(rows, np.zeros_like(top), top + 1)
    foot = _foot(rows, trough, top)
    onset = crossing(rows, foot, last_below(rows, foot, trough, top + 1), 1)
    trough = lowest(rows, top, leads.stop)
    foot = _foot(rows, trough, top)
    offset = crossing(rows, foot, first_below(rows, foot, top, trough + 1), -1)
    has_p = prominence >= np.float32(c.P_LEAD_SHARE) * leads.highest_in_record(prominence)
    return leads.outermost((onset - c.P_LEAD_FOOT_SHIFT, offset + c.P_LEAD_FOOT_SHIFT), c.P_FEET_PASSED_OVER, has_p)


def _lead_slopes(waves: Signal, peak: Index, qrs_onset: Index) -> Edges:
    """The earliest and latest place but three beyond which a lead's slope stays low for 10 ms."""
    leads = _near_p(slopes(waves), peak, qrs_onset, 4)
    steepness = np.abs(leads.rows)
    before = np.maximum(leads.peak - c.P_STEEPEST_REACH, 0)
    after = np.minimum(leads.peak + c.P_STEEPEST_REACH + 1, leads.stop - 2)
    top = np.where(within(steepness.shape[1], before, after), steepness, 0).max(axis=1)
    least = np.float32(c.P_SLOPE_OF_LARGEST) * leads.highest_in_record(top)
    threshold = np.maximum(np.float32(c.P_SLOPE_SHARE) * top, least)
    run = c.P_SLOPE_QUIET_SAMPLES
    longest = running_max(steepness, run)
    rise, fall = highest(steepness, before, leads.peak + 1), highest(steepness, leads.peak, after)
    onset = last_below(longest, threshold, np.zeros_like(rise), rise - run + 2) + run - 1
    offset = first_below(longest, threshold, fall, np.maximum(leads.stop - run + 1, fall + 1))
    edges = onset.astype(np.float64), offset.astype(np.float64)
    return leads.outermost(edges, c.P_SLOPES_PASSED_OVER, np.ones(top.shape, np.bool_))


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
    first = np.minimum(p.onset, waves.shape[-1] - width)
    inside = within(width, np.zeros_like(first), np.maximum(p.offset - first, 1)).astype(np.float32)
    samples = inside.sum(axis=1)
    median = _centred(cut_out(waves, first, width), inside[:, None], samples[:, None])
    common = one_by_one(np.einsum("nlt,nlt->ln", median, median), np.float32)
    windows = sliding_window_view(signals, width, axis=2)
    counts = used.sum(axis=1)
    slots = np.full(used.shape[::-1], np.inf, np.float32)
    used_first = np.argsort(~used, axis=1, kind="stable")
    for count, rows in with_equally_many(counts):
        own_slots = used_first[rows, :count].T
        single = windows[rows, :, starts[rows, own_slots] + first[rows]]
        single = _centred(single, inside[rows, None], samples[rows, None])
        product = one_by_one(np.einsum("bnlt,nlt->lbn", single, median[rows]), np.float32)
        own = one_by_one(np.einsum("bnlt,bnlt->lbn", single, single), np.float32)
        slots[:count, rows] = product / np.sqrt(np.maximum(own * common[rows], np.finfo(np.float32).tiny))
    return median_of_slots(slots[: max(int(counts.max(initial=0)), 1)], counts)


def _centred(values: Signal, inside: Signal, samples: Signal) -> Signal:
    """Values, (..., n, leads, width), less their mean inside the P wave, zero outside it."""
    centred = values * inside
    mean = centred.sum(axis=-1) / samples
    np.subtract(values, mean[..., None], out=centred)
    centred *= inside
    return centred
