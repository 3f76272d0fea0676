"""The measurement: known beats are recovered, and batches do not matter."""

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
from pipeline.measurement.medians import median_of_slots

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
    """(8, 500) one beat: raised-cosine P and T, triangular Q, R and S, a shifted ST segment; widen stretches the QRS."""
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
