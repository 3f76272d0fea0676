"""Measure what a build of any size costs those who steer it, and write the figures of docs/scaling.md."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.performance.child import ROOT, measure, measure_build, run, say
from benchmarks.performance.figures import BuildRun
from benchmarks.performance.machine import this_machine
from benchmarks.performance.results import FullBuild
from benchmarks.scaling.document import document, with_figures
from benchmarks.scaling.orchestration import run_empty
from benchmarks.scaling.results import EmptyRun, Finalised, Requests, Results
from benchmarks.scaling.servers import DATABASES, check_database
from pipeline.boundary import one_line
from pipeline.dataset import open_dataset
from pipeline.errors import FoundryError
from pipeline.second_opinion import DEFAULT_SHARE
from pipeline.shards import MOST_SHARD_RECORDS
from pipeline.store.files import replacing, writing

OUT = ROOT / "docs" / "scaling.md"


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    shards: tuple[int, ...] = (100, 1000, 10_000)
    """Empty ones."""
    crowd: tuple[int, int] = (1000, 256)
    """Empty shards and workers."""
    records: int = 2000
    """Of a build."""
    shard_records: int = 64
    """Of it: with larger ones the last of so few records would leave workers idle."""
    nodes: tuple[int, ...] = (1, 2, 3)
    more_records: int = 8192
    """Of a second dataset to finalise."""
    shard_sizes: tuple[int, ...] = (256, 2048, MOST_SHARD_RECORDS)
    requests: tuple[int, int] = (4, 16)
    """Shards of a build into a bucket."""


QUICK = Sizes(
    shards=(20, 60),
    crowd=(60, 16),
    records=128,
    shard_records=32,
    nodes=(2,),
    more_records=256,
    shard_sizes=(32, 64),
    requests=(2, 4),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="scaling", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="little of everything; writes nowhere without --out")
    parser.add_argument("--database", choices=DATABASES, help="measure with this one alone (default both)")
    parser.add_argument("--dataset", type=Path, help="a large finished dataset to finalise again; it is only read")
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"document whose figures to replace (default {OUT})")
    options = parser.parse_args(arguments)
    return one_line("scaling", lambda: _run(options), goes_on=False)


def _run(options: argparse.Namespace) -> int:
    out = options.out or (None if options.quick else OUT)
    databases = (options.database,) if options.database else DATABASES
    for database in databases:
        check_database(database)
    with tempfile.TemporaryDirectory(prefix="ecg-foundry-bench-") as folder:
        results = _results(QUICK if options.quick else Sizes(), databases, options, Path(folder))
    text = document(results)
    if out:
        with writing(out), replacing(out.absolute()) as temporary:
            before = out.read_text(encoding="utf-8") if out.exists() else ""
            temporary.write_text(with_figures(before, text), encoding="utf-8")
        say(f"{out} is written")
    print(text, end="")
    return 0


def _results(sizes: Sizes, databases: Sequence[str], options: argparse.Namespace, folder: Path) -> Results:
    inside = [_build(folder / f"workers-{workers}", sizes, workers) for workers in (1, 2)]
    nodes = {count: _on_nodes(folder / f"nodes-{count}", sizes, count) for count in sizes.nodes}
    _check_same([*folder.iterdir()])
    shard_sizes = {records: _one_shard(folder / f"shard-{records}", records) for records in sizes.shard_sizes}
    finalised = _finalised(folder, sizes, options.dataset)
    few, many = sizes.requests
    requests = [_requests(few, 0.0), _requests(many, 0.0), _requests(many, DEFAULT_SHARE)]
    crowd = _empty(databases[0], *sizes.crowd)
    empty = [_empty(database, shards, 2) for database in databases for shards in sizes.shards]
    return Results(
        machine=this_machine(),
        quick=options.quick,
        empty=empty,
        crowd=crowd,
        inside=inside,
        nodes=nodes,
        shard_sizes=shard_sizes,
        finalised=finalised,
        requests=requests,
    )


def _check_same(folders: Sequence[Path]) -> None:
    """Refuse to time builds that did not make the same."""
    made = {folder.name: open_dataset(folder).manifest.content_digest for folder in folders}
    if len(set(made.values())) > 1:
        raise FoundryError(f"one recipe gave several content digests: {made}. That is a fault of the program")


def _build(out: Path, sizes: Sizes, workers: int) -> BuildRun:
    say(f"{sizes.records:,} records by {workers} worker(s)")
    arguments = ("--records", sizes.records, "--shard-records", sizes.shard_records, "--workers", workers, "--out", out)
    return measure(BuildRun, "benchmarks.performance.build", arguments, cores=2)


def _on_nodes(out: Path, sizes: Sizes, nodes: int) -> BuildRun:
    say(f"{sizes.records:,} records on {nodes} Ray node(s)")
    arguments = ("--records", sizes.records, "--shard-records", sizes.shard_records, "--nodes", nodes, "--out", out)
    return measure(BuildRun, "benchmarks.scaling.nodes", arguments, cores=2)


def _one_shard(out: Path, records: int) -> FullBuild:
    say(f"one shard of {records:,} records")
    arguments = ("--records", records, "--shard-records", records, "--engine", "serial", "--out", out)
    return measure_build(arguments, cores=1)


def _finalised(folder: Path, sizes: Sizes, dataset: Path | None) -> list[Finalised]:
    """A small dataset, and a larger one with and without second opinions."""
    large = dataset.absolute() if dataset else folder / "more"
    if dataset is None:
        say(f"{sizes.more_records:,} records to finalise")
        build = ("--records", sizes.more_records, "--workers", 2, "--out", large)
        run("benchmarks.performance.build", build, cores=2)
    found = []
    for source, share in ((folder / "workers-2", DEFAULT_SHARE), (large, 0.0), (large, DEFAULT_SHARE)):
        say(f"finalising {source}, second opinions on {100 * share:g} %")
        arguments = (source, "--second-opinion", share)
        found.append(measure(Finalised, "benchmarks.scaling.finalising", arguments, cores=2))
    return found


def _requests(shards: int, second_opinion: float) -> Requests:
    say(f"requests of {shards} shards to a bucket, second opinions on {100 * second_opinion:g} %")
    arguments = ("--shards", shards, "--second-opinion", second_opinion)
    return measure(Requests, "benchmarks.scaling.bucket", arguments, cores=2)


def _empty(database: str, shards: int, workers: int) -> EmptyRun:
    say(f"{shards:,} empty shards of {workers} workers, on {database}")
    return run_empty(database, shards, workers)


if __name__ == "__main__":
    sys.exit(main())
