"""The Ray engine: actors that load the generator once and make one shard after another.

Only shards, paths and ledger entries travel; arrays never leave the worker that made them. The rest of the program
knows nothing of Ray.
"""

import logging
import os
import socket
import threading
import time
from concurrent.futures import Future
from typing import Any, Self

os.environ["RAY_DISABLE_FAILURE_SIGNAL_HANDLER"] = "1"  # read on import; it would end the process on SIGTERM at once

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError, RayTaskError

from pipeline import worker
from pipeline.engines import Crew, cluster_address, shard_error
from pipeline.errors import EngineError, FoundryError, RecipeError, WorkerError
from pipeline.logs import log_event
from pipeline.shards import Shard
from pipeline.store.ledger import LedgerEntry
from pipeline.worker import Job

START_SECONDS = 120.0
"""A new actor imports torch and loads the checkpoint within this time, on a busy disk too."""
PAUSE_SECONDS = 60.0
"""A disk or a network may pause for as long."""
SECONDS_PER_RECORD = 2.0
"""A shard may take this long a record: some hundred times what one core needs for it and for the one it waits for. A
worker that takes longer hangs: cut off from the network, a call to it would wait for ever."""
_STARTS = 3  # of actors in one place, one after the other, that may fail before it stays empty
_STOP_SECONDS = 10.0
_SLOTS = 2  # a worker: one shard is computed while the one before is written
_OBJECT_STORE_BYTES = 80 * 1024**2  # Ray's smallest; nothing but shards and entries travels

_log = logging.getLogger(__name__)


class Worker(worker.Worker):
    """A worker as an actor. Its constructor does not fail: Ray would answer that with pages of stack traces."""

    def __init__(self, job: Job) -> None:
        self._failure: Exception | None = None
        try:
            super().__init__(job)
        except Exception as error:  # noqa: BLE001 - `ready` raises it
            self._failure = error

    def ready(self) -> None:
        """Answers once the generator is loaded, or raises what kept it from being."""
        if self._failure is not None:
            raise self._failure


class RayEngine:
    """A pool of Ray actors, one a core; where there are GPUs, the actors share them.

    An actor gets shards once it has answered that it is ready: on a lost node, or where no core is free, one never
    is, and the others go on without it. An actor whose shard failed goes, and another one is started in its place.
    Such a shard is tried again on an actor of its own: whatever brings it down then takes no other shard along.
    """

    def __init__(self, job: Job, crew: Crew) -> None:
        self.workers = crew.workers or 0
        self._crew = crew
        self._job = job
        self._options: dict[str, float] = {}
        self._changed = threading.Condition()  # guards all that follows
        self._free: dict[Any, int] = {}  # actors that are ready, and how many of their slots are free
        self._actors: set[Any] = set()  # those and the ones that are not ready yet
        self._starters: set[threading.Thread] = set()
        self._alone: set[Shard] = set()
        self._why = ""
        self._ray: threading.Thread | None = None  # has started Ray, if this engine did
        self._over = threading.Event()
        self._closed = False

    @property
    def slots(self) -> int:
        """Shards that may be under way at once."""
        return _SLOTS * self.workers

    def __enter__(self) -> Self:
        """Join or start Ray, start the actors, and wait for the first.

        Raises:
            RecipeError: when the cluster has fewer cores than workers are asked for.
            EngineError: when Ray cannot be joined or started, or no actor starts.
        """
        try:
            if not ray.is_initialized():
                connected: Future[None] = Future()
                self._ray = threading.Thread(target=self._own_ray, args=(connected,), daemon=True)
                self._ray.start()
                connected.result()
            self._start_actors()
            self._give_back(self._take(1), 1)
        except BaseException:
            self.__exit__()
            raise
        return self

    def stop(self) -> None:
        """Stop the actors; every `run` under way ends with an error."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            actors, starters = list(self._actors), list(self._starters)
        for actor in actors:
            ray.kill(actor)
        for starter in starters:
            starter.join(_STOP_SECONDS)

    def __exit__(self, *exception: object) -> None:
        """Stop the actors, and Ray if this engine started it."""
        self.stop()
        if self._ray is not None:
            self._over.set()  # a start cannot be broken off, and a cluster may be waited for without end
            self._ray.join(_STOP_SECONDS if cluster_address(self._crew) else None)

    def _own_ray(self, connected: "Future[None]") -> None:
        """Hold Ray in a thread of its own, as long as the engine is in use.

        Ray would take SIGTERM over from the main thread; an interrupt there would leave a part of Ray behind; and what
        Ray starts dies with the thread that started it.
        """
        try:
            _connect(self._crew)
        except Exception as error:  # noqa: BLE001 - who waits raises it
            connected.set_exception(error)
        else:
            connected.set_result(None)
        self._over.wait()
        ray.shutdown()

    def run(self, shard: Shard) -> LedgerEntry:
        """Make and commit one shard on the next idle actor; one that dies, hangs or fails is replaced.

        Raises:
            WorkerError: when the shard failed, or the actor died or did not answer in time.
            EngineError: when no actor is left.
            FoundryError: what the worker itself raised.
        """
        slots = _SLOTS if shard in self._alone else 1
        actor = self._take(slots)
        try:
            entry: LedgerEntry = ray.get(
                actor.run.remote(shard),
                timeout=self._crew.seconds_per_shard or PAUSE_SECONDS + SECONDS_PER_RECORD * len(shard),
            )
        except RayTaskError as error:
            cause = error.cause
            if isinstance(cause, FoundryError):
                raise cause from error
            self._replace(actor, shard)  # if it ran out of memory, it would again
            raise shard_error(shard, cause) from error
        except (GetTimeoutError, RayError) as error:
            self._replace(actor, shard)
            reason = "did not answer in time" if isinstance(error, GetTimeoutError) else "died"
            raise WorkerError(f"the worker of {shard.name} {reason}; a new one takes its place") from error
        finally:
            self._give_back(actor, slots)
        return entry

    def _take(self, slots: int) -> Any:  # noqa: ANN401 - Ray's actor handles have no type of their own
        """The least busy actor, once it has so many slots free."""
        patience = time.monotonic() + START_SECONDS
        with self._changed:
            while not self._closed:
                actor = max(self._free, key=self._free.__getitem__, default=None)
                if actor is None and (not self._starters or time.monotonic() >= patience):
                    why = self._why or f"none was ready within {START_SECONDS:.0f} s: see to nodes and free cores"
                    raise EngineError(f"no worker is left: {why}. Mend that and run the same build again")
                if actor is not None:
                    if self._free[actor] >= slots:
                        self._free[actor] -= slots
                        return actor
                    patience = time.monotonic() + START_SECONDS  # an actor at work is given back or replaced in time
                self._changed.wait(patience - time.monotonic())
        raise EngineError("the workers have been stopped. Run the same build again")

    def _give_back(self, actor: Any, slots: int) -> None:  # noqa: ANN401
        with self._changed:
            if actor in self._free:
                self._free[actor] += slots
                self._changed.notify_all()

    def _replace(self, actor: Any, shard: Shard) -> None:  # noqa: ANN401
        """Start another actor in the place of a shard's, unless the actor's other shard has seen to that."""
        with self._changed:
            if self._closed:  # any call to Ray would start it again
                raise EngineError(f"{shard.name} was left unfinished. Run the same build again")
            self._alone.add(shard)
            if self._free.pop(actor, None) is not None:
                self._actors.discard(actor)
                ray.kill(actor)
                self._start_actor()

    def _start_actors(self) -> None:
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        gpus, cores = int(resources.get("GPU", 0)), int(resources.get("CPU", 1))
        self.workers = self.workers or cores
        if self.workers > cores:
            raise RecipeError(
                f"the Ray cluster has {cores} cores for {self.workers} workers. Ask for fewer, or add nodes"
            )
        self._job = self._job.on("cuda" if gpus else "cpu")
        self._options = {"num_cpus": 1, "num_gpus": min(1.0, gpus / self.workers), "max_restarts": 0}
        self._options["max_concurrency"] = _SLOTS
        with self._changed:
            for _ in range(self.workers):
                self._start_actor()

    def _start_actor(self) -> None:
        starter = threading.Thread(target=self._await_actor, daemon=True)
        self._starters.add(starter)
        starter.start()

    def _await_actor(self) -> None:
        """Start an actor and wait until it is ready, in a thread of its own: that may take minutes, or for ever."""
        for _ in range(_STARTS):
            with self._changed:
                if self._closed:
                    break
                actor: Any = ray.remote(Worker).options(**self._options).remote(self._job)
                self._actors.add(actor)
            try:
                ray.get(actor.ready.remote())
            except RayError as error:
                with self._changed:
                    if self._closed:
                        break
                    self._actors.discard(actor)
                    ray.kill(actor)
                    self._why = _why_not_ready(error)
                    log_event(_log, logging.WARNING, "worker did not start", reason=self._why)
            else:
                with self._changed:
                    self._free[actor] = _SLOTS
                    self._why = ""
                break
        with self._changed:
            self._starters.discard(threading.current_thread())
            self._changed.notify_all()


def _why_not_ready(error: RayError) -> str:
    """One line on what Ray has pages to say about."""
    if isinstance(error, RayTaskError):
        return f"{type(error.cause).__name__}: {error.cause}".splitlines()[0]
    if isinstance(error, RayActorError) and error.actor_init_failed:  # where the class cannot even be imported
        return str(error).strip().splitlines()[-1]
    return "its process died"


def _connect(crew: Crew) -> None:
    """Join the cluster that is named, or start one on this machine.

    Raises:
        EngineError: when Ray cannot be joined or started.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    named = cluster_address(crew)
    if named:
        _join(*named)
    else:
        _start(crew.workers or 0)


def _start(workers: int) -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        ray.init(
            address="local",  # not whatever cluster happens to run on this machine
            num_cpus=max(workers, cores or 1),
            include_dashboard=False,
            object_store_memory=_OBJECT_STORE_BYTES,
            logging_level=logging.ERROR,
        )
    except Exception as error:  # Ray raises plain ones too
        raise EngineError(
            f"Ray cannot be started on this machine: {_reason(error)}. See to its limits (`ulimit -a`), its memory and "
            f"the space in /tmp, or use --engine serial"
        ) from error


def _join(name: str, address: str) -> None:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()  # Ray would wait for ever
        ray.init(address=address, logging_level=logging.ERROR)
    except Exception as error:  # as above
        raise EngineError(
            f"the Ray cluster at {name}={address} cannot be joined: {_reason(error)}. Start it, or leave {name} out to "
            f"work on this machine alone"
        ) from error


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
