"""Finalising a dataset, in a process that does nothing else, so that its memory is what that takes."""

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.performance.memory import MemoryWatch, marked
from benchmarks.scaling.results import Finalised
from pipeline.boundary import one_line
from pipeline.dataset import open_dataset, plan_of
from pipeline.finalise import finalise
from pipeline.second_opinion import neurokit2_heart_rate
from pipeline.store.files import bytes_on_disk
from pipeline.store.ledger import LEDGER
from pipeline.store.signals import SIGNALS, read_signals
from pipeline.store.tables import MEASUREMENTS, read_table


def finalised(source: Path, second_opinion: float) -> Finalised:
    """Take a finished dataset's committed shards, and make a dataset of them again.

    Args:
        source: its folder, which is only read; its shards are linked into a folder beside it where that can be.
        second_opinion: share of the records that neurokit2 sees.
    """
    plan = plan_of(open_dataset(source).manifest)
    neurokit2_heart_rate(read_signals(source, 0, 1)[0, 1])  # whose import takes seconds and megabytes
    with tempfile.TemporaryDirectory(prefix="ecg-foundry-finalise-") as name:
        folder = Path(name) / "dataset"
        for part in (LEDGER, SIGNALS):
            shutil.copytree(source / part, folder / part, copy_function=_linked)
        this = psutil.Process()
        before = this.memory_info().rss
        with MemoryWatch(this.pid, marked({})[0]) as watch:
            started = time.perf_counter()
            finalise(folder, plan, second_opinion=second_opinion)
            seconds = time.perf_counter() - started
        return Finalised(
            records=plan.recipe.records,
            shards=len(plan.shards()),
            second_opinion=second_opinion,
            seconds=seconds,
            before_bytes=before,
            peak_bytes=watch.peak.rss_bytes,
            table_bytes=read_table(folder / MEASUREMENTS).nbytes,
            folder_bytes=bytes_on_disk(folder),
        )


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk, or one that knows no links
        shutil.copy2(source, target)


def main() -> int:
    """Print the figures as one line of JSON; returns the exit status."""
    parser = argparse.ArgumentParser(prog="finalising", description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--second-opinion", type=float, required=True)
    options = parser.parse_args()
    return one_line(parser.prog, lambda: _run(options), goes_on=False)


def _run(options: argparse.Namespace) -> int:
    print(finalised(options.dataset, options.second_opinion).model_dump_json())
    return 0


if __name__ == "__main__":
    sys.exit(main())
