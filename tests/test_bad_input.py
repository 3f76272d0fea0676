"""Bad input is measured right, resampled by a stated method, flagged, or refused in one line that names the record.

Every test takes sound recordings, of people where there are some, spoils them in one way and looks at what comes out.
"""

import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import wfdb
from numpy.typing import NDArray
from scipy.signal import butter, resample_poly, sosfiltfilt

import pipeline
from pipeline.cli import main
from pipeline.dataset import Dataset
from pipeline.errors import InputError
from pipeline.inputs import open_recordings
from pipeline.inputs.samples import to_recording
from pipeline.leads import LEADS, SAMPLES, STORED_LEADS, to_twelve_leads
from pipeline.measurement import measure
from tests.conftest import RECORDINGS
from tests.test_inputs import write_record

Signals = NDArray[np.float32]
Rows = list[dict[str, Any]]

INTERVALS = ("p_duration_ms", "pr_interval_ms", "qrs_duration_ms", "qt_interval_ms")
SOURCES = ("ludb/data", "raw-12lead", "generated")
PACED = ("45", "95")
"""The records of LUDB in which pacing spikes have survived; 93 and 111 are paced too, but show none of 4 ms."""


@cache
def ecgs(source: str) -> tuple[tuple[str, ...], Signals]:
    """Names and signals: generated ones, or a folder of real ones."""
    if source == "generated":
        return tuple(map(str, range(96))), pipeline.generate(range(96), seed=11).astype(np.float32)
    if not (RECORDINGS / source).is_dir():
        pytest.skip(f"{RECORDINGS / source} is not there")
    recordings = open_recordings(RECORDINGS / source)
    return recordings.names, np.stack([recordings.read(number).signal for number in range(recordings.total)])


@cache
def sound(source: str) -> Rows:
    """The rows of the recordings as they are."""
    return rows(ecgs(source)[1])


def rows(signals: NDArray[Any]) -> Rows:
    found: Rows = measure(signals).to_pylist()
    return found


def flagged(found: Rows, flag: str) -> list[int]:
    return [number for number, row in enumerate(found) if flag in row["quality_flags"]]


def share_within(found: Rows, expected: Rows, column: str, limit: float) -> float:
    """The share of the records, of those that have a value before, whose value has moved by no more than a limit."""
    pairs = [(one[column], other[column]) for one, other in zip(found, expected, strict=True)]
    return float(np.mean([one is not None and abs(one - other) <= limit for one, other in pairs if other is not None]))


def write_ecg(folder: Path, name: str, signal: Signals, **changes: Any) -> Path:
    """A WFDB record of (8, samples) µV."""
    return write_record(folder, name, signal=signal.T.astype(np.float64) / 1000, **changes)


def command(capsys: pytest.CaptureFixture[str], source: Path, *options: object) -> tuple[int, str, list[str]]:
    """Exit status, output and lines of error of `ecg-foundry measure` into t.parquet beside its source."""
    out = source.parent / "t.parquet"
    status = main(["measure", str(source), "--out", str(out), *map(str, options)])
    captured = capsys.readouterr()
    return status, captured.out, [line for line in captured.err.splitlines() if line.startswith("ecg-foundry: ")]


class TestFlatLine:
    @pytest.mark.parametrize(
        "signal",
        [
            np.zeros((8, SAMPLES), np.int16),
            np.full((8, SAMPLES), 300, np.int16),
            np.random.default_rng(0).normal(0, 1.5, (8, SAMPLES)),
            np.rint(np.random.default_rng(0).normal(0, 3, (8, SAMPLES))).astype(np.int32),
            1e-3 * np.random.default_rng(0).normal(0, 1, (8, SAMPLES)).astype(np.float32),
        ],
        ids=["zero", "level", "noise", "whole numbers", "tiny"],
    )
    def test_a_flat_record_is_unmeasurable(self, signal: NDArray[Any]) -> None:
        (row,) = pipeline.measure(signal[None]).to_pylist()
        assert (row["status"], row["status_reason"]) == ("unmeasurable", "<4 QRS")
        assert "flat_lead" in row["quality_flags"]
        assert row["verdict"] is None
        assert all(row[name] is None for name in (*INTERVALS, "heart_rate_bpm", "r_amplitude_v5_uv"))

    @pytest.mark.parametrize("source", SOURCES)
    @pytest.mark.parametrize("lead", ["I", "V1", "V3", "V6"])
    def test_one_flat_lead_is_flagged_and_the_rest_measured_right(self, source: str, lead: str) -> None:
        signals = ecgs(source)[1].copy()
        signals[:, STORED_LEADS.index(lead)] = 0
        found = rows(signals)
        assert len(flagged(found, "flat_lead")) == len(found)
        assert {row[f"r_amplitude_{lead.lower()}_uv"] for row in found} == {0}
        assert not flagged(found, "suspect_chest_leads")
        assert share_within(found, sound(source), "heart_rate_bpm", 1) >= 0.97
        assert share_within(found, sound(source), "qrs_duration_ms", 10) >= 0.85
        assert share_within(found, sound(source), "qt_interval_ms", 10) >= 0.8
        other = "v4" if lead != "V3" else "v5"
        assert share_within(found, sound(source), f"r_amplitude_{other}_uv", 30) >= 0.95

    @pytest.mark.parametrize(("begin", "seconds"), [(3.0, 1.0), (3.3, 1.5), (0.0, 4.0), (7.9, 2.1)])
    @pytest.mark.parametrize("level", [0.0, 1500.0])
    def test_a_lead_that_is_off_for_a_while(self, begin: float, seconds: float, level: float) -> None:
        signals = ecgs("generated")[1].copy()
        signals[:, 4, int(begin * 500) : int((begin + seconds) * 500)] = level
        found = rows(signals)
        assert len(flagged(found, "flat_lead")) == len(found)

    def test_hardly_a_real_record_is_called_flat(self) -> None:
        assert len(flagged(sound("ludb/data"), "flat_lead")) <= 1
        assert not flagged(sound("raw-12lead"), "flat_lead")
        assert not flagged(sound("generated"), "flat_lead")


def arms_exchanged(signals: Signals) -> Signals:
    """I turned over, II and III exchanged; the chest leads stay."""
    exchanged = signals.copy()
    exchanged[:, 0], exchanged[:, 1] = -signals[:, 0], signals[:, 1] - signals[:, 0]
    return exchanged


def chest_leads_as(*order: int) -> Callable[[Signals], Signals]:
    return lambda signals: np.concatenate([signals[:, :2], signals[:, [1 + place for place in order]]], axis=1)


class TestElectrodes:
    @pytest.mark.parametrize(("source", "least"), [("ludb/data", 0.88), ("raw-12lead", 0.94), ("generated", 0.95)])
    def test_exchanged_arms_are_suspected(self, source: str, least: float) -> None:
        found = rows(arms_exchanged(ecgs(source)[1]))
        assert len(flagged(found, "suspect_lead_reversal")) >= least * len(found)
        assert not flagged(sound(source), "suspect_lead_reversal")

    @pytest.mark.parametrize(("source", "least"), [("ludb/data", 0.8), ("raw-12lead", 0.9), ("generated", 0.93)])
    def test_chest_leads_in_reverse_are_suspected(self, source: str, least: float) -> None:
        found = rows(chest_leads_as(6, 5, 4, 3, 2, 1)(ecgs(source)[1]))
        assert len(flagged(found, "suspect_chest_leads")) >= least * len(found)
        assert len(flagged(found, "suspect_lead_reversal")) <= 0.1 * len(found)

    @pytest.mark.parametrize(("order", "least"), [((3, 2, 1, 4, 5, 6), 0.75), ((6, 2, 3, 4, 5, 1), 0.9)])
    @pytest.mark.parametrize("source", SOURCES)
    def test_distant_chest_leads_exchanged(self, source: str, order: tuple[int, ...], least: float) -> None:
        found = rows(chest_leads_as(*order)(ecgs(source)[1]))
        assert len(flagged(found, "suspect_chest_leads")) >= least * len(found)

    def test_chest_leads_of_real_records_are_in_order_but_for_one(self) -> None:
        """Georgia's E07519 has V2 and V3 exchanged: an R with a tall T before an rS."""
        assert not flagged(sound("ludb/data"), "suspect_chest_leads")
        assert not flagged(sound("generated"), "suspect_chest_leads")
        names, signals = ecgs("raw-12lead")
        assert [names[number] for number in flagged(sound("raw-12lead"), "suspect_chest_leads")] == ["georgia/E07519"]
        put_right = chest_leads_as(1, 3, 2, 4, 5, 6)(signals[[names.index("georgia/E07519")]])
        assert not flagged(rows(put_right), "suspect_chest_leads")

    def test_dextrocardia_is_no_reversal_of_arms(self) -> None:
        """A heart mirrored left to right: I turned over, and from V1 to V6 what V2, V1 and aVR record on the right."""
        signals = ecgs("generated")[1]
        far_right = -(signals[:, 0] + signals[:, 1]) / 2
        signals = arms_exchanged(signals)
        signals[:, 2:] = np.stack([signals[:, 3], signals[:, 2], signals[:, 2], *[far_right] * 3], axis=1)
        found = rows(signals)
        assert len(flagged(found, "suspect_lead_reversal")) <= 0.05 * len(found)

    @pytest.mark.parametrize(
        ("order", "least", "most"), [((7, 6, 5, 4, 3, 2, 1, 0), 0.35, 0.6), ((1, 0, 2, 3, 4, 5, 6, 7), 0.0, 0.02)]
    )
    def test_a_wrong_order_of_8_leads_is_caught_only_in_part(
        self, order: tuple[int, ...], least: float, most: float
    ) -> None:
        """An array cannot name its leads: in reverse, about half are flagged.

        I and II exchanged, as by left arm and leg, look like another axis, and none is.
        """
        found = rows(ecgs("generated")[1][:, order])
        suspect = {*flagged(found, "suspect_lead_reversal"), *flagged(found, "suspect_chest_leads")}
        assert least * len(found) <= len(suspect) <= most * len(found)


SHAPES = {"one sample": (1.0, 0.0, 0.0, 0.0), "two": (1.0, 0.6, 0.0, 0.0), "decaying": (1.0, 0.5, 0.2, -0.1)}
"""Spikes of 2 ms, of 4 ms, and with what couplings and filters put after them."""


def with_spikes(source: str, wave: str, shape: str, seed: int) -> tuple[Signals, list[int]]:
    """The records with a spike before every P or QRS, 1 to 5 mV in its largest lead; and which have got one."""
    rng = np.random.default_rng(seed)
    signals = ecgs(source)[1].copy()
    taken = []
    for number, row in enumerate(sound(source)):
        onset = row["p_onset_ms" if wave == "p" else "qrs_onset_ms"]
        if onset is None or "pacing_spikes" in row["quality_flags"]:
            continue
        taken.append(number)
        train = np.zeros(SAMPLES)
        for peak in row["r_peaks"]:
            top = peak + onset // 2 - (8 if wave == "p" else 5)
            if 20 <= top < SAMPLES - 20:
                train[top : top + 4] += SHAPES.get(shape, SHAPES["decaying"])
        if shape == "filtered":
            train = sosfiltfilt(butter(2, 150, fs=500, output="sos"), train)
        direction = rng.normal(size=8)
        height = rng.uniform(1000, 5000) * rng.choice([-1, 1])
        signals[number] += (height * direction / np.abs(direction).max())[:, None] * train
    return signals, taken


class TestPacing:
    @pytest.mark.parametrize("source", SOURCES)
    @pytest.mark.parametrize("wave", ["p", "qrs"])
    @pytest.mark.parametrize("shape", ["one sample", "two", "decaying", "filtered"])
    def test_spikes_are_flagged_and_change_no_interval(self, source: str, wave: str, shape: str) -> None:
        signals, taken = with_spikes(source, wave, shape, seed=1)
        found = rows(signals[taken])
        expected = [sound(source)[number] for number in taken]
        assert len(taken) > 0.85 * len(signals)
        assert len(flagged(found, "pacing_spikes")) >= 0.99 * len(found)
        assert share_within(found, expected, "heart_rate_bpm", 0) >= 0.97
        assert share_within(found, expected, "qrs_duration_ms", 4) >= (0.87 if shape == "filtered" else 0.93)
        assert share_within(found, expected, "qt_interval_ms", 8) >= 0.88
        assert share_within(found, expected, "pr_interval_ms", 8) >= 0.83
        assert share_within(found, expected, "r_amplitude_v5_uv", 30) >= 0.87

    def test_left_in_they_would_change_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        signals, taken = with_spikes("generated", "qrs", "one sample", seed=1)
        monkeypatch.setattr("pipeline.measurement.rows.without_spikes", lambda raw: (raw, np.zeros(len(raw), np.bool_)))
        found = rows(signals[taken])
        assert share_within(found, [sound("generated")[number] for number in taken], "qrs_duration_ms", 8) < 0.5

    def test_spikes_in_real_records(self) -> None:
        names, _ = ecgs("ludb/data")
        assert tuple(names[number] for number in flagged(sound("ludb/data"), "pacing_spikes")) == PACED

    @pytest.mark.parametrize("name", PACED)
    def test_spikes_in_real_records_are_not_taken_for_beats(self, name: str) -> None:
        """Between the first and the last QRS that LUDB's readers marked, every beat is one of theirs."""
        names, _ = ecgs("ludb/data")
        marks = wfdb.rdann(str(RECORDINGS / "ludb" / "data" / name), "ii")
        theirs = marks.sample[np.array(marks.symbol) == "N"]
        ours = np.array(sound("ludb/data")[names.index(name)]["r_peaks"])
        between = ours[(ours >= theirs[0] - 75) & (ours <= theirs[-1] + 75)]
        assert len(between) == len(theirs)
        assert np.abs(between - theirs).max() <= 75

    def test_no_other_record_has_them(self) -> None:
        for source in ("raw-12lead", "muse"):
            assert not flagged(sound(source), "pacing_spikes")
        assert not flagged(rows(pipeline.generate(range(500), seed=5)), "pacing_spikes")

    def test_the_samples_given_are_not_changed(self) -> None:
        signals, _ = with_spikes("generated", "qrs", "two", seed=2)
        before = signals.copy()
        measure(signals)
        np.testing.assert_array_equal(signals, before)


@cache
def _spoiled() -> tuple[Signals, pa.Table]:
    """Sound records among paced, reversed, clipped and flat ones."""
    sound_ones = ecgs("generated")[1]
    signals = np.concatenate([with_spikes("generated", "qrs", "two", 3)[0][:20], arms_exchanged(sound_ones)[20:30]])
    signals = np.concatenate([signals, np.clip(sound_ones[30:40], -300, 500), sound_ones[40:50] * 0, sound_ones[50:60]])
    return signals, measure(signals)


@pytest.mark.parametrize("step", [1, 7])
def test_a_spoiled_record_is_measured_alike_in_every_batch(step: int) -> None:
    signals, table = _spoiled()
    picked = np.random.default_rng(step).permutation(len(signals))
    for first in range(0, len(picked) // 2, step):
        some = picked[first : first + step]
        assert measure(signals[some]).equals(table.take(pa.array(some)))


class TestFewBeats:
    @pytest.mark.parametrize("source", SOURCES)
    def test_less_than_four_beats_are_unmeasurable(self, source: str) -> None:
        """After the third beat nothing more comes but the line's own noise."""
        signals = ecgs(source)[1][:30].copy()
        rng = np.random.default_rng(0)
        for signal, row in zip(signals, sound(source), strict=False):
            end = row["r_peaks"][3] - 100
            signal[:, end:] = signal[:, end - 1, None] + rng.normal(0, 3, (8, SAMPLES - end))
        found = pipeline.measure(signals).to_pylist()
        for row in found:
            assert row["beats"] <= 3
            assert (row["status"], row["status_reason"], row["verdict"]) == ("unmeasurable", "<4 QRS", None)
            assert row["statements"] == [1676]
            assert row["qrs_duration_ms"] is None


class TestNotANumber:
    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_in_python_and_in_an_array(self, tmp_path: Path, capsys: pytest.CaptureFixture[str], bad: float) -> None:
        signals = ecgs("generated")[1][:5].copy()
        signals[3, 6, 2500:2510] = bad
        with pytest.raises(InputError, match=r"record 3: 10 invalid samples \(NaN or infinite\) in lead V5"):
            pipeline.measure(signals)
        with pytest.raises(InputError, match=r"record 3: 10 invalid samples .* in lead V5"):
            pipeline.measure(signals / 1000, units="mV")
        np.save(tmp_path / "x.npy", signals)
        status, _, (line,) = command(capsys, tmp_path / "x.npy", "--fs", 500, "--units", "uV")
        assert status == 3
        assert "x.npy, record 3: 10 invalid samples (NaN or infinite) in lead V5" in line

    def test_a_lead_that_a_wfdb_record_marks_invalid(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        signal = ecgs("generated")[1][0].copy()
        signal[2] = np.nan
        header = write_ecg(tmp_path / "w", "a7", signal)
        status, _, (line,) = command(capsys, tmp_path / "w")
        assert status == 3
        assert f"{header}: 5000 invalid samples (NaN or infinite) in lead V1" in line


def rails(signals: Signals, lead: int, share: float) -> Signals:
    """A lead cut off at a share of its usual largest deflection."""
    clipped = signals.copy()
    for signal in clipped[:, lead]:
        level = np.median(signal)
        high, low = (np.median(edge) - level for edge in (signal.reshape(10, -1).max(1), signal.reshape(10, -1).min(1)))
        limit = share * max(high, -low)
        np.clip(signal, level - limit if -low > high else None, level + limit if high >= -low else None, out=signal)
    return clipped


class TestClipped:
    @pytest.mark.parametrize("source", SOURCES)
    @pytest.mark.parametrize("lead", [1, 3, 6])
    @pytest.mark.parametrize("share", [0.5, 0.7, 0.85])
    def test_at_either_rail(self, source: str, lead: int, share: float) -> None:
        found = rows(rails(ecgs(source)[1], lead, share))
        assert len(flagged(found, "clipped")) >= 0.9 * len(found)

    def test_an_r_wave_a_little_cut_off(self) -> None:
        """Not for 20 ms in any beat, but again and again: its R would be short by a tenth, and look sound."""
        found = rows(rails(ecgs("generated")[1], 6, 0.9))
        assert len(flagged(found, "clipped")) >= 0.9 * len(found)

    def test_sound_records_are_not_clipped(self) -> None:
        assert not flagged(sound("generated"), "clipped")
        assert not flagged(sound("muse"), "clipped")
        assert len(flagged(sound("raw-12lead"), "clipped")) <= 2  # both stay for 100 ms at the highest sample

    @pytest.mark.parametrize("rate", [250, 257, 1000])
    def test_it_is_seen_in_resampled_records_too(self, rate: int) -> None:
        signals = np.clip(at_rate(ecgs("generated")[1][:20], rate), -250, 400)
        found = pipeline.measure(signals, sampling_rate_hz=rate).to_pylist()
        assert len(flagged(found, "clipped")) == len(found)


def at_rate(signals: Signals, rate_hz: int) -> Signals:
    """What a device of another sampling rate would have recorded, by the filter of its own."""
    padded = np.pad(signals.astype(np.float64), ((0, 0), (0, 0), (500, 500)), mode="reflect")
    level = np.median(signals, axis=-1, keepdims=True)
    resampled: Signals = (resample_poly(padded - level, rate_hz, 500, axis=-1) + level).astype(np.float32)
    return resampled[..., rate_hz : 11 * rate_hz]


class TestLength:
    @pytest.mark.parametrize(("seconds", "samples"), [(3, 1500), (30, 15000)])
    def test_what_is_not_ten_seconds_is_refused(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], seconds: int, samples: int
    ) -> None:
        signals = np.tile(ecgs("generated")[1][:2], 3)[..., :samples]
        assert signals.shape[-1] == 500 * seconds
        header = write_ecg(tmp_path / "w", "short", signals[0])
        np.save(tmp_path / "x.npy", signals)
        for source, named, options in (
            (tmp_path / "w", f"{header}: {samples} samples, not 5000 (10 s at 500 Hz)", ()),
            (tmp_path / "x.npy", f"x.npy: shape (2, 8, {samples})", ("--fs", 500, "--units", "uV")),
        ):
            status, _, (line,) = command(capsys, source, *options)
            assert status == 3
            assert named in line
            assert "cut longer recordings into records of 10 s" in line
        with pytest.raises(InputError, match=r"shape .* is not"):
            pipeline.measure(signals)


class TestSamplingRate:
    @pytest.mark.parametrize("source", SOURCES)
    @pytest.mark.parametrize("rate", [250, 257, 400, 1000])
    def test_intervals_survive_another_rate(self, source: str, rate: int) -> None:
        found = pipeline.measure(at_rate(ecgs(source)[1], rate), sampling_rate_hz=rate).to_pylist()
        assert share_within(found, sound(source), "heart_rate_bpm", 1) >= 0.98
        for name in INTERVALS:
            assert share_within(found, sound(source), name, 4) >= 0.88, name

    def test_the_ends_are_as_good_as_the_middle(self) -> None:
        signals = ecgs("generated")[1][:20]
        back = np.stack([resampled_to_500(signal, 1000) for signal in at_rate(signals, 1000)])
        difference = np.abs(back - signals).mean(axis=(0, 1))
        assert difference[100:-100].max() < 1
        assert max(difference[:20].max(), difference[-20:].max()) < 8

    def test_a_level_stays_a_level(self) -> None:
        signal = np.full((8, 2570), 1234.5, np.float32)
        np.testing.assert_array_equal(resampled_to_500(signal, 257), np.full((8, SAMPLES), 1234.5, np.float32))

    def test_the_command_says_what_was_resampled(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        signals = ecgs("generated")[1][:4]
        for number, rate in enumerate((500, 250, 250, 1000)):
            write_ecg(tmp_path / "w", f"r{number}", at_rate(signals[[number]], rate)[0], fs=rate)
        status, out, lines = command(capsys, tmp_path / "w")
        assert (status, lines) == (0, [])
        assert "4 records measured" in out
        assert "2 of them resampled from 250 Hz to 500 Hz (scipy.signal.resample_poly" in out
        assert "1 of them resampled from 1000 Hz to 500 Hz" in out
        table = pq.read_table(tmp_path / "t.parquet")
        expected = [row["heart_rate_bpm"] for row in sound("generated")[:4]]
        assert table["heart_rate_bpm"].to_pylist() == pytest.approx(expected, abs=1)

    def test_array_python_and_wfdb_agree(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        signals = np.rint(at_rate(ecgs("generated")[1][:3], 250))
        np.save(tmp_path / "x.npy", signals)
        assert command(capsys, tmp_path / "x.npy", "--fs", 250, "--units", "uV")[0] == 0
        from_array = pq.read_table(tmp_path / "t.parquet").drop_columns(["record_id"])
        assert from_array.equals(pipeline.measure(signals, sampling_rate_hz=250).cast(from_array.schema))
        for number, signal in enumerate(signals):
            write_ecg(tmp_path / "w", f"r{number}", signal, fs=250)
        assert command(capsys, tmp_path / "w")[0] == 0
        assert pq.read_table(tmp_path / "t.parquet").select(from_array.column_names).equals(from_array)

    @pytest.mark.parametrize("rate", [100, 200, 249.9, float("nan"), -500, 1e9])
    def test_what_cannot_be_resampled_is_refused(self, rate: float) -> None:
        with pytest.raises(InputError, match=r"sampled at .* 250 Hz to 32000 Hz can be measured"):
            pipeline.measure(np.zeros((1, 8, max(int(10 * rate), 1) if 0 < rate < 1000 else 10)), sampling_rate_hz=rate)

    def test_a_ratio_without_end_is_refused(self) -> None:
        with pytest.raises(InputError, match="no usable ratio"):
            pipeline.measure(np.zeros((1, 8, 3333)), sampling_rate_hz=333.33333333)


def resampled_to_500(signal: Signals, rate_hz: int) -> Signals:
    return to_recording("it", signal, rate_hz).signal


class TestUnits:
    @pytest.mark.parametrize("source", SOURCES)
    @pytest.mark.parametrize(
        ("factor", "hint"),
        [(1e-3, "mV; correct its unit, or multiply by 1,000"), (1e-6, "V; correct its unit, or multiply by 1,000,000")],
    )
    def test_millivolts_and_volts_are_refused(self, source: str, factor: float, hint: str) -> None:
        for number, signal in enumerate(ecgs(source)[1]):
            if sound(source)[number]["beat_correlation"] < 0.8:
                continue
            with pytest.raises(InputError) as caught:
                pipeline.measure(signal[None] * factor)
            assert str(caught.value).startswith("record 0: swings by")
            assert str(caught.value).endswith(hint)

    @pytest.mark.parametrize("source", SOURCES)
    def test_none_is_measured_in_silence(self, source: str) -> None:
        """What does not look like an ECG in mV is a flat line in µV, and nothing else."""
        for signal in ecgs(source)[1]:
            try:
                (row,) = pipeline.measure(signal[None] / 1000).to_pylist()
            except InputError:
                continue
            assert row["status"] == "unmeasurable"

    @pytest.mark.parametrize("factor", [1e3, 1e6])
    def test_nanovolts_are_refused(self, factor: float) -> None:
        for signal in ecgs("generated")[1][:20]:
            with pytest.raises(InputError, match=r"record 0: (samples beyond 1 V|swings by)"):
                pipeline.measure(signal[None] * factor)

    def test_one_record_of_many_is_named(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        signals = ecgs("generated")[1][:40].astype(np.float64)
        signals[35] /= 1000
        with pytest.raises(InputError, match="record 35: swings by"):
            pipeline.measure(signals)
        np.save(tmp_path / "x.npy", signals)
        status, _, (line,) = command(capsys, tmp_path / "x.npy", "--fs", 500, "--units", "uV")
        assert status == 3
        assert "x.npy, record 35: swings by" in line
        assert "multiply by 1,000" in line

    def test_a_wfdb_header_with_the_wrong_unit(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        header = write_ecg(tmp_path / "w", "a", ecgs("generated")[1][0], units=["uV"] * 8)  # the numbers are mV
        status, _, (line,) = command(capsys, tmp_path / "w")
        assert status == 3
        assert f"{header}: swings by" in line

    def test_integers_of_millivolts_are_nothing(self) -> None:
        signals = np.rint(ecgs("generated")[1] / 1000).astype(np.int16)
        assert {row["status"] for row in rows(signals)} == {"unmeasurable"}

    def test_no_real_record_is_refused(self) -> None:
        for source in (*SOURCES, "muse"):
            assert len(rows(ecgs(source)[1].astype(np.float64))) == len(ecgs(source)[1])


def write_twelve(folder: Path, name: str, signal: Signals, leads: tuple[str, ...] = LEADS, **changes: Any) -> Path:
    """A WFDB record of 12 leads, (8, 5000) µV given, in some order or under some names."""
    twelve = dict(zip(LEADS, to_twelve_leads(signal.astype(np.float64)) / 1000, strict=True))
    return write_record(folder, name, leads=leads, signal=np.stack([twelve[lead] for lead in leads], axis=1), **changes)


class TestLeads:
    def test_leads_in_another_order_measure_the_same(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        signals = ecgs("generated")[1][:3]
        orders = (
            LEADS,
            ("V6", "V5", "V4", "V3", "V2", "V1", "aVF", "aVL", "aVR", "III", "II", "I"),
            LEADS[6:] + LEADS[:6],
        )
        for number, order in enumerate(orders):
            write_twelve(tmp_path / "w", f"r{number}", signals[0], order)
        assert command(capsys, tmp_path / "w")[:1] == (0,)
        table = pq.read_table(tmp_path / "t.parquet").drop_columns(["record_id", "record_name"])
        assert table.slice(1, 1).equals(table.slice(0, 1))
        assert table.slice(2, 1).equals(table.slice(0, 1))

    @pytest.mark.parametrize("pattern", ["lead {}", "ECG {}", "ECG_LEAD_{}", "MDC_ECG_LEAD_{}", " {} "])
    def test_names_that_devices_give(self, tmp_path: Path, pattern: str) -> None:
        signal = ecgs("generated")[1][0]
        header = write_ecg(tmp_path, "a", signal)
        lines = header.read_text().splitlines()
        for number, lead in enumerate(STORED_LEADS, 1):
            lines[number] = lines[number].removesuffix(lead) + pattern.format(lead)
        header.write_text("\n".join(lines) + "\n")
        np.testing.assert_allclose(open_recordings(header).read(0).signal, signal, atol=0.51)

    @pytest.mark.parametrize(
        ("left_out", "named"),
        [
            (("V3",), "lead V3 is missing"),
            (("V3", "V5", "V6"), "leads V3, V5, V6 are missing"),
            (("I",), "lead I is missing; the leads I, II, V1, V2, V3, V4, V5, V6 are needed; I is II - III"),
            (("II",), "II is I + III"),
            (("I", "II"), "leads I, II are missing"),
        ],
    )
    def test_missing_leads_are_named_and_not_made_up(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], left_out: tuple[str, ...], named: str
    ) -> None:
        leads = tuple(lead for lead in LEADS if lead not in left_out)
        header = write_twelve(tmp_path / "w", "a", ecgs("generated")[1][0], leads)
        status, _, (line,) = command(capsys, tmp_path / "w")
        assert status == 3
        assert f"{header}: " in line
        assert named in line

    def test_a_lead_that_is_there_twice(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        header = write_twelve(tmp_path / "w", "a", ecgs("generated")[1][0])
        header.write_text(header.read_text().replace(" 0 V2\n", " 0 lead V1\n"))
        status, _, (line,) = command(capsys, tmp_path / "w")
        assert status == 3
        assert f"{header}: lead V1 is there 2 times" in line

    @pytest.mark.parametrize(
        ("one", "other"), [("I", "II"), ("II", "III"), ("I", "III"), ("I", "V1"), ("II", "aVR"), ("II", "V6")]
    )
    @pytest.mark.parametrize("source", ["raw-12lead", "generated"])
    def test_exchanged_names_of_limb_leads_contradict_each_other(self, source: str, one: str, other: str) -> None:
        """In nearly every record; where both leads are alike it makes no difference."""
        signals = ecgs(source)[1]
        twelve = to_twelve_leads(signals.astype(np.float64))
        places = list(range(12))
        places[LEADS.index(one)], places[LEADS.index(other)] = LEADS.index(other), LEADS.index(one)
        refused = 0
        for signal in twelve[:, places]:
            try:
                with warnings.catch_warnings(action="ignore"):
                    pipeline.measure(signal[None])
            except InputError as error:
                assert "record 0: " in str(error)
                assert "contradicts I and II" in str(error)
                refused += 1
        assert refused >= 0.9 * len(signals)

    def test_a_contradiction_names_the_record(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        header = write_twelve(tmp_path / "w", "a", ecgs("generated")[1][0])
        text = (
            header.read_text().replace(" 0 II\n", " 0 x\n").replace(" 0 III\n", " 0 II\n").replace(" 0 x\n", " 0 III\n")
        )
        header.write_text(text)
        status, _, (line,) = command(capsys, tmp_path / "w")
        assert status == 3
        assert f"{header}: " in line
        assert "contradicts I and II" in line

    def test_rounding_and_offsets_contradict_nothing(self) -> None:
        twelve = to_twelve_leads(ecgs("generated")[1].astype(np.float64))
        rounded = np.rint(twelve / 5) * 5 + np.arange(12)[:, None] * 100
        assert pipeline.measure(rounded).num_rows == len(rounded)

    def test_gains_that_differ_are_told_and_not_refused(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        if not (RECORDINGS / "ludb" / "data").is_dir():
            pytest.skip("LUDB is not here")
        out = tmp_path / "t.parquet"
        assert main(["measure", str(RECORDINGS / "ludb" / "data"), "--out", str(out)]) == 0
        printed = capsys.readouterr().out
        assert "100 records measured" in printed
        assert "100 of them with III, aVR, aVL or aVF that do not follow from I and II" in printed
        assert main(["measure", str(RECORDINGS / "raw-12lead"), "--out", str(out)]) == 0
        assert "follow" not in capsys.readouterr().out

    def test_they_are_told_in_python_too(self) -> None:
        twelve = to_twelve_leads(ecgs("generated")[1][:3].astype(np.float64))
        expected = pipeline.measure(twelve)
        twelve[1, 2] *= 1.5
        with pytest.warns(UserWarning, match="1 records, 1 the first, with III"):
            assert pipeline.measure(twelve).equals(expected)


@pytest.mark.parametrize("options", [("--fs", 100), ("--units", "mV")])
def test_what_an_input_states_cannot_be_said_of_it(
    tmp_path: Path, dataset: Dataset, capsys: pytest.CaptureFixture[str], options: tuple[object, ...]
) -> None:
    write_ecg(tmp_path / "w", "a", ecgs("generated")[1][0])
    for source in (tmp_path / "w", tmp_path / "w" / "a", dataset.folder):
        status = main(["measure", str(source), "--out", str(tmp_path / "t.parquet"), *map(str, options)])
        line = capsys.readouterr().err.strip()
        assert (status, "\n" in line) == (3, False)
        assert f"{source}: --fs and --units are for a .npy; this input states its own" in line
    assert not (tmp_path / "t.parquet").exists()


def test_stopped_it_does_not_promise_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    write_ecg(tmp_path / "w", "a", ecgs("generated")[1][0])
    monkeypatch.setattr("pipeline.measure_input.interpreted_rows", stop)
    assert command(capsys, tmp_path / "w") == (130, "", ["ecg-foundry: stopped"])
    assert not (tmp_path / "t.parquet").exists()


class TestManyRecords:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """Three records that can be measured, two that cannot be read and one in another unit."""
        signals = ecgs("generated")[1]
        for number, name in enumerate(("a", "c", "e")):
            write_ecg(tmp_path / "w", name, signals[number])
        write_ecg(tmp_path / "w", "b", signals[3][:, :1500])
        write_ecg(tmp_path / "w", "d", signals[4] * np.where(np.arange(SAMPLES) < 9, np.nan, 1))
        write_ecg(tmp_path / "w", "f", signals[5], units=["uV"] * 8)
        return tmp_path / "w"

    def test_the_first_bad_one_stops_the_command(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        status, out, (line,) = command(capsys, folder)
        assert (status, out) == (3, "")
        assert "b.hea: 1500 samples" in line
        assert "--skip-bad" in line
        assert not (folder.parent / "t.parquet").exists()

    def test_the_others_are_measured_if_wanted(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        status, out, lines = command(capsys, folder, "--skip-bad")
        assert status == 3
        assert "3 records measured" in out
        assert "3 left out" in out
        assert len(lines) == 3
        for line, named in zip(lines, ("b.hea: 1500", "d.hea: 9 invalid", "f.hea: swings by"), strict=True):
            assert line.startswith("ecg-foundry: left out: ")
            assert named in line
        table = pq.read_table(folder.parent / "t.parquet")
        assert table["record_name"].to_pylist() == ["a", "c", "e"]
        assert table["record_id"].to_pylist() == [0, 2, 4]
        names = [name for name in table.column_names if name not in {"record_id", "record_name"}]
        expected = pipeline.measure(ecgs("generated")[1][:3])
        assert table.select(names).equals(expected.select(names).cast(table.select(names).schema))

    def test_of_an_array_as_well(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        signals = ecgs("generated")[1][:300].astype(np.float64)
        signals = np.concatenate([signals, signals, signals, signals])[:300]
        signals[[7, 270], 1, 3] = np.nan
        np.save(tmp_path / "x.npy", signals)
        status, _, lines = command(capsys, tmp_path / "x.npy", "--fs", 500, "--units", "uV", "--skip-bad")
        assert status == 3
        assert ["record 7:" in lines[0], "record 270:" in lines[1], len(lines)] == [True, True, 2]
        table = pq.read_table(tmp_path / "t.parquet")
        assert table["record_id"].to_pylist() == [number for number in range(300) if number not in {7, 270}]

    def test_where_none_can_be_measured_nothing_is_written(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for name in ("a", "b"):
            write_ecg(tmp_path / "w", name, ecgs("generated")[1][0][:, :1500])
        status, _, (line,) = command(capsys, tmp_path / "w", "--skip-bad")
        assert status == 3
        assert "none of its 2 records can be measured; the first: " in line
        assert not (tmp_path / "t.parquet").exists()

    def test_a_sound_folder_is_a_success(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        write_ecg(tmp_path / "w", "a", ecgs("generated")[1][0])
        assert command(capsys, tmp_path / "w", "--skip-bad")[0] == 0
