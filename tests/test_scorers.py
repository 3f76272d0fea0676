"""The scorers, on marks and values of which every score is known."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import wfdb
from numpy.typing import NDArray

from benchmarks.accuracy import ludb, muse, robustness
from benchmarks.accuracy.__main__ import main
from benchmarks.accuracy.agreement import agree
from pipeline.leads import LEADS, SAMPLES, STORED_LEADS

R_PEAKS = range(400, 4800, 500)
Marks = list[tuple[int, str]]
Waves = Callable[[int, int], Sequence[Marks]]
"""The marked waves of a lead's beat, by the number of the lead and the sample of the R peak."""


def wave(letter: str, onset: int, peak: int, offset: int) -> Marks:
    return [(onset, "("), (peak, letter), (offset, ")")]


def staggered(lead: int, r: int) -> list[Marks]:
    """Lead after lead every onset lies a sample earlier and every offset a sample later."""
    return [
        wave("p", r - 90 - lead, r - 75, r - 60 + lead),
        wave("N", r - 20 - lead, r, r + 25 + lead),
        wave("t", r + 90, r + 140, r + 180 + lead),
    ]


EXPECTED = {"p_onset_ms": -200, "p_offset_ms": -100, "qrs_onset_ms": -60, "qrs_offset_ms": 70, "t_offset_ms": 380}
"""Of `staggered`: second of 12 leads from outside, at 2 ms a sample."""


def write_marks(folder: Path, name: str, waves: Waves = staggered) -> None:
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for number, lead in enumerate(LEADS):
        marks = sorted(mark for r in R_PEAKS for each in waves(number, r) for mark in each)
        samples, symbols = np.array([sample for sample, _ in marks]), [symbol for _, symbol in marks]
        wfdb.wrann(name, "marks", samples, symbols, write_dir=str(folder / "data"))
        (folder / "data" / f"{name}.marks").rename(folder / "data" / f"{name}.{lead.lower()}")  # wrann wants letters


def write_labels(folder: Path, labels: Mapping[str, str]) -> None:
    lines = [f'{name},"F\n",51,{label},\n' for name, label in labels.items()]
    (folder / "ludb.csv").write_text("ID,Sex,Age,Rhythms,Other states\n" + "".join(lines), encoding="utf-8-sig")


def measured(longer_ms: float = 0, **changed: Any) -> dict[str, Any]:
    """A row in which every interval is `staggered`'s and some ms longer."""
    intervals = {name: EXPECTED[end] - EXPECTED[start] + longer_ms for name, (start, end) in ludb.INTERVALS.items()}
    return {**EXPECTED, **intervals, "r_peaks": list(R_PEAKS), **changed}


@pytest.fixture
def scored(tmp_path: Path) -> Callable[..., list[ludb.Case]]:
    """Cases with `staggered` marks from measured rows."""

    def cases(*rows: Mapping[str, Any]) -> list[ludb.Case]:
        named = {str(number): row for number, row in enumerate(rows, 1)}
        write_labels(tmp_path, dict.fromkeys(named, "Sinus rhythm"))
        for name in named:
            write_marks(tmp_path, name)
        return ludb.cases(tmp_path, named)

    return cases


def reference(folder: Path, waves: Waves) -> ludb.Reference:
    write_marks(folder, "1", waves)
    return ludb.reference(folder / "data" / "1")


def test_the_reference_is_the_second_lead_from_outside(tmp_path: Path) -> None:
    found = reference(tmp_path, staggered)
    assert found.boundaries == EXPECTED
    assert found.has_p
    assert found.r_peaks.tolist() == list(R_PEAKS)
    assert found.interval("qt_interval_ms") == 440


def test_a_lead_s_boundary_is_the_median_of_its_beats(tmp_path: Path) -> None:
    def one_long_qrs(lead: int, r: int) -> list[Marks]:
        return [wave("N", r - 50, r, r + 80)] if r == 400 else staggered(lead, r)

    assert reference(tmp_path, one_long_qrs).boundaries == EXPECTED


def test_distances_are_from_lead_ii(tmp_path: Path) -> None:
    def later_in_other_leads(lead: int, r: int) -> list[Marks]:
        return [wave("N", r - 20, r if lead == 1 else r + 15, r + 40)]

    found = reference(tmp_path, later_in_other_leads).boundaries
    assert found == {"qrs_onset_ms": -40, "qrs_offset_ms": 80}


@pytest.mark.parametrize(("leads", "beats", "there"), [(3, 2, True), (2, 9, False), (12, 1, False)])
def test_a_boundary_needs_two_beats_in_three_leads(tmp_path: Path, leads: int, beats: int, there: bool) -> None:
    def seldom_p(lead: int, r: int) -> list[Marks]:
        p, *others = staggered(0, r)
        return [p, *others] if lead < leads and r in R_PEAKS[:beats] else others

    found = reference(tmp_path, seldom_p)
    assert ("p_onset_ms" in found.boundaries) == there
    assert found.has_p
    assert (found.interval("pr_interval_ms") is not None) == there


@pytest.mark.parametrize(
    ("edge", "further"),
    [
        (wave("p", 150, 200, 250), -1),
        (wave("N", 430, 460, 480), 1),
        (wave("t", 700, 750, 790), 1),
    ],
)
def test_a_wave_too_far_from_any_beat_does_not_count(tmp_path: Path, edge: Marks, further: int) -> None:
    """200, 60 and 350 samples from R, which is at 400, are the most."""

    def at(extra: int) -> Waves:
        return lambda lead, r: (
            [wave("N", r - 20, r, r + 25)]
            if lead == 1
            else [[(sample - 400 + r + extra, mark) for sample, mark in edge]]
        )

    assert reference(tmp_path, at(0)).boundaries != {}
    assert reference(tmp_path, at(further)).boundaries == {}


def test_a_wave_without_brackets_has_no_bounds_but_is_there(tmp_path: Path) -> None:
    def bare_p(_: int, r: int) -> list[Marks]:
        return [[(r - 75, "p")], wave("N", r - 20, r, r + 25)]

    found = reference(tmp_path, bare_p)
    assert found.has_p
    assert set(found.boundaries) == {"qrs_onset_ms", "qrs_offset_ms"}


def test_intervals_have_the_errors_that_were_put_in(scored: Callable[..., list[ludb.Case]]) -> None:
    cases = scored(measured(-4), measured(0), measured(4), measured(8), measured(0, qt_interval_ms=None))
    qt, qrs = (ludb.intervals(cases)[name] for name in ("qt_interval_ms", "qrs_duration_ms"))
    assert qt.missing == ("5",)
    assert list(qt.pairs) == ["1", "2", "3", "4"]
    assert qt.pairs["4"] == (448, 440)
    assert qt.worst(1) == ["1"]
    assert qt.agreement is not None
    assert qt.agreement.bias == 2
    assert qt.agreement.sd == pytest.approx(20**0.5)
    assert qt.agreement.slope == 0  # the readers' QT is the same everywhere
    assert (len(qrs.pairs), qrs.missing) == (5, ())


def test_boundaries_are_moved_to_the_readers_r_peak(scored: Callable[..., list[ludb.Case]]) -> None:
    later = {name: value + 10 for name, value in EXPECTED.items()}
    early = measured() | later | {"r_peaks": [r - 5 for r in R_PEAKS]}
    for agreement in ludb.boundaries(scored(early, early, early)).values():
        assert agreement is not None
        assert (agreement.bias, agreement.sd) == (0, 0)


def test_qrs_and_false_p_are_counted(tmp_path: Path) -> None:
    write_labels(tmp_path, {"1": "Sinus rhythm", "2": "Atrial fibrillation", "10": "Atrial fibrillation"})
    write_marks(tmp_path, "1")
    for name in ("2", "10"):
        write_marks(tmp_path, name, lambda lead, r: staggered(lead, r)[1:])
    rows = {
        "10": measured(p_duration_ms=None, r_peaks=[]),
        "1": measured(r_peaks=[20, *list(R_PEAKS)[:-1], 4600]),
        "2": measured(),
    }
    cases = ludb.cases(tmp_path, rows)
    assert [case.name for case in cases] == ["1", "2", "10"]
    assert ludb.false_p(cases) == (2, ["2"])
    assert ludb.detection(cases[:1]) == ludb.Detection(marked=9, found=8, false=0)
    assert ludb.detection(cases) == ludb.Detection(marked=27, found=17, false=0)
    assert [case.near_normal for case in cases] == [True, False, False]


@pytest.mark.parametrize(
    ("label", "near_normal"),
    [("Sinus tachycardia", True), ("Sinus rhythm Pacemaker", False), ("Sinus rhythm STEMI", False), ("Rhythm", False)],
)
def test_near_normal_goes_by_the_labels(label: str, near_normal: bool) -> None:
    nothing = ludb.Reference({}, has_p=False, r_peaks=np.array([], np.intp))
    assert ludb.Case("1", label, nothing, {}).near_normal == near_normal


def test_agreement_by_hand() -> None:
    found = agree([100, 110, 120, 130], [90, 105, 120, 135])
    assert found is not None
    assert (found.bias, found.slope) == (2.5, 1.5)
    assert found.sd == pytest.approx(31.25**0.5)
    assert found.robust_sd == pytest.approx(7.5 / 1.349)
    assert found.p95 == pytest.approx(7.5)
    low, high = found.sd_interval
    assert 0 <= low < found.sd < high
    assert found == agree([100, 110, 120, 130], [90, 105, 120, 135])
    assert agree([100, 110], [90, 105]) is None


def twelve_sl(**changed: Any) -> dict[str, Any]:
    """12SL's values of an export: every amplitude 400 µV."""
    values = {"VentricularRate": 60, "PRInterval": 158, "QRSDuration": 80, "QTInterval": 366, "POnset": 139}
    axes = {"POffset": 177, "PAxis": 45, "RAxis": -170, "TAxis": 48}
    lead = dict.fromkeys(muse.AMPLITUDES.values(), 400)
    return {"global_12sl_original": values | axes | changed, "lead_matrix_12sl": dict.fromkeys(LEADS, lead)}


def amplitude_row(**changed: float | None) -> dict[str, Any]:
    names = [f"{each}_amplitude_{lead.lower()}_uv" for each in muse.AMPLITUDES for lead in LEADS]
    intervals = {"heart_rate_bpm": 60, "pr_interval_ms": 150, "qrs_duration_ms": 80, "qt_interval_ms": None}
    axes = {"p_duration_ms": 80, "p_axis_deg": 45, "qrs_axis_deg": 175, "t_axis_deg": None}
    return {**dict.fromkeys(names, 400), **intervals, **axes, **changed}


def test_differences_from_12sl(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(twelve_sl()))
    export = muse.export(tmp_path / "a.json", {"a": amplitude_row(r_amplitude_i_uv=430, r_amplitude_v6_uv=None)})
    assert muse.interval_differences(export) == {
        "heart_rate_bpm": 0,
        "pr_interval_ms": -8,
        "qrs_duration_ms": 0,
        "qt_interval_ms": None,
        "p_duration_ms": 4,
    }
    assert muse.axis_differences(export) == {"p_axis_deg": 0, "qrs_axis_deg": -15, "t_axis_deg": None}
    errors = muse.amplitude_errors([export])
    assert errors["r"] == muse.AmplitudeErrors(n=11, missing=1, median=0, p95=15, worst=30, within=10 / 11)
    assert errors["s"] == muse.AmplitudeErrors(n=12, missing=0, median=0, p95=0, worst=0, within=1)


def test_12sl_without_a_p_wave(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(twelve_sl(PRInterval=None, POnset=None)))
    export = muse.export(tmp_path / "a.json", {"a": amplitude_row()})
    assert set(muse.interval_differences(export)) == {"heart_rate_bpm", "qrs_duration_ms", "qt_interval_ms"}


@pytest.mark.parametrize(("size", "allowed"), [(0, 25), (500, 25), (501, 40), (800, 40), (2000, 100)])
def test_tolerance(size: float, allowed: float) -> None:
    assert muse.tolerance_uv(size) == allowed


def ecg() -> NDArray[np.float64]:
    """(8, 5000) µV: P, QRS and T as bells in every lead, with a little noise."""
    time = np.arange(SAMPLES)
    signal = np.random.default_rng(2).normal(0, 3, (len(STORED_LEADS), SAMPLES))
    for r in R_PEAKS:
        for height, centre, width in ((120, r - 80, 12), (1000, r, 6), (250, r + 140, 22)):
            signal += height * np.exp(-(((time - centre) / width) ** 2))
    return signal


def write_ecg(folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    wfdb.wrsamp(
        name,
        fs=500,
        units=["uV"] * len(STORED_LEADS),
        sig_name=list(STORED_LEADS),
        p_signal=ecg().T,
        fmt=["16"] * len(STORED_LEADS),
        write_dir=str(folder),
    )


def write_ptbxl(path: Path, stored: NDArray[np.int16], labels: Sequence[str]) -> None:
    signal = pa.FixedSizeListArray.from_arrays(pa.array(stored.ravel()), stored[0].size)
    pq.write_table(pa.table({"signal_z1500": signal, "label": pa.array(labels)}), path)


def test_robustness_counts_by_label(tmp_path: Path) -> None:
    beating = np.rint(ecg() / ecg().std(axis=1, keepdims=True) * 1500).astype(np.int16)
    write_ptbxl(tmp_path / "a.parquet", np.stack([beating, beating, 0 * beating]), ["AFIB", "NORM", "NORM"])
    counts = robustness.ptbxl_counts(tmp_path / "a.parquet")
    assert list(counts) == ["AFIB", "NORM"]
    assert (counts["AFIB"].records, counts["AFIB"].with_p, counts["AFIB"].few_qrs) == (1, 1, 0)
    norm = counts["NORM"]
    assert (norm.records, norm.with_p, norm.without_p, norm.without_qt, norm.few_qrs) == (2, 1, 1, 1, 1)
    assert norm.statuses["unmeasurable"] == 1


def test_raw_records_are_counted_by_folder(tmp_path: Path) -> None:
    for place in ("one", "other/deep"):
        write_ecg(tmp_path / place, "a")
    assert {name: each.records for name, each in robustness.raw_counts(tmp_path).items()} == {"one": 1, "other": 1}
    assert list(robustness.raw_counts(tmp_path / "one")) == ["one"]


@pytest.fixture
def given(tmp_path: Path) -> dict[str, str]:
    """What the command needs: a small LUDB and one export."""
    (tmp_path / "ludb").mkdir()
    names = ("1", "2", "3", "5")
    write_labels(tmp_path / "ludb", dict.fromkeys(names, "Sinus | rhythm"))
    for name in names:
        write_ecg(tmp_path / "ludb" / "data", name)
        write_marks(tmp_path / "ludb", name)
    write_ecg(tmp_path / "muse", "a")
    (tmp_path / "muse" / "a.json").write_text(json.dumps(twelve_sl()))
    return {"LUDB": str(tmp_path / "ludb"), "MUSE": str(tmp_path / "muse"), "out": str(tmp_path / "accuracy.md")}


def run(given: Mapping[str, str]) -> int:
    return main([word for name, value in given.items() for word in (f"--{name}", value)])


def test_the_document_is_written_and_the_same_again(given: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(given) == 0
    text = Path(given["out"]).read_text(encoding="utf-8")
    assert capsys.readouterr().out == text
    assert "| QRS | near-normal | 4 | 0 |" in text
    assert "| P | near-normal, even numbers | 1 | 0 | – |" in text
    assert "Sinus / rhythm" in text
    assert text.count("Not given") == 2
    assert run(given) == 0
    assert Path(given["out"]).read_text(encoding="utf-8") == text


def test_optional_recordings_have_their_sections(given: dict[str, str], tmp_path: Path) -> None:
    write_ptbxl(tmp_path / "a.parquet", np.rint(10 * ecg()).astype(np.int16)[None], ["AFIB"])
    assert run({**given, "PTBXL": str(tmp_path / "a.parquet"), "RAW": given["MUSE"]}) == 0
    text = Path(given["out"]).read_text(encoding="utf-8")
    assert "False P: 1 of 1 (100.0 %) of AFIB" in text
    assert "| muse | 1 | 1 | 0 | 0 | 0 | 1 | 0 | 0 |" in text


def test_without_folders_it_says_how(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().err == "usage: make accuracy LUDB=DIR MUSE=DIR [PTBXL=FILE] [RAW=DIR]\n"


@pytest.mark.parametrize(
    ("changed", "place", "content", "says"),
    [
        ({"LUDB": "nowhere"}, None, None, "nowhere is not LUDB: its ludb.csv is not there"),
        ({"LUDB": "muse"}, None, None, "Give the folder that holds ludb.csv and data/"),
        ({"MUSE": "ludb"}, None, None, "ludb has no MUSE export (*.json). Give the folder"),
        ({"PTBXL": "muse/a.json"}, None, None, "a.json is not PTB-XL with normalised leads"),
        ({"PTBXL": "nowhere"}, None, None, "nowhere is not PTB-XL with normalised leads"),
        ({"RAW": "nowhere"}, None, None, "nowhere: not found; give a folder of WFDB records"),
        ({}, "ludb/ludb.csv", "ID,Sex\n1,F\n", "ludb.csv has no record 2; get LUDB again, whole"),
        ({}, "ludb/ludb.csv", "no,table\n1,2\n", "is not LUDB"),
        ({}, "ludb/data/2.v3", None, "the marks of lead v3 cannot be read; get LUDB again, whole"),
        ({}, "muse/a.hea", None, "no WFDB header"),
        ({}, "muse/b.json", "{}", "b.json has no recording b.hea beside it"),
        ({}, "muse/a.json", "{}", "a.json is not a MUSE export with 12SL's values (KeyError"),
        ({}, "muse/a.json", '{"global_12sl_original": 1, "lead_matrix_12sl": 2}', "a.json is not a MUSE export"),
    ],
)
def test_what_cannot_be_scored_is_one_line(
    given: dict[str, str],
    tmp_path: Path,
    changed: Mapping[str, str],
    place: str | None,
    content: str | None,
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if place is not None and content is None:
        (tmp_path / place).unlink()
    elif place is not None and content is not None:
        (tmp_path / place).write_text(content)
    assert run({**given, **{name: str(tmp_path / value) for name, value in changed.items()}}) == 3
    error = capsys.readouterr().err
    assert error.startswith("accuracy: error: ")
    assert says in error
    assert error.count("\n") == 1
    assert not Path(given["out"]).exists()
    assert not list(tmp_path.glob(".*"))
