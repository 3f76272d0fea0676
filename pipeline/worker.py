"""One worker: makes a shard in one pass in its own memory and commits it."""

import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from pipeline.columns import RECORD_ID, SIGNAL_SHA256, TABLE_SCHEMA
from pipeline.digest import signal_sha256
from pipeline.generators import generate_block, load_generator
from pipeline.interpret import interpret
from pipeline.measurement import measure
from pipeline.shards import BLOCK, Shard
from pipeline.store.files import file_entry
from pipeline.store.ledger import LedgerEntry, Plan, entry_file, part_file, write_model
from pipeline.store.signals import write_shard
from pipeline.store.tables import count_values, write_table


@dataclass(frozen=True)
class Job:
    """What a worker has to know; small, so that it can travel."""

    folder: Path
    plan: Plan
    checkpoint: Path | None = None
    device: str = "cpu"

    def on(self, device: str) -> "Job":
        """The same job on another device."""
        return replace(self, device=device)


class Worker:
    """Loads the generator once, then makes shard after shard."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._generator = load_generator(job.plan.recipe, job.checkpoint, job.device)

    def run(self, shard: Shard) -> LedgerEntry:
        """Make one shard: signals, rows, and last of all the ledger entry, each durable before the next."""
        folder, plan = self._job.folder, self._job.plan
        seconds: dict[str, float] = {}
        with _timed(seconds, "generate"):
            signals = self._signals(shard)
        with _timed(seconds, "measure"):
            table = measure_records(signals, shard.start)
        with _timed(seconds, "write"):
            files = write_shard(folder, shard, signals), part_file(folder, shard)
            write_table(files[1], table, TABLE_SCHEMA)
            signals_entry, rows_entry = map(file_entry, files)
        entry = LedgerEntry(
            lineage_digest=plan.lineage_digest(),
            index=shard.index,
            start=shard.start,
            stop=shard.stop,
            signals=signals_entry,
            rows=rows_entry,
            verdicts=count_values(table["verdict"]),
            seconds=seconds,
            device=self._generator.device,
            instruction_set=instruction_set(),
            finished_at=datetime.now(UTC),
        )
        write_model(entry_file(folder, shard), entry)
        return entry

    def _signals(self, shard: Shard) -> NDArray[np.int16]:
        """The shard's signals, (records, 8, 5000): whole blocks, the last one cut."""
        seed = self._job.plan.recipe.seed
        blocks = range(shard.start // BLOCK, -(-shard.stop // BLOCK))
        return np.concatenate([generate_block(self._generator, seed, block) for block in blocks])[: len(shard)]


def measure_records(signals: NDArray[np.int16], start: int) -> pa.Table:
    """The full rows of stored signals: measurement, interpretation and hashes.

    Args:
        signals: (records, 8, 5000) int16, µV, as stored.
        start: number of the first record.

    Returns:
        A table with the columns of `TABLE_SCHEMA`.
    """
    measured = measure(signals)
    columns = {name: measured[name] for name in measured.column_names}
    interpreted = interpret(measured)
    columns |= {name: interpreted[name] for name in interpreted.column_names}
    columns[RECORD_ID.name] = pa.array(np.arange(start, start + len(signals)))
    columns[SIGNAL_SHA256.name] = pa.array(signal_sha256(signals))
    return pa.table([columns[name] for name in TABLE_SCHEMA.names], schema=TABLE_SCHEMA)


def instruction_set() -> str:
    """The class of machines within which the generator's bytes are identical."""
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[stage] = round(time.perf_counter() - started, 4)
