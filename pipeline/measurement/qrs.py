"""QRS onset and offset: where the earliest lead grows steep and the latest ceases to be, but for two.

By the convention of CSE and AHA part I the earliest onset and the latest offset of all leads count. The outermost two
of twelve are passed over here, so that noise or a fault in one or two chest leads decides nothing. One in I or II does:
four of the twelve are derived from each.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.leads import to_twelve_leads
from pipeline.measurement import constants as c
from pipeline.measurement.filters import sum_of_squares
from pipeline.measurement.waves import Index, Signal, cut_out, highest, latest, running_max, slopes


def qrs_bounds(quick: Signal, medium: Signal) -> tuple[Index, Index]:
    """Global QRS onset and offset, (n,) samples of the median beat.

    Args:
        quick: (n, 8, 600) µV, smoothed over `SMOOTHING_QUICK`, for the onset.
        medium: the same, smoothed over `SMOOTHING_MEDIUM`, for the offset, which ends less abruptly.
    """
    quick_slopes = slopes(quick)
    middle = np.full(len(quick), c.BEAT_BEFORE)
    velocity = np.sqrt(sum_of_squares(quick_slopes))
    steepest = highest(velocity, middle - c.QRS_REACH, middle + c.QRS_REACH)
    before, after = _sides(quick_slopes, steepest)
    onset = steepest - _outermost(before, after, c.PQ_QUIET, c.QRS_BEFORE_MOST)
    before, after = _sides(slopes(medium), steepest)
    offset = steepest + _outermost(after, before, c.ST_QUIET, c.QRS_AFTER_MOST)
    return onset, offset


def _sides(lead_slopes: Signal, steepest: Index) -> tuple[Signal, Signal]:
    """Every lead's steepness from the steepest point backwards and forwards, (n, 12, width) each."""
    before, after = c.PQ_QUIET[0], c.ST_QUIET[0]
    steepness = np.abs(to_twelve_leads(cut_out(lead_slopes, steepest - before, before + after)))
    return steepness[..., before::-1], steepness[..., before:]


def _outermost(outwards: Signal, other_side: Signal, quiet: tuple[int, int], most: int) -> Index:
    """(n,) samples from the steepest point outwards to where the leads, but for two, stay quiet for 14 ms.

    Quiet is a share of the lead's steepest slope, or a multiple of what the slow waves beyond the QRS have. Leads
    without a QRS to speak of are not asked.

    Args:
        outwards: (n, 12, width) steepness from the steepest point outwards.
        other_side: the same to the other side, where the lead may be steeper.
        quiet: how many samples, and which of them in order of size tells the steepness of the slow waves.
        most: samples to look at.
    """
    top = np.maximum(outwards[..., :most].max(axis=-1), other_side[..., : c.QRS_BEFORE_MOST].max(axis=-1))
    samples, rank = quiet
    slow_waves = np.partition(outwards[..., :samples], rank, axis=-1)[..., rank]
    share = np.clip(
        np.float32(c.QRS_QUIET_FACTOR) * slow_waves,
        np.float32(c.QRS_EDGE_SHARE) * top,
        np.float32(c.QRS_EDGE_MOST) * top,
    )
    largest = top.max(axis=1, keepdims=True)
    threshold = np.maximum(share, np.float32(c.QRS_EDGE_OF_LARGEST) * largest)
    ahead = running_max(outwards[..., : most + c.QRS_QUIET_SAMPLES], c.QRS_QUIET_SAMPLES)
    ended: NDArray[np.bool_] = ahead <= threshold[..., None]
    distances = np.where(ended.any(axis=-1), ended.argmax(axis=-1), most)
    has_qrs = top >= np.float32(c.QRS_LEAD_SHARE) * largest
    return latest(distances, has_qrs, c.QRS_LEADS_PASSED_OVER).astype(np.intp)
