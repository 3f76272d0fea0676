"""The same recipe gives the same content whatever the layout; folders are resumed, repaired, extended or refused."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pipeline
from pipeline.build import open_build
from pipeline.dataset import Dataset, open_dataset
from pipeline.errors import DatasetError, FoundryError, RecipeError
from pipeline.finalise import finalise
from pipeline.plan import plan_build
from pipeline.regenerate import regenerate
from pipeline.store.files import all_files
from pipeline.verify import verify
from tests.conftest import build

PLAN: dict[str, Any] = {"records": 80, "seed": 7}
"""The recipe of the shared dataset."""


@pytest.mark.parametrize(("engine", "workers", "shard_records"), [("serial", None, 96), ("ray", 1, 32), ("ray", 2, 32)])
def test_one_recipe_one_digest(
    tmp_path: Path, dataset: Dataset, engine: str, workers: int | None, shard_records: int
) -> None:
    other = build(tmp_path / "d", engine=engine, workers=workers, shard_records=shard_records, release=False, **PLAN)
    assert other.manifest.content_digest == dataset.manifest.content_digest
    assert np.array_equal(other.signals[:], dataset.signals[:])


def test_signals_and_rows_are_what_the_python_interface_gives(dataset: Dataset) -> None:
    ids = [79, 0, 33]
    signals = pipeline.generate(ids, seed=7)
    assert all(np.array_equal(dataset.signal(record), signals[row]) for row, record in enumerate(ids))
    table = pipeline.measure(signals)
    stored = dataset.measurements(table.column_names)
    assert [stored.slice(record, 1).to_pylist()[0] for record in ids] == table.to_pylist()


@pytest.mark.parametrize("record", [0, 31, 32, 63, 64, 79])
def test_any_record_is_made_again_alone(dataset: Dataset, record: int) -> None:
    assert regenerate(dataset, record).identical


def test_a_normal_record_leads_back_to_its_source(dataset: Dataset) -> None:
    normal = open_dataset(dataset.folder / "normal")
    sources = normal.measurements()["source_record_id"].to_pylist()
    verdicts = dataset.measurements()["verdict"].to_pylist()
    assert sources == [record for record, verdict in enumerate(verdicts) if verdict == "Normal"]
    assert 0 < len(normal) < 80
    assert all(np.array_equal(normal.signal(i), dataset.signal(source)) for i, source in enumerate(sources))
    assert not verify(normal)
    assert regenerate(normal, len(normal) - 1).identical


def test_a_finished_folder_is_left_alone(dataset: Dataset) -> None:
    before = {path: path.stat().st_mtime_ns for path in dataset.folder.rglob("*")}
    again = build(dataset.folder, shard_records=64, **PLAN)
    assert {path: path.stat().st_mtime_ns for path in dataset.folder.rglob("*")} == before
    assert again.manifest == dataset.manifest


def test_more_records_extend_a_folder_and_end_as_if_built_at_once(tmp_path: Path, dataset: Dataset) -> None:
    folder = tmp_path / "d"
    build(folder, records=40, seed=7, shard_records=64, release=False)
    extended = build(folder, shard_records=64, **PLAN)
    assert extended.manifest.content_digest == dataset.manifest.content_digest
    assert not verify(extended)


def test_a_release_can_be_asked_for_later(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    assert not (build(folder, records=32, release=False).folder / "release").exists()
    assert (build(folder, records=32).folder / "release" / "SHA256SUMS.txt").is_file()
    assert not verify(open_dataset(folder))


TIMES = ("dataset.json", "ledger/shard-00000.json", "ledger/shard-00001.json")
"""Files that say when a shard was made."""


@pytest.mark.parametrize(
    "damage",
    [
        "signals.zarr/signal/c/1/0/0",
        "ledger/shard-00000.parquet",
        "ledger/shard-00001.json",
        "measurements.parquet",
        "normal/measurements.parquet",
        "normal/signals.zarr/signal/c/0/0/0",
        "release/README.md",
        "dataset.json",
        "signals.zarr/zarr.json",
        "signals.zarr/signal/zarr.json",
        "signals.zarr/lead/zarr.json",
        "signals.zarr/lead/c/0",
    ],
)
@pytest.mark.parametrize("where", [None, 0.1, 0.5, 0.9], ids=["delete", "early", "middle", "late"])
def test_damage_is_found_and_repaired_to_the_byte(
    tmp_path: Path, dataset: Dataset, damage: str, where: float | None
) -> None:
    folder = tmp_path / "d"
    shutil.copytree(dataset.folder, folder)
    path = folder / damage
    if where is None:
        path.unlink()
    else:
        content = bytearray(path.read_bytes())
        content[int(where * len(content))] ^= 0x10
        path.write_bytes(content)
    if damage != "dataset.json":
        assert any(damage in str(problem) for problem in verify(open_dataset(folder)))
    repaired = build(folder, shard_records=64, **PLAN)
    assert repaired.manifest.content_digest == dataset.manifest.content_digest
    assert not verify(repaired)
    for original in all_files(dataset.folder):
        name = original.relative_to(dataset.folder).as_posix()
        assert name in TIMES or (folder / name).read_bytes() == original.read_bytes(), name


def test_a_stray_file_among_ours_is_damage_and_goes(tmp_path: Path, dataset: Dataset) -> None:
    folder = tmp_path / "d"
    shutil.copytree(dataset.folder, folder)
    (folder / "signals.zarr" / "stray").write_text("?")
    assert "signals.zarr/stray: is not part of the dataset" in map(str, verify(open_dataset(folder)))
    assert not verify(build(folder, shard_records=64, **PLAN))


def test_a_stray_file_beside_ours_is_somebody_s_and_stays(tmp_path: Path, dataset: Dataset) -> None:
    folder = tmp_path / "d"
    shutil.copytree(dataset.folder, folder)
    (folder / "notes.txt").write_text("precious")
    assert "notes.txt: is not part of the dataset" in map(str, verify(open_dataset(folder)))
    with pytest.raises(DatasetError, match=r"notes\.txt is no part of the dataset. Move it elsewhere"):
        build(folder, shard_records=64, **PLAN)
    assert (folder / "notes.txt").read_text() == "precious"
    assert open_dataset(folder).manifest == dataset.manifest


def test_a_release_is_never_older_than_its_dataset(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    build(folder, records=32)
    build(folder, records=64, release=False)
    assert not (folder / "release").exists()
    assert "64 records" in (build(folder, records=64).folder / "release" / "README.md").read_text()
    assert not verify(open_dataset(folder))


@pytest.mark.parametrize(
    "stage", ["pipeline.worker.write_table", "pipeline.finalise.write_table", "pipeline.normal.write_table"]
)
def test_a_full_disk_is_one_line_and_the_same_command_goes_on(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(stage, full)
        with pytest.raises(DatasetError, match="cannot be written: No space left on device"):
            build(tmp_path / "d", shard_records=32, **PLAN)
    assert not (tmp_path / "d" / "dataset.json").exists()
    again = build(tmp_path / "d", shard_records=32, **PLAN)
    assert again.manifest.content_digest == dataset.manifest.content_digest


def test_finalise_names_missing_shards(tmp_path: Path, dataset: Dataset) -> None:
    folder = tmp_path / "d"
    shutil.copytree(dataset.folder, folder)
    (folder / "ledger" / "shard-00001.json").unlink()
    with pytest.raises(DatasetError, match=r"lacks 1 of 2 shards: shard-00001"):
        finalise(folder, plan_build(shard_records=64, **PLAN), release=False)


def test_a_killed_build_resumes_and_ends_with_the_same_digest(tmp_path: Path, dataset: Dataset) -> None:
    """Kill -9 of the driver midway, its Ray workers living on for a moment; then the same command."""
    folder = tmp_path / "d"
    command = [sys.executable, "-m", "pipeline.cli", "build", "--records", "80", "--seed", "7", "--shard-records", "32"]
    command += ["--out", str(folder), "--engine", "ray", "--workers", "1"]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (folder / "ledger" / "shard-00000.json").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (folder / "dataset.json").exists()
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=200)
    assert dataset.manifest.content_digest in done.stdout
    assert not verify(open_dataset(folder))


def test_folders_that_are_not_ours_are_refused_untouched(tmp_path: Path, dataset: Dataset) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("precious")
    file = tmp_path / "file"
    file.write_text("precious")
    cases: list[tuple[Path, dict[str, Any], str]] = [
        (foreign, PLAN, "thesis.tex is there"),
        (file, PLAN, "is a file"),
        (dataset.folder, PLAN | {"seed": 8, "shard_records": 64}, "seed 7 there, 8 asked"),
        (dataset.folder, PLAN | {"records": 79, "shard_records": 64}, "80 records, 79 asked"),
        (dataset.folder, PLAN | {"shard_records": 32}, "shard_records 64 there, 32 asked"),
        (file / "below", PLAN, "cannot be made"),
    ]
    for folder, plan, reason in cases:
        with pytest.raises(DatasetError, match=reason) as caught:
            build(folder, **plan)
        assert "\n" not in str(caught.value)
    assert (foreign / "thesis.tex").read_text() == "precious"
    assert list(foreign.iterdir()) == [foreign / "thesis.tex"]
    assert not verify(dataset)


def test_two_builds_into_one_folder(tmp_path: Path) -> None:
    plan = plan_build(records=32)
    with (
        open_build(tmp_path / "d", plan),
        pytest.raises(DatasetError, match="built by another process"),
        open_build(tmp_path / "d", plan),
    ):
        pass
    with open_build(tmp_path / "d", plan) as again:
        assert again.pending


def test_too_little_disk_is_refused_before_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10**6)
    monkeypatch.setattr("pipeline.build.shutil.disk_usage", lambda _: usage)
    with pytest.raises(DatasetError, match=r"0\.0 GB free, and 2000 records may need 0\.3 GB"):
        build(tmp_path / "d")
    assert not (tmp_path / "d").exists()


def test_parameters_that_cannot_work_are_refused(tmp_path: Path) -> None:
    for engine, workers in (("serial", 2), ("ray", 0), ("dask", None)):
        with pytest.raises(RecipeError):
            build(tmp_path / "d", engine=engine, workers=workers, records=32)
    for wrong in ({"records": 0}, {"shard_records": 33}, {"color": "red"}, {"checkpoint": tmp_path / "none.pt"}):
        with pytest.raises(RecipeError):
            plan_build(**wrong)
    with pytest.raises(RecipeError, match="Give its file with --checkpoint"):
        plan_build(checkpoint_sha256="0" * 64)


def test_the_manifest_tells_where_it_was_made(dataset: Dataset) -> None:
    manifest = json.loads((dataset.folder / "dataset.json").read_text())
    assert manifest["recipe"]["seed"] == 7
    assert manifest["provenance"]["devices"] == ["cpu"]
    assert manifest["provenance"]["instruction_sets"][0].split()[1]
    assert manifest["provenance"]["versions"].keys() >= {"torch", "numpy", "zarr"}
    assert sum(manifest["verdicts"].values()) == 80


def test_records_that_do_not_exist_are_refused(dataset: Dataset) -> None:
    for record in (-1, 80):
        with pytest.raises(FoundryError, match="records are 0 to 79"):
            regenerate(dataset, record)
