"""The Ray engine: actors that load the generator once and make one shard after another.

Only shards, paths and ledger entries travel; arrays never leave the worker that made them. The rest of the program
knows nothing of Ray.
"""

import logging
import os
import signal
import threading
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
"""A shard may take this long a record: some hundred times what one core needs. A worker that takes longer hangs:
cut off from the network, a call to it would wait for ever."""
_OBJECT_STORE_BYTES = 80 * 1024**2  # Ray's smallest; nothing but shards and entries travels


class RayEngine:
    """A pool of Ray actors, one a GPU, or one a core where there is no GPU."""

    def __init__(self, job: Job, workers: int | None = None) -> None:
        self.workers = workers or 0
        self._job = job
        self._options: dict[str, float] = {}
        self._idle: Queue[Any] = Queue()
        self._started_ray = False
        self._closed = False

    def __enter__(self) -> Self:
        """Join or start Ray, and start the actors.

        Raises:
            RecipeError: when the cluster has fewer cores than workers are asked for.
        """
        self._started_ray = _connect(self.workers)
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        gpus, cores = int(resources.get("GPU", 0)), int(resources.get("CPU", 1))
        self.workers = self.workers or gpus or cores
        if self.workers > cores:
            self.__exit__()
            raise RecipeError(
                f"the Ray cluster has {cores} cores for {self.workers} workers. Ask for fewer, or add nodes"
            )
        self._job = self._job.on("cuda" if gpus else "cpu")
        self._options = {"num_cpus": 1, "num_gpus": min(1.0, gpus / self.workers), "max_restarts": 0}
        for _ in range(self.workers):
            self._idle.put(self._spawn())
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop the actors, and Ray if this engine started it."""
        self._closed = True
        while not self._idle.empty():
            ray.kill(self._idle.get())
        if self._started_ray:
            ray.shutdown()

    def run(self, shard: Shard) -> LedgerEntry:
        """Make and commit one shard on the next idle actor; a dead or hanging actor is replaced.

        Raises:
            WorkerError: when the actor died or did not answer in time.
            FoundryError: what the worker itself raised.
        """
        actor = self._idle.get()
        if self._closed:
            self._idle.put(actor)
            raise WorkerError(f"{shard.name} was not begun. Run the same build again")
        try:
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
            ray.kill(actor)
            actor = self._spawn()
            reason = "did not answer in time" if isinstance(error, GetTimeoutError) else "died"
            raise WorkerError(
                f"the worker of {shard.name} {reason}; a new one takes its place. Try the shard again"
            ) from error
        finally:
            self._idle.put(actor)
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
