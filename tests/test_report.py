"""A report's numbers by hand, what it may overwrite, and the same bytes every time."""

import json
import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch

from pipeline.cli import main
from pipeline.columns import TABLE_SCHEMA
from pipeline.dataset import Dataset, open_dataset
from pipeline.errors import InputError
from pipeline.report import published
from pipeline.report.comparison import Cell, Comparison, Row, described, pearson, rounded
from pipeline.report.figures import _overlay, draw_figures
from pipeline.report.folder import KIND, default_folder, make_report
from pipeline.report.markdown import report_markdown
from pipeline.report.records import COLUMNS, OPTIONAL, PERMISSIVE, STRICT, Records, membership
from pipeline.report.statistics import Reason, Share, Statistics, opinion, statistics
from pipeline.report.text import number, percent_text, report_text
from pipeline.second_opinion import SECOND_OPINION, SECOND_OPINION_SCHEMA
from pipeline.store.files import all_files

RowValues = dict[str, Any]
NORMAL: RowValues = {"verdict": "Normal", "status": "measured", "statements": [22, 1684], "quality_flags": []}
ABNORMAL = NORMAL | {"verdict": "Abnormal", "statements": [22, 482, 1699]}
UNMEASURABLE: RowValues = {
    "status": "unmeasurable",
    "status_reason": "<4 QRS",
    "statements": [1676],
    "quality_flags": ["flat_lead"],
}


def records(*rows: RowValues) -> Records:
    """Rows of a measurement table; what a row does not name is null."""
    names = [*COLUMNS, *(name for name in OPTIONAL if any(name in row for row in rows))]
    schema = pa.schema([TABLE_SCHEMA.field(name) for name in names])
    return Records(pa.Table.from_pylist([dict.fromkeys(names) | row for row in rows], schema=schema))


def row_of(table: Comparison, column: str, which: str = "normal") -> Row:
    (row,) = [row for row in table.rows if (row.column, row.records) == (column, which)]
    return row


def cells(table: Comparison, column: str, which: str = "normal") -> dict[str, Cell]:
    return {cell.statistic: cell for cell in row_of(table, column, which).cells}


def share(found: Statistics, name: str) -> Share:
    value = found.shares[name]
    assert value is not None
    return value


# --- Table 2 ----------------------------------------------------------------------------------------------


def test_table_2_by_hand() -> None:
    """Normal: 68, 70, 75, mean 71, SD sqrt(13); all: 59, 68, 70, 75, mean 68, SD sqrt(134 / 3)."""
    rates = [{"heart_rate_bpm": rate} for rate in (68, 70, 75)]
    found = statistics(records(*(NORMAL | rate for rate in rates), ABNORMAL | {"heart_rate_bpm": 59})).table_2
    normal, every = cells(found, "heart_rate_bpm"), cells(found, "heart_rate_bpm", "all")
    assert normal["mean"] == Cell("mean", 71.0, 70.0, 1.0, 1.5, within=True)
    assert normal["sd"] == Cell("sd", rounded(13**0.5), 7.0, rounded(13**0.5 - 7), 1.5, within=False)
    assert normal["p2_5"] == Cell("p2_5", 68.1, 60.0, 8.1, 1.5, within=False)  # 68 + 2 * 0.05
    assert normal["p97_5"] == Cell("p97_5", 74.75, 88.0, -13.25, 1.5, within=False)  # 70 + 5 * 0.95
    assert (every["mean"].ours, every["sd"].ours) == (68.0, rounded((134 / 3) ** 0.5))
    assert every["mean"].difference == -2.0
    assert every["sd"].within  # 6.683 beside 8
    assert every["p2_5"].ours == 59.675  # 59 + 9 * 0.075
    assert found.checks == 64
    assert found.within == 3


@pytest.mark.parametrize(
    ("column", "tolerance"),
    [
        ("heart_rate_bpm", 1.5),
        ("p_duration_ms", 6.5),
        ("pr_interval_ms", 4.5),
        ("qrs_duration_ms", 4.5),
        ("qt_interval_ms", 4.5),
        ("stj_amplitude_v5_uv", 10.5),
        ("r_amplitude_v5_uv", 40.5),
        ("t_amplitude_v5_uv", 25.5),
    ],
)
def test_a_cell_is_within_up_to_its_tolerance(column: str, tolerance: float) -> None:
    at = published.TABLE_2[column].normal.mean + tolerance  # half a unit, which is the mean of two whole ones
    for values, within in (((at - 0.5, at + 0.5), True), ((at + 0.5, at + 0.5), False)):
        found = statistics(records(*(NORMAL | {column: int(value)} for value in values)))
        cell = cells(found.table_2, column)["mean"]
        assert (cell.tolerance, cell.within) == (tolerance, within)


def test_without_records_none_of_the_64_cells_is_within() -> None:
    found = statistics(records()).table_2
    assert [cell.within for row in found.rows for cell in row.cells] == [False] * 64
    assert found.within == 0


def test_missing_and_doubtful_values_are_counted_beside_each_row() -> None:
    found = statistics(
        records(
            NORMAL | {"heart_rate_bpm": 70, "p_duration_ms": 110, "qt_interval_ms": 390, "t_amplitude_v5_uv": 300},
            NORMAL | {"heart_rate_bpm": 71, "p_duration_ms": 112, "quality_flags": ["uncertain_p"]},
            ABNORMAL | {"qt_interval_ms": 400, "t_amplitude_v5_uv": 310, "quality_flags": ["uncertain_t_end"]},
            ABNORMAL | {"heart_rate_bpm": 72, "p_duration_ms": 114, "quality_flags": ["noisy", "uncertain_p"]},
            UNMEASURABLE,
        )
    )
    expected = {  # values, missing, in doubt, of all records
        "heart_rate_bpm": (3, 2, 1),
        "p_duration_ms": (3, 2, 2),
        "qt_interval_ms": (2, 3, 1),
        "t_amplitude_v5_uv": (2, 3, 1),
        "qrs_duration_ms": (0, 5, 0),  # what is missing is not in doubt as well
    }
    for column, counts in expected.items():
        row = row_of(found.table_2, column, "all")
        assert (row.values, row.missing, row.in_doubt) == counts, column
    assert (row_of(found.table_2, "p_duration_ms").missing, row_of(found.table_2, "p_duration_ms").in_doubt) == (0, 1)
    assert found.quality_flags == {"flat_lead": 1, "noisy": 1, "uncertain_p": 2, "uncertain_t_end": 1}
    assert found.flagged == 4


def test_reasons_for_nulls_are_counted_one_by_one() -> None:
    reasons = [None, "no P wave", "no P wave; no T wave"]
    found = statistics(records(*(NORMAL | {"status_reason": reason} for reason in reasons), UNMEASURABLE))
    assert found.missing_reasons == {"<4 QRS": 1, "no P wave": 2, "no T wave": 1}
    assert found.statuses == {"measured": 3, "unmeasurable": 1}
    assert found.verdicts == {"Normal": 3, "none": 1}


# --- 12SL's normals ---------------------------------------------------------------------------------------


def test_23_checks_hold_the_normals_and_no_other_record() -> None:
    found = statistics(records(NORMAL | {"pr_interval_ms": 158}, ABNORMAL | {"pr_interval_ms": 300})).normals
    held = {(row.column, cell.statistic) for row in found.rows for cell in row.cells if cell.tolerance is not None}
    assert len(held) == found.checks == 23
    pr = cells(found, "pr_interval_ms")
    assert (pr["mean"].ours, pr["mean"].tolerance, pr["mean"].within) == (158.0, 3.0, True)
    assert (pr["sd"].ours, pr["sd"].tolerance, pr["sd"].within) == (None, rounded(0.15 * 16.848349), False)
    assert (pr["max"].ours, pr["max"].difference, pr["max"].within) == (158.0, -50.0, None)
    assert cells(found, "t_axis_deg")["mean"].tolerance == 4.0
    assert cells(found, "r_amplitude_avr_uv")["mean"].tolerance == 15.0  # 5 % would be 2.5
    assert cells(found, "r_amplitude_v5_uv")["mean"].tolerance == rounded(0.05 * 1275.953696)
    assert found.within == 1


def test_quartiles_by_hand() -> None:
    found = described(np.array([np.nan, 1, 2, 3, 4, 10]))
    quartiles = {"min": 1.0, "p25": 2.0, "p50": 3.0, "p75": 4.0, "max": 10.0}
    assert {name: found[name] for name in quartiles} == quartiles
    assert (found["mean"], found["sd"]) == (4.0, rounded(12.5**0.5))


def test_correlations_by_hand() -> None:
    rows = [{"qt_interval_ms": qt, "mean_rr_ms": rr} for qt, rr in ((380, 800), (390, 900), (400, 1000), (None, 700))]
    pairs = {pair.columns: pair for pair in statistics(records(*(NORMAL | row for row in rows))).correlations}
    pair = pairs["qt_interval_ms", "mean_rr_ms"]
    assert (pair.values, pair.ours, pair.difference) == (3, 1.0, rounded(1 - 0.627323))
    assert len(pairs) == 15
    assert pearson(np.array([1.0, 2, 3]), np.array([1.0, 0, 2]))[1] == 0.5
    assert pearson(np.array([1.0, 2]), np.array([5.0, 5])) == (2, None)


# --- Counts and reasons -----------------------------------------------------------------------------------


def test_shares() -> None:
    rates = (59, 60, 99, 100, None)
    rows = [NORMAL | {"heart_rate_bpm": rate} for rate in rates[:3]]
    rows += [ABNORMAL | {"heart_rate_bpm": 100}, UNMEASURABLE]
    found = statistics(records(*rows))
    assert share(found, "normal") == Share(3, 60.0, 1, 121_977, 81.318)
    assert share(found, "bradycardia") == Share(1, 20.0, 1, 2_863, 1.908667)
    assert share(found, "tachycardia") == Share(1, 20.0, 1, 129, 0.086)
    assert found.shares[STRICT] is found.shares[PERMISSIVE] is None


def test_strict_and_permissive_shares() -> None:
    rows = [NORMAL | {STRICT: strict, PERMISSIVE: True} for strict in (True, False, False)]
    found = statistics(records(*rows, UNMEASURABLE | {STRICT: None, PERMISSIVE: None}))
    assert share(found, STRICT) == Share(1, 25.0, 1)
    assert share(found, PERMISSIVE) == Share(3, 75.0, 1)


def test_sinus_arrhythmia_is_a_share_of_the_normal_records() -> None:
    irregular = {"statements": [22, 251, 1684]}
    found = statistics(records(NORMAL | irregular, NORMAL, NORMAL, NORMAL, ABNORMAL | irregular, UNMEASURABLE))
    assert share(found, "sinus_arrhythmia") == Share(1, 25.0, 0, 7_726, 6.333981)
    assert share(statistics(records(ABNORMAL)), "sinus_arrhythmia") == Share(0, None, 0, 7_726, 6.333981)


def test_exact_duplicates_are_counted_where_the_table_tells(dataset: Dataset) -> None:
    rows = [NORMAL | {"signal_sha256": digest} for digest in ("a", "b", "a", "c", "a", "c", None, None)]
    for some, expected in ((rows, 5), (rows[:2], 0), ([NORMAL], None)):
        found = statistics(records(*some))
        assert found.duplicates == expected
        for text in (report_text(dataset.manifest, found), report_markdown(dataset.manifest, found, [])):
            assert ("Exact duplicates" in text) == (expected is not None)
            assert (f"Exact duplicates: {expected} records" in text) == (expected is not None)


def test_voltage_criteria_are_called_so(dataset: Dataset) -> None:
    found = statistics(records(ABNORMAL | {"statements": [22, 482, 531, 542, 1699]}))
    for text in (report_text(dataset.manifest, found), report_markdown(dataset.manifest, found, [])):
        assert " only reason " in text
        assert "criterion: Sokolow-Lyon" in text
    assert {reason.code: reason.text for reason in found.reasons} == {
        482: "Nonspecific intraventricular block",
        531: "criterion: Sokolow-Lyon",
        542: "Minimal voltage criteria for LVH, may be normal variant",
    }


def test_reasons_by_hand() -> None:
    """482 twice and once alone; a voltage criterion and its sum are one reason, two criteria are not each alone."""
    found = statistics(
        records(
            NORMAL | {"statements": [22, 251, 1684]},
            NORMAL | {"statements": [22, 1684, 9999]},  # whatever it is, it cost nothing
            ABNORMAL | {"statements": [22, 482, 1699]},
            ABNORMAL | {"statements": [21, 482, 1699]},
            ABNORMAL | {"statements": [22, 531, 542, 1693]},
            ABNORMAL | {"statements": [22, 532, 533, 548, 1693]},
            ABNORMAL | {"statements": [22, 9999, 1693]},
            UNMEASURABLE,
        )
    )
    assert found.not_normal == 6
    reasons = {reason.code: (reason.records, reason.only) for reason in found.reasons}
    assert reasons == {
        482: (2, 1),
        21: (1, 0),
        531: (1, 1),
        532: (1, 0),
        533: (1, 0),
        542: (1, 1),
        548: (1, 1),
        1676: (1, 1),
        9999: (1, 1),  # of a later rule set
    }
    assert found.reasons[0] == Reason(482, "Nonspecific intraventricular block", "Abnormal", 2, rounded(100 / 3), 1)
    assert [reason.code for reason in found.reasons] == [482, 21, 531, 532, 533, 542, 548, 1676, 9999]


@given(st.lists(st.lists(st.sampled_from([22, 21, 102, 482, 904, 1140]), unique=True), max_size=12))
def test_reasons_are_what_a_loop_over_records_finds(statements: list[list[int]]) -> None:
    rows = [
        (NORMAL if set(codes) <= {22} else ABNORMAL) | {"statements": [*sorted(codes), 1699]} for codes in statements
    ]
    expected: dict[int, tuple[int, int]] = {}
    for codes in statements:
        costly = [code for code in codes if code != 22]
        for code in costly:
            count, only = expected.get(code, (0, 0))
            expected[code] = (count + 1, only + (len(costly) == 1))
    found = statistics(records(*rows)).reasons
    assert {reason.code: (reason.records, reason.only) for reason in found} == expected


def test_membership_over_chunks_nulls_and_slices() -> None:
    lists = pa.chunked_array([pa.array([["x"], ["b", "a"], [], None]).slice(1), pa.array([["b"]])])
    held = {name: mask.tolist() for name, mask in membership(lists).items()}
    assert held == {"a": [True, False, False, False], "b": [True, False, False, True]}


# --- Second opinion ---------------------------------------------------------------------------------------


def opinions(*rows: tuple[int, int | None, float | None]) -> pa.Table:
    names = SECOND_OPINION_SCHEMA.names
    return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], schema=SECOND_OPINION_SCHEMA)


def test_second_opinion_by_hand() -> None:
    rows = [(0, 70, 70.5), (5, 70, 71.4), (9, 60, 62.0), (12, 80, 120.25), (13, 81, 40.0), (14, None, 50.0)]
    found = opinion(opinions(*rows, (20, 66, None)), 70)
    assert (found.sampled, found.percent, found.compared) == (7, 10.0, 5)
    assert (found.missing_ours, found.missing_neurokit2) == (1, 1)
    # 70.5 rounds to 70, as our own rate would; 71.4 to 71
    assert (found.within_1, found.within_2, found.beyond_2) == (2, 3, 2)
    assert (found.within_1_percent, found.within_2_percent) == (40.0, 60.0)
    differences = np.array([-0.5, -1.4, -2.0, -40.25, 41.0])
    assert found.mean_difference == pytest.approx(differences.mean(), abs=1e-5)  # theirs are float32
    assert found.sd_difference == pytest.approx(differences.std(ddof=1), abs=1e-5)
    assert [(item.record_id, item.ours, item.neurokit2) for item in found.worst] == [(13, 81, 40.0), (12, 80, 120.25)]


def test_at_most_twenty_outliers_are_listed() -> None:
    found = opinion(opinions(*((i, 70, 80.0) for i in range(30))), 30)
    assert found.beyond_2 == 30
    assert [item.record_id for item in found.worst] == list(range(20))


# --- Nothing, or next to nothing --------------------------------------------------------------------------

EMPTIES = {
    "no record": (),
    "one normal record of rate alone": (NORMAL | {"heart_rate_bpm": 70},),
    "no normal record": (ABNORMAL | {"heart_rate_bpm": 70, "qt_interval_ms": 400, "mean_rr_ms": 857.1},),
    "one whole record": (NORMAL | {"heart_rate_bpm": 70, "qt_interval_ms": 400, "mean_rr_ms": 857.1},),
    "all unmeasurable": (UNMEASURABLE, UNMEASURABLE),
}


@pytest.mark.parametrize("rows", EMPTIES.values(), ids=EMPTIES)
def test_little_or_nothing_is_reported_without_a_warning(rows: tuple[RowValues, ...], dataset: Dataset) -> None:
    some = records(*rows)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = statistics(some, opinions())
        figures = draw_figures(some, found)
    for text in (report_text(dataset.manifest, found), report_markdown(dataset.manifest, found, figures)):
        assert "nan" not in text
    assert all(figure.png.startswith(b"\x89PNG") for figure in figures)
    if not len(some.normal()):
        assert {cell.ours for row in found.normals.rows for cell in row.cells} == {None}
    if not rows:
        assert share(found, "normal").percent is None


def test_numbers_of_nothing_and_zeros() -> None:
    assert [number(None), number(-0.04, sign=True), number(0.04, sign=True)] == ["–", "0.0", "0.0"]
    assert [number(1234.56), number(-3.25, 2, sign=True), number(10, 0)] == ["1,234.6", "-3.25", "10"]
    assert [percent_text(value) for value in (None, 0.0, 0.086, 1.908, 81.318)] == [
        "–",
        "0 %",
        "0.086 %",
        "1.91 %",
        "81.3 %",
    ]


# --- The folder -------------------------------------------------------------------------------------------


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in all_files(folder)}


def test_the_same_dataset_gives_the_same_bytes(tmp_path: Path, dataset: Dataset) -> None:
    text = make_report(dataset, tmp_path / "a")
    moved = tmp_path / "elsewhere"
    shutil.copytree(dataset.folder, moved)
    make_report(open_dataset(moved), tmp_path / "b")
    one = contents(tmp_path / "a")
    assert one == contents(tmp_path / "b")
    pictures = {f"figures/{name}.png" for name in ("heart-rate", "qt-rr", "distributions", "reasons")}
    assert set(one) == {"report.md", "report.json"} | pictures
    assert max(map(len, text.splitlines()[:-1])) <= 120  # the last line has a path
    markdown = one["report.md"].decode()
    assert all(f"]({path})" in markdown for path in pictures)
    report = json.loads(one["report.json"])
    manifest = dataset.manifest
    assert report["kind"] == KIND
    assert report["dataset"]["content_digest"] == manifest.content_digest
    assert report["dataset"]["recipe"] == manifest.recipe.model_dump()
    assert (report["dataset"]["rule_set"], report["records"]) == (manifest.rule_set, len(dataset))
    assert report["shares"]["normal"]["records"] == manifest.verdicts["Normal"]
    assert report["not_normal"] == len(dataset) - manifest.verdicts["Normal"]


def test_second_opinion_is_read_from_the_dataset(tmp_path: Path, dataset: Dataset) -> None:
    folder = tmp_path / "d"
    shutil.copytree(dataset.folder, folder)
    (folder / SECOND_OPINION).unlink(missing_ok=True)
    assert "There was no second opinion" in make_report(open_dataset(folder))
    pq.write_table(opinions((0, 70, 70.0), (1, 71, 90.0)), folder / SECOND_OPINION)
    assert "within 1 bpm 50.0 %" in make_report(open_dataset(folder))
    assert json.loads((tmp_path / "d-report" / "report.json").read_bytes())["second_opinion"]["worst"] == [
        {"record_id": 1, "ours": 71, "neurokit2": 90.0}
    ]


def test_strict_and_permissive_columns_are_read_where_the_table_has_them(tmp_path: Path, dataset: Dataset) -> None:
    table = dataset.measurements()
    for name in (STRICT, PERMISSIVE):
        if name not in table.column_names:
            table = table.append_column(name, pa.array([True] * len(table)))
    pq.write_table(table, tmp_path / "measurements.parquet")
    make_report(Dataset(tmp_path, dataset.manifest), tmp_path / "r")
    assert json.loads((tmp_path / "r" / "report.json").read_bytes())["shares"][STRICT] is not None


def test_the_subset_has_a_report_outside_the_dataset(tmp_path: Path, dataset: Dataset) -> None:
    folder = tmp_path / "d"
    shutil.copytree(dataset.folder, folder)
    before = contents(folder)
    assert main(["report", str(folder / "normal")]) == 0
    assert contents(folder) == before
    report = json.loads((tmp_path / "d-normal-report" / "report.json").read_bytes())
    assert (report["dataset"]["kind"], report["shares"]["normal"]["percent"]) == ("subset", 100.0)
    assert report["not_normal"] == 0
    assert report["reasons"] == []


def test_the_default_folder_has_the_name_that_the_user_gave(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").symlink_to(dataset.folder)
    assert default_folder(tmp_path / "mine") == tmp_path / "mine-report"
    monkeypatch.chdir(dataset.folder)
    assert default_folder(Path()).name == f"{dataset.folder.name}-report"


def test_an_older_report_is_replaced_whole(tmp_path: Path, dataset: Dataset) -> None:
    out = tmp_path / "r"
    out.mkdir()  # an empty folder is nobody's
    make_report(dataset, out)
    fresh = contents(out)
    report = json.loads(fresh["report.json"])
    report["figures"].append({"name": "of-an-older-version"})
    (out / "report.json").write_text(json.dumps(report))
    (out / "figures" / "of-an-older-version.png").write_bytes(b"old")
    make_report(dataset, out)
    assert contents(out) == fresh
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_a_report_behind_a_link_stays_there(tmp_path: Path, dataset: Dataset) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    make_report(dataset, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "report.md").is_file()


def test_nothing_foreign_is_replaced_and_no_dataset_written_to(tmp_path: Path, dataset: Dataset) -> None:
    foreign, noted, file, other = (tmp_path / name for name in ("foreign", "noted", "file", "other"))
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("years")
    make_report(dataset, noted)
    (noted / "notes.md").write_text("mine")
    file.write_text("mine")
    make_report(dataset, other)
    (other / "report.json").write_text('{"kind": "something else"}')
    before, inside = contents(tmp_path), contents(Path(dataset.folder))
    cases = {
        foreign: r"foreign holds thesis\.txt, which is no part of a report",
        noted: r"noted holds notes\.md, which is no part",
        other: "other holds .*, which is no part",
        file: "file is a file",
        tmp_path / "no" / "r": "is no folder",
        dataset.folder: "is a dataset",
        dataset.folder / "r": "is a dataset",
        dataset.folder / "normal": "is a dataset",
        dataset.folder / "ledger": "is a dataset",
    }
    for out, words in cases.items():
        with pytest.raises(InputError, match=words) as refusal:
            make_report(dataset, Path(out))
        assert "\n" not in str(refusal.value)
    assert contents(tmp_path) == before
    assert contents(Path(dataset.folder)) == inside


# --- What it says -----------------------------------------------------------------------------------------


def test_the_text_marks_what_is_out_and_says_what_is_no_check(dataset: Dataset) -> None:
    rows = [NORMAL | {"heart_rate_bpm": rate, "r_amplitude_v5_uv": 2026} for rate in (68, 70, 75)]
    found = statistics(records(*rows))
    lines = report_text(dataset.manifest, found).splitlines()
    line = next(line for line in lines if line.startswith("R in V5, µV      normal"))
    assert line.split() == (
        "R in V5, µV normal 2026 1275 +751* 0 367 -367* 2026 620 +1406* 2026 2026 0 0 0".split()  # noqa: SIM905
    )
    for text in (report_text(dataset.manifest, found), report_markdown(dataset.manifest, found, [])):
        words = " ".join(text.split())
        assert "no independent check" in words
        assert "Nor are those of all records wholly one" in words
        assert "ground truth" not in text.lower().replace("ground_truth", "")


def test_tolerances_are_told_as_they_are_applied(dataset: Dataset) -> None:
    rows = [NORMAL | {"heart_rate_bpm": rate, "qt_interval_ms": qt} for rate, qt in ((70, 390), (71, 400), (72, None))]
    for some, over in ((rows, "over 0 to 2 records"), (rows[:1], "over 0 to 1 records"), ([], "over 0 records")):
        assert over in report_markdown(dataset.manifest, statistics(records(*some)), [])
    text = report_markdown(dataset.manifest, statistics(records()), [])
    for words in (
        "Tolerance: Heart rate 1 bpm, P duration 6 ms, QT interval 4 ms,",
        "T in V5 25 µV, and 0.5 more because",
        "3 ms for the mean of PR, QRS, QT and QTcF; 15 % for the SD of PR, QRS, QT and QTcF; 4 degrees for the mean",
        "15 µV or 5 %, whichever is more, for the mean of R in each lead; the rest have none",
    ):
        assert words in text


@pytest.mark.parametrize(("n", "counts", "outside"), [(999, [1, 997, 1], 0), (1000, [998], 2), (2500, [2496], 4)])
def test_a_distribution_leaves_out_a_thousandth_at_either_end(n: int, counts: list[int], outside: int) -> None:
    cut = n // 1000 or 1
    values = np.array([np.nan, *[60.0] * cut, *[70.0] * (n - 2 * cut), *[80.0] * cut])
    axes = Figure().subplots()
    assert _overlay(axes, values, values, 1) == max(counts)
    assert [text.get_text() for text in axes.texts] == [f"{outside} outside"]
    filled = axes.patches[0]
    assert isinstance(filled, StepPatch)
    assert [count for count in filled.get_data()[0] if count] == counts


def test_the_subset_says_that_it_is_one(dataset: Dataset) -> None:
    found = statistics(records(NORMAL))
    assert "the normal records of a dataset" in report_text(
        dataset.manifest.model_copy(update={"kind": "subset"}), found
    )
    assert "the normal records of a dataset" not in report_text(dataset.manifest, replace(found, records=1))
