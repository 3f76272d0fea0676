"""How far a build is, told from its ledger: while it works, after it was stopped, here and in a bucket."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.build import FailedShardsError, build_dataset
from pipeline.cli import main
from pipeline.dataset import Dataset
from pipeline.engines import Crew
from pipeline.errors import DatasetError, WorkerError
from pipeline.status import PAUSE_SECONDS, WINDOW_SECONDS, look, recent_rate, watch
from pipeline.store import lease
from pipeline.store.documents import read_document, write_document
from pipeline.store.files import all_files
from pipeline.store.lease import locked
from pipeline.store.ledger import LEDGER, LedgerEntry, Plan, entry_file, plan_file
from pipeline.store.place import Place, place_of
from pipeline.verify import verify
from pipeline.worker import Worker
from tests.conftest import planned
from tests.s3_server import BUCKET, s3_server


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """A client of the server that this module's tests have."""
    with s3_server() as client:
        yield client


@pytest.fixture(params=["disk", "bucket"])
def out(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty place."""
    if request.param == "disk":
        return tmp_path / "dataset"
    assert request.getfixturevalue("s3")
    return place_of(f"s3://{BUCKET}/{tmp_path.name}")


def ledger_of(out: Place, dataset: Dataset, committed: int, shards: int, seconds: float = 1.0) -> Plan:
    """A ledger whose first shards are committed; their entries are the shared dataset's but for their places."""
    plan = planned(records=shards * 64 - 10, seed=7, shard_records=64)
    entry = read_document(entry_file(dataset.folder, planned(records=80, shard_records=64).shards()[0]), LedgerEntry)
    if isinstance(out, Path):
        (out / LEDGER).mkdir(parents=True)
    write_document(plan_file(out), plan)
    for shard in plan.shards()[:committed]:
        names = {"index": shard.index, "start": shard.start, "stop": shard.stop, "seconds": {"generate": seconds}}
        write_document(entry_file(out, shard), entry.model_copy(update=names))
    return plan


def at(out: Path, plan: Plan, ages: list[float]) -> None:
    """Have the first shards been committed so many seconds ago."""
    for shard, age in zip(plan.shards(), ages, strict=False):
        os.utime(entry_file(out, shard), (time.time() - age,) * 2)


def test_what_is_done_and_what_is_left(out: Place, dataset: Dataset) -> None:
    ledger_of(out, dataset, committed=5, shards=8)
    before = [(str(path), path.stat().st_mtime) for path in all_files(out)]

    status = look(out)

    assert (status.state, status.at_work) == ("stopped", None)
    assert (status.shards_done, status.shards, status.shards_failed) == (5, 8, 0)
    assert (status.records_done, status.records) == (320, 502)
    assert sum(status.verdicts.values()) == 320
    assert (status.records_per_second, status.seconds_left) == (None, None)
    assert "3 shards; the same build makes them" in status.text()
    assert f"normal    {100 * status.verdicts['Normal'] / 320:.1f} % of the 320 records" in status.text()
    assert [(str(path), path.stat().st_mtime) for path in all_files(out)] == before


def test_somebody_at_work_is_seen_and_not_disturbed(
    out: Place, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEWED_SECONDS", 0.2)
    ledger_of(out, dataset, committed=5, shards=8)
    with locked(out):
        status = look(out)
        assert status.state == "building"
        assert status.at_work
        assert status.records_per_second is not None
        assert status.seconds_left == pytest.approx(182 / status.records_per_second)
        with pytest.raises(DatasetError, match="being built by another"), locked(out):
            pass
    assert look(out).at_work is None
    with locked(out):  # looking took nothing
        pass


def test_the_lease_of_a_killed_build_is_nobodys(s3: Any, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    out = place_of(f"s3://{BUCKET}/killed")
    ledger_of(out, dataset, committed=1, shards=2)
    s3.put_object(Bucket=BUCKET, Key="killed.lock", Body=b'{"host": "node-7", "process": 4711, "token": ""}')
    assert look(out).at_work == "process 4711 on node-7"
    monkeypatch.setattr(lease, "_WATCH_SECONDS", 0.2)
    monkeypatch.setattr(lease, "LEASE_SECONDS", -1.0)  # or a test would wait for as long
    assert look(out).state == "stopped"


def test_a_finished_dataset(dataset: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(dataset.folder), "--watch", "0.1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["state"], told["records_done"]) == ("finished", 80)
    assert told["verdicts"] == dataset.manifest.verdicts
    assert main(["status", str(dataset.folder)]) == 0
    assert capsys.readouterr().out.startswith("finished  ")


@pytest.mark.parametrize(
    ("ages", "expected"),
    [
        ([3.0, 2.0, 1.0], 64 / 1.0),  # one after the other, 1 s each
        ([9.0, 9.0, 5.0, 5.0, 1.0, 1.0], 3 * 128 / 9),  # two workers; the first two had been begun 1 s before
        ([4000.0, 3999.0, 2.0, 1.0], 64 / 1.0),  # on after a pause
        ([400.0, 399.0], None),  # at work, but nothing comes
    ],
)
def test_rate_and_time_left(tmp_path: Path, dataset: Dataset, ages: list[float], expected: float | None) -> None:
    plan = ledger_of(tmp_path, dataset, committed=len(ages), shards=10)
    at(tmp_path, plan, ages)
    with locked(tmp_path):
        status = look(tmp_path)
    assert status.records_per_second == (expected and pytest.approx(expected, rel=0.02))
    assert (status.seconds_left is None) == (expected is None)
    assert f"the last commit was {'7' if expected is None else '1'}" in status.line() or expected is None


@settings(deadline=None, max_examples=50)
@given(
    workers=st.integers(1, 32),
    seconds=st.floats(0.5, 40),
    rounds=st.integers(1, 200),
    in_step=st.booleans(),
    pause=st.floats(1, 100),
)
def test_the_rate_is_the_workers_own(workers: int, seconds: float, rounds: int, pause: float, *, in_step: bool) -> None:
    """Whether they commit together or in turn, for a moment or for hours, after a pause or not."""
    shift = 0.0 if in_step else seconds / workers
    ends = [(each + 1) * seconds + worker * shift for each in range(rounds) for worker in range(workers)]
    earlier = min(ends) - (PAUSE_SECONDS + 3 * seconds) - pause
    commits = sorted([(end, 256) for end in ends] + [(earlier, 256)] * 9, reverse=True)

    rate = recent_rate(commits, [seconds] * 5)

    true = workers * 256 / seconds
    edge = workers * 256 / min(WINDOW_SECONDS, rounds * seconds)  # a shard a worker more or less
    assert rate is not None
    assert abs(rate - true) <= edge + 1e-6 * true


@pytest.mark.usefixtures("one_generator")
def test_shards_that_failed_are_named_until_the_next_build(out: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned(records=128, seed=7, shard_records=32)
    run = Worker.run

    def fail(worker: Worker, shard: Any) -> LedgerEntry:
        if shard.index in {1, 3}:
            raise ZeroDivisionError("a record that\nnobody can measure")
        return run(worker, shard)

    monkeypatch.setattr(Worker, "run", fail)
    with pytest.raises(FailedShardsError):
        build_dataset(out, plan, crew=Crew("serial"))

    status = look(out)
    assert (status.state, status.shards_done, status.shards_failed) == ("stopped", 2, 2)
    assert "shard-00001, records 32 to 63: shard-00001 ended in ZeroDivisionError: a record that" in status.failures[0]
    assert status.text().count("\n") == 5
    looks = watch(out, 0.1)
    assert next(looks).failures == status.failures
    with pytest.raises(WorkerError, match="nobody is at work"):
        next(looks)

    monkeypatch.setattr(Worker, "run", run)
    built = build_dataset(out, plan, crew=Crew("serial")).dataset
    assert not verify(built)
    assert (look(out).state, look(out).failures) == ("finished", [])


def test_a_build_is_watched_to_its_end(tmp_path: Path) -> None:
    out = tmp_path / "dataset"
    command = [sys.executable, "-m", "pipeline.cli"]
    options = ["--records", "320", "--shard-records", "32", "--engine", "serial", "--no-release", "--out", str(out)]
    with subprocess.Popen([*command, "build", *options], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as made:
        while not plan_file(out).exists():
            assert made.poll() is None
            time.sleep(0.05)
        states = [status.state for status in watch(out, 0.2)]
        assert made.wait(60) == 0
    assert states[0] == "building"
    assert states[-1] == "finished"


@pytest.mark.parametrize("what", ["nothing", "no ledger", "a file"])
def test_what_is_no_dataset_is_told_in_one_line(tmp_path: Path, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "place"
    if what == "no ledger":
        place.mkdir()
    elif what == "a file":
        place.touch()
    assert main(["status", str(place)]) == DatasetError.exit_code
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "Give the folder that a build writes" in said
    assert main(["status", str(tmp_path), "--watch"]) == DatasetError.exit_code


def test_what_lies_in_the_ledger_does_no_harm(tmp_path: Path, dataset: Dataset) -> None:
    """Entries of nobody's shards, damaged ones, notes that cannot be read."""
    plan = ledger_of(tmp_path, dataset, committed=3, shards=8)
    first = plan.shards()[0]
    entry_file(tmp_path, first).write_bytes(b"\xff{")
    for name in (
        "shard-99999.json",
        "shard-000002.json",
        "shard-1.json",
        ".0123456789abcdef.tmp",
        "shard-00000.parquet",
    ):
        (tmp_path / LEDGER / name).touch()
    for name in ("shard-00002.failed.json", "shard-00004.failed.json"):  # the first was made after all
        (tmp_path / LEDGER / name).write_text("no JSON\x1b[2J", encoding="utf-8")

    status = look(tmp_path)

    assert (status.shards_done, status.shards_failed) == (3, 1)
    assert sum(status.verdicts.values()) == 128
    assert status.failures == ["shard-00004, records 256 to 319: the note on it cannot be read"]


def test_a_large_ledger_is_told_at_once(tmp_path: Path, dataset: Dataset) -> None:
    plan = ledger_of(tmp_path, dataset, committed=1, shards=10_000)
    first, *others = plan.shards()
    for shard in others:
        os.link(entry_file(tmp_path, first), f"{tmp_path}/{LEDGER}/{shard.name}.json")
    begun = time.process_time()
    assert look(tmp_path).shards_done == 10_000
    assert time.process_time() - begun < 3  # ours: 0.5; of processor time, so that a busy machine may be
