"""The Ray engine: actors that load the generator once and make one shard after another.

Only shards, paths and ledger entries travel; arrays never leave the worker that made them. The rest of the program
knows nothing of Ray.
"""

import logging
import os
import signal
import threading
from collections.abc import Callable
from queue import Queue
from typing import Any, Self

import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError

from pipeline.errors import FoundryError, RecipeError, WorkerError
from pipeline.shards import Shard
from pipeline.store.ledger import LedgerEntry
from pipeline.worker import Job, Worker

START_SECONDS = 120.0
"""A new actor imports torch and loads the checkpoint within this time, on a busy disk too."""
SECONDS_PER_RECORD = 2.0
"""A shard may take this long a record: some hundred times what one core needs for it and for the one it waits for. A
worker that takes longer hangs: cut off from the network, a call to it would wait for ever."""
_SLOTS = 2  # a worker: one shard is computed while the one before is written
_OBJECT_STORE_BYTES = 80 * 1024**2  # Ray's smallest; nothing but shards and entries travels


class _Seat:
    """An actor's place. The actor may go; its seat stays, and is in the queue once for each of its slots."""

    def __init__(self, spawn: Callable[[], Any]) -> None:
        self._spawn = spawn
        self._lock = threading.Lock()
        self.actor = spawn()

    def replace(self, failed: Any) -> None:  # noqa: ANN401 - Ray's actor handles have no type of their own
        """Put a new actor in a failed one's place, unless the shard in its other slot has seen to that."""
        with self._lock:
            if self.actor is failed:
                ray.kill(failed)
                self.actor = self._spawn()


class RayEngine:
    """A pool of Ray actors, one a core; where there are GPUs, the actors share them."""

    def __init__(self, job: Job, workers: int | None = None) -> None:
        self.workers = workers or 0
        self._job = job
        self._options: dict[str, float] = {}
        self._idle: Queue[_Seat] = Queue()
        self._started_ray = False
        self._closed = False

    @property
    def slots(self) -> int:
        """Shards that may be under way at once."""
        return _SLOTS * self.workers

    def __enter__(self) -> Self:
        """Join or start Ray, start the actors, and wait for the first.

        Raises:
            RecipeError: when the cluster has fewer cores than workers are asked for.
        """
        self._started_ray = _connect(self.workers)
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        gpus, cores = int(resources.get("GPU", 0)), int(resources.get("CPU", 1))
        self.workers = self.workers or cores
        if self.workers > cores:
            self.__exit__()
            raise RecipeError(
                f"the Ray cluster has {cores} cores for {self.workers} workers. Ask for fewer, or add nodes"
            )
        self._job = self._job.on("cuda" if gpus else "cpu")
        self._options = {"num_cpus": 1, "num_gpus": min(1.0, gpus / self.workers), "max_restarts": 0}
        self._options["max_concurrency"] = _SLOTS
        seats = [_Seat(self._spawn) for _ in range(self.workers)]
        for seat in seats * _SLOTS:
            self._idle.put(seat)
        ray.wait([seat.actor.ready.remote() for seat in seats], timeout=START_SECONDS)
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop the actors, and Ray if this engine started it."""
        self._closed = True
        while not self._idle.empty():
            ray.kill(self._idle.get().actor)
        if self._started_ray:
            ray.shutdown()

    def run(self, shard: Shard) -> LedgerEntry:
        """Make and commit one shard on the next idle actor; a dead or hanging actor is replaced.

        Raises:
            WorkerError: when the actor died or did not answer in time.
            FoundryError: what the worker itself raised.
        """
        seat = self._idle.get()
        actor = seat.actor
        try:
            if self._closed:
                raise WorkerError(f"{shard.name} was not begun. Run the same build again")
            entry: LedgerEntry = ray.get(
                actor.run.remote(shard), timeout=START_SECONDS + SECONDS_PER_RECORD * len(shard)
            )
        except RayTaskError as error:
            cause = error.cause
            if isinstance(cause, FoundryError):
                raise cause from error
            raise
        except (GetTimeoutError, RayError) as error:
            if self._closed:  # any call to Ray would start it again
                raise WorkerError(f"{shard.name} was left unfinished. Run the same build again") from error
            seat.replace(actor)
            reason = "did not answer in time" if isinstance(error, GetTimeoutError) else "died"
            raise WorkerError(
                f"the worker of {shard.name} {reason}; a new one takes its place. Try the shard again"
            ) from error
        finally:
            self._idle.put(seat)
        return entry

    def _spawn(self) -> Any:  # noqa: ANN401 - Ray's actor handles have no type of their own
        return ray.remote(Worker).options(**self._options).remote(self._job)


def _connect(workers: int) -> bool:
    """Join the cluster that `RAY_ADDRESS` names, or start one on this machine; True when this call started it."""
    if ray.is_initialized():
        return False
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    on_sigterm = signal.getsignal(signal.SIGTERM)
    if os.environ.get("RAY_ADDRESS"):
        ray.init(logging_level=logging.ERROR)
    else:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        ray.init(
            address="local",  # not whatever cluster happens to run on this machine
            num_cpus=max(workers, cores or 1),
            include_dashboard=False,
            object_store_memory=_OBJECT_STORE_BYTES,
            logging_level=logging.ERROR,
        )
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_sigterm)  # Ray's own handler would end the process at once
    return True
