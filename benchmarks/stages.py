"""Time the stages of a record on one core: noise, generate, measure and interpret, hash, store.

    python benchmarks/stages.py [--records 256] [--rounds 3]

Prints the median milliseconds a record of each stage and the records a second of all together.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from pipeline.columns import TABLE_SCHEMA
from pipeline.digest import signal_sha256
from pipeline.generators import load_generator
from pipeline.noise import block_noise
from pipeline.recipe import Recipe
from pipeline.rows import interpreted_rows, stored_rows
from pipeline.shards import BLOCK, Shard
from pipeline.store.signals import create_signals, write_shard
from pipeline.store.tables import write_table
from pipeline.worker import instruction_set

_T = TypeVar("_T")


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.rounds):
            for stage, milliseconds in one_round(Path(folder), options.records).items():
                times.setdefault(stage, []).append(milliseconds)
    medians = {stage: statistics.median(values) for stage, values in times.items()}
    print(
        f"{instruction_set()}, torch {torch.__version__}, {options.records} records, median of {options.rounds} rounds"
    )
    for stage, milliseconds in medians.items():
        print(f"{stage:<24}{milliseconds:8.3f} ms a record, {1000 / milliseconds:8.0f} records/s")
    total = sum(medians.values())
    print(f"{'all':<24}{total:8.3f} ms a record, {1000 / total:.0f} records/s on one core")


def one_round(folder: Path, records: int) -> dict[str, float]:
    """Milliseconds a record of each stage."""
    times: dict[str, float] = {}

    def timed(stage: str, work: Callable[[], _T]) -> _T:
        started = time.perf_counter()
        result = work()
        times[stage] = 1000 * (time.perf_counter() - started) / records
        return result

    generator = load_generator(Recipe())
    noise = timed("noise", lambda: block_noise(0, 0, records))
    blocks = range(0, records, BLOCK)
    signals = timed("generate", lambda: np.concatenate([generator(noise[b : b + BLOCK]) for b in blocks]))
    timed("measure and interpret", lambda: interpreted_rows(signals))
    timed("hash", lambda: signal_sha256(signals))
    table = stored_rows(signals, 0)
    create_signals(folder, records, records)
    timed("store signals", lambda: write_shard(folder, Shard(0, 0, records), signals))
    timed("store rows", lambda: write_table(folder / "rows.parquet", table, TABLE_SCHEMA))
    return times


if __name__ == "__main__":
    main()
