"""One chunk of records from samples to the values of the measurement table's columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.leads import LEADS
from pipeline.measurement import constants as c
from pipeline.measurement.amplitudes import Amplitudes, amplitudes
from pipeline.measurement.beats import Beats, find_beats
from pipeline.measurement.delineate import Fiducials, delineate
from pipeline.measurement.filters import Bands, joined_bands, split_bands
from pipeline.measurement.median_beat import (
    MedianBeat,
    average,
    early_rr,
    median_rr,
    rr_intervals,
    rr_irregularity,
)
from pipeline.measurement.p_wave import p_correlation
from pipeline.measurement.pacing import without_spikes
from pipeline.measurement.placement import suspect_placement
from pipeline.measurement.quality import Flags, Values, measurement_flags, signal_flags

Known = NDArray[np.bool_]

TOO_FEW_QRS = "<4 QRS"
TOO_FEW_BEATS = "fewer than 3 complete, alike beats with a QRS"
NO_P = "no P wave"
NO_T = "no T wave"
OUT_OF_RANGE = "a value without meaning"
"""An axis of a wave without net area, or an amplitude beyond the column's type."""


@dataclass(frozen=True)
class Rows:
    """The measured values of some records."""

    values: Values
    """Of every numeric column of the table."""
    flags: Flags
    """(n,) by name, in the order of the table."""
    reasons: Flags
    """(n,) why something could not be measured, by text."""
    r_peaks: NDArray[np.int16]
    """All R peaks, record after record."""
    beats: NDArray[np.intp]
    """(n,) R peaks of each record."""


@dataclass(frozen=True)
class _Recording:
    """What is seen sample by sample, before there are beats."""

    bands: Bands
    faults: Flags
    """(n,) faults of the recording by name."""
    flat: NDArray[np.bool_]
    """(n, 8) leads that are flat."""
    paced: NDArray[np.bool_]
    """(n,) records with pacing spikes."""


@dataclass(frozen=True)
class _Known:
    """(n,) each: what of a record can be measured."""

    rate: Known
    qrs: Known
    p: Known
    t: Known


def measure_rows(raw: NDArray[Any]) -> Rows:
    """Measure a chunk of records.

    Args:
        raw: (n, 8, 5000) µV.
    """
    recording = _joined([_look_over(raw[few : few + c.CACHED_RECORDS]) for few in range(0, len(raw), c.CACHED_RECORDS)])
    bands = recording.bands
    beats = find_beats(bands)
    median = average(bands.signals, beats)
    fiducials = delineate(median.waves, median_rr(beats), early_rr(beats, median.used))
    starts = np.where(median.used, beats.fiducials - c.BEAT_BEFORE, 0)
    p_likeness = p_correlation(bands.signals, starts, median.used, median.waves, fiducials.p)
    known = _what_is_known(beats, median, fiducials, p_likeness)
    mean, deviation, largest = _rr_statistics(beats)
    found = amplitudes(median.waves, fiducials, mean)
    values: Values = {
        **_rhythm(beats, median, known, mean, deviation),
        **_intervals(fiducials, known, mean * c.MS_PER_SAMPLE),
        **_lead_values(found, known),
        **_quality(bands, median, fiducials, p_likeness, known),
        "rr_deviation_percent": (largest, known.rate),
    }
    flags = {**recording.faults, **_placement(median, fiducials, values, recording), **measurement_flags(values)}
    shift = np.where(known.qrs, fiducials.r_peak - c.BEAT_BEFORE, 0)
    peaks = np.clip(beats.fiducials + shift[:, None], 0, raw.shape[-1] - 1)[beats.present]
    return Rows(values, flags, _reasons(known, found), peaks.astype(np.int16), beats.counts)


def _look_over(raw: NDArray[Any]) -> _Recording:
    """Clean, filter and check so few records, (n, 8, 5000), that from step to step they stay in a processor's cache."""
    signals, paced = without_spikes(raw)
    bands = split_bands(signals)
    faults, flat = signal_flags(raw, bands.signals)
    return _Recording(bands, faults, flat, paced)


def _joined(parts: Sequence[_Recording]) -> _Recording:
    """Records looked over in several lots, in order, as one."""
    return _Recording(
        joined_bands([part.bands for part in parts]),
        {name: np.concatenate([part.faults[name] for part in parts]) for name in parts[0].faults},
        np.concatenate([part.flat for part in parts]),
        np.concatenate([part.paced for part in parts]),
    )


def _what_is_known(beats: Beats, median: MedianBeat, fiducials: Fiducials, p_likeness: NDArray[np.float32]) -> _Known:
    """P is present if it is high enough and comes with every beat; in atrial fibrillation it does not.

    Fibrillation waves now and then look alike before most beats, so that an irregular rhythm asks for more likeness.
    """
    rate = beats.counts >= c.FEWEST_QRS
    bounded = fiducials.qrs_offset > fiducials.qrs_onset
    qrs = rate & (median.used.sum(axis=1) >= c.FEWEST_USED) & bounded
    p, t = fiducials.p, fiducials.t
    irregular = rr_irregularity(beats) > c.IRREGULAR_RR
    alike = p_likeness >= np.where(irregular, c.P_CORRELATION_IRREGULAR, c.P_CORRELATION).astype(np.float32)
    shortest, longest = c.P_LASTS
    lasts = p.offset - p.onset
    has_p = (p.prominence_uv >= c.P_PROMINENCE_UV) & alike & (lasts >= shortest) & (lasts <= longest)
    has_t = t.prominence_uv >= c.T_PROMINENCE_UV
    return _Known(rate, qrs, qrs & has_p, qrs & has_t)


def _reasons(known: _Known, found: Amplitudes) -> Flags:
    has_wave = {"p": known.p, "qrs": known.qrs, "t": known.t}
    return {
        TOO_FEW_QRS: ~known.rate,
        TOO_FEW_BEATS: known.rate & ~known.qrs,
        NO_P: known.qrs & ~known.p,
        NO_T: known.qrs & ~known.t,
        OUT_OF_RANGE: np.logical_or.reduce([has_wave[name] & ~exists for name, (_, exists) in found.axes.items()]),
    }


def _placement(median: MedianBeat, fiducials: Fiducials, values: Values, recording: _Recording) -> Flags:
    """Doubts about the electrodes; a paced QRS need not look alike in I and V6."""
    axis, known = values["p_axis_deg"]
    arms, chest = suspect_placement(median.waves, fiducials, np.where(known, axis, np.nan), recording.flat)
    measured = values["qrs_duration_ms"][1]
    return {
        "suspect_lead_reversal": arms & measured & ~recording.paced,
        "suspect_chest_leads": chest & measured,
        "pacing_spikes": recording.paced,
    }


def _rr_statistics(beats: Beats) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mean and SD of RR in samples, its largest deviation in percent; from exact sums of integers."""
    rr, exists = rr_intervals(beats)
    rr = np.where(exists, rr, 0)
    count = np.maximum(exists.sum(axis=1), 1)
    total, squares = rr.sum(axis=1), (rr * rr).sum(axis=1)
    mean = total / count
    deviation = np.sqrt(np.maximum(count * squares - total * total, 0)) / count
    largest = np.where(exists, np.abs(rr - mean[:, None]), 0).max(axis=1, initial=0)
    return mean, deviation, 100 * largest / np.maximum(mean, 1)


def _rhythm(
    beats: Beats, median: MedianBeat, known: _Known, mean: NDArray[np.float64], deviation: NDArray[np.float64]
) -> Values:
    always = np.ones(len(mean), np.bool_)
    mean_ms = mean * c.MS_PER_SAMPLE
    return {
        "heart_rate_bpm": (np.rint(60000 / np.maximum(mean_ms, 1)), known.rate),
        "mean_rr_ms": (mean_ms, known.rate),
        "rr_sd_ms": (deviation * c.MS_PER_SAMPLE, known.rate),
        "beats": (beats.counts, always),
        "beats_used": (median.used.sum(axis=1), always),
    }


def _intervals(fiducials: Fiducials, known: _Known, mean_rr_ms: NDArray[np.float64]) -> Values:
    """Boundaries relative to the R peak, the intervals between them and QT for a rate of 60."""
    p, t, r = fiducials.p, fiducials.t, fiducials.r_peak
    onset, offset = fiducials.qrs_onset, fiducials.qrs_offset
    qt = (t.offset - onset) * c.MS_PER_SAMPLE
    seconds = np.maximum(mean_rr_ms, 1) / 1000
    return {
        "p_onset_ms": ((p.onset - r) * c.MS_PER_SAMPLE, known.p),
        "p_offset_ms": ((p.offset - r) * c.MS_PER_SAMPLE, known.p),
        "qrs_onset_ms": ((onset - r) * c.MS_PER_SAMPLE, known.qrs),
        "qrs_offset_ms": ((offset - r) * c.MS_PER_SAMPLE, known.qrs),
        "t_offset_ms": ((t.offset - r) * c.MS_PER_SAMPLE, known.t),
        "p_duration_ms": ((p.offset - p.onset) * c.MS_PER_SAMPLE, known.p),
        "pr_interval_ms": ((onset - p.onset) * c.MS_PER_SAMPLE, known.p),
        "qrs_duration_ms": ((offset - onset) * c.MS_PER_SAMPLE, known.qrs),
        "qt_interval_ms": (qt, known.t),
        "qtc_bazett_ms": (np.rint(qt / np.sqrt(seconds)), known.t),
        "qtc_fridericia_ms": (np.rint(qt / np.cbrt(seconds)), known.t),
    }


def _lead_values(found: Amplitudes, known: _Known) -> Values:
    """Axes and amplitudes; those of P and T are known where the wave is."""
    of_wave = {"p": known.p, "t": known.t, "t2": known.t}
    values: Values = {}
    for name, (axis, exists) in found.axes.items():
        values[f"{name}_axis_deg"] = (axis, exists & of_wave.get(name, known.qrs))
    for name, amplitude in found.waves.items():
        for index, lead in enumerate(LEADS):
            column = np.rint(amplitude[:, index])
            values[f"{name}_amplitude_{lead.lower()}_uv"] = (column, of_wave.get(name, known.qrs))
    return values


def _quality(
    bands: Bands, median: MedianBeat, fiducials: Fiducials, p_likeness: NDArray[np.float32], known: _Known
) -> Values:
    always = np.ones(len(p_likeness), np.bool_)
    return {
        "noise_uv": (bands.noise_uv, always),
        "baseline_wander_uv": (bands.wander_uv, always),
        "beat_correlation": (median.correlation.min(axis=1), known.qrs),
        "beat_residual_uv": (median.residual_uv, known.qrs),
        "p_prominence_uv": (fiducials.p.prominence_uv, known.qrs),
        "p_correlation": (p_likeness, known.qrs),
        "t_end_spread_ms": (fiducials.t.spread * c.MS_PER_SAMPLE, known.t),
    }
