"""Global boundaries of P, QRS and T on the median beat, one set over all leads."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.measurement import constants as c
from pipeline.measurement.filters import sum_of_squares, weighted_mean
from pipeline.measurement.p_wave import PWave, p_wave
from pipeline.measurement.qrs import qrs_bounds
from pipeline.measurement.t_end import TEnd, t_end
from pipeline.measurement.waves import Index, Signal, gaussian_weights, highest, level, magnitude, slopes


@dataclass(frozen=True)
class Fiducials:
    """All boundaries, as samples of the median beat."""

    r_peak: Index
    qrs_onset: Index
    qrs_offset: Index
    p: PWave
    t: TEnd


def delineate(waves: Signal, rr: NDArray[np.float64], early_rr: NDArray[np.float64]) -> Fiducials:
    """Find the boundaries of every median beat.

    Args:
        waves: (n, 8, 600) µV.
        rr: (n,) median RR in samples.
        early_rr: (n,) samples from the beats in the median to the next one, the lower quartile.
    """
    quick = weighted_mean(waves, gaussian_weights(c.SMOOTHING_QUICK))
    medium = weighted_mean(waves, gaussian_weights(c.SMOOTHING_MEDIUM))
    # A Gaussian after a Gaussian is a wider one, and needs fewer weights.
    further = float(np.sqrt(c.SMOOTHING_SLOW**2 - c.SMOOTHING_QUICK**2))
    slow = weighted_mean(quick, gaussian_weights(further))
    scale = _lead_scale(slopes(quick))
    onset, offset = qrs_bounds(quick, medium)
    share, extra = c.T_RR_SHARE
    last = np.minimum(share * rr + extra, early_rr - c.T_BEFORE_NEXT)
    r_peak = highest(magnitude(waves - level(waves, onset, (0, 1))), onset, offset + 1)
    t = t_end(slow, scale, onset, offset, np.maximum(last, 1))
    diastole = rr - (t.offset - onset)  # from the end of T to the next QRS
    return Fiducials(r_peak, onset, offset, p_wave(quick, medium, slow, scale, onset, np.minimum(rr / 2, diastole)), t)


def _lead_scale(lead_slopes: Signal) -> Signal:
    """(n, 8, 1) weights that keep one lead of high gain from deciding alone; their RMS over leads is 1.

    A lead is divided by its steepest slope to the power 3/4: with 0 one lead decides, with 1 a lead without signal
    brings in its noise; on LUDB, whose leads differ in gain, 3/4 scattered least of 0, 1/2, 3/4 and 1.
    """
    near = slice(c.BEAT_BEFORE - c.QRS_REACH - 10, c.BEAT_BEFORE + c.QRS_REACH + 10)
    steepest = np.abs(lead_slopes[..., near]).max(axis=-1, keepdims=True)
    least = np.maximum(np.float32(c.EQUALISING_FLOOR) * steepest.max(axis=1, keepdims=True), np.float32(1e-3))
    root = np.sqrt(np.maximum(steepest, least))
    weight = 1 / (root * np.sqrt(root))  # square roots are the same on every machine, other powers are not
    mean_square = sum_of_squares(weight) / np.float32(weight.shape[1])
    scale: Signal = weight / np.sqrt(mean_square)[:, None]
    return scale
