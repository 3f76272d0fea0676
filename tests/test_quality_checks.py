"""The checks of a whole dataset: each finds a fault that was planted, and stays quiet on a real dataset."""

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.stats import ks_2samp, mannwhitneyu, wasserstein_distance

from pipeline.columns import TABLE_SCHEMA
from pipeline.dataset import Dataset
from pipeline.digest import signal_sha256
from pipeline.errors import InputError
from pipeline.leads import to_twelve_leads
from pipeline.quality import identities, membership_inference, neighbours
from pipeline.quality.assess import assess
from pipeline.quality.bounds import check_bounds
from pipeline.quality.check import Check
from pipeline.quality.copies import check_copies
from pipeline.quality.coverage import check_coverage, expected_cells
from pipeline.quality.distances import check_distances, column_distance, mmd2, read_reference
from pipeline.quality.documents import quality_files
from pipeline.quality.extremes import Extremes, extremes
from pipeline.quality.features import FEATURES, NUMBERS, features
from pipeline.quality.likeness import likeness, self_likeness
from pipeline.quality.neighbours import nearest_neighbours, principal_space
from pipeline.quality.privacy import SCRIPT
from pipeline.rows import interpreted_rows
from pipeline.store import threads
from pipeline.store.signals import read_signals


@pytest.fixture(scope="module")
def signals(dataset: Dataset) -> NDArray[np.int16]:
    return read_signals(dataset.folder, 0, len(dataset))


@pytest.fixture(scope="module")
def table(dataset: Dataset) -> pa.Table:
    return dataset.measurements()


class Planted(Dataset):
    """Records in memory."""

    def __init__(self, signals: NDArray[np.int16]) -> None:
        self.records = signals

    def __len__(self) -> int:
        return len(self.records)

    def signal(self, record: int) -> NDArray[np.int16]:
        found: NDArray[np.int16] = self.records[record]
        return found

    def measurements(self, columns: list[str] | None = None) -> pa.Table:
        rows = interpreted_rows(self.records)
        rows = rows.append_column("record_id", pa.array(np.arange(len(self))))
        rows = rows.append_column("signal_sha256", pa.array(signal_sha256(self.records)))
        return rows.select(columns or TABLE_SCHEMA.names)


def replaced(table: pa.Table, column: str, values: NDArray[Any] | list[Any]) -> pa.Table:
    """A table with another column of the same type."""
    place = table.schema.get_field_index(column)
    return table.set_column(place, table.schema.field(column), pa.array(values, table.schema.field(column).type))


# Copies


def test_a_copy_and_a_shifted_copy_are_found(signals: NDArray[np.int16]) -> None:
    shifted = np.roll(signals[5], -37, axis=1)
    planted = Planted(np.concatenate([signals, signals[3:4], shifted[None]]))
    found = check_copies(planted, planted.measurements()).document
    assert found["exact"]["copies"] == 1
    assert found["exact"]["records_listed"] == [80]
    near = found["near_duplicates"]
    assert near["found"] == 1
    assert near["most_alike"][0]["records"] == (5, 81)
    assert near["most_alike"][0]["correlation"] == pytest.approx(1)
    assert near["most_alike"][0]["shift_samples"] == 37


def test_real_records_are_no_copies(dataset: Dataset, table: pa.Table) -> None:
    check = check_copies(dataset, table)
    assert check.document["exact"]["copies"] == check.document["near_duplicates"]["found"] == 0
    assert check.document["nearest_neighbour"]["distance_sd"]["p0"] > 0.5
    assert sum(check.histograms[0].counts) == len(dataset)


@pytest.mark.parametrize("records", [1, 2])
def test_next_to_no_records_have_next_to_no_neighbours(signals: NDArray[np.int16], records: int) -> None:
    planted = Planted(signals[:records])
    found = check_copies(planted, planted.measurements()).document
    assert found["near_duplicates"]["pairs_compared"] == records - 1


def test_records_that_could_not_be_measured_are_left_out_and_counted(table: pa.Table) -> None:
    unmeasured = table
    for name in FEATURES:
        values = table[name].to_pylist()
        unmeasured = replaced(unmeasured, name, [None, None, *values[2:]])
    found = features(unmeasured)
    assert found.left_out == 2
    assert found.rows[0] == 2
    assert found.missing == sum(table[name].slice(2).null_count for name in FEATURES)


@settings(max_examples=30, deadline=None)
@given(
    points=arrays(np.float32, st.tuples(st.integers(2, 40), st.just(3)), elements=st.integers(-4, 4).map(float)),
    tile=st.integers(1, 50),
)
def test_neighbours_are_those_of_brute_force(points: NDArray[np.float32], tile: int) -> None:
    apart = ((points[:, None] - points[None]).astype(np.float64) ** 2).sum(axis=-1)
    np.fill_diagonal(apart, np.inf)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "_TILE", tile)
        found = nearest_neighbours(points)
    np.testing.assert_array_equal(found.place, apart.argmin(axis=1))
    np.testing.assert_array_equal(found.distance, np.sqrt(apart.min(axis=1)) / neighbours.STEPS_A_SD)


def test_float32_is_exact_as_far_out_as_points_go(table: pa.Table) -> None:
    generator = np.random.default_rng(0)
    points = generator.integers(-1000, 1001, (300, 64)).astype(np.float32)
    points *= np.float32(2048) / np.linalg.norm(points, axis=1).max()
    points = np.trunc(points)
    exact = points.astype(np.int64)
    apart = ((exact[:, None] - exact[None]) ** 2).sum(axis=-1)
    np.fill_diagonal(apart, np.iinfo(np.int64).max)
    np.testing.assert_array_equal(
        nearest_neighbours(points).distance, np.sqrt(apart.min(axis=1)) / neighbours.STEPS_A_SD
    )
    with pytest.raises(ValueError, match="from the origin"):
        nearest_neighbours(points * 2)
    reach = np.linalg.norm(principal_space(features(table)).points, axis=1).max()
    assert reach < neighbours.STEPS_A_SD * 5 * np.sqrt(len(FEATURES)) + 5 < 2048


@settings(max_examples=20, deadline=None)
@given(shift=st.integers(-1500, 1500), gain=st.floats(0.2, 5), record=st.integers(0, 79))
def test_likeness_sees_through_shift_height_and_level(
    signals: NDArray[np.int16], shift: int, gain: float, record: int
) -> None:
    start = 1500
    one = signals[record, :, start : start + 2000]
    other = gain * signals[record, :, start + shift : start + shift + 2000] + np.arange(8)[:, None] * 100
    if abs(shift) <= 1000:  # half in common
        found = likeness(one, other)
        assert found.correlation == pytest.approx(1)
        assert found.shift == shift
    assert likeness(one, 0 * other).correlation == 0


def test_no_record_is_as_like_itself_as_a_copy_is(signals: NDArray[np.int16]) -> None:
    assert max(self_likeness(signal) for signal in signals) < 0.99


# Coverage


def test_collapsed_modes_are_seen(table: pa.Table) -> None:
    found = check_coverage(table).document["groups"]["all"]
    collapsed = pa.concat_tables([table.slice(0, 1)] * 72 + [table.slice(1, 8)])
    lost = check_coverage(collapsed).document["groups"]["all"]
    assert found["cells"] > 50
    assert found["effective_cells"] > 50
    assert lost["largest_cell_percent"] >= 90
    assert lost["effective_cells"] < 2
    assert lost["cells"] <= 9
    assert lost["effective_dimensions"] < found["effective_dimensions"]


def test_coverage_counts_what_is_missing(table: pa.Table) -> None:
    values = table["pr_interval_ms"].to_pylist()
    before = check_coverage(table).document["groups"]["all"]
    lacking = check_coverage(replaced(table, "pr_interval_ms", [None] * 3 + values[3:])).document["groups"]["all"]
    assert lacking["incomplete"] == before["incomplete"] + sum(value is not None for value in values[:3])
    assert sum(before["verdicts"].values()) == table.num_rows
    # The PR interval is one of the measurements whose dimensions are counted: its gaps are filled with the mean.
    assert lacking["values_missing"] == before["values_missing"] + sum(value is not None for value in values[:3])
    assert lacking["values"] == before["values"] == (table.num_rows - before["left_out"]) * before["dimensions"]


@given(counts=st.lists(st.integers(1, 4), min_size=1, max_size=4), data=st.data())
def test_expected_cells_are_the_mean_over_all_parts(counts: list[int], data: st.DataObject) -> None:
    records = np.repeat(np.arange(len(counts)), counts)
    size = data.draw(st.integers(1, len(records)))
    parts = [len(set(part)) for part in combinations(records.tolist(), size)]
    assert expected_cells(np.array(counts), size) == pytest.approx(np.mean(parts))


# Bounds and identities


def limit(check: Check, quantity: str, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(
        each["all"] for each in check.document["limits"] if (each["quantity"], each["kind"]) == (quantity, kind)
    )
    return found


def test_impossible_values_and_samples_are_found(dataset: Dataset, table: pa.Table) -> None:
    reached = extremes(dataset)
    clean = check_bounds(table, reached)
    suspect = clean.document["records_with_a_suspect_value"]
    assert suspect <= 1
    assert clean.document["signals"]["beyond_5_mv"] == clean.document["signals"]["flat_lead"] == 0
    rates = table["heart_rate_bpm"].to_pylist()
    wrong = replaced(table, "heart_rate_bpm", [None, 400, *rates[2:]])
    highest, lowest = reached.highest.copy(), reached.lowest.copy()
    highest[4, 2], lowest[5, 3] = 5001, -32768
    highest[6, 0] = lowest[6, 0] + 19
    found = check_bounds(wrong, Extremes(highest, lowest))
    rate = limit(found, "heart rate", "suspect")
    assert (rate["measured"], rate["missing"], rate["outside"]) == (79, 1, 1)
    assert found.document["records_with_a_suspect_value"] == suspect + 1
    raw = found.document["signals"]
    assert (raw["beyond_5_mv"], raw["at_int16_limits"], raw["flat_lead"]) == (2, 1, 1)


@pytest.mark.parametrize(
    ("quantity", "lead", "depth"), [("Q or S in V1 or V2", "v1", 3000), ("Q, R or S in a limb lead", "iii", 2000)]
)
def test_a_qs_is_as_deep_as_an_s(dataset: Dataset, table: pa.Table, quantity: str, lead: str, depth: int) -> None:
    deep = table
    for wave, height in (("q", depth), ("r", 0), ("s", 0)):
        name = f"{wave}_amplitude_{lead}_uv"
        deep = replaced(deep, name, [height, *table[name].to_pylist()[1:]])
    reached = extremes(dataset)
    before = limit(check_bounds(table, reached), quantity, "reference")["outside"]
    assert limit(check_bounds(deep, reached), quantity, "reference")["outside"] == before + 1


def test_extremes_are_those_of_all_samples(dataset: Dataset, signals: NDArray[np.int16]) -> None:
    found = extremes(dataset)
    np.testing.assert_array_equal(found.highest, signals.max(axis=-1))
    np.testing.assert_array_equal(found.lowest, signals.min(axis=-1))


def test_a_false_derivation_breaks_the_identities(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = identities.check_identities(dataset).document
    assert sound["einthoven_residual_uv"] == sound["goldberger_residual_uv"] == 0
    assert sound["rounded_goldberger_residual_uv"] == 1
    assert 25 < sound["rounded_goldberger_broken_percent"] < 50

    def turned(stored: NDArray[np.floating]) -> NDArray[np.floating]:
        leads = to_twelve_leads(stored)
        leads[2] = -leads[2]
        leads[3] = -leads[3]
        return leads

    monkeypatch.setattr(identities, "to_twelve_leads", turned)
    broken = identities.check_identities(dataset).document
    assert min(broken["einthoven_residual_uv"], broken["goldberger_residual_uv"]) > 100


# Distances


def test_a_shifted_distribution_is_seen_and_an_equal_one_is_not(table: pa.Table) -> None:
    reference = pa.concat_tables([table, table])
    same = check_distances(table, reference).document["groups"]["all"]
    assert same["frechet"] < 1  # its covariances are over n - 1
    assert same["mmd2"] < 0.01
    assert same["reference_in_shared_cells_percent"] == 100
    assert all(not each["ks"] and not each["wasserstein_1"] for each in same["columns"].values())
    later = replaced(table, "qt_interval_ms", [value + 40 for value in table["qt_interval_ms"].to_pylist()])
    shifted = check_distances(later, reference).document["groups"]["all"]
    assert shifted["columns"]["qt_interval_ms"]["wasserstein_1"] == pytest.approx(40)
    assert shifted["columns"]["qt_interval_ms"]["ks"] > 0.5
    assert shifted["columns"]["pr_interval_ms"]["ks"] == 0
    assert shifted["frechet"] > same["frechet"] + 1
    assert shifted["mmd2"] > same["mmd2"]
    assert shifted["reference_in_shared_cells_percent"] < 50


@given(
    one=arrays(np.float64, st.integers(1, 30), elements=st.integers(-5, 5).map(float)),
    other=arrays(np.float64, st.integers(1, 30), elements=st.integers(-5, 5).map(float)),
)
def test_column_distances_are_those_of_scipy(one: NDArray[np.float64], other: NDArray[np.float64]) -> None:
    found = column_distance(np.append(one, np.nan), other)
    assert found["ks"] == pytest.approx(ks_2samp(one, other, method="asymp").statistic)
    assert found["wasserstein_1"] == pytest.approx(wasserstein_distance(one, other))
    assert (found["n"], found["missing"], found["reference_missing"]) == (len(one), 1, 0)


def test_mmd_is_about_nothing_between_equals_and_grows_with_the_shift() -> None:
    one, other = np.random.default_rng(3).normal(size=(2, 400, 5))
    assert abs(mmd2(one, other)) < 0.005
    assert 0.02 < mmd2(one, other + 0.5) < mmd2(one, other + 1)


def test_a_reference_is_read_or_refused_in_one_line(table: pa.Table, tmp_path: Path) -> None:
    path = tmp_path / "reference.parquet"
    pq.write_table(pa.concat_tables([table] * 2).append_column("record_name", pa.array(["a"] * 160)), path)
    assert set(read_reference(path).column_names) == set(NUMBERS)
    pq.write_table(table, path)
    with pytest.raises(InputError, match=r"80 records, too few.*Give 100"):
        read_reference(path)
    pq.write_table(pa.concat_tables([table] * 2).drop(["qt_interval_ms"]), path)
    with pytest.raises(InputError, match=r"no column qt_interval_ms.*Give a table"):
        read_reference(path)
    path.write_bytes(b"PAR1")
    with pytest.raises(InputError, match="cannot be read"):
        read_reference(path)


# All of them


def no_constant(name: str) -> None:
    raise AssertionError(name)


def test_the_files_are_json_and_the_same_whatever_the_threads(
    dataset: Dataset, table: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = pa.concat_tables([table, table]).select(list(NUMBERS))
    checks = assess(dataset, reference)
    names = ["copies", "coverage", "bounds", "identities", "distances", "privacy"]
    assert [check.name for check in checks] == names
    texts = quality_files(checks)
    assert list(texts) == [*(f"{name}.json" for name in names), SCRIPT]
    for name, text in texts.items():
        assert "anonym" not in text.lower()
        if name.endswith(".json"):
            document = json.loads(text, parse_constant=no_constant)
            assert document["summary"]
    monkeypatch.setattr(threads, "THREADS", 1)
    monkeypatch.setattr(neighbours, "_TILE", 32)
    assert quality_files(assess(dataset, reference)) == texts
    assert json.loads(texts["privacy.json"])["membership_inference"] == "not_evaluated"
    assert [check.name for check in assess(dataset)] == [name for name in names if name != "distances"]


# The script for the owner of the training data

Attack = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def attack(tmp_path: Path) -> Attack:
    """Run the script as a data owner does: a file alone in a folder, without this program."""
    script = tmp_path / SCRIPT
    script.write_text(quality_files([])[SCRIPT], encoding="utf-8")

    def run(**tables: NDArray[np.float64]) -> "subprocess.CompletedProcess[str]":
        (tmp_path / "result.json").unlink(missing_ok=True)
        for name, values in tables.items():
            columns = {f"c{i}_ms": pa.array(values[:, i], from_pandas=True) for i in range(values.shape[1])}
            pq.write_table(pa.table({"record_id": np.arange(len(values)), **columns}), tmp_path / f"{name}.parquet")
        options = [f"--{name}={name}.parquet" for name in ("synthetic", "train", "holdout")]
        command = [sys.executable, "-I", SCRIPT, *options, "--out=result.json"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


def people(number: int, seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(100, 20, (number, 12))


def test_the_script_finds_memorised_records(attack: Attack, tmp_path: Path) -> None:
    train, holdout = people(300, 1), people(1000, 2)
    train[0, 0] = np.nan
    memorised = np.concatenate([train[1:] + 0.1, people(2000, 3)])
    done = attack(synthetic=memorised, train=train, holdout=holdout)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"), parse_constant=no_constant)
    assert result["auc"] > 0.99
    assert [each["rate"] for each in result["true_positives"]] == pytest.approx([299 / 300] * 2, abs=1e-4)
    assert result["median_distance_train_over_holdout"] < 0.1
    assert result["inputs"]["train"]["missing_values_percent"] == pytest.approx(100 / 3600, abs=1e-4)
    assert len(result["inputs"]["synthetic"]["sha256"]) == 64
    assert result["columns"] == 12
    leaves = json.dumps(result)
    assert len(leaves) < 3000  # aggregates alone


def test_the_script_finds_nothing_where_nothing_is(attack: Attack, tmp_path: Path) -> None:
    done = attack(synthetic=people(2000, 3), train=people(400, 1), holdout=people(400, 2))
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    low, high = result["auc_95"]
    assert low < 0.5 < high
    assert 0.05 < high - low < 0.1
    assert result["true_positives"][0]["rate"] is None  # one in a thousand of 400 is nobody
    assert result["true_positives"][1]["rate"] < 0.05
    assert "never shows that the data are safe" in result["cautions"]["lower_bound"]


def test_the_script_refuses_what_would_say_nothing_or_too_much(attack: Attack, tmp_path: Path) -> None:
    train = people(200, 1)
    small = attack(synthetic=people(200, 3), train=train, holdout=people(99, 2))
    assert small.returncode == 1
    assert "holdout: 99 measured records are too few" in small.stderr
    same = attack(synthetic=people(200, 3), train=train, holdout=np.concatenate([people(200, 2), train[:7]]))
    assert same.returncode == 1
    assert "7 records are in both train and holdout" in same.stderr
    assert not (tmp_path / "result.json").exists()


@given(
    members=st.lists(st.integers(0, 9), min_size=2, max_size=20),
    others=st.lists(st.integers(0, 9), min_size=2, max_size=20),
)
def test_the_area_is_that_of_mann_and_whitney(members: list[int], others: list[int]) -> None:
    area, (low, high) = membership_inference.auc(np.array(members, float), np.array(others, float))
    assert area == pytest.approx(mannwhitneyu(members, others).statistic / len(members) / len(others))
    assert 0 <= low <= area <= high <= 1


def test_the_script_needs_only_numpy_and_pyarrow() -> None:
    tree = ast.parse(quality_files([])[SCRIPT])
    roots = {
        alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    roots |= {str(node.module).split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert roots - sys.stdlib_module_names == {"numpy", "pyarrow"}
