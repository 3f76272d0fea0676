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
    likeness = np.zeros(fiducials.shape, np.float32)
    for _ in range(c.ALIGN_PASSES):
        fiducials, likeness = _align(bands.velocity, fiducials, present)
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


def _align(
    velocity: NDArray[np.float32], fiducials: NDArray[np.intp], present: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Shift each beat by at most 30 ms to where its spatial velocity is most like the record's median."""
    width = 2 * c.ALIGN_HALF + 1
    row, slot = np.nonzero(present)
    windows = sliding_window_view(velocity, width + 2 * c.ALIGN_SEARCH, axis=1)[row, fiducials[present]]
    slots = np.full((*present.T.shape, width), np.inf, np.float32)
    slots[slot, row] = windows[:, c.ALIGN_SEARCH : c.ALIGN_SEARCH + width]
    template = median_of_slots(slots, present.sum(axis=1))
    energy = _running_energy(windows, width) * (template * template).sum(axis=-1)[row, None]
    scale = 1 / np.sqrt(np.maximum(energy, np.finfo(np.float32).tiny))
    own = template[row]
    best = np.full(len(row), -1, np.float32)
    shift = np.zeros(len(row), np.intp)
    for lag in range(2 * c.ALIGN_SEARCH + 1):
        correlation = np.einsum("bt,bt->b", windows[:, lag : lag + width], own) * scale[:, lag]
        better = correlation > best
        np.copyto(best, correlation, where=better, casting="same_kind")
        np.copyto(shift, lag - c.ALIGN_SEARCH, where=better)
    aligned, likeness = np.zeros_like(fiducials), np.zeros(fiducials.shape, np.float32)
    aligned[present] = np.clip(fiducials[present] + shift, 0, SAMPLES - 1)
    likeness[present] = best
    return aligned, likeness


def _running_energy(windows: NDArray[np.float32], width: int) -> NDArray[np.float64]:
    """(beats, lags) sum of the squares of each stretch of some width."""
    sums = np.zeros((len(windows), windows.shape[1] + 1))
    np.cumsum(windows * windows, axis=1, dtype=np.float64, out=sums[:, 1:])
    return sums[:, width:] - sums[:, :-width]
