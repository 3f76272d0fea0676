"""Where shards are made: in this process, or by Ray actors. One protocol, chosen by name."""

from typing import Protocol, Self

from pipeline.errors import RecipeError, WorkerError
from pipeline.shards import Shard
from pipeline.store.ledger import LedgerEntry
from pipeline.worker import Job

ENGINES = ("ray", "serial")


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


def check_engine(name: str, workers: int | None) -> None:
    """Refuse an engine that cannot be had, before anything is touched.

    Raises:
        RecipeError: when there is no such engine, or it cannot have so many workers.
    """
    if name not in ENGINES:
        raise RecipeError(f"there is no engine {name!r}. Use one of: {', '.join(ENGINES)}")
    if workers is not None and workers < 1:
        raise RecipeError(f"workers {workers} cannot work. Ask for at least 1")
    if name == "serial" and workers not in (None, 1):
        raise RecipeError(f"the serial engine has one worker, not {workers}. Leave out workers, or use engine ray")


def make_engine(name: str, job: Job, workers: int | None = None) -> Engine:
    """An engine, started when it is entered.

    Args:
        name: `ray` or `serial`.
        job: what the workers have to know.
        workers: how many; None for one a core. Where there are GPUs, the workers share them.

    Raises:
        RecipeError: when there is no such engine, or it cannot have so many workers.
    """
    check_engine(name, workers)
    if name == "serial":
        from pipeline.engines.serial import SerialEngine

        return SerialEngine(job)
    from pipeline.engines.ray import RayEngine

    return RayEngine(job, workers)
