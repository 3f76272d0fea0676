"""The same recipe gives the same content whatever the layout; folders are resumed, repaired, extended or refused."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import psutil
import pytest

import pipeline
from pipeline.build import open_build
from pipeline.dataset import Dataset, open_dataset
from pipeline.engines.serial import SerialEngine
from pipeline.errors import DatasetError, FoundryError, RecipeError
from pipeline.finalise import finalise
from pipeline.regenerate import regenerate
from pipeline.shards import Shard
from pipeline.store.files import all_files
from pipeline.store.ledger import LedgerEntry
from pipeline.store.signals import shard_file
from pipeline.verify import verify
from pipeline.worker import Worker
from tests.conftest import build, planned

PLAN: dict[str, Any] = {"records": 80, "seed": 7}
"""The recipe of the shared dataset."""


@pytest.mark.parametrize(("engine", "workers", "shard_records"), [("serial", None, 96), ("ray", 2, 32)])
def test_one_recipe_one_digest(
    tmp_path: Path, dataset: Dataset, engine: Literal["ray", "serial"], workers: int | None, shard_records: int
) -> None:
    other = build(tmp_path / "d", engine=engine, workers=workers, shard_records=shard_records, **PLAN)
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
    before = {path: path.stat().st_mtime_ns for path in Path(dataset.folder).rglob("*")}
    again = build(Path(dataset.folder), shard_records=64, **PLAN)
    assert {path: path.stat().st_mtime_ns for path in Path(dataset.folder).rglob("*")} == before
    assert again.manifest == dataset.manifest


def test_more_records_extend_a_folder_and_end_as_if_built_at_once(tmp_path: Path, dataset: Dataset) -> None:
    folder = tmp_path / "d"
    build(folder, records=40, seed=7, shard_records=64)
    extended = build(folder, shard_records=64, **PLAN)
    assert extended.manifest.content_digest == dataset.manifest.content_digest
    assert not verify(extended)


TIMES = ("dataset.json", "ledger/shard-00000.json", "ledger/shard-00001.json")
"""Files that say when a shard was made."""


@pytest.mark.parametrize(
    "damage",
    [
        "signals.zarr/signal/c/1/0/0",
        "ledger/shard-00000.parquet",
        "ledger/shard-00001.json",
        "measurements.parquet",
        "second_opinion.parquet",
        "normal/measurements.parquet",
        "normal/signals.zarr/signal/c/0/0/0",
        "dataset.json",
        "signals.zarr/zarr.json",
        "signals.zarr/signal/zarr.json",
        "signals.zarr/lead/zarr.json",
        "signals.zarr/lead/c/0",
    ],
)
@pytest.mark.parametrize("where", [None, 0.5], ids=["delete", "alter"])
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
    (folder / "draft.tmp").write_text("precious")
    assert "notes.txt: is not part of the dataset" in map(str, verify(open_dataset(folder)))
    with pytest.raises(DatasetError, match=r"draft\.tmp is no part of the dataset. Move it elsewhere"):
        build(folder, shard_records=64, **PLAN)
    assert (folder / "notes.txt").read_text() == (folder / "draft.tmp").read_text() == "precious"
    assert open_dataset(folder).manifest == dataset.manifest


@pytest.mark.parametrize(
    "stage",
    [
        "pipeline.worker.write_part",
        *(f"pipeline.{module}.write_table" for module in ("finalise", "second_opinion", "normal")),
    ],
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
        finalise(folder, planned(shard_records=64, **PLAN), second_opinion=0)


def test_a_killed_build_resumes_and_ends_with_the_same_digest(tmp_path: Path, dataset: Dataset) -> None:
    """Kill -9 of the driver midway, its Ray workers living on for a moment; then the same command."""
    folder = tmp_path / "d"
    command = [sys.executable, "-m", "pipeline.cli", "build", "--records", "80", "--seed", "7", "--shard-records", "32"]
    command += ["--out", str(folder), "--engine", "ray", "--workers", "1", "--no-release"]
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
        (Path(dataset.folder), PLAN | {"seed": 8, "shard_records": 64}, "seed 7 there, 8 asked"),
        (Path(dataset.folder), PLAN | {"records": 79, "shard_records": 64}, "80 records, 79 asked"),
        (Path(dataset.folder), PLAN | {"shard_records": 32}, "shard_records 64 there, 32 asked"),
        (file / "below", PLAN, "cannot be written"),
    ]
    for folder, plan, reason in cases:
        with pytest.raises(DatasetError, match=reason) as caught:
            build(folder, **plan)
        assert "\n" not in str(caught.value)
    assert (foreign / "thesis.tex").read_text() == "precious"
    assert list(foreign.iterdir()) == [foreign / "thesis.tex"]
    assert not verify(dataset)


def test_a_folder_of_somebody_s_called_ledger_is_not_ours(tmp_path: Path) -> None:
    precious = tmp_path / "accounts" / "ledger" / "2024.ods"
    precious.parent.mkdir(parents=True)
    precious.write_text("precious")
    with pytest.raises(DatasetError, match=r"ledger/2024\.ods is there"):
        build(tmp_path / "accounts", **PLAN)
    assert precious.read_text() == "precious"


def test_bad_arguments_touch_nothing(tmp_path: Path, dataset: Dataset) -> None:
    bad = tmp_path / "bad.pt"
    bad.write_text("hello")
    larger: dict[str, Any] = {"records": 200, "seed": 7, "shard_records": 64}
    for wrong in ({"workers": 0}, {"workers": 2}, {"engine": "dask"}):
        with pytest.raises(RecipeError):
            build(Path(dataset.folder), **larger | wrong)
    assert open_dataset(dataset.folder).manifest == dataset.manifest
    with pytest.raises(RecipeError, match="does not load"):
        build(tmp_path / "d", checkpoint=bad, records=32)
    assert not (tmp_path / "d").exists()


def test_an_abandoned_extension_can_be_taken_back(tmp_path: Path, dataset: Dataset) -> None:
    folder = tmp_path / "d"
    shutil.copytree(dataset.folder, folder)
    with open_build(folder, planned(records=500, seed=7, shard_records=64)) as extension:
        assert [shard.index for shard in extension.pending] == [1, 2, 3, 4, 5, 6, 7]
    back = build(folder, shard_records=64, **PLAN)
    assert back.manifest.content_digest == dataset.manifest.content_digest
    assert not verify(back)


@pytest.mark.parametrize("damage", ["gone", "empty", "altered"])
def test_a_lost_plan_is_found_in_the_manifest(tmp_path: Path, dataset: Dataset, damage: str) -> None:
    folder = tmp_path / "d"
    shutil.copytree(dataset.folder, folder)
    path = folder / "ledger" / "plan.json"
    if damage == "gone":
        path.unlink()
    else:
        path.write_text("" if damage == "empty" else path.read_text().replace('"seed": 7', '"seed": 8'))
    assert any("ledger/plan.json" in str(problem) for problem in verify(open_dataset(folder)))
    assert not verify(build(folder, shard_records=64, **PLAN))
    assert path.read_bytes() == (dataset.folder / "ledger" / "plan.json").read_bytes()


@pytest.mark.parametrize(
    "change", [('"Normal": ', '"Normal": 1'), ('"seed": 7', '"seed": 5'), ('"records": 80', '"records": 70')]
)
def test_an_altered_manifest_is_refused_and_made_again(
    tmp_path: Path, dataset: Dataset, change: tuple[str, str]
) -> None:
    folder = tmp_path / "d"
    shutil.copytree(dataset.folder, folder)
    path = folder / "dataset.json"
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(DatasetError, match=r"was altered|it has verdicts on"):
        open_dataset(folder)
    assert build(folder, shard_records=64, **PLAN).manifest.content_digest == dataset.manifest.content_digest


def test_a_missing_shard_is_not_read_as_zeros(tmp_path: Path, dataset: Dataset) -> None:
    folder = tmp_path / "d"
    shutil.copytree(dataset.folder, folder)
    (folder / "signals.zarr" / "signal" / "c" / "1" / "0" / "0").unlink()
    with pytest.raises(DatasetError, match="signal/c/1/0/0 is missing"):
        open_dataset(folder).signal(70)
    assert open_dataset(folder).signal(63).any()


@pytest.mark.parametrize("name", ["measurements.parquet", "signals.zarr/signal/c/0/0/0", "ledger/shard-00000.parquet"])
def test_a_folder_or_a_link_in_the_place_of_a_file_is_put_right(tmp_path: Path, dataset: Dataset, name: str) -> None:
    for kind in ("folder", "link"):
        folder = tmp_path / kind
        shutil.copytree(dataset.folder, folder)
        (folder / name).unlink()
        if kind == "folder":
            (folder / name).mkdir()
        else:
            (folder / name).symlink_to(dataset.folder / name)
        assert any(name in str(problem) for problem in verify(open_dataset(folder)))
        assert not verify(build(folder, shard_records=64, **PLAN))


@pytest.mark.parametrize("engine", ["serial", "ray"])
def test_sigterm_ends_a_build_in_one_line_without_orphans(tmp_path: Path, engine: Literal["ray", "serial"]) -> None:
    folder = tmp_path / "d"
    command = [sys.executable, "-m", "pipeline.cli", "build", "--records", "2000", "--shard-records", "32"]
    command += ["--out", str(folder), "--engine", engine]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (folder / "ledger" / "shard-00000.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    children = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    _, error = process.communicate(timeout=60)
    assert process.returncode == 143
    assert error.splitlines()[-1] == "ecg-foundry: stopped; run the same command again to go on"
    assert "Traceback" not in error
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive


def test_two_builds_into_one_folder(tmp_path: Path) -> None:
    plan = planned(records=32)
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
    monkeypatch.setattr("pipeline.remaining.shutil.disk_usage", lambda _: usage)
    with pytest.raises(DatasetError, match=r"0\.0 GB free, and 2000 records may need 0\.2 GB"):
        build(tmp_path / "d")
    assert not (tmp_path / "d").exists()


def test_parameters_that_cannot_work_are_refused(tmp_path: Path) -> None:
    for engine, workers in (("serial", 2), ("ray", 0), ("dask", None)):
        with pytest.raises(RecipeError):
            build(tmp_path / "d", engine=engine, workers=workers, records=32)  # type: ignore[arg-type]
    for wrong in ({"records": 0}, {"shard_records": 33}, {"color": "red"}, {"checkpoint": tmp_path / "none.pt"}):
        with pytest.raises(RecipeError):
            planned(**wrong)
    with pytest.raises(RecipeError, match="Give its file with --checkpoint"):
        planned(checkpoint_sha256="0" * 64)


def test_the_manifest_tells_where_it_was_made(dataset: Dataset) -> None:
    manifest = json.loads(Path(dataset.folder / "dataset.json").read_text(encoding="utf-8"))
    assert manifest["recipe"]["seed"] == 7
    assert manifest["provenance"]["devices"] == ["cpu"]
    assert manifest["provenance"]["instruction_sets"][0].split()[1]
    assert manifest["provenance"]["versions"].keys() >= {"torch", "numpy", "zarr", "neurokit2"}
    assert sum(manifest["verdicts"].values()) == 80


def test_records_that_do_not_exist_are_refused(dataset: Dataset) -> None:
    for record in (-1, 80):
        with pytest.raises(FoundryError, match="records are 0 to 79"):
            regenerate(dataset, record)


def test_a_killed_repair_keeps_what_it_has_made(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "d"
    build(folder, shard_records=32, **PLAN)
    shutil.rmtree(folder / "signals.zarr")
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.finalise._all_entries", raises(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            build(folder, shard_records=32, **PLAN)
    caplog.set_level("INFO", "pipeline")
    caplog.clear()
    again = build(folder, shard_records=32, **PLAN)
    assert not [message for message in caplog.messages if message.startswith("shard made")]
    assert again.manifest.content_digest == dataset.manifest.content_digest
    assert not verify(again)


def raises(error: BaseException) -> Any:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def test_a_shard_that_is_overwritten_after_its_commit_is_not_accepted_by_a_repair(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a worker of another instruction set that was late."""
    folder = tmp_path / "d"
    shutil.copytree(dataset.folder, folder)
    (folder / "ledger" / "shard-00001.json").unlink()
    stock = SerialEngine.run

    def overwritten(engine: SerialEngine, shard: Shard) -> LedgerEntry:
        entry = stock(engine, shard)
        path = shard_file(folder, shard)
        path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
        return entry

    with monkeypatch.context() as patch:
        patch.setattr(SerialEngine, "run", overwritten)
        with pytest.raises(DatasetError, match="c/1/0/0 is missing or damaged"):
            build(folder, shard_records=64, **PLAN)
    assert not verify(build(folder, shard_records=64, **PLAN))


def test_a_repair_on_another_instruction_set_makes_everything_anew(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "d"
    shutil.copytree(dataset.folder, folder)
    (folder / "signals.zarr" / "signal" / "c" / "1" / "0" / "0").unlink()
    stock = Worker._signals
    monkeypatch.setattr(Worker, "_signals", lambda *arguments: stock(*arguments) ^ 1)
    other = build(folder, shard_records=64, **PLAN)
    assert other.manifest.content_digest != dataset.manifest.content_digest
    assert not verify(other)
    assert open_dataset(folder / "normal").manifest.source_content_digest == other.manifest.content_digest
    assert np.array_equal(other.signals[:64], dataset.signals[:64])


def test_nothing_behind_a_link_is_touched(tmp_path: Path, dataset: Dataset) -> None:
    folder, outside = tmp_path / "d", tmp_path / "outside"
    shutil.copytree(dataset.folder, folder)
    shutil.move(folder / "signals.zarr", outside)
    for name in ("mine.partial", ".0123456789abcdef.tmp"):
        (outside / name).write_text("precious")
    (folder / "signals.zarr").symlink_to(outside)
    with pytest.raises(DatasetError, match=r"signals\.zarr is no part of the dataset"):
        build(folder, shard_records=64, **PLAN)
    assert {path.name for path in outside.iterdir()} >= {"mine.partial", ".0123456789abcdef.tmp", "zarr.json"}


def break_ledger(folder: Path) -> None:
    shutil.rmtree(folder / "ledger")
    (folder / "ledger").touch()


def break_plan_and_manifest(folder: Path) -> None:
    (folder / "dataset.json").write_text("{}")
    (folder / "ledger" / "plan.json").write_text("")


def lead_nowhere(folder: Path) -> None:
    (folder / "normal" / "x").symlink_to("/nonexistent")


def make_unreadable(folder: Path) -> None:
    """A folder in the place of a file cannot be read by anybody, not even by root."""
    (folder / "normal" / "measurements.parquet").unlink()
    (folder / "normal" / "measurements.parquet").mkdir()
    (folder / "second_opinion.parquet").unlink()
    (folder / "second_opinion.parquet").mkdir()


def empty_normal(folder: Path) -> None:
    shutil.rmtree(folder / "normal")
    (folder / "normal").mkdir()
    (folder / "signals.zarr" / "signal" / "c" / "0" / "0" / "0").unlink()


@pytest.mark.parametrize(
    "spoil",
    [break_ledger, break_plan_and_manifest, lead_nowhere, make_unreadable, empty_normal],
    ids=lambda f: f.__name__,
)
def test_several_things_broken_at_once_are_put_right(
    tmp_path: Path, dataset: Dataset, spoil: Callable[[Path], None]
) -> None:
    folder = tmp_path / "d"
    shutil.copytree(dataset.folder, folder)
    spoil(folder)
    again = build(folder, shard_records=64, **PLAN)
    assert again.manifest.content_digest == dataset.manifest.content_digest
    assert not verify(again)


def test_a_full_disk_does_not_keep_a_repair_from_what_needs_little(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10**6)
    monkeypatch.setattr("pipeline.remaining.shutil.disk_usage", lambda _: usage)
    folder = tmp_path / "d"
    shutil.copytree(dataset.folder, folder)
    (folder / "second_opinion.parquet").unlink()
    assert not verify(build(folder, shard_records=64, **PLAN))
    (folder / "normal" / "measurements.parquet").unlink()
    with pytest.raises(DatasetError, match=r"0\.0 GB free"):
        build(folder, shard_records=64, **PLAN)


def test_a_plan_of_which_nothing_tells_is_said_to_be_lost(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    (folder / "ledger").mkdir(parents=True)
    (folder / "ledger" / "plan.json").write_text("")
    with pytest.raises(DatasetError, match=r"plan\.json is damaged.*Build into a new folder"):
        build(folder, records=32)
