"""One worker: makes a shard in one pass in its own memory and commits it."""

import os
import platform
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from pipeline.columns import TABLE_SCHEMA
from pipeline.errors import DatasetError
from pipeline.generators import GENERATION_VERSION, load_generator
from pipeline.interpret.rules import RULE_SET
from pipeline.leads import SAMPLES, STORED_LEADS
from pipeline.measurement import MEASUREMENT_VERSION, measure
from pipeline.noise import block_noise
from pipeline.rows import with_identity, with_interpretation
from pipeline.shards import BLOCK, Shard
from pipeline.store.files import file_entry, writing
from pipeline.store.ledger import LedgerEntry, Plan, commit, known_entry, part_file
from pipeline.store.place import Place
from pipeline.store.sharding import encode_shard
from pipeline.store.signals import write_shard
from pipeline.store.tables import count_values, write_part
from pipeline.timings import timed


@dataclass(frozen=True)
class Job:
    """What a worker has to know; small, so that it can travel."""

    folder: Place
    plan: Plan
    checkpoint: Path | None = None
    device: str = "cpu"

    def on(self, device: str) -> "Job":
        """The same job on another device."""
        return replace(self, device=device)


class Worker:
    """Loads the generator once, then makes shard after shard, from two threads: one computes while the other writes."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._generator = load_generator(job.plan.recipe, job.checkpoint, job.device)
        self._computing = Lock()
        # Kept from shard to shard: fresh memory costs a page fault every 4 kB.
        self._buffer = np.empty((job.plan.shard_records, len(STORED_LEADS), SAMPLES), np.int16)

    def ready(self) -> None:
        """Answers once the generator is loaded."""

    def run(self, shard: Shard) -> LedgerEntry:
        """Make one shard: signals, rows, and last of all the ledger entry, each durable before the next."""
        _check_code(self._job.plan)
        seconds: dict[str, float] = {}
        with self._computing:
            signals = self._signals(shard, seconds)
            with timed(seconds, "measure"):
                measured = measure(signals)
            with timed(seconds, "interpret"):
                interpreted = with_interpretation(measured)
            with timed(seconds, "hash"):
                table = with_identity(interpreted, signals, shard.start)
            with timed(seconds, "compress"):
                encoded = encode_shard(signals, self._job.plan.shard_records)
        with writing(self._job.folder):
            return self._commit(shard, encoded, table, seconds)

    def _commit(self, shard: Shard, encoded: bytes, table: pa.Table, seconds: dict[str, float]) -> LedgerEntry:
        folder, plan = self._job.folder, self._job.plan
        committed = known_entry(folder, plan, shard)
        if committed is not None:  # by the worker that was given the shard when this one was late
            return committed
        with timed(seconds, "write"):
            signals_entry = write_shard(folder, shard, encoded)
            write_part(part_file(folder, shard), table, TABLE_SCHEMA)
            rows_entry = file_entry(part_file(folder, shard))
        entry = LedgerEntry(
            lineage_digest=plan.lineage_digest(),
            index=shard.index,
            start=shard.start,
            stop=shard.stop,
            signals=signals_entry,
            rows=rows_entry,
            verdicts=count_values(table["verdict"]),
            seconds={stage: round(value, 4) for stage, value in seconds.items()},
            device=self._generator.device,
            instruction_set=instruction_set(self._generator.device),
            finished_at=datetime.now(UTC),
        )
        return commit(folder, plan, shard, entry)

    def _signals(self, shard: Shard, seconds: dict[str, float]) -> NDArray[np.int16]:
        """The shard's signals, (records, 8, 5000), until the next shard's: whole blocks, the last one cut."""
        for start in range(0, len(shard), BLOCK):
            with timed(seconds, "noise"):
                noise = block_noise(self._job.plan.recipe.seed, shard.start + start, shard.start + start + BLOCK)
            with timed(seconds, "generate"):
                self._buffer[start : start + BLOCK] = self._generator(noise)
        return self._buffer[: len(shard)]


def _check_code(plan: Plan) -> None:
    """Refuse to work for a plan of other code, as where a node, or the folder a build was started in, has its own."""
    asked = (plan.generation_version, plan.measurement_version, plan.rule_set)
    own = (GENERATION_VERSION, MEASUREMENT_VERSION, RULE_SET)
    if asked != own:
        raise DatasetError(
            f"the plan is for generation {asked[0]}, measurement {asked[1]} and rules {asked[2]}, but {__file__}, "
            f"which this worker runs, has {own[0]}, {own[1]} and {own[2]}. "
            f"Give every node the same version, and start from another folder"
        )


_KERNEL_SWITCHES = ("ONEDNN_MAX_CPU_ISA", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "OPENBLAS_CORETYPE")
"""Variables by which the libraries are made to use other kernels than the CPU's own, and so to round differently."""


def instruction_set(device: str = "cpu") -> str:
    """The class of machines within which the generator's bytes are identical.

    A GPU model, or a CPU's vector unit and its maker, by which the library of matrix products chooses its kernels.
    """
    if device != "cpu":
        return device
    maker = cpu_field("vendor_id") or platform.system()
    forced = [f"{name}={os.environ[name]}" for name in _KERNEL_SWITCHES if name in os.environ]
    return " ".join([platform.machine(), torch.backends.cpu.get_cpu_capability(), maker, *forced])


def cpu_field(name: str) -> str | None:
    """What Linux says of the CPU, such as `vendor_id`: GenuineIntel or AuthenticAMD; None where it does not tell."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(rf"^{name}\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else None
