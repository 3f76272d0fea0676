"""Where shards are made: in this process, or by Ray actors. One protocol, chosen by name."""

import math
import os
import re
from dataclasses import dataclass, fields
from typing import Literal, Protocol, Self

from pipeline.errors import RecipeError, WorkerError
from pipeline.shards import Shard
from pipeline.store.ledger import LedgerEntry
from pipeline.worker import Job

os.environ["RAY_DISABLE_FAILURE_SIGNAL_HANDLER"] = "1"  # read when Ray is imported; it ends the process on SIGTERM

ENGINES = ("ray", "serial")


@dataclass(frozen=True)
class Crew:
    """Who makes the shards; nothing here changes a byte of them."""

    engine: Literal["ray", "serial"] = "ray"
    workers: int | None = None
    """None: one a core of the cluster; they share the GPUs, if any."""
    ray_address: str | None = None
    """HOST:PORT of a Ray cluster's head. None: what `RAY_ADDRESS` says, or Ray of its own on this machine."""
    gpus_per_worker: float | None = None
    """None: the workers share the GPUs evenly."""
    memory_gib_per_worker: float | None = None
    """What Ray's scheduler keeps free for each; None: nothing is kept."""
    seconds_per_shard: float | None = None
    """After which a worker is given up. None: 60 s and 2 s a record."""


DEFAULT_CREW = Crew()
"""Ray on this machine or on the cluster that `RAY_ADDRESS` names, one worker a core."""


class Engine(Protocol):
    """Workers that make shards. `run` may be called from `slots` threads at once."""

    workers: int

    @property
    def slots(self) -> int:
        """Shards that may be under way at once: two a worker, one computed while the one before is written."""
        ...

    def run(self, shard: Shard) -> LedgerEntry:
        """Make and commit one shard; blocks until it is done.

        Raises:
            WorkerError: when the shard failed, or its worker died or did not answer in time; another one then stands
                in its place and the shard can be tried again.
            EngineError: when no worker is left.
            FoundryError: what would fail in the same way with any other shard, such as a full disk.
        """
        ...

    def __enter__(self) -> Self:
        """Start the workers."""
        ...

    def stop(self) -> None:
        """Give up what is under way: every `run` ends soon."""
        ...

    def __exit__(self, *exception: object) -> None:
        """Stop the workers."""
        ...


def shard_error(shard: Shard, error: Exception) -> WorkerError:
    """What the build is told of an exception that a shard ended in and that is no `FoundryError`.

    A bug that one record meets, or memory that ran out, is this shard's misfortune and must not end the others.
    """
    reason = (str(error).strip().splitlines() or ["no reason given"])[0]
    short = isinstance(error, MemoryError) or "memory" in reason.lower()
    remedy = "give it more memory, or use fewer workers" if short else "`ecg-foundry --debug build` shows where"
    return WorkerError(f"{shard.name} ended in {type(error).__name__}: {reason}; {remedy}")


def check_engine(crew: Crew) -> None:
    """Refuse an engine that cannot be had, before anything is touched.

    Raises:
        RecipeError: when there is no such engine, or it cannot have such workers.
    """
    if crew.engine not in ENGINES:
        raise RecipeError(f"there is no engine {crew.engine!r}. Use one of: {', '.join(ENGINES)}")
    if crew.workers is not None and crew.workers < 1:
        raise RecipeError(f"workers {crew.workers} cannot work. Ask for at least 1")
    if crew.engine == "serial":
        _check_serial(crew)
        return
    for name, most, unit in (
        ("gpus_per_worker", 1, "GPUs; a worker computes on one, or on a share of one"),
        ("memory_gib_per_worker", math.inf, "GiB"),
        ("seconds_per_shard", math.inf, "seconds"),
    ):
        value = getattr(crew, name)
        if value is not None and not (0 < value <= most and math.isfinite(value)):
            limits = f"above 0 and at most {most}" if math.isfinite(most) else "above 0"
            raise RecipeError(f"{name} {value} cannot be. Give a number {limits}, in {unit}")
    named = cluster_address(crew)
    if named and not re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+):\d{1,5}", named[1]):
        raise RecipeError(
            f"{named[0]}={without_secrets(named[1])} is not the address of a Ray cluster. Give HOST:PORT of its head, "
            f"such as 10.0.0.5:6379, without ray:// (the build is to run on one of the cluster's machines), or leave "
            f"it out to work on this machine alone"
        )


def _check_serial(crew: Crew) -> None:
    if crew.workers not in {None, 1}:
        raise RecipeError(f"the serial engine has one worker, not {crew.workers}. Leave out workers, or use engine ray")
    for option in fields(crew):
        if option.name not in {"engine", "workers"} and getattr(crew, option.name) is not None:
            raise RecipeError(f"the serial engine takes no {option.name}. Leave it out, or use engine ray")


def cluster_address(crew: Crew) -> tuple[str, str] | None:
    """What names the cluster that is to be joined, and its address; None where Ray is started on this machine."""
    if crew.ray_address is not None:
        return "ray_address", crew.ray_address
    address = os.environ.get("RAY_ADDRESS")
    return ("RAY_ADDRESS", address) if address else None


def without_secrets(address: str) -> str:
    """An address without user, password and query; nothing of one that may be read in two ways."""
    parts = re.fullmatch(r"(\w+://)?(?:[^?#]*@)?([^@?#]*)(?:[?#][^@]*)?", address)
    return f"{parts[1] or ''}{parts[2]}" if parts else "..."


def make_engine(crew: Crew, job: Job) -> Engine:
    """An engine, started when it is entered.

    Args:
        crew: who is to work.
        job: what the workers have to know.

    Raises:
        RecipeError: when there is no such engine, or it cannot have such workers.
    """
    check_engine(crew)
    if crew.engine == "serial":
        from pipeline.engines.serial import SerialEngine

        return SerialEngine(job)
    from pipeline.engines.ray import RayEngine

    return RayEngine(job, crew)
