"""What the tests of bad days share: processes with a fault in them, and what has to hold after it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from pipeline.dataset import Dataset, open_dataset
from pipeline.logs import logging_to
from pipeline.store.ledger import committed_entry
from pipeline.verify import verify
from tests.conftest import build, planned
from tests.processes import entry_files

BALLAST = ".ballast"
"""The file with which a fault fills a disk."""
FAULTS = Path(__file__).parent / "faults"
RECIPE: dict[str, Any] = {"records": 80, "seed": 7}
"""Of the shared dataset."""
SHARD_RECORDS = 32
SHARDS = 3
ARGUMENTS = ["--records", "80", "--seed", "7", "--shard-records", str(SHARD_RECORDS), "--no-release"]


@dataclass(frozen=True)
class Fault:
    """What happens in front of or behind the nth call of a function, named with its module, and so many from there on.

    Where a number is given, only calls with that among their arguments count.
    """

    action: str
    target: str
    when: str = "before"
    nth: int = 1
    times: int = 1
    given: int | None = None


class Surroundings:
    """Where a test's processes run, and by what they are found again whatever has become of their parents."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "dataset"
        self.faults = folder / "faults"
        self.faults.mkdir(parents=True)

    def environment(self, fault: Fault | None) -> dict[str, str]:
        """Those of the process, with the fault in it if there is one."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "RAY_"))}
        mark = {
            "FAULT_FOLDER": str(self.faults),
            "FAULT_DISK": str(self.folder),
            "PREFECT_HOME": str(self.folder / "home"),
        }
        if fault is None:
            return inherited | mark
        path = os.pathsep.join([str(FAULTS), *filter(None, [os.environ.get("PYTHONPATH")])])
        return inherited | mark | {"FAULT": json.dumps(vars(fault)), "PYTHONPATH": path}

    def start(self, *command: str, fault: Fault | None = None, **variables: str) -> "subprocess.Popen[str]":
        """Start a Python module of this program, with a fault in it and variables in its environment."""
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            env=self.environment(fault) | variables,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def build(
        self, *more: str, fault: Fault | None = None, engine: str = "serial", **variables: str
    ) -> "subprocess.Popen[str]":
        """Start a build of the recipe."""
        build = ["pipeline.cli", "build", *ARGUMENTS, "--out", str(self.out), "--engine", engine, *more]
        return self.start(*build, fault=fault, **variables)

    def processes(self) -> list[psutil.Process]:
        """Every process that was started here, and what it started."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get("FAULT_FOLDER") == str(self.faults) and process.status() != "zombie"
        except psutil.Error:
            return False

    def wait_until_reached(self, seconds: float = 60) -> None:
        """Wait for a process that has come to its fault and stays there."""
        wait_for((self.faults / "reached").exists, seconds)

    def let_go(self) -> None:
        """Let a process that waits at its fault go on."""
        (self.faults / "go on").touch()

    def kill_everything(self) -> None:
        """Kill -9 of every process at once."""
        for process in self.processes():
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.Error:
                continue
        wait_for(lambda: not self.processes(), 20)

    def committed(self) -> set[int]:
        """Shards that are on disk with an entry that says so."""
        plan = planned(shard_records=SHARD_RECORDS, **RECIPE)
        return {shard.index for shard in plan.shards() if committed_entry(self.out, plan, shard)}


def wait_for(state: Callable[[], bool], seconds: float) -> None:
    """Wait until something is so.

    Raises:
        AssertionError: when it does not come to be.
    """
    deadline = time.monotonic() + seconds
    while not state():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain"
        time.sleep(0.02)


def assert_plain_rerun_finishes(here: Surroundings, dataset: Dataset, log: Path) -> None:
    """The same build once more ends with the digest of an undisturbed one, and makes only what was not committed."""
    before = here.committed()
    with logging_to(log):
        again = build(here.out, shard_records=SHARD_RECORDS, **RECIPE)
    made = {event["shard"] for event in events(log) if event["event"] == "shard made"}
    assert made == {f"shard-{index:05d}" for index in set(range(SHARDS)) - before}
    assert again.manifest.content_digest == dataset.manifest.content_digest
    assert not verify(open_dataset(here.out))


def events(log: Path) -> Iterator[dict[str, Any]]:
    """The lines of a log."""
    return map(json.loads, log.read_text(encoding="utf-8").splitlines()) if log.exists() else iter(())


def assert_nothing_half_written(here: Surroundings) -> None:
    """What has its final name is whole: a manifest only on a dataset that verifies, an entry only on whole files."""
    if (here.out / "dataset.json").exists():
        assert not [problem for problem in verify(open_dataset(here.out)) if ".tmp" not in problem.thing]
    entries = {int(path.stem.removeprefix("shard-")) for path in entry_files(here.out)}
    assert entries == here.committed()
