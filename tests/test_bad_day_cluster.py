"""Workers, nodes, networks and servers fail in the middle of a build: nothing is lost, and the digest is the same.

Faults are patched in from here or sent from outside. Each case that held says so in its property `bad_day`.
"""

import os
import resource
import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from pipeline import cli
from pipeline.build import open_build
from pipeline.dataset import Dataset, open_dataset
from pipeline.engines.ray import Worker as RayWorker
from pipeline.shards import Shard
from pipeline.store.ledger import LedgerEntry
from pipeline.verify import verify
from pipeline.worker import Job, Worker
from tests.conftest import build, planned
from tests.processes import PrefectSite, RayNodes, entries, kill_all, ray_workers, wait_until

RECORDS = 320
Record = Callable[[str, object], None]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The content digest of a build on a good day."""
    out = tmp_path_factory.mktemp("undisturbed") / "d"
    return build(out, records=RECORDS, seed=7, shard_records=32).manifest.content_digest


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker has 7 s for a shard of 32 records in place of 124."""
    monkeypatch.setattr("pipeline.engines.ray.PAUSE_SECONDS", 4.0)
    monkeypatch.setattr("pipeline.engines.ray.SECONDS_PER_RECORD", 0.1)


@contextmanager
def fault(out: Path, harm: Callable[[psutil.Process], object], committed: int = 1) -> Iterator[list[psutil.Process]]:
    """Harm the first worker that is making a shard when so many are committed; gives the worker it was."""
    harmed: list[psutil.Process] = []

    def strike() -> None:
        wait_until(lambda: entries(out) >= committed, f"{committed} entries in the ledger")
        worker = wait_until(lambda: ray_workers(psutil.Process(), at_work=True), "a worker is making a shard")[0]
        harm(worker)
        harmed.append(worker)

    thread = threading.Thread(target=strike)
    thread.start()
    yield harmed
    thread.join()
    assert harmed


def on_ray(out: Path, workers: int = 2) -> Dataset:
    return build(out, engine="ray", workers=workers, records=RECORDS, seed=7, shard_records=32)


def allow_no_more_memory(worker: psutil.Process) -> None:
    """What the process has mapped is all that it gets."""
    limit = worker.memory_info().vms
    resource.prlimit(worker.pid, resource.RLIMIT_AS, (limit, limit))


def assert_same(out: Path, digest: str) -> None:
    """The dataset is what an undisturbed build makes, to the last file."""
    dataset = open_dataset(out)
    assert dataset.manifest.content_digest == digest
    assert not verify(dataset)


def test_a_late_writer_changes_nothing(tmp_path: Path, record_property: Record) -> None:
    """A worker that was cut off comes back when another one has made its shard and the dataset is finished."""
    late = Worker(Job(tmp_path / "d", planned(records=80, seed=7, shard_records=32)))
    finished = build(tmp_path / "d", records=80, seed=7, shard_records=32)
    before = {path: path.read_bytes() for path in Path(finished.folder).rglob("*") if path.is_file()}
    for shard in planned(records=80, seed=7, shard_records=32).shards():
        late.run(shard)
    assert {path: path.read_bytes() for path in Path(finished.folder).rglob("*") if path.is_file()} == before
    assert not verify(open_dataset(finished.folder))
    record_property("bad_day", "a late writer | after the dataset was finished | not a byte changed")


def test_a_killed_worker_is_replaced(
    tmp_path: Path, undisturbed: str, caplog: pytest.LogCaptureFixture, record_property: Record
) -> None:
    with fault(tmp_path / "d", psutil.Process.kill):
        on_ray(tmp_path / "d")
    assert "died; a new one takes its place" in caplog.text
    assert_same(tmp_path / "d", undisturbed)
    record_property("bad_day", "kill -9 of a worker | mid-shard | replaced; same digest")


@pytest.mark.bad_day
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_hanging_worker_is_replaced_and_harmless_when_it_wakes(
    tmp_path: Path, undisturbed: str, caplog: pytest.LogCaptureFixture, workers: int, record_property: Record
) -> None:
    with fault(tmp_path / "d", psutil.Process.suspend) as stopped:
        on_ray(tmp_path / "d", workers)
    assert "did not answer in time; a new one takes its place" in caplog.text
    if stopped[0].is_running():
        stopped[0].resume()
        psutil.wait_procs(stopped, timeout=10)
    assert_same(tmp_path / "d", undisturbed)
    which = "the only worker" if workers == 1 else "one of two workers"
    record_property("bad_day", f"SIGSTOP of {which} | mid-shard | given up after its time, replaced; same digest")


@pytest.mark.bad_day
def test_a_worker_without_memory_is_replaced(
    tmp_path: Path, undisturbed: str, caplog: pytest.LogCaptureFixture, record_property: Record
) -> None:
    """It dies, or its shard ends in whatever the library that asked for memory raises."""
    with fault(tmp_path / "d", allow_no_more_memory, committed=0):
        on_ray(tmp_path / "d")
    assert "shard failed: shard=shard-0000" in caplog.text
    assert_same(tmp_path / "d", undisturbed)
    record_property("bad_day", "RLIMIT_AS: a worker out of memory | mid-shard | replaced; same digest")


class Cursed(RayWorker):
    """Has one shard that always fails."""

    def run(self, shard: Shard) -> LedgerEntry:
        """As the worker, but for the curse."""
        if shard.index == 3:
            self.end()
        return super().run(shard)

    def end(self) -> None:
        """An exception, as from a bug that one record meets."""
        raise ZeroDivisionError("of record 99\nand more")


class Deadly(Cursed):
    """Has one shard that always ends its process."""

    def end(self) -> None:
        """As a crash in a library does."""
        os.abort()


@pytest.mark.bad_day
@pytest.mark.parametrize(
    ("cursed", "workers", "reason"),
    [
        (Cursed, 2, "shard-00003 ended in ZeroDivisionError: of record 99; "),
        (Deadly, 1, "the worker of shard-00003 died"),
    ],
    ids=["raises", "crashes"],
)
def test_a_shard_that_always_fails_is_isolated(
    tmp_path: Path,
    undisturbed: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    cursed: type[Worker],
    workers: int,
    reason: str,
    record_property: Record,
) -> None:
    out = tmp_path / "d"
    command = ["build", "--records", str(RECORDS), "--seed", "7", "--shard-records", "32", "--no-release"]
    command += ["--out", str(out), "--workers", str(workers)]
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.engines.ray.Worker", cursed)
        assert cli.main(command) == 5
    said = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("ecg-foundry: error:"))
    assert f"1 shard(s) could not be made: shard-00003 (records 96 to 127): {reason}" in said
    assert entries(out) == 9
    with open_build(out, planned(records=RECORDS, seed=7, shard_records=32)) as left:
        assert [shard.index for shard in left.pending] == [3]
    assert cli.main(command) == 0
    assert_same(out, undisturbed)
    how = "raises" if cursed is Cursed else "crashes its worker"
    record_property("bad_day", f"a shard that always {how} | make | isolated, status 5 names it; rerun: same digest")


@pytest.mark.bad_day
def test_a_lost_node_does_not_end_the_build(tmp_path: Path, undisturbed: str, record_property: Record) -> None:
    out = tmp_path / "d"
    with RayNodes() as cluster:
        cluster.start_node()
        cluster.start_node()
        process = cluster.start_build(out, RECORDS, "--workers", "2")
        local, _ = cluster.work_remotely(out)
        kill_all(cluster.nodes[1])
        local.resume()
        assert cluster.exit_status(process, 60) == 0, cluster.log("build-d").read_text()
        assert "died; a new one takes its place" in cluster.log("build-d").read_text()
    assert_same(out, undisturbed)
    record_property("bad_day", "a Ray node lost | mid-shard | the others went on; same digest")


@pytest.fixture
def two_hosts(root: None) -> Iterator[tuple[list[str], list[str], Callable[[], object]]]:  # noqa: ARG001
    """Two network namespaces joined by one cable: how to run a command in each, and what cuts the cable."""
    mark = secrets.token_hex(3)
    names = [f"ecg-{mark}-{number}" for number in (1, 2)]
    ends = [f"ecg{mark}{number}" for number in (1, 2)]

    def ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True)

    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", ends[0], "netns", names[0], "type", "veth", "peer", "name", ends[1], "netns", names[1])
        for number, (name, end) in enumerate(zip(names, ends, strict=True), 1):
            ip("-n", name, "address", "add", f"10.231.7.{number}/24", "dev", end)
            ip("-n", name, "link", "set", end, "up")
            ip("-n", name, "link", "set", "lo", "up")
        first, second = (["ip", "netns", "exec", name] for name in names)
        yield first, second, lambda: ip("-n", names[0], "link", "set", ends[0], "down")
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


@pytest.mark.bad_day
def test_a_cut_network_does_not_end_the_build_and_who_was_cut_off_does_no_harm(
    tmp_path: Path,
    undisturbed: str,
    two_hosts: tuple[list[str], list[str], Callable[[], object]],
    record_property: Record,
) -> None:
    out = tmp_path / "d"
    first, second, cut = two_hosts
    with RayNodes([first, second], ["10.231.7.1", "10.231.7.2"]) as cluster:
        cluster.start_node()
        cluster.start_node()
        process = cluster.start_build(out, RECORDS, "--workers", "2")
        local, remote = cluster.work_remotely(out)
        remote.suspend()  # in the middle of a shard, to go on when that has been made by another
        cut()
        local.resume()
        assert cluster.exit_status(process, 120) == 0, cluster.log("build-d").read_text()
        assert "did not answer in time" in cluster.log("build-d").read_text()
        assert_same(out, undisturbed)
        before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
        assert remote.status() == psutil.STATUS_STOPPED
        remote.resume()
        wait_until(lambda: not ray_workers(cluster.nodes[1], at_work=True), "the late writer is done")
        changed = [path for path, then in before.items() if path.is_file() and path.stat().st_mtime_ns != then]
        assert not changed
    assert_same(out, undisturbed)
    record_property("bad_day", "a network cut between two nodes | mid-shard | the others went on; same digest")
    record_property("bad_day", "the worker that was cut off | after the dataset was finished | wrote late; no harm")


PARAMETERS = (f"records={RECORDS}", "seed=7", "shard_records=32", "workers=1", "release=false")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectSite]:
    with PrefectSite(tmp_path_factory.mktemp("prefect")) as site:
        site.start_server()
        site.deploy()
        yield site


def begin(site: PrefectSite, out: Path) -> tuple[psutil.Process, str]:
    """Start a worker and a run and wait until the run has made a part of its shards."""
    worker = site.start_worker()
    run = site.start_run(*PARAMETERS, f"out={out}")
    wait_until(lambda: entries(out) >= 2, "two entries in the ledger")
    assert not (out / "dataset.json").exists()
    return worker, run


@pytest.mark.bad_day
def test_a_prefect_server_started_again_does_not_end_the_run(
    tmp_path: Path, undisturbed: str, site: PrefectSite, record_property: Record
) -> None:
    worker, run = begin(site, tmp_path / "d")
    site.kill_server()
    time.sleep(2)
    site.start_server()
    assert site.end_of(run)[0] == "COMPLETED", site.log("worker").read_text()
    assert worker.is_running()
    kill_all(worker)
    assert_same(tmp_path / "d", undisturbed)
    record_property("bad_day", "the Prefect server killed and started again | mid-run | run completed; same digest")


@pytest.mark.bad_day
def test_a_killed_flow_run_is_crashed_and_run_again(
    tmp_path: Path, undisturbed: str, site: PrefectSite, record_property: Record
) -> None:
    worker, run = begin(site, tmp_path / "d")
    worker.children()[0].kill()
    assert site.end_of(run)[0] == "CRASHED"
    assert not (tmp_path / "d" / "dataset.json").exists()
    again = site.start_run(*PARAMETERS, f"out={tmp_path / 'd'}")
    assert site.end_of(again)[0] == "COMPLETED", site.log("worker").read_text()
    kill_all(worker)
    assert_same(tmp_path / "d", undisturbed)
    record_property("bad_day", "kill -9 of the Prefect flow run | mid-run | Crashed; rerun: same digest")


@pytest.mark.bad_day
def test_a_run_whose_prefect_worker_was_killed_ends_by_itself_or_is_run_again(
    tmp_path: Path, undisturbed: str, site: PrefectSite, record_property: Record
) -> None:
    """The run is a process of its own; it has lost what read its output."""
    worker, run = begin(site, tmp_path / "d")
    worker.kill()
    state, why = site.end_of(run)
    if state != "COMPLETED":
        assert why
        site.start_worker()
        again = site.start_run(*PARAMETERS, f"out={tmp_path / 'd'}")
        assert site.end_of(again)[0] == "COMPLETED", site.log("worker").read_text()
    assert_same(tmp_path / "d", undisturbed)
    outcome = "the run went on and completed" if state == "COMPLETED" else f"{state.capitalize()}; rerun"
    record_property("bad_day", f"kill -9 of the Prefect worker | mid-run | {outcome}: same digest")
