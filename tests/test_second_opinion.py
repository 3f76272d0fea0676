"""neurokit2 agrees with us on the heart rate, on an even sample that grows with the dataset, in a file of its own."""

import logging
import math
import shutil
import subprocess
import sys
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import flows.build_dataset as flow
from pipeline.columns import TABLE_SCHEMA
from pipeline.dataset import Dataset, open_dataset
from pipeline.errors import DatasetError, RecipeError
from pipeline.second_opinion import (
    DEFAULT_SHARE,
    SECOND_OPINION,
    neurokit2_heart_rate,
    sample_size,
    sampled_records,
    write_second_opinion,
)
from pipeline.verify import verify
from tests.conftest import build

SHARES = st.one_of(
    st.floats(0, 1, allow_subnormal=False),
    st.decimals(0, 1, places=3).map(float),
    st.sampled_from([0, 1, DEFAULT_SHARE, 1e-9]),
)
RECORDS = st.integers(1, 5_000)


def beats(rate_bpm: float) -> NDArray[np.float64]:
    """Ten seconds of lead II, µV: a narrow R and a round T at a fixed rate."""
    seconds = np.arange(5000) / 500
    phase = (seconds + 0.1) % (60 / rate_bpm)
    lead: NDArray[np.float64] = 1000 * np.exp(-0.5 * ((phase - 0.25) / 0.01) ** 2) + 200 * np.exp(
        -0.5 * ((phase - 0.5) / 0.05) ** 2
    )
    return lead


@pytest.mark.parametrize("rate_bpm", [40, 60, 75, 97.3, 120])
@pytest.mark.parametrize("scale", [1, 0.001], ids=["uV", "mV"])
def test_a_known_rate_is_found_in_any_unit(rate_bpm: float, scale: float) -> None:
    found = neurokit2_heart_rate(scale * beats(rate_bpm))
    assert found is not None
    assert abs(found - rate_bpm) < 0.2


@pytest.mark.parametrize("level", [0, 1000, -32768])
def test_a_flat_line_has_no_rate(level: int) -> None:
    assert neurokit2_heart_rate(np.full(5000, level, np.int16)) is None


def test_one_beat_has_no_rate() -> None:
    assert neurokit2_heart_rate(np.where(np.arange(5000) < 600, beats(60), 0)) is None


def test_it_agrees_with_us_on_generated_records_and_with_itself(dataset: Dataset) -> None:
    ours = dataset.measurements()["heart_rate_bpm"].to_pylist()
    leads = dataset.signals[:][:, 1]
    theirs = [neurokit2_heart_rate(lead) for lead in leads]
    assert theirs == [neurokit2_heart_rate(lead) for lead in leads]
    differences = np.array([abs(a - b) for a, b in zip(ours, theirs, strict=True) if a is not None and b is not None])
    assert len(differences) == 80
    assert (differences <= 1).mean() >= 0.95
    assert (differences <= 2).mean() >= 0.975


@given(SHARES, RECORDS, st.integers(0, 5_000))
def test_the_sample_has_the_share_and_grows_without_changing(share: float, records: int, more: int) -> None:
    sample = sampled_records(records, share)
    assert len(sample) == sample_size(records, share) == math.ceil(Fraction(str(share)) * records)
    assert bool(sample) == (share > 0)
    assert sample == [record for record in sampled_records(records + more, share) if record < records]


@given(SHARES.filter(bool), RECORDS)
def test_the_sample_is_spread_evenly(share: float, records: int) -> None:
    sample = sampled_records(records, share)
    gaps = np.diff(sample)
    assert sample[0] == 0
    assert sample[-1] < records
    assert set(gaps) <= {math.floor(1 / Fraction(str(share))), math.ceil(1 / Fraction(str(share)))}


def test_two_percent_is_every_fiftieth_record() -> None:
    assert sampled_records(2000, DEFAULT_SHARE) == list(range(0, 2000, 50))
    assert sampled_records(3, 1) == [0, 1, 2]


def test_the_file_says_what_it_holds(dataset: Dataset) -> None:
    path = dataset.folder / SECOND_OPINION
    table = pq.read_table(path)
    assert table["record_id"].to_pylist() == [0, 50]
    assert table["heart_rate_bpm"].equals(dataset.measurements()["heart_rate_bpm"].take(pa.array([0, 50])))
    expected = [neurokit2_heart_rate(dataset.signal(record)[1]) for record in (0, 50)]
    assert table["neurokit2_heart_rate_bpm"].to_pylist() == pytest.approx(expected)
    assert [str(field.type) for field in table.schema] == ["int64", "int16", "float"]
    for name in ("record_id", "heart_rate_bpm"):
        assert table.schema.field(name).metadata.items() >= TABLE_SCHEMA.field(name).metadata.items()
    assert table.schema.field("neurokit2_heart_rate_bpm").metadata[b"unit"] == b"1/min"
    assert b"lead II" in table.schema.field("neurokit2_heart_rate_bpm").metadata[b"description"]
    assert SECOND_OPINION in dataset.manifest.files
    assert dataset.manifest.provenance
    assert dataset.manifest.provenance.versions["neurokit2"] == version("neurokit2")


@pytest.mark.filterwarnings("ignore:There are 5000 missing")
def test_what_neurokit2_fails_on_is_null_and_counted(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As it fails on a lead of nothing but NaN, which no stored lead can be."""
    signals = np.tile(beats(60), (80, 8, 1))
    signals[0] = np.nan
    monkeypatch.setattr("pipeline.second_opinion.open_signals", lambda _: signals)
    with caplog.at_level(logging.WARNING):
        write_second_opinion(tmp_path, dataset.measurements(), 0.02)
    assert pq.read_table(tmp_path / SECOND_OPINION)["neurokit2_heart_rate_bpm"].to_pylist() == [None, pytest.approx(60)]
    assert "neurokit2 failed on 1 of 2 records" in caplog.text
    assert "record 0: IndexError" in caplog.text


def rows(folder: Path) -> list[int]:
    found: list[int] = pq.read_table(folder / SECOND_OPINION)["record_id"].to_pylist()
    return found


def test_it_comes_and_grows_when_asked_and_changes_no_content(tmp_path: Path, dataset: Dataset) -> None:
    folder = tmp_path / "d"
    recipe: dict[str, Any] = {"records": 40, "seed": 7, "shard_records": 64}
    none = build(folder, second_opinion=0, **recipe)
    assert not (folder / SECOND_OPINION).exists()
    assert none.manifest.provenance
    assert "neurokit2" not in none.manifest.provenance.versions
    more = build(folder, second_opinion=0.05, **recipe)
    assert rows(folder) == [0, 20]
    for share in (0.05, 0.02, 0):  # it has as many as these ask for
        assert build(folder, second_opinion=share, **recipe).manifest == more.manifest
    extended = build(folder, second_opinion=0.05, **recipe | {"records": 80})
    assert rows(folder) == [0, 20, 40, 60]
    assert not verify(extended)
    assert more.manifest.content_digest == none.manifest.content_digest
    assert extended.manifest.content_digest == dataset.manifest.content_digest


def test_one_left_by_a_killed_build_is_no_part_of_a_dataset_without(tmp_path: Path, dataset: Dataset) -> None:
    folder = tmp_path / "d"
    shutil.copytree(dataset.folder, folder)
    (folder / "dataset.json").unlink()
    again = build(folder, records=80, seed=7, shard_records=64, second_opinion=0)
    assert not (folder / SECOND_OPINION).exists()
    assert not verify(again)
    assert again.manifest.content_digest == dataset.manifest.content_digest


def test_somebody_s_file_of_that_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / SECOND_OPINION).write_text("precious")
    with pytest.raises(DatasetError, match=rf"{SECOND_OPINION} is there"):
        build(tmp_path, records=32)
    assert (tmp_path / SECOND_OPINION).read_text() == "precious"


@pytest.mark.parametrize("share", [-0.01, 1.01, math.nan, math.inf])
def test_a_share_that_is_none_touches_nothing(tmp_path: Path, share: float, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RecipeError, match=rf"second_opinion {share} is no share"):
        build(tmp_path / "d", records=32, second_opinion=share)
    assert flow.main(["--records", "32", "--out", str(tmp_path / "d"), f"--second-opinion={share}"]) == 2
    assert "is no share of the records" in capsys.readouterr().err
    assert not (tmp_path / "d").exists()


def test_a_complete_folder_does_not_wait_for_neurokit2(dataset: Dataset) -> None:
    code = f"""
import sys, pipeline.cli
arguments = ["build", "--records", "80", "--seed", "7", "--shard-records", "64", "--out", {str(dataset.folder)!r}]
assert pipeline.cli.main(arguments) == 0
assert "neurokit2" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120)
    assert "is complete and undamaged" in done.stdout
    assert open_dataset(dataset.folder).manifest == dataset.manifest
