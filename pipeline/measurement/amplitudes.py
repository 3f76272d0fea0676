"""Amplitudes in 12 leads and frontal axes on the median beat, by 12SL's definitions.

The reference level is the median beat at the sample of QRS onset; P is measured from the chord between its
onset and offset. A deflection of the QRS is a wave if its area reaches 160 µV·ms. The waves of a lead are named in
order: a negative one before any positive one is Q, the first positive one R, the next negative one S; a QRS
without a positive wave (QS) is a Q. The frontal axis is atan2(2 / sqrt(3) * aVF, I) of the net areas over the
whole wave; on MUSE exports this gives 12SL's own P, QRS and T axes to the degree.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.leads import LEADS, to_twelve_leads
from pipeline.measurement import constants as c
from pipeline.measurement.delineate import Fiducials
from pipeline.measurement.waves import Index, Signal

P_SAMPLES = 2 * (c.P_HALF_MOST + int(c.P_FOOT_SHIFT)) + 4
QRS_SAMPLES = c.QRS_BEFORE_MOST + c.QRS_AFTER_MOST + c.QRS_QUIET_SAMPLES
T_SAMPLES = c.T_AFTER_QRS_MOST


@dataclass(frozen=True)
class Amplitudes:
    """What is measured lead by lead, (n, 12) µV in the order of `LEADS`, and the axes, (n,) degrees."""

    waves: dict[str, Signal]
    """By the names of the columns: p, q, r, s, stj, stm, ste, t, t2."""
    axes: dict[str, tuple[NDArray[np.float64], NDArray[np.bool_]]]
    """p, qrs, t: the axis, and whether there is one."""


def amplitudes(waves: Signal, fiducials: Fiducials, mean_rr: NDArray[np.float64]) -> Amplitudes:
    """Measure every lead of every median beat.

    Args:
        waves: (n, 8, 600) µV.
        fiducials: its boundaries.
        mean_rr: (n,) samples.
    """
    beats = to_twelve_leads(waves)
    onset, offset = fiducials.qrs_onset, fiducials.qrs_offset
    beats -= _sample(beats, onset)[..., None]
    t_onset = offset + (mean_rr / 8).astype(np.intp)
    p = _p_from_chord(beats, fiducials.p.onset, fiducials.p.offset)
    qrs, _ = _span(beats, onset, offset, QRS_SAMPLES)
    t, _ = _span(beats, t_onset, fiducials.t.offset, T_SAMPLES)
    q, r, s = _qrs_waves(qrs)
    first_t, second_t = _t_waves(t)
    found = {
        "p": _signed_extremum(p),
        "q": q,
        "r": r,
        "s": s,
        "stj": _sample(beats, offset),
        "stm": _sample(beats, offset + (mean_rr / 16).astype(np.intp)),
        "ste": _sample(beats, t_onset),
        "t": first_t,
        "t2": second_t,
    }
    axes = {name: _axis(wave) for name, wave in (("p", p), ("qrs", qrs), ("t", t))}
    return Amplitudes(found, axes)


def _sample(beats: Signal, index: Index) -> Signal:
    """(n, 12) the value of every lead at one sample a record."""
    values: Signal = beats[np.arange(len(beats)), :, np.clip(index, 0, beats.shape[-1] - 1)]
    return values


def _span(beats: Signal, first: Index, last: Index, width: int) -> tuple[Signal, Index]:
    """(n, 12, width) samples from first to last, zeros after them, and their indices (n, width)."""
    columns = first[:, None] + np.arange(width)
    inside = columns <= last[:, None]
    taken = np.take_along_axis(beats, np.clip(columns, 0, beats.shape[-1] - 1)[:, None, :], axis=2)
    return np.where(inside[:, None, :], taken, np.float32(0)), columns


def _p_from_chord(beats: Signal, onset: Index, offset: Index) -> Signal:
    """(n, 12, P_SAMPLES) the P wave as its deviation from the line between its ends."""
    wave, columns = _span(beats, onset, offset, P_SAMPLES)
    left, right = _sample(beats, onset), _sample(beats, offset)
    length = np.maximum(offset - onset, 1)[:, None]
    share = ((columns - onset[:, None]) / length).astype(np.float32)
    chord = left[..., None] + (right - left)[..., None] * share[:, None, :]
    deviation: Signal = np.where((columns <= offset[:, None])[:, None, :], wave - chord, np.float32(0))
    return deviation


def _signed_extremum(wave: Signal) -> Signal:
    high, low = wave.max(axis=-1), wave.min(axis=-1)
    extremum: Signal = np.where(high >= -low, high, low)
    return extremum


def _qrs_waves(qrs: Signal) -> tuple[Signal, Signal, Signal]:
    """Magnitudes of Q, R and S, each (n, 12), 0 where absent."""
    rows = qrs.reshape(-1, qrs.shape[-1])
    row, positive, height = _significant_waves(rows)
    is_first = np.ones(len(row), np.bool_)
    is_first[1:] = row[1:] != row[:-1]
    order = np.arange(len(row)) - np.flatnonzero(is_first)[np.cumsum(is_first) - 1]
    starts_negative = np.zeros(len(rows), np.intp)
    starts_negative[row[is_first]] = ~positive[is_first]
    name = order - starts_negative[row]
    found = np.zeros((3, len(rows)), np.float32)
    for slot, place in enumerate((-1, 0, 1)):
        chosen = name == place
        found[slot, row[chosen]] = height[chosen]
    q, r, s = found.reshape(3, *qrs.shape[:2])
    return q, r, s


def _significant_waves(rows: Signal) -> tuple[Index, NDArray[np.bool_], Signal]:
    """Waves of sufficient area in every row, in order: row, whether positive, height.

    Neighbours of the same sign, with only insignificant deflections between them, are one wave.
    """
    positive = rows > 0
    begins = np.ones(rows.shape, np.bool_)
    begins[:, 1:] = positive[:, 1:] != positive[:, :-1]
    starts = np.flatnonzero(begins)
    magnitude = np.abs(rows).ravel()
    area = np.add.reduceat(magnitude, starts) * np.float32(c.MS_PER_SAMPLE)
    height = np.maximum.reduceat(magnitude, starts)
    keep = area >= c.SIGNIFICANT_WAVE_UV_MS
    row, sign, height = (starts // rows.shape[1])[keep], positive.ravel()[starts][keep], height[keep]
    if len(row) == 0:
        return row, sign, height
    new = np.ones(len(row), np.bool_)
    new[1:] = (row[1:] != row[:-1]) | (sign[1:] != sign[:-1])
    merged = np.flatnonzero(new)
    return row[merged], sign[merged], np.maximum.reduceat(height, merged)


def _t_waves(t: Signal) -> tuple[Signal, Signal]:
    """T and, where it is biphasic, T' in order of time, each (n, 12)."""
    high, low = t.max(axis=-1), t.min(axis=-1)
    biphasic = (high >= c.T_PHASE_UV) & (low <= -c.T_PHASE_UV)
    high_first = t.argmax(axis=-1) < t.argmin(axis=-1)
    dominant = np.where(high >= -low, high, low)
    single = np.where(np.abs(dominant) >= c.T_FLAT_UV, dominant, np.float32(0))
    first = np.where(biphasic, np.where(high_first, high, low), single)
    second = np.where(biphasic, np.where(high_first, low, high), np.float32(0))
    return first, second


def _axis(wave: Signal) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Frontal axis in degrees from the net areas in I and aVF, and whether there is any net area."""
    area = wave.sum(axis=-1, dtype=np.float64) * c.MS_PER_SAMPLE
    lateral, inferior = area[:, LEADS.index("I")], area[:, LEADS.index("aVF")]
    degrees = np.rint(np.degrees(np.arctan2(inferior * 2 / np.sqrt(3.0), lateral)))
    exists = np.hypot(lateral, inferior) >= c.AXIS_LEAST_UV_MS
    return np.where(degrees == -180, 180, degrees), exists
