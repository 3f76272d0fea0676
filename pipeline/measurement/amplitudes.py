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
from pipeline.measurement.waves import Index, Signal, cut_out, within

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
    beats = _Beats(waves, fiducials.qrs_onset)
    onset, offset = fiducials.qrs_onset, fiducials.qrs_offset
    t_onset = offset + (mean_rr / 8).astype(np.intp)
    p = _p_from_chord(beats, fiducials.p.onset, fiducials.p.offset)
    qrs = beats.span(onset, offset, QRS_SAMPLES)
    t = beats.span(t_onset, fiducials.t.offset, T_SAMPLES)
    q, r, s = _qrs_waves(qrs)
    first_t, second_t = _t_waves(t)
    found = {
        "p": _signed_extremum(p),
        "q": q,
        "r": r,
        "s": s,
        "stj": beats.at(offset),
        "stm": beats.at(offset + (mean_rr / 16).astype(np.intp)),
        "ste": beats.at(t_onset),
        "t": first_t,
        "t2": second_t,
    }
    axes = {name: _axis(wave) for name, wave in (("p", p), ("qrs", qrs), ("t", t))}
    return Amplitudes(found, axes)


class _Beats:
    """Median beats in 12 leads, relative to QRS onset. Only what is asked for is derived from the 8 stored leads."""

    def __init__(self, waves: Signal, qrs_onset: Index) -> None:
        """Take (n, 8, 600) µV and (n,) QRS onsets."""
        n, leads, self._length = waves.shape
        self._rows = np.arange(n)
        # What lies beyond the end is never used, but makes all spans equally long.
        self._waves = np.zeros((n, leads, self._length + T_SAMPLES), np.float32)
        self._waves[..., : self._length] = waves
        self._level = self._raw(qrs_onset)

    def _raw(self, index: Index) -> Signal:
        """(n, 12) µV at one sample a record."""
        stored = self._waves[self._rows, :, np.clip(index, 0, self._length - 1)]
        leads: Signal = to_twelve_leads(stored[..., None])[..., 0]
        return leads

    def at(self, index: Index) -> Signal:
        """(n, 12) the value of every lead at one sample a record."""
        return self._raw(index) - self._level

    def span(self, first: Index, last: Index, width: int) -> Signal:
        """(n, 12, width) samples from first to last, zeros after them; the width is `T_SAMPLES` at most."""
        leads = to_twelve_leads(cut_out(self._waves, np.minimum(first, self._length), width))
        leads -= self._level[..., None]
        leads *= within(width, np.zeros_like(first), last + 1 - first)[:, None, :]
        return leads


def _p_from_chord(beats: _Beats, onset: Index, offset: Index) -> Signal:
    """(n, 12, P_SAMPLES) the P wave as its deviation from the line between its ends."""
    wave = beats.span(onset, offset, P_SAMPLES)
    left, right = beats.at(onset), beats.at(offset)
    length = np.maximum(offset - onset, 1)[:, None]
    share = (np.arange(P_SAMPLES) / length).astype(np.float32)
    wave -= left[..., None] + (right - left)[..., None] * share[:, None, :]
    wave *= within(P_SAMPLES, np.zeros_like(onset), offset + 1 - onset)[:, None, :]
    return wave


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
    highest, lowest = t.argmax(axis=-1, keepdims=True), t.argmin(axis=-1, keepdims=True)
    high, low = (np.take_along_axis(t, place, axis=-1)[..., 0] for place in (highest, lowest))
    biphasic = (high >= c.T_PHASE_UV) & (low <= -c.T_PHASE_UV)
    high_first = (highest < lowest)[..., 0]
    dominant = np.where(high >= -low, high, low)
    single = np.where(np.abs(dominant) >= c.T_FLAT_UV, dominant, np.float32(0))
    first = np.where(biphasic, np.where(high_first, high, low), single)
    second = np.where(biphasic, np.where(high_first, low, high), np.float32(0))
    return first, second


def _axis(wave: Signal) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Frontal axis in degrees from the net areas in I and aVF, and whether there is any net area."""
    lateral, inferior = (
        wave[:, LEADS.index(lead)].astype(np.float64).sum(axis=-1) * c.MS_PER_SAMPLE for lead in ("I", "aVF")
    )
    degrees = np.rint(np.degrees(np.arctan2(inferior * 2 / np.sqrt(3.0), lateral)))
    exists = np.hypot(lateral, inferior) >= c.AXIS_LEAST_UV_MS
    return np.where(degrees == -180, 180, degrees), exists
