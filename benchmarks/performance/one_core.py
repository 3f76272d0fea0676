"""Whole builds on one core, in turn with the generator alone and with the peer, and each stage alone."""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from benchmarks.performance.build import timed_build
from benchmarks.performance.figures import BuildRun, PeerRun, Series
from benchmarks.performance.generator import Ours
from benchmarks.performance.peer import METHODS, run_peer
from benchmarks.performance.results import OneCore
from pipeline.columns import TABLE_SCHEMA
from pipeline.digest import signal_sha256
from pipeline.engines import Crew
from pipeline.generators import load_generator
from pipeline.interpret import interpret
from pipeline.measurement import measure
from pipeline.noise import block_noise
from pipeline.recipe import Recipe
from pipeline.rows import stored_rows
from pipeline.shards import BLOCK, DEFAULT_SHARD_RECORDS, Shard
from pipeline.store.sharding import encode_shard
from pipeline.store.signals import create_signals, write_shard
from pipeline.store.tables import write_part

_T = TypeVar("_T")
_GENERATOR_BLOCKS = 16


def compare(rounds: int, records: int, peer_records: dict[str, int]) -> OneCore:
    """Time everything in turn, on as many threads as are set.

    Args:
        rounds: how often each has its turn.
        records: a build.
        peer_records: by method.
    """
    _build(BLOCK)  # what is imported and made on first use
    for method in METHODS:
        run_peer(1, method)
    generator = Ours()
    rates: list[float] = []
    builds: list[BuildRun] = []
    peers: dict[str, list[PeerRun]] = {method: [] for method in METHODS}
    for _ in range(rounds):
        before = generator.records_per_s(_GENERATOR_BLOCKS)
        builds.append(_build(records))
        after = generator.records_per_s(_GENERATOR_BLOCKS)
        rates.append(2 / (1 / before + 1 / after))
        for method, runs in peers.items():
            runs.append(run_peer(peer_records[method], method))
    return OneCore(
        generator_per_s=Series(values=tuple(rates)), builds=builds, peers=peers, stages_ms=_stages(max(3, rounds))
    )


def _build(records: int) -> BuildRun:
    with tempfile.TemporaryDirectory() as folder:
        return timed_build(Path(folder) / "dataset", records, Crew("serial"))


def _stages(rounds: int) -> dict[str, Series]:
    """Milliseconds a record of each stage of one shard, nothing beside it."""
    found = [_one_shard() for _ in range(rounds)]
    return {stage: Series(values=tuple(times[stage] for times in found)) for stage in found[0]}


def _one_shard() -> dict[str, float]:
    records = DEFAULT_SHARD_RECORDS
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
    measured = timed("measure", lambda: measure(signals))
    timed("interpret", lambda: interpret(measured))
    timed("hash", lambda: signal_sha256(signals))
    content = timed("compress", lambda: encode_shard(signals, records))
    table = stored_rows(signals, 0)
    with tempfile.TemporaryDirectory() as folder:
        create_signals(Path(folder), records, records)
        timed("write signals", lambda: write_shard(Path(folder), Shard(0, 0, records), content))
        timed("write rows", lambda: write_part(Path(folder) / "rows.parquet", table, TABLE_SCHEMA))
    return times


def main() -> None:
    """Print the figures as one line of JSON."""
    parser = argparse.ArgumentParser(prog="one_core", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--records", type=int, default=4096)
    parser.add_argument("--prominence", type=int, default=24, metavar="RECORDS")
    parser.add_argument("--dwt", type=int, default=8, metavar="RECORDS")
    options = parser.parse_args()
    torch.set_num_threads(1)
    peer_records = {"prominence": options.prominence, "dwt": options.dwt}
    print(compare(options.rounds, options.records, peer_records).model_dump_json())


if __name__ == "__main__":
    main()
