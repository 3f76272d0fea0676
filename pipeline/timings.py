"""Where the time of a build went: what workers did with theirs, record by record, and what came before and after."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter

BESIDE = "write"
"""The stage that runs while the worker already computes its next shard, and so is no part of the sum."""


@dataclass
class Timings:
    """Seconds of one build; nothing of what an earlier one did."""

    workers: int = 0
    shards: int = 0
    records: int = 0
    stages: Counter[str] = field(default_factory=Counter)
    """Seconds of all workers together, by stage."""
    phases: dict[str, float] = field(default_factory=dict)
    """Seconds on the wall, by phase: start, make, finalise."""

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a phase, on the wall."""
        with timed(self.phases, name):
            yield

    def add_shard(self, records: int, seconds: Mapping[str, float]) -> None:
        """Count a shard that was made."""
        self.shards += 1
        self.records += records
        self.stages.update(seconds)

    @property
    def waiting(self) -> float:
        """Seconds in which workers computed nothing: scheduling, starting and stopping, and the wait for a shard."""
        computing = sum(seconds for stage, seconds in self.stages.items() if stage != BESIDE)
        return self.workers * self.phases["make"] - computing

    def text(self) -> str:
        """A worker's milliseconds a record by stage, which add up, then the phases; empty if nothing was made."""
        if not self.records:
            return ""
        make, wall = self.phases["make"], sum(self.phases.values())
        in_all = self.workers * make
        computed = {stage: seconds for stage, seconds in self.stages.items() if stage != BESIDE}
        rows = computed | {"schedule and wait": self.waiting, "= a worker's time": in_all}
        made = f"{self.records:,} records by {self.workers} worker(s) in {make:.1f} s"
        lines = [f"Where the time went: {made}, {self.records / make:.0f} records/s"]
        for stage, seconds in rows.items():
            share = 100 * seconds / in_all
            lines.append(f"{stage:<18}{1000 * seconds / self.records:>8.3f} ms a record {share:>6.1f} %")
        written = 1000 * self.stages[BESIDE] / self.records
        lines.append(f"{BESIDE:<18}{written:>8.3f} ms a record, beside the next shard")
        lines.append(f"{1000 * self.waiting / self.shards:.1f} ms a shard of scheduling and waiting")
        phases = ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in self.phases.items())
        lines.append(f"{phases}, in all {wall:.1f} s: {self.records / wall:.0f} records/s")
        return "\n".join(lines) + "\n"


@contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Add the seconds on the wall that the block takes."""
    started = perf_counter()
    try:
        yield
    finally:
        seconds[name] = seconds.get(name, 0.0) + perf_counter() - started
