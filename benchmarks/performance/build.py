"""One build of a dataset, timed: in this process, or as a program of its own that prints one line of JSON."""

import argparse
import sys
import time
from pathlib import Path

from benchmarks.performance.figures import BuildRun
from pipeline.boundary import one_line
from pipeline.build import build_dataset
from pipeline.engines import Crew
from pipeline.plan import plan_build
from pipeline.shards import DEFAULT_SHARD_RECORDS
from pipeline.timings import BESIDE


def timed_build(out: Path, records: int, crew: Crew, shard_records: int = DEFAULT_SHARD_RECORDS) -> BuildRun:
    """Build into an empty folder with the normal subset and second opinions.

    Args:
        out: the folder.
        records: how many.
        crew: who makes the shards.
        shard_records: records a shard.
    """
    plan = plan_build({"records": records}, shard_records=shard_records)
    started = time.perf_counter()
    built = build_dataset(out, plan, crew=crew)
    return BuildRun.of(built.timings, time.perf_counter() - started, BESIDE)


def main() -> int:
    """Print the figures as one line of JSON; returns the exit status."""
    parser = argparse.ArgumentParser(prog="build", description=__doc__)
    parser.add_argument("--records", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--engine", default="ray")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--shard-records", type=int, default=DEFAULT_SHARD_RECORDS)
    options = parser.parse_args()
    return one_line(parser.prog, lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    built = timed_build(options.out, options.records, Crew(options.engine, options.workers), options.shard_records)
    print(built.model_dump_json())
    return 0


if __name__ == "__main__":
    sys.exit(main())
