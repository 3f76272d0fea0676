"""The representative beat: the sample by sample median of the complete, alike beats of a record."""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pipeline.leads import SAMPLES
from pipeline.measurement import constants as c
from pipeline.measurement.beats import Beats
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
    order = np.argsort(~complete, axis=1, kind="stable")[:, : max(int(complete.sum(axis=1).max(initial=0)), 1)]
    rows = np.arange(len(signals))[:, None]
    starts = np.where(complete, beats.fiducials - c.BEAT_BEFORE, 0)[rows, order]
    packed_used, packed_complete = used[rows, order], complete[rows, order]
    waves, correlation, residual = _stack(signals, starts, packed_used)
    spread = np.ones(complete.shape, np.float32)
    spread[rows, order] = np.where(packed_complete, correlation, 1)
    return MedianBeat(waves, used, spread, residual)


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


def _stack(
    signals: NDArray[np.float32], starts: NDArray[np.intp], used: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Median over the used beats, correlation of every beat with it, RMS residual of the used beats."""
    n, slots = starts.shape
    counts = used.sum(axis=1)
    rows = np.arange(n)
    waves = np.empty((n, signals.shape[1], c.BEAT_SAMPLES), np.float32)
    products = np.zeros((3, slots, n), np.float64)
    squares = np.zeros((slots, n), np.float64)
    for lead in range(signals.shape[1]):
        windows = sliding_window_view(signals[:, lead], c.BEAT_SAMPLES, axis=1)
        single = windows[rows, starts.T]
        median = median_of_slots(np.where(used.T[:, :, None], single, np.float32(np.inf)), counts)
        waves[:, lead] = median
        single, median = single[..., c.COMPARED], median[..., c.COMPARED]
        products[0] += np.einsum("bnt,nt->bn", single, median)
        products[1] += np.einsum("bnt,bnt->bn", single, single)
        products[2] += np.einsum("nt,nt->n", median, median)
        difference = single - median
        squares += np.einsum("bnt,bnt->bn", difference, difference)
    product, own, common = products
    correlation = product / np.sqrt(np.maximum(own * common, np.finfo(np.float64).tiny))
    total = np.where(used.T, squares, 0).sum(axis=0)
    samples = np.maximum(counts, 1) * (signals.shape[1] * (c.COMPARED.stop - c.COMPARED.start))
    return waves, correlation.T.astype(np.float32), np.sqrt(total / samples).astype(np.float32)
