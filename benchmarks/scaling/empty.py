"""The flow's own way through its shards, with workers that have made every shard already: what is left is steering.

A program of its own, so that its memory is the driver's. It wants a Prefect server in `PREFECT_API_URL`.
"""

import argparse
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from prefect import flow
from prefect.runtime import flow_run

from benchmarks.scaling.results import Driven
from flows.build_dataset import _make_shards, build_dataset
from pipeline.build import open_build
from pipeline.plan import plan_build
from pipeline.shards import BLOCK, Shard
from pipeline.store.files import FileEntry
from pipeline.store.ledger import LedgerEntry
from pipeline.timings import BESIDE

_STAGES = ("noise", "generate", "measure", "interpret", "hash", "compress", BESIDE)


class EmptyEngine:
    """An engine whose shards are made at once and of nothing; the entries are such as workers give."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.slots = 2 * workers

    def run(self, shard: Shard) -> LedgerEntry:
        """An entry of files that are not there."""
        nothing = FileEntry(sha256="0" * 64, bytes=0)
        return LedgerEntry(
            lineage_digest="0" * 64,
            index=shard.index,
            start=shard.start,
            stop=shard.stop,
            signals=nothing,
            rows=nothing,
            verdicts={"Normal": len(shard)},
            seconds=dict.fromkeys(_STAGES, 0.0),
            device="cpu",
            instruction_set="none",
            finished_at=datetime.now(UTC),
        )

    def __enter__(self) -> Self:
        """Ready at once."""
        return self

    def stop(self) -> None:
        """Nothing to give up."""

    def __exit__(self, *exception: object) -> None:
        """Nothing to release."""


@flow(name="empty-shards", task_runner=build_dataset.task_runner)
def empty_shards(shards: int, workers: int) -> Driven:
    """Steer so many shards through the flow's tasks, its window and its progress artifact; nothing is finalised."""
    started = time.time()
    with TemporaryDirectory() as folder:
        plan, engine = plan_build({"records": BLOCK * shards}, shard_records=BLOCK), EmptyEngine(workers)
        with open_build(Path(folder) / "dataset", plan, second_opinion=0) as build:
            before = time.process_time()
            with build.timings.phase("make"):
                _make_shards(build, engine)
            return Driven(
                flow_run=str(flow_run.id),
                shards=build.timings.shards,
                workers=workers,
                started=started,
                make_s=build.timings.phases["make"],
                cpu_s=time.process_time() - before,
            )


def main() -> None:
    """Print the figures as one line of JSON."""
    parser = argparse.ArgumentParser(prog="empty", description=__doc__)
    parser.add_argument("--shards", type=int, required=True)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    print(empty_shards(options.shards, options.workers).model_dump_json())


if __name__ == "__main__":
    main()
