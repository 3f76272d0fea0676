"""Crashes, signals, full and read-only disks at every commit point: the right dataset after a rerun, or a refusal.

The faults come from outside: tests/faults brings them into the processes that are started here.
"""

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.dataset import Dataset, open_dataset
from pipeline.verify import verify
from tests.bad_day import (
    BALLAST,
    RECIPE,
    SHARDS,
    Fault,
    Surroundings,
    assert_nothing_half_written,
    assert_plain_rerun_finishes,
    events,
    wait_for,
)
from tests.conftest import build, need_tools
from tests.processes import entry_files

Record = Callable[[str, object], None]
Check = Callable[[], None]
WORKER_STAGES = {
    "while a shard is computed": ("pipeline.worker.measure", "before"),
    "before the Zarr shard": ("pipeline.worker.write_shard", "before"),
    "before the Zarr shard's rename": ("pipeline.store.files.fsync_all", "before"),
    "between Zarr shard and Parquet part": ("pipeline.worker.write_part", "before"),
    "between Parquet part and entry": ("pipeline.worker.commit", "before"),
    "behind the entry": ("pipeline.worker.commit", "after"),
}
"""Where a shard may be lost; the second shard's."""
NTH = {"before the Zarr shard's rename": 6}
"""Plan, metadata and the first shard's three files are brought to the disk before."""
DRIVER_STAGES = {
    "before the folder is prepared": ("pipeline.build.prepare", "before"),
    "behind plan and metadata": ("pipeline.build.prepare", "after"),
    "before the joined table": ("pipeline.finalise.write_table", "before"),
    "behind the joined table": ("pipeline.finalise.write_table", "after"),
    "amid the normal subset": ("pipeline.normal.write_table", "before"),
    "behind the normal subset": ("pipeline.finalise.write_normal_subset", "after"),
    "before the second opinion's table": ("pipeline.second_opinion.write_table", "before"),
    "before the manifest": ("pipeline.finalise._manifest_files", "after"),
    "behind the manifest": ("pipeline.finalise.finalise", "after"),
}
STAGES = WORKER_STAGES | DRIVER_STAGES


def stages(names: dict[str, tuple[str, str]], *daily: str) -> list[object]:
    """Parameters: the stages of `daily` in every run, the others in `make bad-day`."""
    marks = {name: () if name in daily else (pytest.mark.bad_day,) for name in names}
    return [pytest.param(name, marks=marks[name], id=name.replace(" ", "-")) for name in names]


def at(stage: str, action: str) -> Fault:
    target, when = STAGES[stage]
    return Fault(action, target, when, nth=NTH.get(stage, 2 if stage in WORKER_STAGES else 1))


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Surroundings]:
    surroundings = Surroundings(tmp_path)
    yield surroundings
    surroundings.kill_everything()


@pytest.fixture
def rerun(here: Surroundings, dataset: Dataset, tmp_path: Path) -> Check:
    """What has to hold after every fault."""

    def check() -> None:
        assert_nothing_half_written(here)
        assert_plain_rerun_finishes(here, dataset, tmp_path / "rerun.jsonl")

    return check


def ended(process: "subprocess.Popen[str]", seconds: float = 120) -> tuple[int, str]:
    """Exit status and the last line said."""
    _, said = process.communicate(timeout=seconds)
    assert "Traceback" not in said
    return process.returncode, said.strip().splitlines()[-1] if said.strip() else ""


@pytest.mark.parametrize("stage", stages(STAGES, "amid the normal subset"))
def test_kill_of_the_driver(here: Surroundings, rerun: Check, stage: str, record_property: Record) -> None:
    status, _ = ended(here.build(fault=at(stage, "kill")))
    assert status == -signal.SIGKILL
    rerun()
    record_property("bad_day", f"kill -9 of the driver, which is the worker | {stage} | rerun: same digest")


@pytest.mark.parametrize("stage", stages(WORKER_STAGES))
def test_kill_of_a_worker(here: Surroundings, rerun: Check, stage: str, record_property: Record) -> None:
    log = here.folder / "log.jsonl"
    status, said = ended(here.build("--workers", "1", "--log", str(log), fault=at(stage, "kill"), engine="ray"))
    assert status == 0, said
    assert sum(event["event"] == "shard made" for event in events(log)) == SHARDS
    rerun()
    record_property("bad_day", f"kill -9 of a worker | {stage} | replaced, same digest")


@pytest.mark.parametrize("stage", stages(WORKER_STAGES))
def test_kill_of_every_process_at_once(here: Surroundings, rerun: Check, stage: str, record_property: Record) -> None:
    process = here.build("--workers", "1", fault=at(stage, "wait"), engine="ray")
    here.wait_until_reached()
    here.kill_everything()
    process.communicate()
    rerun()
    record_property("bad_day", f"kill -9 of every process at once | {stage} | rerun: same digest")


@pytest.mark.parametrize("stage", stages(STAGES))
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal(here: Surroundings, rerun: Check, stage: str, name: str, record_property: Record) -> None:
    status, said = ended(here.build(fault=at(stage, name)))
    assert status == 128 + signal.Signals[name]
    assert said.endswith("stopped; run the same command again to go on")
    wait_for(lambda: not here.processes(), 10)
    rerun()
    record_property("bad_day", f"{name} | {stage} | exit {status}, nothing left running; rerun: same digest")


@pytest.mark.bad_day
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("module", ["pipeline.cli", "flows.build_dataset"])
def test_a_signal_to_a_driver_of_ray_workers(
    here: Surroundings,
    rerun: Check,
    module: str,
    name: str,
    record_property: Record,
) -> None:
    arguments = ["build"] if module == "pipeline.cli" else []
    build = [*arguments, "--records", "80", "--seed", "7", "--shard-records", "32", "--out", str(here.out)]
    process = here.start(module, *build, "--workers", "1", fault=at("between Zarr shard and Parquet part", "wait"))
    here.wait_until_reached(120)
    for _ in range(3):  # by somebody impatient
        process.send_signal(signal.Signals[name])
    status, said = ended(process)
    assert status == 128 + signal.Signals[name]
    assert said.endswith("stopped; run the same command again to go on")
    wait_for(lambda: not here.processes(), 20)
    rerun()
    what = "driver of Ray workers" if arguments else "flow with Ray workers and Prefect's embedded server"
    record_property(
        "bad_day", f"{name}, three times, to a {what} | mid-shard | exit {status}, nothing left running; same digest"
    )


@pytest.fixture
def small_disk(tmp_path: Path, root: None) -> Iterator[Surroundings]:  # noqa: ARG001
    """Surroundings on a file system of their own, in memory, that can be full or read-only."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", disk], check=True)
    surroundings = Surroundings(disk)
    try:
        yield surroundings
    finally:
        surroundings.kill_everything()
        subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.mark.parametrize("stage", stages(STAGES, "between Zarr shard and Parquet part"))
def test_a_full_disk(
    small_disk: Surroundings,
    dataset: Dataset,
    tmp_path: Path,
    stage: str,
    record_property: Record,
) -> None:
    status, said = ended(small_disk.build(fault=at(stage, "fill")))
    (small_disk.folder / BALLAST).unlink()
    assert_nothing_half_written(small_disk)
    if status == 0:  # nothing was left to write
        assert stage == "behind the manifest"
    else:
        assert status == 4
        assert "cannot be written: " in said
        assert "No space left on device. Free space" in said
    assert_plain_rerun_finishes(small_disk, dataset, tmp_path / "rerun.jsonl")
    outcome = "already finished" if status == 0 else "exit 4, one line"
    record_property("bad_day", f"disk full | {stage} | {outcome}; rerun: same digest")


@pytest.mark.parametrize("stage", stages(STAGES))
def test_a_disk_that_becomes_read_only(
    small_disk: Surroundings,
    dataset: Dataset,
    tmp_path: Path,
    stage: str,
    record_property: Record,
) -> None:
    status, said = ended(small_disk.build(fault=at(stage, "read-only")))
    subprocess.run(["mount", "-o", "remount,rw", small_disk.folder], check=True)
    assert_nothing_half_written(small_disk)
    if status == 0:
        assert stage == "behind the manifest"
    else:
        assert status == 4
        assert "cannot be written: Read-only file system" in said
    assert_plain_rerun_finishes(small_disk, dataset, tmp_path / "rerun.jsonl")
    outcome = "already finished" if status == 0 else "exit 4, one line"
    record_property("bad_day", f"disk becomes read-only | {stage} | {outcome}; rerun: same digest")


@pytest.mark.bad_day
def test_a_read_only_mount(small_disk: Surroundings, record_property: Record) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk.folder], check=True)
    status, said = ended(small_disk.build())
    subprocess.run(["mount", "-o", "remount,rw", small_disk.folder], check=True)
    assert status == 4
    assert "cannot be written: Read-only file system" in said
    assert not small_disk.out.exists()
    record_property("bad_day", "read-only mount | from the start | exit 4, one line, nothing begun")


@pytest.mark.bad_day
def test_a_clock_that_jumps_back(here: Surroundings, record_property: Record) -> None:
    """By a day, in the midst of a build."""
    library = next(iter(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)
    need_tools(*([] if library else ["no faketime"]))
    clock = here.folder / "clock"
    clock.write_text("+0")
    process = here.build(
        "--records",
        "800",
        LD_PRELOAD=str(library),
        FAKETIME_TIMESTAMP_FILE=str(clock),
        FAKETIME_NO_CACHE="1",
    )
    wait_for((here.out / "ledger" / "shard-00002.json").exists, 60)
    clock.write_text("-1d")
    status, said = ended(process)
    assert status == 0, said
    times = [json.loads(path.read_text())["finished_at"] for path in entry_files(here.out)]
    assert datetime.fromisoformat(min(times)) < datetime.now(UTC) - timedelta(hours=23)
    assert datetime.fromisoformat(max(times)) > datetime.now(UTC) - timedelta(hours=1)
    larger = build(here.folder / "undisturbed", shard_records=32, **RECIPE | {"records": 800})
    disturbed = open_dataset(here.out)
    assert disturbed.manifest.content_digest == larger.manifest.content_digest
    assert not verify(disturbed)
    record_property("bad_day", "clock jumps back a day | mid-run | finished, same digest")


@pytest.mark.parametrize("end", ["goes on", pytest.param("is killed", marks=pytest.mark.bad_day)])
def test_two_builds_into_one_folder(here: Surroundings, rerun: Check, end: str, record_property: Record) -> None:
    first = here.build(fault=at("between Zarr shard and Parquet part", "wait"))
    here.wait_until_reached()
    status, said = ended(here.build())
    assert status == 4
    assert "is being built by another process. Wait for it" in said
    if end == "is killed":
        first.kill()
    here.let_go()
    status, _ = ended(first)
    assert status == (-signal.SIGKILL if end == "is killed" else 0)
    rerun()
    lock = "; its lock is not in the way: rerun: same digest" if end == "is killed" else ", same digest"
    record_property("bad_day", f"a second build into the folder | mid-shard | exit 4, one line; the first {end}{lock}")
