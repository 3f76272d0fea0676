"""One build, killed twenty times at random moments: the same digest, and little work done twice."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import psutil
import pytest

from pipeline.build import build_dataset
from pipeline.dataset import open_dataset
from pipeline.engines import Crew
from pipeline.verify import verify
from tests.bad_day import Fault, Surroundings, wait_for
from tests.conftest import planned
from tests.processes import entries

KILLS = 20
WORKERS = 2
RECORDS, SHARD_RECORDS = 7680, 64
RECIPE = ["--records", str(RECORDS), "--seed", "11", "--shard-records", str(SHARD_RECORDS)]
COUNT_BEGUN = Fault("wait", "pipeline.worker.block_noise", nth=10**9)
"""No fault: it counts the shards that any worker began to compute, in files of their own."""


@pytest.mark.bad_day
@pytest.mark.timeout(1200)
def test_twenty_kills_at_random_moments(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    chance = Random(20)
    here = Surroundings(tmp_path)
    kinds: list[str] = []
    try:
        build = ["pipeline.cli", "build", *RECIPE, "--out", str(here.out), "--no-release", "--workers", str(WORKERS)]
        process = here.start(*build, fault=COUNT_BEGUN)
        while len(kinds) < KILLS:
            committed = entries(here.out)
            wait_for(lambda: entries(here.out) > committed or process.poll() is not None, 120)  # noqa: B023
            time.sleep(chance.uniform(0, 1.5))
            assert process.poll() is None, f"over after {len(kinds)} kills: make the build longer"
            kind = chance.choice(["a worker", "the driver", "everything"])
            _kill(here, process.pid, kind, chance)
            kinds.append(kind)
            if kind != "a worker":
                process.communicate()
                process = here.start(*build, fault=COUNT_BEGUN)
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
    finally:
        here.kill_everything()
    undisturbed = build_dataset(
        tmp_path / "undisturbed",
        planned(records=RECORDS, seed=11, shard_records=SHARD_RECORDS),
        crew=Crew("serial"),
    ).dataset
    dataset = open_dataset(here.out)
    assert dataset.manifest.content_digest == undisturbed.manifest.content_digest
    assert not verify(dataset)
    begun = len(list(here.faults.glob("call-*"))) * 32 / SHARD_RECORDS
    repeated = begun - RECORDS / SHARD_RECORDS
    assert repeated <= KILLS * WORKERS
    named = ", ".join(f"{kinds.count(kind)} of {kind}" for kind in sorted(set(kinds)))
    share = (
        f"{repeated:.1f} of {RECORDS // SHARD_RECORDS} shards computed twice, {repeated / KILLS / WORKERS:.2f} a worker"
    )
    figure = (
        f"soak: {KILLS} kills at random moments of one build by {WORKERS} workers ({named}): the same digest, {share}"
    )
    record_property("bad_day_figure", f"{figure} and kill")


def _kill(here: Surroundings, driver: int, kind: str, chance: Random) -> None:
    if kind == "everything":
        here.kill_everything()
    elif kind == "the driver":
        os.kill(driver, signal.SIGKILL)
    else:
        workers = [process for process in here.processes() if _is_worker(process)]
        if workers:
            chance.choice(workers).send_signal(signal.SIGKILL)


def _is_worker(process: psutil.Process) -> bool:
    try:
        return process.name().startswith("ray::")
    except psutil.NoSuchProcess:
        return False
