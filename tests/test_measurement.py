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
from pipeline.leads import LEADS, SAMPLES
from pipeline.measurement import measure
from pipeline.measurement.medians import median_of_slots
from pipeline.rows import stored_rows, with_identity, with_interpretation
from tests import synthetic
from tests.synthetic import (
    P_HEIGHTS,
    P_ONSET,
    P_SAMPLES,
    Q_HEIGHTS,
    QRS_OFFSET,
    QRS_ONSET,
    R_HEIGHTS,
    RR,
    S_HEIGHTS,
    T_HALF,
    T_HEIGHTS,
    T_PEAK,
)


def test_the_table_has_the_published_schema() -> None:
    signals = np.stack([synthetic.record(synthetic.beat(), list(range(170, 5000, RR))), np.zeros((8, SAMPLES))])
    table = measure(signals)
    assert table.schema.equals(MEASUREMENT_SCHEMA, check_metadata=True)
    assert table.num_rows == 2
    table.validate(full=True)
    assert measure(np.empty((0, 8, SAMPLES))).schema.equals(MEASUREMENT_SCHEMA, check_metadata=True)


def test_rhythm_is_exact() -> None:
    peaks = list(range(200, 4900, 400))
    row = synthetic.row(synthetic.record(synthetic.beat(), peaks))
    assert row["beats"] == len(peaks)
    assert row["heart_rate_bpm"] == 75
    assert row["mean_rr_ms"] == pytest.approx(800, abs=0.5)
    assert np.abs(np.array(row["r_peaks"]) - peaks).max() <= 1
    assert "template_rhythm" in row["quality_flags"]


def test_intervals_of_a_known_beat() -> None:
    row = synthetic.regular(synthetic.beat())
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
    row = synthetic.regular(synthetic.beat())
    assert synthetic.lead(row, "r") == pytest.approx(R_HEIGHTS, rel=0.02, abs=15)
    assert synthetic.lead(row, "s") == pytest.approx([-height for height in S_HEIGHTS], rel=0.03, abs=15)
    assert synthetic.lead(row, "q") == pytest.approx([-height for height in Q_HEIGHTS], abs=15)
    assert synthetic.lead(row, "t") == pytest.approx(T_HEIGHTS, abs=15)
    assert synthetic.lead(row, "p") == pytest.approx(P_HEIGHTS, abs=15)
    assert synthetic.lead(row, "stj") == pytest.approx([0] * 8, abs=15)
    assert synthetic.lead(row, "t2") == [0] * 8


def test_axes_of_a_known_beat() -> None:
    row = synthetic.regular(synthetic.beat())
    for wave, heights in (("p", P_HEIGHTS), ("t", T_HEIGHTS)):
        expected = np.degrees(np.arctan2((heights[1] - heights[0] / 2) * 2 / np.sqrt(3), heights[0]))
        assert row[f"{wave}_axis_deg"] == pytest.approx(expected, abs=4)


def test_a_shifted_st_segment_is_measured() -> None:
    row = synthetic.regular(synthetic.beat(st_uv=150.0))
    assert synthetic.lead(row, "stj") == pytest.approx([150] * 8, abs=25)
    assert synthetic.lead(row, "stm") == pytest.approx([150] * 8, abs=15)
    assert set(row["quality_flags"]) <= {"uncertain_t_end"}  # the slow return of ST ends after T


def test_an_absent_p_wave_is_null() -> None:
    row = synthetic.regular(synthetic.beat(p_share=0.0))
    assert row["status"] == "partial"
    assert row["status_reason"] == "no P wave"
    null = {name for name, value in row.items() if value is None}
    expected = {"p_duration_ms", "pr_interval_ms", "p_onset_ms", "p_offset_ms", "p_axis_deg"}
    assert null == expected | {f"p_amplitude_{lead.lower()}_uv" for lead in LEADS}
    assert row["qrs_duration_ms"] == pytest.approx((QRS_OFFSET - QRS_ONSET) * 2, abs=12)


def test_an_absent_t_wave_is_null() -> None:
    row = synthetic.regular(synthetic.beat(t_share=0.0))
    assert row["status_reason"] == "no T wave"
    assert row["qt_interval_ms"] is None
    assert row["t_amplitude_v5_uv"] is None
    assert row["pr_interval_ms"] is not None


def test_a_qrs_without_r_is_a_q() -> None:
    beat = synthetic.beat()
    beat[2] = -synthetic.beat()[1]
    beat[2, 130:177] = -600 * synthetic.triangle(500, 130, 150, 176)[130:177]
    row = synthetic.regular(beat)
    assert row["q_amplitude_v1_uv"] == pytest.approx(600, abs=20)
    assert row["r_amplitude_v1_uv"] == 0
    assert row["s_amplitude_v1_uv"] == 0


def test_a_biphasic_t_keeps_the_order_of_its_phases() -> None:
    beat = synthetic.beat()
    beat[2] += (
        80 * synthetic.hump(500, 150 + T_PEAK, T_HALF)
        - 150 * synthetic.hump(500, 265, 30)
        + 180 * synthetic.hump(500, 325, 30)
    )
    row = synthetic.regular(beat)
    assert row["t_amplitude_v1_uv"] == pytest.approx(-150, abs=20)
    assert row["t2_amplitude_v1_uv"] == pytest.approx(180, abs=20)


def test_an_ectopic_beat_stays_out_of_the_median_beat() -> None:
    peaks = [*range(200, 2300, 400), 2060 + 200, *range(2800, 4800, 400)]
    peaks.remove(2200)
    signal = synthetic.record(synthetic.beat(), peaks)
    clean = synthetic.row(synthetic.record(synthetic.beat(), list(range(200, 4800, 400))))
    row = synthetic.row(signal)
    assert row["beats_used"] < row["beats"]
    assert row["qrs_duration_ms"] == pytest.approx(clean["qrs_duration_ms"], abs=2)
    assert row["rr_deviation_percent"] > 10


def test_a_flat_line_is_unmeasurable() -> None:
    row = synthetic.row(np.zeros((8, SAMPLES), np.int16))
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
    row = synthetic.row(synthetic.record(synthetic.beat(), [1000, 2500, 4000]))
    assert (row["status"], row["status_reason"], row["beats"]) == ("unmeasurable", "<4 QRS", 3)
    assert row["heart_rate_bpm"] is None


def test_one_flat_lead_is_flagged_and_the_rest_measured() -> None:
    signal = synthetic.record(synthetic.beat(), list(range(170, 5000, RR)))
    signal[4] = 0
    row = synthetic.row(signal)
    assert row["status"] == "measured"
    assert "flat_lead" in row["quality_flags"]
    assert row["r_amplitude_v3_uv"] == 0


def test_clipping_noise_and_wander_are_flagged() -> None:
    signal = synthetic.record(synthetic.beat(), list(range(170, 5000, RR)))
    clipped = signal.copy()
    clipped[5] = np.minimum(signal[5], 300)
    rng = np.random.default_rng(0)
    noisy = signal + rng.normal(0, 60, signal.shape)
    wandering = signal + 500 * np.sin(2 * np.pi * 0.2 * np.arange(SAMPLES) / 500)
    flags = [synthetic.row(each)["quality_flags"] for each in (signal, clipped, noisy, wandering)]
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
    signals = np.rint(synthetic.record(synthetic.beat(), list(range(170, 5000, RR))))[None]
    assert measure(signals.astype(np.int16)).equals(measure(signals))
    assert measure(signals.astype(np.int64)).equals(measure(signals.astype(np.float32)))


def test_a_constant_offset_changes_nothing_that_is_measured() -> None:
    signals = np.rint(synthetic.record(synthetic.beat(), list(range(170, 5000, RR))))[None]
    names = [column.name for column in MEASURED]
    assert measure(signals + 1000).select(names).equals(measure(signals).select(names))


@pytest.mark.parametrize("noise_uv", [5.0, 10.0, 20.0])
def test_noise_hardly_moves_the_boundaries(noise_uv: float) -> None:
    quiet, noisy = (
        synthetic.regular(synthetic.beat(), noise_uv=0.1),
        synthetic.regular(synthetic.beat(), noise_uv=noise_uv),
    )
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
    given = values.copy()
    found = median_of_slots(values, counts)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-4)
    np.testing.assert_array_equal(values, given)
    np.testing.assert_array_equal(median_of_slots(values[..., None, :], counts), found[:, None])
    full = counts == slots
    np.testing.assert_array_equal(median_of_slots(values[:, full], counts[full]), found[full])


@cache
def _mixed() -> tuple[NDArray[np.float32], pa.Table]:
    """Generated ECGs beside drawn and unmeasurable ones, and their rows."""
    generated = pipeline.generate(range(50), seed=3).astype(np.float32)
    odd = np.stack(
        [
            np.zeros((8, SAMPLES)),
            np.random.default_rng(2).normal(0, 50, (8, SAMPLES)),
            synthetic.record(synthetic.beat(), list(range(100, 5000, 150))),
            synthetic.record(synthetic.beat(), [600, 2000, 3400, 4800]),
        ]
    )
    signals = np.concatenate([generated, odd.astype(np.float32)])
    return signals, measure(signals)


def test_the_steps_of_a_stored_row_can_be_taken_one_by_one() -> None:
    signals = pipeline.generate(range(3), seed=3)
    rows = with_identity(with_interpretation(measure(signals)), signals, 7)
    assert rows.equals(stored_rows(signals, 7))
    assert rows["record_id"].to_pylist() == [7, 8, 9]


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
    row = synthetic.regular(synthetic.beat())
    assert [column.name for column in (*MEASURED, *QUALITY)] == list(row)
    assert [name for name, value in row.items() if value is None] == ["status_reason"]


@pytest.mark.parametrize("rms_uv", [15.0, 30.0, 60.0])
def test_in_atrial_fibrillation_there_is_no_p_wave(rms_uv: float) -> None:
    """Now and then its waves happen to be alike before the few beats of a short median: here at most once in 40."""
    beat = synthetic.beat(p_share=0.0)
    signals = [
        synthetic.record(beat, synthetic.irregular(seed, 225, 550)) + synthetic.fibrillation(seed, rms_uv)
        for seed in range(40)
    ]
    rows = pipeline.measure(np.stack(signals)).to_pylist()
    without = [row for row in rows if row["status_reason"] == "no P wave"]
    assert len(without) >= 39
    for row in without:
        assert (row["status"], row["p_duration_ms"], row["pr_interval_ms"]) == ("partial", None, None)
        assert 299 in row["statements"]
        assert {21, 22, 23, 251}.isdisjoint(row["statements"])
        assert row["qrs_duration_ms"] is not None


def test_in_sinus_arrhythmia_there_is_a_p_wave() -> None:
    regular = synthetic.regular(synthetic.beat())
    signals = [synthetic.record(synthetic.beat(), synthetic.irregular(seed, 320, 600)) for seed in range(40)]
    rows = pipeline.measure(np.stack(signals)).to_pylist()
    assert np.median([row["rr_deviation_percent"] for row in rows]) > 20
    for row in rows:
        assert (row["status"], row["status_reason"]) == ("measured", None)
        for name in ("p_duration_ms", "pr_interval_ms"):
            assert row[name] == pytest.approx(regular[name], abs=4), name
        assert 299 not in row["statements"]


INTERVALS = [
    name for name in MEASUREMENT_SCHEMA.names if name.endswith("_ms") and name not in {"mean_rr_ms", "rr_sd_ms"}
]


@cache
def _sound() -> NDArray[np.float64]:
    """Generated ECGs and drawn ones, in whole µV."""
    drawn = [synthetic.record(synthetic.beat(), synthetic.jittering(rr)) for rr in (350, RR, 520)]
    drawn += [
        synthetic.record(synthetic.beat(p_share=0.0), synthetic.jittering()),
        synthetic.record(synthetic.beat(t_share=0.0), synthetic.jittering()),
    ]
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
            for height, double in zip(synthetic.lead(one, wave), synthetic.lead(two, wave), strict=True):
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
        assert synthetic.lead(other, "stj") == pytest.approx([-height for height in synthetic.lead(one, "stj")], abs=25)
        assert synthetic.lead(other, "p") == [
            None if height is None else -height for height in synthetic.lead(one, "p")
        ]


@pytest.mark.parametrize("shift", [100, 237, 400])
def test_when_the_recording_begins_makes_no_difference(shift: int) -> None:
    for rr in (350, RR, 520):
        rhythm = synthetic.record(synthetic.beat(), synthetic.jittering(rr, SAMPLES + shift), samples=SAMPLES + shift)
        early, late = synthetic.row(rhythm[:, :SAMPLES]), synthetic.row(rhythm[:, shift:])
        for name in INTERVALS:
            assert late[name] == pytest.approx(early[name], abs=4 if name == "t_end_spread_ms" else 2), name
        peaks = [peak - shift for peak in early["r_peaks"] if peak >= shift + 100]
        assert [peak for peak in late["r_peaks"] if 100 <= peak < SAMPLES - shift][: len(peaks)] == peaks
