"""The measurement: known beats are recovered, and batches do not matter."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import pipeline
from pipeline.columns import MEASURED, MEASUREMENT_SCHEMA, QUALITY
from pipeline.errors import InputError
from pipeline.leads import LEADS, SAMPLES, STORED_LEADS
from pipeline.measurement import measure
from pipeline.measurement.delineate import delineate
from pipeline.measurement.medians import median_of_slots
from pipeline.measurement.quality import measurement_flags, signal_flags

# Synthetic beats: positions and widths in samples of 2 ms relative to R, heights of the 8 leads in µV
RR = 430
R_AT = 150
P_ONSET, P_SAMPLES = -92, 52
QRS_ONSET, QRS_OFFSET = -20, 26
T_PEAK, T_HALF = 140, 60
P_HEIGHTS = (80, 150, -40, 60, 80, 80, 80, 70)
Q_HEIGHTS = (-90, -60, 0, 0, -40, -80, -100, -110)
R_HEIGHTS = (700, 1000, 200, 500, 1000, 1500, 1300, 1000)
S_HEIGHTS = (-100, -150, -900, -1200, -700, -400, -200, -100)
T_HEIGHTS = (200, 300, -80, 300, 500, 450, 350, 250)


def _hump(length: int, centre: float, half: float) -> NDArray[np.float64]:
    """A raised cosine of unit height that is zero beyond half a width from its centre."""
    distance = np.abs(np.arange(length) - centre)
    return np.where(distance < half, 0.5 + 0.5 * np.cos(np.pi * distance / half), 0.0)


def _triangle(length: int, start: float, peak: float, end: float) -> NDArray[np.float64]:
    return np.interp(np.arange(length), [start, peak, end], [0.0, 1.0, 0.0])


def _beat(
    st_uv: float = 0.0,
    p_share: float = 1.0,
    t_share: float = 1.0,
    *,
    p_onset: int = P_ONSET,
    p_samples: int = P_SAMPLES,
    widen: float = 1.0,
    t_peak: int = T_PEAK,
    t_half: int = T_HALF,
    r: int = R_AT,
) -> NDArray[np.float64]:
    """(8, 500) one beat: raised-cosine P and T, triangular Q, R and S stretched by `widen`, a shifted ST segment."""
    p = _hump(500, r + p_onset + p_samples / 2, p_samples / 2)
    q, up, s = (
        _triangle(500, *(r + widen * corner for corner in corners))
        for corners in ((QRS_ONSET, -14, -8), (-8, 0, 8), (8, 15, QRS_OFFSET))
    )
    t = _hump(500, r + t_peak, t_half)
    shift = np.interp(np.arange(500), [r + 14, r + QRS_OFFSET, r + 160, r + 240], [0.0, st_uv, st_uv, 0.0])
    waves = ((p, P_HEIGHTS, p_share), (q, Q_HEIGHTS, 1), (up, R_HEIGHTS, 1), (s, S_HEIGHTS, 1), (t, T_HEIGHTS, t_share))
    beat = sum(np.outer(heights, wave) * share for wave, heights, share in waves)
    return np.asarray(beat) + shift


def _record(
    beat: NDArray[np.float64], peaks: list[int], noise_uv: float = 3.0, r: int = R_AT, samples: int = SAMPLES
) -> NDArray[np.float64]:
    """(8, samples) the beat at every peak, with white noise so that two beats are never the same."""
    signal = np.random.default_rng(1).normal(0, noise_uv, (8, samples + 1000))
    for peak in peaks:
        signal[:, 500 + peak - r : 1000 + peak - r] += beat
    return signal[:, 500:-500]


def _jittering(rr: int = RR, samples: int = SAMPLES) -> list[int]:
    """R peaks of a rhythm that varies a little, on average regular."""
    at = range(170, samples + 100, rr)
    return [place + shift for place, shift in zip(at, np.resize([0, 4, -4, 2, -2], len(at)).tolist(), strict=True)]


def _regular(beat: NDArray[np.float64], rr: int = RR, noise_uv: float = 3.0, r: int = R_AT) -> dict[str, Any]:
    """The measured row of a record with jittering but on average regular beats."""
    return _row(_record(beat, _jittering(rr), noise_uv, r))


def _row(signal: NDArray[Any]) -> dict[str, Any]:
    row: dict[str, Any] = measure(signal[None]).to_pylist()[0]
    return row


def _lead(row: dict[str, Any], wave: str) -> list[Any]:
    return [row[f"{wave}_amplitude_{lead.lower()}_uv"] for lead in STORED_LEADS]


def test_the_table_has_the_published_schema() -> None:
    signals = np.stack([_record(_beat(), list(range(170, 5000, RR))), np.zeros((8, SAMPLES))])
    table = measure(signals)
    assert table.schema.equals(MEASUREMENT_SCHEMA, check_metadata=True)
    assert table.num_rows == 2
    table.validate(full=True)
    assert measure(np.empty((0, 8, SAMPLES))).schema.equals(MEASUREMENT_SCHEMA, check_metadata=True)


def test_rhythm_is_exact() -> None:
    peaks = list(range(200, 4900, 400))
    row = _row(_record(_beat(), peaks))
    assert row["beats"] == len(peaks)
    assert row["heart_rate_bpm"] == 75
    assert row["mean_rr_ms"] == pytest.approx(800, abs=0.5)
    assert np.abs(np.array(row["r_peaks"]) - peaks).max() <= 1
    assert "template_rhythm" in row["quality_flags"]


def test_intervals_of_a_known_beat() -> None:
    row = _regular(_beat())
    assert row["status"] == "measured"
    assert row["status_reason"] is None
    # the corners of a triangle are sharper than a QRS's: their smoothing widens it by three samples on each side
    assert row["qrs_duration_ms"] == pytest.approx((QRS_OFFSET - QRS_ONSET) * 2, abs=12)
    # the feet of a raised cosine are too flat to be seen: a reader places them a little inside
    assert row["p_duration_ms"] == pytest.approx(P_SAMPLES * 2, abs=18)
    assert row["pr_interval_ms"] == pytest.approx((QRS_ONSET - P_ONSET) * 2, abs=12)
    assert row["qt_interval_ms"] == pytest.approx((T_PEAK + T_HALF - QRS_ONSET) * 2, abs=24)
    assert row["qtc_bazett_ms"] == round(row["qt_interval_ms"] / np.sqrt(row["mean_rr_ms"] / 1000))
    assert all(row[name] % 2 == 0 for name in ("p_duration_ms", "pr_interval_ms", "qrs_duration_ms", "qt_interval_ms"))
    assert row["p_offset_ms"] - row["p_onset_ms"] == row["p_duration_ms"]
    assert row["t_offset_ms"] - row["qrs_onset_ms"] == row["qt_interval_ms"]


def test_amplitudes_of_a_known_beat() -> None:
    row = _regular(_beat())
    assert _lead(row, "r") == pytest.approx(R_HEIGHTS, rel=0.02, abs=15)
    assert _lead(row, "s") == pytest.approx([-height for height in S_HEIGHTS], rel=0.03, abs=15)
    assert _lead(row, "q") == pytest.approx([-height for height in Q_HEIGHTS], abs=15)
    assert _lead(row, "t") == pytest.approx(T_HEIGHTS, abs=15)
    assert _lead(row, "p") == pytest.approx(P_HEIGHTS, abs=15)
    assert _lead(row, "stj") == pytest.approx([0] * 8, abs=15)
    assert _lead(row, "t2") == [0] * 8


def test_axes_of_a_known_beat() -> None:
    row = _regular(_beat())
    for wave, heights in (("p", P_HEIGHTS), ("t", T_HEIGHTS)):
        expected = np.degrees(np.arctan2((heights[1] - heights[0] / 2) * 2 / np.sqrt(3), heights[0]))
        assert row[f"{wave}_axis_deg"] == pytest.approx(expected, abs=4)


def test_a_shifted_st_segment_is_measured() -> None:
    row = _regular(_beat(st_uv=150.0))
    assert _lead(row, "stj") == pytest.approx([150] * 8, abs=25)
    assert _lead(row, "stm") == pytest.approx([150] * 8, abs=15)
    assert set(row["quality_flags"]) <= {"uncertain_t_end"}  # the slow return of ST ends after T


def test_an_absent_p_wave_is_null() -> None:
    row = _regular(_beat(p_share=0.0))
    assert row["status"] == "partial"
    assert row["status_reason"] == "no P wave"
    null = {name for name, value in row.items() if value is None}
    expected = {"p_duration_ms", "pr_interval_ms", "p_onset_ms", "p_offset_ms", "p_axis_deg"}
    assert null == expected | {f"p_amplitude_{lead.lower()}_uv" for lead in LEADS}
    assert row["qrs_duration_ms"] == pytest.approx((QRS_OFFSET - QRS_ONSET) * 2, abs=12)


def test_an_absent_t_wave_is_null() -> None:
    row = _regular(_beat(t_share=0.0))
    assert row["status_reason"] == "no T wave"
    assert row["qt_interval_ms"] is None
    assert row["t_amplitude_v5_uv"] is None
    assert row["pr_interval_ms"] is not None


def test_a_qrs_without_r_is_a_q() -> None:
    beat = _beat()
    beat[2] = -_beat()[1]
    beat[2, 130:177] = -600 * _triangle(500, 130, 150, 176)[130:177]
    row = _regular(beat)
    assert row["q_amplitude_v1_uv"] == pytest.approx(600, abs=20)
    assert row["r_amplitude_v1_uv"] == 0
    assert row["s_amplitude_v1_uv"] == 0


def test_a_biphasic_t_keeps_the_order_of_its_phases() -> None:
    beat = _beat()
    beat[2] += 80 * _hump(500, 150 + T_PEAK, T_HALF) - 150 * _hump(500, 265, 30) + 180 * _hump(500, 325, 30)
    row = _regular(beat)
    assert row["t_amplitude_v1_uv"] == pytest.approx(-150, abs=20)
    assert row["t2_amplitude_v1_uv"] == pytest.approx(180, abs=20)


def test_an_ectopic_beat_stays_out_of_the_median_beat() -> None:
    peaks = [*range(200, 2300, 400), 2060 + 200, *range(2800, 4800, 400)]
    peaks.remove(2200)
    signal = _record(_beat(), peaks)
    clean = _row(_record(_beat(), list(range(200, 4800, 400))))
    row = _row(signal)
    assert row["beats_used"] < row["beats"]
    assert row["qrs_duration_ms"] == pytest.approx(clean["qrs_duration_ms"], abs=2)
    assert row["rr_deviation_percent"] > 10


def test_a_flat_line_is_unmeasurable() -> None:
    row = _row(np.zeros((8, SAMPLES), np.int16))
    assert (row["status"], row["status_reason"], row["beats"]) == ("unmeasurable", "<4 QRS", 0)
    assert row["r_peaks"] == []
    assert "flat_lead" in row["quality_flags"]
    known = {
        "status",
        "status_reason",
        "beats",
        "beats_used",
        "r_peaks",
        "noise_uv",
        "baseline_wander_uv",
        "quality_flags",
    }
    assert {name for name, value in row.items() if value is not None} == known


def test_three_beats_are_too_few() -> None:
    row = _row(_record(_beat(), [1000, 2500, 4000]))
    assert (row["status"], row["status_reason"], row["beats"]) == ("unmeasurable", "<4 QRS", 3)
    assert row["heart_rate_bpm"] is None


def test_one_flat_lead_is_flagged_and_the_rest_measured() -> None:
    signal = _record(_beat(), list(range(170, 5000, RR)))
    signal[4] = 0
    row = _row(signal)
    assert row["status"] == "measured"
    assert "flat_lead" in row["quality_flags"]
    assert row["r_amplitude_v3_uv"] == 0


def test_clipping_noise_and_wander_are_flagged() -> None:
    signal = _record(_beat(), list(range(170, 5000, RR)))
    clipped = signal.copy()
    clipped[5] = np.minimum(signal[5], 300)
    rng = np.random.default_rng(0)
    noisy = signal + rng.normal(0, 60, signal.shape)
    wandering = signal + 500 * np.sin(2 * np.pi * 0.2 * np.arange(SAMPLES) / 500)
    flags = [_row(each)["quality_flags"] for each in (signal, clipped, noisy, wandering)]
    assert {"clipped", "noisy", "baseline_wander"}.isdisjoint(flags[0])
    assert "clipped" in flags[1]
    assert "noisy" in flags[2]
    assert "baseline_wander" in flags[3]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_numbers_are_refused_by_row(bad: float) -> None:
    signals = np.zeros((40, 8, SAMPLES), np.float32)
    signals[37, 3, 100] = bad
    with pytest.raises(InputError, match="record 37 has samples that are NaN or infinite"):
        measure(signals)


def test_other_input_is_refused_in_one_line() -> None:
    for signals, reason in (
        (np.zeros((2, 12, SAMPLES)), "shape"),
        (np.zeros((8, SAMPLES)), "shape"),
        (np.zeros((1, 8, 2500)), "shape"),
        (np.zeros((1, 8, SAMPLES), np.complex64), "not numbers"),
        (np.full((1, 8, SAMPLES), 1e9), "1 V"),
    ):
        with pytest.raises(InputError, match=reason) as caught:
            measure(signals)
        assert "\n" not in str(caught.value)


def test_integers_and_floats_measure_alike() -> None:
    signals = np.rint(_record(_beat(), list(range(170, 5000, RR))))[None]
    assert measure(signals.astype(np.int16)).equals(measure(signals))
    assert measure(signals.astype(np.int64)).equals(measure(signals.astype(np.float32)))


def test_a_constant_offset_changes_nothing_that_is_measured() -> None:
    signals = np.rint(_record(_beat(), list(range(170, 5000, RR))))[None]
    names = [column.name for column in MEASURED]
    assert measure(signals + 1000).select(names).equals(measure(signals).select(names))


@pytest.mark.parametrize("noise_uv", [5.0, 10.0, 20.0])
def test_noise_hardly_moves_the_boundaries(noise_uv: float) -> None:
    quiet, noisy = _regular(_beat(), noise_uv=0.1), _regular(_beat(), noise_uv=noise_uv)
    for name, tolerance in (("qrs_duration_ms", 4), ("pr_interval_ms", 8), ("qt_interval_ms", 12)):
        assert noisy[name] == pytest.approx(quiet[name], abs=tolerance), name


@given(st.integers(1, 40), st.integers(1, 4), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_the_sorting_network_gives_numpys_median(slots: int, records: int, random: Any) -> None:
    rng = np.random.default_rng(random.randrange(2**32))
    values = rng.normal(0, 100, (slots, records, 7)).astype(np.float32)
    counts = rng.integers(0, slots + 1, records)
    for record, count in enumerate(counts):
        values[count:, record] = np.inf
    expected = [
        np.median(values[:count, record].astype(np.float64), axis=0) if count else np.zeros(7)
        for record, count in enumerate(counts)
    ]
    np.testing.assert_allclose(median_of_slots(values.copy(), counts), expected, rtol=1e-6, atol=1e-4)


@cache
def _mixed() -> tuple[NDArray[np.float32], pa.Table]:
    """Generated ECGs beside drawn and unmeasurable ones, and their rows."""
    generated = pipeline.generate(range(50), seed=3).astype(np.float32)
    odd = np.stack(
        [
            np.zeros((8, SAMPLES)),
            np.random.default_rng(2).normal(0, 50, (8, SAMPLES)),
            _record(_beat(), list(range(100, 5000, 150))),
            _record(_beat(), [600, 2000, 3400, 4800]),
        ]
    )
    signals = np.concatenate([generated, odd.astype(np.float32)])
    return signals, measure(signals)


@given(st.lists(st.integers(0, 53), min_size=1, max_size=36))
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
def test_a_row_is_bit_identical_in_every_batch(records: list[int]) -> None:
    signals, rows = _mixed()
    assert measure(signals[records]).equals(rows.take(pa.array(records)))


def test_what_is_not_null_is_a_number() -> None:
    _, rows = _mixed()
    for name in rows.column_names:
        if pa.types.is_floating(rows[name].type):
            assert np.isfinite(rows[name].drop_null().to_numpy()).all(), name


def test_a_row_is_bit_identical_alone() -> None:
    signals, rows = _mixed()
    for record in range(0, len(signals), 3):
        assert measure(signals[record : record + 1]).equals(rows.slice(record, 1))


def test_every_numeric_column_is_produced() -> None:
    row = _regular(_beat())
    assert [column.name for column in (*MEASURED, *QUALITY)] == list(row)
    assert [name for name, value in row.items() if value is None] == ["status_reason"]


def _irregular(seed: int, shortest: int, longest: int) -> list[int]:
    """R peaks at intervals that say nothing of one another, the short ones the more frequent, as in fibrillation."""
    rng = np.random.default_rng(seed)
    steps = np.rint(rng.triangular(shortest, shortest + (longest - shortest) / 3, longest, 40)).astype(int)
    return [peak for peak in (150 + np.cumsum(steps)).tolist() if peak < SAMPLES + 100]


def _fibrillation(seed: int, rms_uv: float) -> NDArray[np.float64]:
    """(8, 5000) waves of 4 to 9 Hz at random phases, in every lead others."""
    rng = np.random.default_rng(seed)
    frequencies = np.fft.rfftfreq(SAMPLES, 1 / 500)
    band = (frequencies >= 4) & (frequencies <= 9)
    waves = np.fft.irfft(band * np.exp(2j * np.pi * rng.random((8, len(frequencies)))), SAMPLES)
    scaled: NDArray[np.float64] = rms_uv * waves / waves.std(axis=1, keepdims=True)
    return scaled


@pytest.mark.parametrize("rms_uv", [15.0, 30.0, 60.0])
def test_in_atrial_fibrillation_there_is_no_p_wave(rms_uv: float) -> None:
    """Now and then its waves happen to be alike before the few beats of a short median: here at most once in 40."""
    beat = _beat(p_share=0.0)
    signals = [_record(beat, _irregular(seed, 225, 550)) + _fibrillation(seed, rms_uv) for seed in range(40)]
    rows = pipeline.measure(np.stack(signals)).to_pylist()
    without = [row for row in rows if row["status_reason"] == "no P wave"]
    assert len(without) >= 39
    for row in without:
        assert (row["status"], row["p_duration_ms"], row["pr_interval_ms"]) == ("partial", None, None)
        assert 299 in row["statements"]
        assert {21, 22, 23, 251}.isdisjoint(row["statements"])
        assert row["qrs_duration_ms"] is not None


def test_in_sinus_arrhythmia_there_is_a_p_wave() -> None:
    regular = _regular(_beat())
    signals = [_record(_beat(), _irregular(seed, 320, 600)) for seed in range(40)]
    rows = pipeline.measure(np.stack(signals)).to_pylist()
    assert np.median([row["rr_deviation_percent"] for row in rows]) > 20
    for row in rows:
        assert (row["status"], row["status_reason"]) == ("measured", None)
        for name in ("p_duration_ms", "pr_interval_ms"):
            assert row[name] == pytest.approx(regular[name], abs=4), name
        assert 299 not in row["statements"]


Drawn = Callable[[float], NDArray[np.float64]]


def _steady(**shape: Any) -> NDArray[np.float64]:
    """A record of beats of some shape with room for a long PR interval, at a rate of 50."""
    return _record(_beat(**shape, r=200), _jittering(600), r=200)


def _in_v2(added: NDArray[np.float64]) -> NDArray[np.float64]:
    """A sound record to one lead of which something is added."""
    signal = _record(_beat(), _jittering())
    signal[3] += added
    return signal


def _with_one_other_beat(t_share: float) -> NDArray[np.float64]:
    peaks = _jittering()
    signal = _record(_beat(), peaks)
    signal[:, peaks[5] - R_AT : peaks[5] + 500 - R_AT] += _beat(t_share=t_share) - _beat()
    return signal


def _alternating(samples: float) -> NDArray[np.float64]:
    return _record(_beat(), [170 + place * RR + int(samples) * (place % 2) for place in range(12)])


DRAWN: dict[str, Drawn] = {
    "height": lambda factor: _record(factor * _beat(), _jittering()),
    "variation": lambda uv: _record(_beat(), _jittering()) + _fibrillation(5, uv),
    "noise": lambda uv: _record(_beat(), _jittering(), uv),
    "noise in V2": lambda uv: _in_v2(np.random.default_rng(3).normal(0, uv, SAMPLES)),
    "wander in V2": lambda uv: _in_v2(uv * np.sin(2 * np.pi * 0.25 * np.arange(SAMPLES) / 500 + 1)),
    "alternating RR": _alternating,
    "ST": lambda uv: _record(_beat(st_uv=uv), _jittering()),
    "T of one beat": _with_one_other_beat,
    "P": lambda samples: _steady(p_samples=int(samples), p_onset=-50 - int(samples)),
    "PR": lambda samples: _steady(p_samples=34, p_onset=QRS_ONSET - int(samples)),
    "QRS": lambda factor: _steady(widen=factor, p_onset=-120),
    "T peak": lambda place: _steady(t_peak=int(place), t_half=35 if place < 100 else T_HALF),
    "RR": lambda samples: _record(_beat(), _jittering(int(samples))),
    "RR, short P": lambda samples: _record(_beat(p_samples=40, p_onset=-80), _jittering(int(samples))),
}
"""Records that are sound but for one thing, by its measure."""


@pytest.mark.parametrize(
    ("flag", "drawn", "doubtful", "sound"),
    [
        ("above_5_mv", "height", 3.5, 3.4),
        ("above_5_mv", "height", -3.5, -3.4),
        ("varying_beats", "variation", 73, 69),
        ("template_beats", "noise", 2.0, 2.6),
        ("template_rhythm", "alternating RR", 2, 3),
        ("uncertain_p", "variation", 37, 34),
        ("p_upon_t", "RR", 288, 300),
        ("uncertain_t_end", "ST", 80, 70),
        ("noisy", "noise in V2", 28, 25),
        ("baseline_wander", "wander in V2", 362, 350),
        ("unlike_beats", "T of one beat", 4.0, 3.8),
        ("unlikely_p_duration", "P", 30, 32),
        ("unlikely_p_duration", "P", 120, 116),
        ("unlikely_pr_interval", "PR", 42, 44),
        ("unlikely_pr_interval", "PR", 158, 150),
        ("unlikely_qrs_duration", "QRS", 0.5, 0.55),
        ("unlikely_qrs_duration", "QRS", 1.7, 1.6),
        ("unlikely_qt_interval", "T peak", 78, 82),
        ("unlikely_qt_interval", "T peak", 182, 178),
        ("unlikely_qtc_bazett", "RR, short P", 900, 860),
        ("unlikely_qtc_bazett", "RR, short P", 350, 370),
    ],
)
def test_a_doubt_begins_at_its_threshold(flag: str, drawn: str, doubtful: float, sound: float) -> None:
    doubted, trusted = (_row(DRAWN[drawn](much))["quality_flags"] for much in (doubtful, sound))
    assert flag in doubted
    assert flag not in trusted


SOUND = {
    "noise_uv": 10.0,
    "baseline_wander_uv": 100.0,
    "beat_correlation": 0.95,
    "beat_residual_uv": 20.0,
    "rr_sd_ms": 40.0,
    "mean_rr_ms": 800.0,
    "p_correlation": 0.95,
    "t_end_spread_ms": 10.0,
    "p_duration_ms": 100.0,
    "pr_interval_ms": 160.0,
    "qrs_duration_ms": 90.0,
    "qt_interval_ms": 400.0,
    "qtc_bazett_ms": 420.0,
}


def _doubts(values: dict[str, float], unknown: str = "") -> set[str]:
    """The flags of a record that is sound but for some values, or one that is unknown."""
    found = measurement_flags(
        {name: (np.array([value], np.float32), np.array([name != unknown])) for name, value in (SOUND | values).items()}
    )
    return {flag for flag, raised in found.items() if raised[0]}


@pytest.mark.parametrize(
    ("flag", "column", "limit", "side"),
    [
        ("noisy", "noise_uv", 30, 1),
        ("baseline_wander", "baseline_wander_uv", 250, 1),
        ("unlike_beats", "beat_correlation", 0.8, -1),
        ("varying_beats", "beat_residual_uv", 70, 1),
        ("template_beats", "beat_residual_uv", 3, -1),
        ("template_rhythm", "rr_sd_ms", 4, -1),
        ("uncertain_p", "p_correlation", 0.75, -1),
        ("p_upon_t", "mean_rr_ms", 580, -1),
        ("uncertain_t_end", "t_end_spread_ms", 30, 1),
        ("unlikely_p_duration", "p_duration_ms", 60, -1),
        ("unlikely_p_duration", "p_duration_ms", 180, 1),
        ("unlikely_pr_interval", "pr_interval_ms", 80, -1),
        ("unlikely_pr_interval", "pr_interval_ms", 300, 1),
        ("unlikely_qrs_duration", "qrs_duration_ms", 60, -1),
        ("unlikely_qrs_duration", "qrs_duration_ms", 160, 1),
        ("unlikely_qt_interval", "qt_interval_ms", 280, -1),
        ("unlikely_qt_interval", "qt_interval_ms", 520, 1),
        ("unlikely_qtc_bazett", "qtc_bazett_ms", 330, -1),
        ("unlikely_qtc_bazett", "qtc_bazett_ms", 520, 1),
    ],
)
def test_the_next_number_beyond_a_limit_is_doubted(flag: str, column: str, limit: float, side: int) -> None:
    beyond = float(np.nextafter(np.float32(limit), np.float32(side * np.inf)))
    assert _doubts({column: limit}) == set()
    assert _doubts({column: beyond}) == {flag}
    assert _doubts({column: beyond}, unknown=column) == set()


def test_a_wave_that_is_not_there_is_not_doubted() -> None:
    assert _doubts({"p_correlation": 0.2}) == {"uncertain_p"}
    assert _doubts({"p_correlation": 0.2}, unknown="p_duration_ms") == set()
    assert _doubts({"mean_rr_ms": 500}) == {"p_upon_t"}
    assert _doubts({"mean_rr_ms": 500}, unknown="pr_interval_ms") == set()
    assert _doubts({"mean_rr_ms": 500}, unknown="qt_interval_ms") == set()


@pytest.mark.parametrize("side", [-1, 1])
def test_5_mv_are_seen_in_the_filtered_signal(side: int) -> None:
    filtered = np.random.default_rng(0).normal(0, 100, (3, 8, SAMPLES)).astype(np.float32)
    filtered[0, 6, 70] = side * 5000
    filtered[1, 6, 70] = np.nextafter(np.float32(side * 5000), np.float32(side * np.inf))
    flags, _ = signal_flags(filtered + 6000, filtered)
    assert flags["above_5_mv"].tolist() == [False, True, False]


@dataclass(frozen=True)
class _Bounds:
    """Boundaries of a beat in samples after its R."""

    p: tuple[int, int]
    qrs: tuple[int, int]
    t_end: int
    t_spread: int


def _bounds(beat: NDArray[np.float64], early_rr: float = RR) -> _Bounds:
    """Delineate one beat, R at sample 150, without noise."""
    waves = np.zeros((1, 8, 600), np.float32)
    waves[0, :, 90 : 90 + beat.shape[1]] = beat
    found = delineate(waves, np.array([float(RR)]), np.array([early_rr]))
    at = (found.p.onset, found.p.offset, found.qrs_onset, found.qrs_offset, found.t.offset)
    p_onset, p_offset, onset, offset, t_end = (int(place[0]) - 240 for place in at)
    return _Bounds((p_onset, p_offset), (onset, offset), t_end, int(found.t.spread[0]))


def _with_fault(leads: tuple[int, ...]) -> NDArray[np.float64]:
    """A beat about whose QRS some leads oscillate, from 90 ms before R to 100 ms after it."""
    beat = _beat()
    beat[list(leads), 105:200] += 300 * np.sin(np.arange(95) * np.pi / 6)
    return beat


@pytest.mark.parametrize("leads", [*((lead,) for lead in range(2, 8)), (2, 3), (4, 7), (6, 7)])
def test_faults_in_two_chest_leads_do_not_move_the_qrs(leads: tuple[int, ...]) -> None:
    sound, faulty = _bounds(_beat()).qrs, _bounds(_with_fault(leads)).qrs
    assert faulty == pytest.approx(sound, abs=1)


@pytest.mark.parametrize("leads", [(2, 3, 4), (5, 6, 7), (2, 4, 6)])
def test_what_three_leads_show_is_qrs(leads: tuple[int, ...]) -> None:
    sound, longer = _bounds(_beat()).qrs, _bounds(_with_fault(leads)).qrs
    assert longer[0] < sound[0] - 15
    assert longer[1] > sound[1] + 15


@pytest.mark.parametrize("lead", range(2, 8))
def test_a_chest_lead_of_noise_or_nothing_does_not_move_the_qrs(lead: int) -> None:
    sound = _bounds(_beat()).qrs
    for instead in (0.0, np.random.default_rng(lead).normal(0, 30, 500)):
        beat = _beat()
        beat[lead] = instead
        assert _bounds(beat).qrs == pytest.approx(sound, abs=2)


def _p_shifted(early: tuple[int, ...], late: tuple[int, ...], samples: int) -> _Bounds:
    """The bounds of a beat whose P comes earlier in some leads and later in others."""
    p = _beat() - _beat(p_share=0.0)
    p[list(early)] = np.roll(p[list(early)], -samples, axis=1)
    p[list(late)] = np.roll(p[list(late)], samples, axis=1)
    return _bounds(_beat(p_share=0.0) + p)


def test_p_begins_in_its_early_leads_and_ends_in_its_late_ones() -> None:
    onset, offset = _bounds(_beat()).p
    for early, late in (((0, 2, 3, 4), (1, 5, 6, 7)), ((0, 1, 5), (2, 3, 4, 6, 7))):
        assert _p_shifted(early, late, 8).p == pytest.approx((onset - 8, offset + 8), abs=2)
    assert _p_shifted((2, 3, 4, 5), (), 15).p == pytest.approx((onset - 15, offset), abs=2)
    assert _p_shifted((), (2, 3, 4, 5), 15).p == pytest.approx((onset, offset + 13), abs=3)


@pytest.mark.parametrize("lead", range(2, 8))
def test_one_lead_alone_does_not_decide_where_p_is(lead: int) -> None:
    sound = _bounds(_beat()).p
    assert _p_shifted((lead,), (), 15).p == pytest.approx(sound, abs=3)
    assert _p_shifted((), (lead,), 15).p == pytest.approx(sound, abs=3)


@pytest.mark.parametrize("lead", range(8))
@pytest.mark.parametrize("share", [0.0, 0.05, -1.0])
def test_a_flat_or_inverted_t_in_one_lead_does_not_move_its_end(lead: int, share: float) -> None:
    beat = _beat()
    beat[lead] = share * beat[lead] + (1 - share) * _beat(t_share=0.0)[lead]
    assert _bounds(beat).t_end == pytest.approx(_bounds(_beat()).t_end, abs=2)


def _drifting(leads: tuple[int, ...], uv: float) -> _Bounds:
    """The bounds of a beat that has, in some leads, no T but a slow fall to long after it."""
    drift = np.interp(np.arange(500), [190, 230, 480], [0.0, 1.0, 0.0])
    beat = _beat()
    beat[list(leads)] = _beat(t_share=0.0)[list(leads)] + uv * drift
    return _bounds(beat)


def test_the_end_of_t_follows_four_leads_but_not_three() -> None:
    sound = _bounds(_beat())
    for leads in ((4,), (2, 3, 4)):
        found = _drifting(leads, 200)
        assert found.t_end == pytest.approx(sound.t_end, abs=2)
        assert found.t_spread <= 20
    assert _drifting((2, 3, 4, 5), 200).t_end > sound.t_end + 30


def test_leads_without_t_to_speak_of_are_not_asked() -> None:
    found, sound = _drifting((2, 3, 4, 5, 6), 30), _bounds(_beat())
    assert found.t_end == pytest.approx(sound.t_end, abs=2)
    assert found.t_spread == pytest.approx(sound.t_spread, abs=2)


@pytest.mark.parametrize("next_r", [250, 270, 290])
def test_an_early_next_qrs_is_not_t(next_r: int) -> None:
    beat = np.zeros((8, 510))
    beat[:, :500] = _beat()
    beat[:, next_r:] += _beat(p_share=0.0, t_share=0.0)[:, : 510 - next_r]
    assert _bounds(beat, early_rr=next_r).t_end == pytest.approx(_bounds(_beat()).t_end, abs=3)
    assert _bounds(beat, early_rr=np.inf).t_end > next_r - 20


@pytest.mark.parametrize("next_r", [225, 230, 235])
def test_t_ends_50_ms_before_the_next_qrs(next_r: int) -> None:
    assert _bounds(_beat(), early_rr=next_r).t_end <= next_r + QRS_ONSET - 25


@pytest.mark.parametrize(("long", "short"), [(450, 260), (440, 270)])
def test_qt_where_every_second_beat_comes_early(long: int, short: int) -> None:
    peaks = [peak for first in range(100, SAMPLES - 400, long + short) for peak in (first, first + long)]
    row = _row(_record(_beat(p_share=0.0), peaks))
    assert row["qt_interval_ms"] == pytest.approx(_regular(_beat())["qt_interval_ms"], abs=8)


INTERVALS = [
    name for name in MEASUREMENT_SCHEMA.names if name.endswith("_ms") and name not in {"mean_rr_ms", "rr_sd_ms"}
]


@cache
def _sound() -> NDArray[np.float64]:
    """Generated ECGs and drawn ones, in whole µV."""
    drawn = [_record(_beat(), _jittering(rr)) for rr in (350, RR, 520)]
    drawn += [_record(_beat(p_share=0.0), _jittering()), _record(_beat(t_share=0.0), _jittering())]
    signals: NDArray[np.float64] = np.rint(np.concatenate([_mixed()[0][:20], drawn]))
    return signals


def test_twice_the_gain_doubles_the_amplitudes_and_keeps_the_intervals() -> None:
    """But for a QRS that then is high and sharp enough to be taken for a pacing spike: 1 in 200 generated records."""
    once, twice = measure(_sound()).to_pylist(), measure(2 * _sound()).to_pylist()
    assert len([row for row in twice if "pacing_spikes" in row["quality_flags"]]) <= 1
    for one, two in zip(once, twice, strict=True):
        if "pacing_spikes" in two["quality_flags"]:
            continue
        assert [two[name] for name in INTERVALS] == [one[name] for name in INTERVALS]
        for wave in ("p", "stj", "stm", "ste"):  # the others are there or not by their size in µV
            for height, double in zip(_lead(one, wave), _lead(two, wave), strict=True):
                assert double == (None if height is None else pytest.approx(2 * height, abs=1)), wave


def test_leads_at_levels_of_their_own_measure_the_same() -> None:
    levels = np.random.default_rng(0).uniform(-5000, 5000, (8, 1))
    as_drawn, shifted = measure(_sound()).to_pylist(), measure(_sound() + levels).to_pylist()
    for one, other in zip(as_drawn, shifted, strict=True):
        assert [other[name] for name in INTERVALS] == [one[name] for name in INTERVALS]
        assert (other["r_peaks"], other["quality_flags"]) == (one["r_peaks"], one["quality_flags"])
        for name, value in one.items():
            if name.endswith("_uv") and value is not None:
                assert other[name] == pytest.approx(value, abs=1), name


def test_upside_down_the_intervals_are_the_same() -> None:
    upright, inverted = measure(_sound()).to_pylist(), measure(-_sound()).to_pylist()
    for one, other in zip(upright, inverted, strict=True):
        for name in INTERVALS:
            assert other[name] == (None if one[name] is None else pytest.approx(one[name], abs=2)), name
        assert _lead(other, "stj") == pytest.approx([-height for height in _lead(one, "stj")], abs=25)
        assert _lead(other, "p") == [None if height is None else -height for height in _lead(one, "p")]


@pytest.mark.parametrize("shift", [100, 237, 400])
def test_when_the_recording_begins_makes_no_difference(shift: int) -> None:
    for rr in (350, RR, 520):
        rhythm = _record(_beat(), _jittering(rr, SAMPLES + shift), samples=SAMPLES + shift)
        early, late = _row(rhythm[:, :SAMPLES]), _row(rhythm[:, shift:])
        for name in INTERVALS:
            assert late[name] == pytest.approx(early[name], abs=4 if name == "t_end_spread_ms" else 2), name
        peaks = [peak - shift for peak in early["r_peaks"] if peak >= shift + 100]
        assert [peak for peak in late["r_peaks"] if 100 <= peak < SAMPLES - shift][: len(peaks)] == peaks
