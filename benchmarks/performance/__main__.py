"""Time the pipeline beside a peer and write docs/performance.md; `make bench` is the way in."""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.arguments import count
from benchmarks.performance.child import ROOT, measure, measure_build, say
from benchmarks.performance.document import document
from benchmarks.performance.figures import BuildRun
from benchmarks.performance.flow import run_flow
from benchmarks.performance.machine import this_machine
from benchmarks.performance.results import FullBuild, Generator, OneCore, Results, Scaling, Storage
from pipeline.boundary import one_line
from pipeline.errors import DatasetError
from pipeline.store.files import replacing, writing

OUT = ROOT / "docs" / "performance.md"
RECORDS, QUICK_RECORDS = 150_000, 4096
WORKERS = 2


@dataclass(frozen=True)
class Sizes:
    """How much is timed."""

    records: int
    """Of the full build; the small ones have a tenth."""
    flow_records: int
    rounds: int = 7
    blocks: int = 8
    """Of the generator, a round."""
    build_rounds: int = 3
    build_records: int = 8192
    prominence: int = 24
    dwt: int = 8
    small_rounds: int = 2
    scaling_rounds: int = 2
    scaling_records: int = 8192


def _sizes(options: argparse.Namespace) -> Sizes:
    records: int = options.records or (QUICK_RECORDS if options.quick else RECORDS)
    flow_records: int = options.flow_records or max(1, records // 10)
    if not options.quick:
        return Sizes(records, flow_records)
    return Sizes(
        records,
        flow_records,
        rounds=2,
        blocks=2,
        build_rounds=1,
        build_records=512,
        prominence=8,
        dwt=2,
        small_rounds=1,
        scaling_rounds=1,
        scaling_records=1024,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="performance", description=__doc__)
    parser.add_argument(
        "--records", type=count, help=f"of the full build (default {RECORDS:,}; with --quick {QUICK_RECORDS:,})"
    )
    parser.add_argument("--flow-records", type=count, help="of the Prefect flow (default a tenth of the full build)")
    parser.add_argument("--quick", action="store_true", help="little of everything; writes nowhere without --out")
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"document to overwrite (default {OUT})")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the full dataset, in a new folder")
    options = parser.parse_args(arguments)
    return one_line("performance", lambda: _run(options), goes_on=False)


def _run(options: argparse.Namespace) -> int:
    out = options.out or (None if options.quick else OUT)
    if options.keep and options.keep.exists():
        raise DatasetError(
            f"{options.keep} is there already. Give --keep a new folder, so that the build is timed whole"
        )
    with tempfile.TemporaryDirectory(prefix="ecg-foundry-bench-") as folder:
        results = _results(_sizes(options), Path(folder), options.keep, is_quick=options.quick)
    text = document(results)
    if out:
        with writing(out), replacing(out.absolute()) as temporary:
            temporary.write_text(text, encoding="utf-8")
        say(f"{out} is written")
    print(text, end="")
    return 0


def _results(sizes: Sizes, folder: Path, keep: Path | None, *, is_quick: bool) -> Results:
    say("1 of 7: the generator alone, one core")
    arguments: tuple[object, ...] = ("--rounds", sizes.rounds, "--blocks", sizes.blocks)
    generator = measure(Generator, "benchmarks.performance.generator", arguments, cores=1)
    say(f"2 of 7: whole builds of {sizes.build_records:,} records and the peer in turn, one core")
    arguments = ("--rounds", sizes.build_rounds, "--records", sizes.build_records)
    arguments += ("--prominence", sizes.prominence, "--dwt", sizes.dwt)
    one_core = measure(OneCore, "benchmarks.performance.one_core", arguments, cores=1)
    tenth = max(1, sizes.records // 10)
    small = []
    for number in range(sizes.small_rounds):
        say(f"3 of 7: {tenth:,} records by {WORKERS} workers, {number + 1} of {sizes.small_rounds}")
        small.append(_build(folder / "small", tenth))
        shutil.rmtree(folder / "small")
    say(f"4 of 7: {sizes.flow_records:,} records by the Prefect flow")
    flow = run_flow(folder / "flow", sizes.flow_records, WORKERS)
    shutil.rmtree(folder / "flow")
    scaling = _scaling(sizes, folder / "scaling")
    say(f"6 of 7: {sizes.records:,} records by {WORKERS} workers")
    dataset = keep.absolute() if keep else folder / "full"
    full = _build(dataset, sizes.records)
    say("7 of 7: reading")
    storage = measure(Storage, "benchmarks.performance.storage", (dataset,), cores=1)
    return Results(
        machine=this_machine(),
        quick=is_quick,
        generator=generator,
        one_core=one_core,
        full=full,
        small=small,
        flow=flow,
        scaling=scaling,
        storage=storage,
    )


def _scaling(sizes: Sizes, folder: Path) -> Scaling:
    builds: dict[int, list[BuildRun]] = {1: [], 2: []}
    for number in range(sizes.scaling_rounds):
        for workers, runs in builds.items():
            say(
                f"5 of 7: {sizes.scaling_records:,} records by {workers} worker(s), "
                f"{number + 1} of {sizes.scaling_rounds}"
            )
            runs.append(_build(folder, sizes.scaling_records, workers).run)
            shutil.rmtree(folder)
    return Scaling(one=builds[1], two=builds[2])


def _build(out: Path, records: int, workers: int = WORKERS) -> FullBuild:
    arguments = ("--records", records, "--out", out, "--engine", "ray", "--workers", workers)
    return measure_build(arguments, cores=WORKERS)


if __name__ == "__main__":
    sys.exit(main())
