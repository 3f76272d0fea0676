"""The Ray engine: actors that load the generator once and make one shard after another.

Only shards, paths and ledger entries travel; arrays never leave the worker that made them. The rest of the program
knows nothing of Ray.
"""

import logging
import socket
import threading
import time
from typing import Any, Self

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError, RayTaskError

from pipeline import worker
from pipeline.engines import Crew, shard_error
from pipeline.engines.placement import Needs, Node, needs_of
from pipeline.engines.ray_cluster import RayCluster, check_nodes, head_answers, nodes
from pipeline.engines.readiness import Versions, check_place, check_versions, version_finder
from pipeline.errors import EngineError, FoundryError, HeadLostError, WorkerError
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
WATCH_SECONDS = 5.0
"""How often the head is asked whether it lives, and which nodes there are."""
HEAD_SECONDS = 20.0
"""A head that has been silent for as long is lost; Ray would end this process by itself after 60 s."""
_STARTS = 3  # of actors in one place, one after the other, that may fail before it stays empty
_STOP_SECONDS = 10.0
_SLOTS = 2  # a worker: one shard is computed while the one before is written

_log = logging.getLogger(__name__)


class Worker(worker.Worker):
    """A worker as an actor. Its constructor does not fail: Ray would answer that with pages of stack traces."""

    def __init__(self, job: Job, driver: Versions) -> None:
        self._failure: Exception | None = None
        try:
            address: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
            node = f"{socket.gethostname()} ({address})"
            check_versions(node, version_finder()(), driver)  # the node may have joined after the start
            check_place(node, job)
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
    Nodes that join get actors too, as long as there are fewer than asked for.

    Where the head is lost, most calls to Ray never return: they are made by threads that nobody waits for, and never
    under the lock.
    """

    def __init__(self, job: Job, crew: Crew) -> None:
        self.workers = crew.workers or 0
        self._crew = crew
        self._job = job
        self._cluster = RayCluster(crew)
        self._versions = version_finder()()
        self._needs = Needs(0.0, 0)
        self._watchers: list[threading.Thread] = []
        self._known: set[str] = set()  # nodes, by their identity
        self._changed = threading.Condition()  # guards all that follows
        self._free: dict[Any, int] = {}  # actors that are ready, and how many of their slots are free
        self._actors: set[Any] = set()  # those and the ones that are not ready yet
        self._starters: set[threading.Thread] = set()
        self._alone: set[Shard] = set()
        self._why = ""
        self._lost = ""
        self._closed = threading.Event()

    @property
    def slots(self) -> int:
        """Shards that may be under way at once."""
        return _SLOTS * self.workers

    def __enter__(self) -> Self:
        """Join or start Ray, start the actors, and wait for the first.

        Raises:
            RecipeError: when the cluster does not hold the workers that are asked for.
            EngineError: when Ray cannot be joined or started, a node has other versions, or no actor starts.
            DatasetError: when a node does not see the dataset's folder.
        """
        try:
            self._cluster.enter()
            found = nodes()
            self._needs = needs_of(self._crew, found)
            if self._cluster.named:
                check_nodes(found, self._job)
            self._job = self._job.on("cuda" if self._needs.gpus else "cpu")
            self._fill(found)
            for watch in (self._watch_head, self._watch_nodes):
                self._watchers.append(threading.Thread(target=watch, daemon=True))
                self._watchers[-1].start()
            self._give_back(self._take(1), 1)
        except BaseException:
            self.__exit__()
            raise
        return self

    def stop(self) -> None:
        """Stop the actors; every `run` under way ends with an error."""
        with self._changed:
            self._closed.set()
            self._changed.notify_all()
            actors, starters = list(self._actors), list(self._starters)
        if self._lost:  # with the head, which is who would be told
            return
        for actor in actors:
            ray.kill(actor)
        for starter in starters:
            starter.join(_STOP_SECONDS)

    def __exit__(self, *exception: object) -> None:
        """Stop the actors, and Ray if this engine started it."""
        self.stop()
        for watcher in self._watchers if not self._lost else ():
            watcher.join(_STOP_SECONDS)  # a question to Ray when it has been left would start it again
        self._cluster.leave(lost=bool(self._lost))

    def run(self, shard: Shard) -> LedgerEntry:
        """Make and commit one shard on the next idle actor; one that dies, hangs or fails is replaced.

        Raises:
            WorkerError: when the shard failed, or the actor died or did not answer in time.
            EngineError: when no actor is left, or the cluster's head is lost.
            FoundryError: what the worker itself raised.
        """
        slots = _SLOTS if shard in self._alone else 1
        actor = self._take(slots)
        try:
            return self._answer(actor, shard)
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

    def _answer(self, actor: Any, shard: Shard) -> LedgerEntry:  # noqa: ANN401 - Ray's handles have no type of their own
        """What an actor makes of a shard; looked for in short turns, for with the head nobody may be left to answer."""
        seconds = self._crew.seconds_per_shard or PAUSE_SECONDS + SECONDS_PER_RECORD * len(shard)
        deadline = time.monotonic() + seconds
        promise = actor.run.remote(shard)
        while True:
            left = deadline - time.monotonic()
            try:
                entry: LedgerEntry = ray.get(promise, timeout=max(0.0, min(left, WATCH_SECONDS)))
            except GetTimeoutError:
                if self._closed.is_set() or left <= WATCH_SECONDS:
                    raise
            else:
                return entry

    def _take(self, slots: int) -> Any:  # noqa: ANN401
        """The least busy actor, once it has so many slots free."""
        patience = time.monotonic() + START_SECONDS
        with self._changed:
            while not self._closed.is_set():
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
        raise self._over("the workers have been stopped")

    def _give_back(self, actor: Any, slots: int) -> None:  # noqa: ANN401
        with self._changed:
            if actor in self._free:
                self._free[actor] += slots
                self._changed.notify_all()

    def _replace(self, actor: Any, shard: Shard) -> None:  # noqa: ANN401
        """Start another actor in the place of a shard's, unless the actor's other shard has seen to that."""
        with self._changed:
            if self._closed.is_set():  # any call to Ray would start it again
                raise self._over(f"{shard.name} was left unfinished")
            self._alone.add(shard)
            if self._free.pop(actor, None) is not None:
                self._start_actor(in_place_of=actor)

    def _over(self, why: str) -> EngineError:
        if not self._lost:
            return EngineError(f"{why}. Run the same build again")
        return HeadLostError(self._lost) if self._cluster.named else EngineError(self._lost)

    def _watch_head(self) -> None:
        """End the work when the head is lost."""
        heard = time.monotonic()
        while not self._closed.wait(WATCH_SECONDS):
            if head_answers():
                heard = time.monotonic()
            elif time.monotonic() - heard > HEAD_SECONDS:
                self._lost = (
                    f"the head of the Ray cluster has not answered for {HEAD_SECONDS:.0f} s. Start it again, and run "
                    f"the same build again"
                )
                self.stop()

    def _watch_nodes(self) -> None:
        """Use nodes that join."""
        while not self._closed.wait(WATCH_SECONDS):
            self._fill(nodes())

    def _fill(self, found: list[Node]) -> None:
        """Start as many actors as are asked for and fit, where nodes are there that were not."""
        joined = [node for node in found if node.identity not in self._known]
        with self._changed:
            if not joined or self._closed.is_set():
                return
            if self._known:
                log_event(_log, logging.INFO, "nodes joined", nodes=", ".join(node.name for node in joined))
            self._known.update(node.identity for node in joined)
            places = self._needs.places(found)
            wanted = min(self._crew.workers or places, places)
            for _ in range(wanted - len(self._free) - len(self._starters)):
                self._start_actor()
            self.workers = max(self.workers, wanted)

    def _start_actor(self, in_place_of: Any = None) -> None:  # noqa: ANN401
        starter = threading.Thread(target=self._await_actor, args=(in_place_of,), daemon=True)
        self._starters.add(starter)
        starter.start()

    def _await_actor(self, in_place_of: Any) -> None:  # noqa: ANN401
        """Start an actor and wait until it is ready, in a thread of its own: that may take minutes, or for ever."""
        if in_place_of is not None:
            self._kill(in_place_of)
        for _ in range(_STARTS):
            actor = self._new_actor()
            if actor is None:
                break
            try:
                ray.get(actor.ready.remote())
            except RayError as error:
                if self._closed.is_set():
                    break
                self._kill(actor)
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

    def _new_actor(self) -> Any:  # noqa: ANN401
        """An actor that is being started; None once the engine is stopped."""
        if self._closed.is_set():
            return None
        options = self._needs.options() | {"max_restarts": 0, "max_concurrency": _SLOTS}
        actor: Any = ray.remote(Worker).options(**options).remote(self._job, self._versions)
        with self._changed:
            self._actors.add(actor)
            if not self._closed.is_set():
                return actor
        self._kill(actor)  # `stop` did not know it yet
        return None

    def _kill(self, actor: Any) -> None:  # noqa: ANN401
        with self._changed:
            self._actors.discard(actor)
        ray.kill(actor)


def _why_not_ready(error: RayError) -> str:
    """One line on what Ray has pages to say about."""
    if isinstance(error, RayTaskError):
        return f"{type(error.cause).__name__}: {error.cause}".splitlines()[0]
    if isinstance(error, RayActorError) and error.actor_init_failed:  # where the class cannot even be imported
        return str(error).strip().splitlines()[-1]
    return "its process died"
