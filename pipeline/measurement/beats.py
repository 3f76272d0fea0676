"""QRS detection and the alignment of beats with one another."""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.leads import SAMPLES
from pipeline.measurement import constants as c
from pipeline.measurement.filters import Bands
from pipeline.measurement.medians import median_of_slots


@dataclass(frozen=True)
class Beats:
    """The QRS complexes of a batch: record i has its beats in slots 0 to counts[i] - 1, in order of time."""

    counts: NDArray[np.intp]
    """(n,) QRS complexes found."""
    present: NDArray[np.bool_]
    """(n, slots) whether a slot holds a beat."""
    fiducials: NDArray[np.intp]
    """(n, slots) sample index of the beats' common fiducial point; 0 in empty slots."""
    likeness: NDArray[np.float32]
    """(n, slots) correlation of the beat's spatial velocity with its record's median; 0 in empty slots."""


def find_beats(bands: Bands) -> Beats:
    """Find the QRS complexes of every record and align them with one another."""
    fiducials, present = _detect(bands.detection)
    velocity = _spatial_velocity(bands.signals)
    likeness = np.zeros(fiducials.shape, np.float32)
    for _ in range(c.ALIGN_PASSES):
        fiducials, likeness = _align(velocity, fiducials, present)
    return Beats(present.sum(axis=1), present, fiducials, likeness)


def _detect(detection: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Local maxima of the detection function above a share of its typical maximum, packed into slots."""
    highest = ndimage.maximum_filter1d(detection, 2 * c.REFRACTORY + 1, axis=1, mode="constant")
    seconds = np.sort(detection.reshape(len(detection), 10, -1).max(axis=2), axis=1)
    threshold = np.maximum(c.DETECTION_SHARE * np.median(seconds, axis=1), c.DETECTION_FLOOR_UV_S)
    for place, share in c.DETECTION_SHARE_OF_HIGHEST.items():  # or T waves would do for QRS where few are
        threshold = np.maximum(threshold, share * seconds[:, -place])
    is_peak = (detection == highest) & (detection > threshold[:, None])
    rows, columns = np.nonzero(is_peak)
    again = (np.diff(rows) == 0) & (np.diff(columns) <= c.REFRACTORY)  # equal maxima are one beat
    is_peak[rows[1:][again], columns[1:][again]] = False
    rows, columns = np.nonzero(is_peak)
    slots = np.cumsum(is_peak, axis=1)[rows, columns] - 1
    counts = is_peak.sum(axis=1)
    present = np.arange(max(counts.max(initial=0), 1)) < counts[:, None]
    fiducials = np.zeros(present.shape, np.intp)
    fiducials[rows, slots] = columns * c.DETECTION_DECIMATION
    return fiducials, present


def _spatial_velocity(signals: NDArray[np.float32]) -> NDArray[np.float32]:
    """Root of the summed squares over leads of the slope across 4 samples, zero beyond the recording's ends.

    Returns:
        (n, 5000 + 2 * reach), sample t at index t + reach, where reach is what the alignment looks at.
    """
    reach = c.ALIGN_HALF + c.ALIGN_SEARCH
    total = np.zeros((len(signals), SAMPLES + 2 * reach), np.float32)
    inner = total[:, reach + 2 : reach + SAMPLES - 2]
    for lead in range(signals.shape[1]):
        slope = signals[:, lead, 4:] - signals[:, lead, :-4]
        slope *= slope
        inner += slope
    return np.sqrt(total, out=total)


def _align(
    velocity: NDArray[np.float32], fiducials: NDArray[np.intp], present: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Shift each beat by at most 30 ms to where its spatial velocity is most like the record's median."""
    width = 2 * c.ALIGN_HALF + 1
    rows = np.arange(len(velocity))[:, None]
    windows = sliding_window_view(velocity, width + 2 * c.ALIGN_SEARCH, axis=1)[rows, fiducials]
    central = windows[:, :, c.ALIGN_SEARCH : c.ALIGN_SEARCH + width].transpose(1, 0, 2)
    template = median_of_slots(np.where(present.T[:, :, None], central, np.inf), present.sum(axis=1))
    energy = _running_energy(windows, width) * (template * template).sum(axis=-1)[:, None, None]
    scale = 1 / np.sqrt(np.maximum(energy, np.finfo(np.float32).tiny))
    best = np.full(fiducials.shape, -1, np.float32)
    shift = np.zeros(fiducials.shape, np.intp)
    for lag in range(2 * c.ALIGN_SEARCH + 1):
        correlation = np.einsum("nbt,nt->nb", windows[:, :, lag : lag + width], template) * scale[:, :, lag]
        better = correlation > best
        best[better] = correlation[better]
        shift[better] = lag - c.ALIGN_SEARCH
    aligned = np.clip(fiducials + shift, 0, SAMPLES - 1)
    return np.where(present, aligned, 0), np.where(present, best, 0).astype(np.float32)


def _running_energy(windows: NDArray[np.float32], width: int) -> NDArray[np.float64]:
    """(n, slots, lags) sum of the squares of each stretch of some width."""
    sums = np.zeros((*windows.shape[:2], windows.shape[2] + 1))
    np.cumsum(windows * windows, axis=-1, dtype=np.float64, out=sums[..., 1:])
    return sums[..., width:] - sums[..., :-width]
