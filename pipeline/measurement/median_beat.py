"""The representative beat: the sample by sample median of the complete, alike beats of a record."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pipeline.leads import SAMPLES
from pipeline.measurement import constants as c
from pipeline.measurement.beats import Beats
from pipeline.measurement.filters import one_by_one
from pipeline.measurement.medians import median_of_slots


@dataclass(frozen=True)
class MedianBeat:
    """The median beats of a batch and how the single beats differ from them."""

    waves: NDArray[np.float32]
    """(n, 8, 600) µV; the beats' fiducial point is sample 240."""
    used: NDArray[np.bool_]
    """(n, slots) which beats entered."""
    correlation: NDArray[np.float32]
    """(n, slots) correlation over 8 leads, P to T, of a complete beat with the median; 1 in other slots."""
    residual_uv: NDArray[np.float32]
    """(n,) RMS difference of the used beats from the median beat."""


def average(signals: NDArray[np.float32], beats: Beats) -> MedianBeat:
    """Median beat of every record.

    A beat enters if its whole window lies in the recording, its QRS is like the others, and the RR intervals
    on both sides are within 15 % of the median RR; where that leaves fewer than 3 beats, the rhythm is ignored.
    """
    complete = _complete(beats)
    alike = complete & (beats.likeness >= c.ALIKE_CORRELATION)
    regular = alike & _regular(beats)
    used = np.where((regular.sum(axis=1) >= c.FEWEST_USED)[:, None], regular, alike)
    counts = used.sum(axis=1)
    # The used beats come first, then the other complete ones.
    order = np.argsort(np.where(used, 0, np.where(complete, 1, 2)), axis=1, kind="stable")
    starts = np.where(complete, beats.fiducials - c.BEAT_BEFORE, 0)
    waves = np.empty((len(signals), signals.shape[1], c.BEAT_SAMPLES), np.float32)
    correlation = np.ones(complete.shape, np.float32)
    residual = np.zeros(len(signals), np.float32)
    windows = sliding_window_view(signals, c.BEAT_SAMPLES, axis=2)
    for count, rows in with_equally_many(counts):
        slots = order[rows, : max(int(complete[rows].sum(axis=1).max()), 1)]
        own = rows[:, None], slots
        single = windows[rows, :, starts[own].T]
        waves[rows] = median = median_of_slots(single[: max(count, 1)], counts[rows])
        likeness, residual[rows] = _compare(single[..., c.COMPARED], median[..., c.COMPARED], count)
        correlation[own] = np.where(complete[own], likeness, 1)
    return MedianBeat(waves, used, correlation, residual)


def with_equally_many(counts: NDArray[np.intp]) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """The records with each count of beats, (n,), so few at a time that their beats stay in a processor's cache."""
    for count in np.unique(counts):
        rows = np.flatnonzero(counts == count)
        for few in range(0, len(rows), c.CACHED_RECORDS):
            yield int(count), rows[few : few + c.CACHED_RECORDS]


def _complete(beats: Beats) -> NDArray[np.bool_]:
    start = beats.fiducials - c.BEAT_BEFORE
    return beats.present & (start >= 0) & (start + c.BEAT_SAMPLES <= SAMPLES)


def rr_intervals(beats: Beats) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """(n, slots - 1) samples from each beat to the next, and whether there is a next."""
    return np.diff(beats.fiducials, axis=1), beats.present[:, 1:]


def _median(values: NDArray[np.intp], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n,) median of each row's known values, (n, slots); 0 where there is none."""
    if values.shape[1] == 0:
        return np.zeros(len(values))
    ordered = np.sort(np.where(known, values, np.iinfo(np.int64).max), axis=1)
    rows, counts = np.arange(len(values)), known.sum(axis=1)
    filled = np.maximum(counts, 1)
    middle = (ordered[rows, (filled - 1) // 2].astype(np.float64) + ordered[rows, filled // 2]) / 2
    return np.where(counts > 0, middle, 0.0)


def median_rr(beats: Beats) -> NDArray[np.float64]:
    """(n,) median RR in samples; 0 where there is none."""
    return _median(*rr_intervals(beats))


def early_rr(beats: Beats, used: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n,) lower quartile of the samples from a used beat to the one after it; infinite where there is none.

    Where the next QRS comes earlier only after fewer beats, their median does not show it.
    """
    rr, known = rr_intervals(beats)
    follows = known & used[:, :-1]
    ordered = np.sort(np.where(follows, rr, np.inf), axis=1)
    if ordered.shape[1] == 0:
        return np.full(len(rr), np.inf)
    quartile: NDArray[np.float64] = ordered[np.arange(len(rr)), follows.sum(axis=1) // 4]
    return quartile


def rr_irregularity(beats: Beats) -> NDArray[np.float64]:
    """(n,) median change from one RR interval to the next, as a share of the median RR.

    One premature beat does not move it, nor does slow respiration much; atrial fibrillation does. 0 below 3 intervals.
    """
    rr, known = rr_intervals(beats)
    if rr.shape[1] < 2:
        return np.zeros(len(rr))
    change = _median(np.abs(np.diff(rr, axis=1)), known[:, 1:])
    return np.where(known[:, 1:].sum(axis=1) >= 2, change / np.maximum(median_rr(beats), 1), 0.0)


def _regular(beats: Beats) -> NDArray[np.bool_]:
    """Whether the RR intervals before and after a beat, so far as there are any, are near the median."""
    rr, known = rr_intervals(beats)
    typical = median_rr(beats)[:, None]
    near = ~known | (np.abs(rr - typical) <= c.RR_TOLERANCE * typical)
    regular = np.ones(beats.present.shape, np.bool_)
    regular[:, 1:] &= near
    regular[:, :-1] &= near
    return regular


def _compare(
    single: NDArray[np.float32], median: NDArray[np.float32], used: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """How single beats, (slots, n, 8, samples), differ from the median beat, (n, 8, samples).

    Returns:
        (n, slots) correlation over all leads, and (n,) RMS difference of the used ones, which come first.
    """
    product = one_by_one(np.einsum("bnlt,nlt->lbn", single, median))
    own = one_by_one(np.einsum("bnlt,bnlt->lbn", single, single))
    common = one_by_one(np.einsum("nlt,nlt->ln", median, median))
    correlation = product / np.sqrt(np.maximum(own * common, np.finfo(np.float64).tiny))
    difference = single[:used] - median
    squares = one_by_one(one_by_one(np.einsum("bnlt,bnlt->lbn", difference, difference)))
    samples = max(used, 1) * median[0].size
    return correlation.T.astype(np.float32), np.sqrt(squares / samples).astype(np.float32)
