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

from pipeline.columns import TABLE_SCHEMA
from pipeline.errors import DatasetError
from pipeline.generators import generate_block, load_generator
from pipeline.interpret.rules import RULE_SET
from pipeline.measurement import MEASUREMENT_VERSION
from pipeline.rows import stored_rows
from pipeline.shards import BLOCK, Shard
from pipeline.store.documents import write_document
from pipeline.store.files import file_entry, writing
from pipeline.store.ledger import LedgerEntry, Plan, entry_file, part_file
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
        folder = self._job.folder
        _check_code(self._job.plan)
        seconds: dict[str, float] = {}
        with _timed(seconds, "generate"):
            signals = self._signals(shard)
        with _timed(seconds, "measure"):
            table = stored_rows(signals, shard.start)
        with writing(folder):
            return self._commit(shard, signals, table, seconds)

    def _commit(
        self, shard: Shard, signals: NDArray[np.int16], table: pa.Table, seconds: dict[str, float]
    ) -> LedgerEntry:
        folder, plan = self._job.folder, self._job.plan
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
            instruction_set=instruction_set(self._generator.device),
            finished_at=datetime.now(UTC),
        )
        write_document(entry_file(folder, shard), entry)
        return entry

    def _signals(self, shard: Shard) -> NDArray[np.int16]:
        """The shard's signals, (records, 8, 5000): whole blocks, the last one cut."""
        seed = self._job.plan.recipe.seed
        blocks = range(shard.start // BLOCK, -(-shard.stop // BLOCK))
        return np.concatenate([generate_block(self._generator, seed, block) for block in blocks])[: len(shard)]


def _check_code(plan: Plan) -> None:
    """Refuse to work for a plan of other code, as where a node, or the folder a build was started in, has its own."""
    asked, own = (plan.measurement_version, plan.rule_set), (MEASUREMENT_VERSION, RULE_SET)
    if asked != own:
        raise DatasetError(
            f"the plan is for measurement {asked[0]} and rules {asked[1]}, but {__file__}, which this worker runs, "
            f"has {own[0]} and {own[1]}. Give every node the same version, and start from another folder"
        )


def instruction_set(device: str = "cpu") -> str:
    """The class of machines within which the generator's bytes are identical: a GPU model, or a CPU's vector unit."""
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}" if device == "cpu" else device


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[stage] = round(time.perf_counter() - started, 4)
