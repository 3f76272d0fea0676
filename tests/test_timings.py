"""The account of a build's time adds up."""

import re
from pathlib import Path

import pytest

from pipeline.build import build_dataset
from pipeline.engines import Crew
from pipeline.timings import BESIDE, Timings
from tests.conftest import planned


def test_nothing_made_is_nothing_said() -> None:
    assert Timings(phases={"finalise": 2.0}).text() == ""


def test_a_workers_time_is_its_stages_and_its_waiting() -> None:
    timings = Timings(workers=2, phases={"start": 1.0, "make": 10.0, "finalise": 4.0})
    timings.add_shard(600, {"generate": 8.0, "measure": 4.0, BESIDE: 1.0})
    timings.add_shard(400, {"generate": 4.0, "measure": 2.0, BESIDE: 1.5})
    assert timings.waiting == pytest.approx(2.0)  # of two workers' 20 s
    text = timings.text()
    assert "1,000 records by 2 worker(s) in 10.0 s, 100 records/s" in text
    assert re.search(r"generate +12.000 ms a record +60.0 %", text)
    assert re.search(r"= a worker's time +20.000 ms a record +100.0 %", text)
    assert "1000.0 ms a shard of scheduling and waiting" in text
    assert "in all 15.0 s: 67 records/s" in text


def test_a_build_accounts_for_every_stage(tmp_path: Path) -> None:
    timings = build_dataset(tmp_path / "d", planned(records=64, shard_records=32), crew=Crew("serial")).timings
    assert (timings.records, timings.shards, timings.workers) == (64, 2, 1)
    assert set(timings.stages) >= {"noise", "generate", "measure", "compress", BESIDE}
    assert set(timings.phases) == {"start", "make", "finalise"}
    assert all(seconds > 0 for seconds in timings.stages.values())
    assert timings.waiting > -0.01
