"""Workers die and hang; shards are tried again on new ones, and a shard that always fails does not stop the others."""

import threading
import time
from pathlib import Path

import psutil
import pytest

from pipeline.build import ATTEMPTS, make_shards, open_build
from pipeline.dataset import Dataset
from pipeline.engines import make_engine
from pipeline.engines.ray import _Seat
from pipeline.engines.serial import SerialEngine
from pipeline.errors import DatasetError, WorkerError
from pipeline.shards import Shard
from pipeline.store.ledger import LedgerEntry
from pipeline.worker import Job, Worker
from tests.conftest import build, planned


def kill_workers_once(killed: list[int]) -> None:
    """Kill -9 the first Ray worker of this process's cluster that has started."""
    deadline = time.monotonic() + 60
    while not killed and time.monotonic() < deadline:
        for child in psutil.Process().children(recursive=True):
            try:
                if child.name() == "ray::Worker":
                    child.kill()
                    killed.append(child.pid)
            except psutil.NoSuchProcess:
                continue
        time.sleep(0.005)


def test_a_killed_worker_is_replaced_and_its_shard_made_again(
    tmp_path: Path, dataset: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    killed: list[int] = []
    thread = threading.Thread(target=kill_workers_once, args=[killed])
    thread.start()
    again = build(tmp_path / "d", engine="ray", workers=1, records=80, seed=7, shard_records=32, release=False)
    thread.join()
    assert killed
    assert "failed: the worker of shard-0000" in caplog.text
    assert again.manifest.content_digest == dataset.manifest.content_digest


def test_a_worker_that_does_not_answer_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.engines.ray.START_SECONDS", 0.01)
    monkeypatch.setattr("pipeline.engines.ray.SECONDS_PER_RECORD", 0.0)
    with (
        open_build(tmp_path / "d", planned(records=32)) as started,
        make_engine("ray", started.job, 1) as engine,
        pytest.raises(WorkerError, match="shard-00000 did not answer in time; a new one takes its place"),
    ):
        engine.run(started.pending[0])


def test_a_worker_that_fails_two_shards_at_once_is_replaced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []
    spawned = iter(range(9))
    monkeypatch.setattr("pipeline.engines.ray.ray.kill", killed.append)
    seat = _Seat(lambda: next(spawned))
    failed = seat.actor
    seat.replace(failed)
    seat.replace(failed)
    assert killed == [failed]
    assert seat.actor == 1


class Cursed(SerialEngine):
    """Fails on one shard for ever, and once on another."""

    tries = 0

    def run(self, shard: Shard) -> LedgerEntry:
        """As the engine, but for the curse."""
        if shard.index == 1:
            self.tries += 1
            raise WorkerError("cursed")
        return super().run(shard)


def test_a_shard_that_always_fails_is_named_and_the_others_are_kept(tmp_path: Path) -> None:
    with open_build(tmp_path / "d", planned(records=96, shard_records=32)) as started:
        engine = Cursed(started.job)
        with pytest.raises(WorkerError, match=r"shard-00001 \(records 32 to 63\): cursed"):
            make_shards(started, engine)
    assert engine.tries == ATTEMPTS
    with open_build(tmp_path / "d", planned(records=96, shard_records=32)) as again:
        assert [shard.index for shard in again.pending] == [1]


def test_a_worker_with_other_code_refuses_to_work(tmp_path: Path) -> None:
    plan = planned(records=32)
    for other in ({"generation_version": "0.0"}, {"measurement_version": "0.0"}, {"rule_set": "another"}):
        worker = Worker(Job(tmp_path, plan.model_copy(update=other)))
        with pytest.raises(DatasetError, match="which this worker runs"):
            worker.run(Shard(0, 0, 32))
    assert not any(tmp_path.iterdir())
