"""Workers die, hang and do not start; what they leave is tried again, and no shard waits for who will never come."""

import math
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError

from pipeline.build import ATTEMPTS, make_shards, open_build
from pipeline.engines import Crew, check_engine, make_engine, shard_error
from pipeline.engines.placement import Node, needs_of
from pipeline.engines.ray import RayEngine
from pipeline.engines.serial import SerialEngine
from pipeline.errors import DatasetError, EngineError, RecipeError, WorkerError
from pipeline.shards import Shard
from pipeline.store.ledger import LedgerEntry
from pipeline.worker import Job, Worker
from tests.conftest import build, planned
from tests.processes import Processes, processes_of, wait_until

SHARDS = [Shard(index, 32 * index, 32 * index + 32) for index in range(8)]


def test_a_worker_that_does_not_answer_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.engines.ray.PAUSE_SECONDS", 0.01)
    monkeypatch.setattr("pipeline.engines.ray.SECONDS_PER_RECORD", 0.0)
    with (
        open_build(tmp_path / "d", planned(records=32)) as started,
        make_engine(Crew(workers=1), started.job) as engine,
    ):
        with pytest.raises(WorkerError, match="shard-00000 did not answer in time; a new one takes its place"):
            engine.run(started.pending[0])
        monkeypatch.setattr("pipeline.engines.ray.PAUSE_SECONDS", 60)
        assert engine.run(started.pending[0]).stop == 32


def test_a_cluster_on_which_no_worker_starts_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Unready:  # in here, so that its processes need not import this module
        """A worker on a node that lacks something."""

        def __init__(self, *_: object) -> None:
            pass

        def ready(self) -> None:
            """Never."""
            raise FileNotFoundError("checkpoint.pt\nand more")

    monkeypatch.setattr("pipeline.engines.ray.Worker", Unready)
    monkeypatch.setattr("pipeline.engines.ray.START_SECONDS", 3600)  # who fails to start is not waited for
    with pytest.raises(EngineError, match=r"^no worker is left: FileNotFoundError: checkpoint\.pt\. Mend that and"):
        build(tmp_path / "d", engine="ray", workers=2, records=96, shard_records=32)
    assert caplog.text.count("worker did not start: reason=FileNotFoundError: checkpoint.pt") == 6


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("x", "x"),
        ("ray://user:SECRET@127.0.0.1:1", "ray://127.0.0.1:1"),
        ("user:SEC//RET@SECRET@x", "x"),
        ("127.0.0.1:1?token=SECRET#SECRET", "127.0.0.1:1"),
        ("user:SEC?RET@127.0.0.1:1", "..."),
        ("x?token=SEC@RET", "..."),
        ("auto", "auto"),
    ],
)
def test_an_address_that_is_none_is_one_line_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, shown: str
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(RecipeError, match=rf"^RAY_ADDRESS={re.escape(shown)} is not the address of a Ray ") as error:
        build(tmp_path / "d", engine="ray", records=32)
    assert not re.search("SEC|RET", "".join(traceback.format_exception(error.value)))
    assert not any(tmp_path.iterdir())


def test_a_cluster_where_nobody_listens_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(EngineError, match=r":1 cannot be joined: .*refused\. Start it, or leave RAY_ADDRESS"):
        build(tmp_path / "d", engine="ray", records=32)


@pytest.mark.parametrize(
    ("crew", "why"),
    [
        (Crew(workers=0), "workers 0 cannot work"),
        (Crew(gpus_per_worker=0.0), "gpus_per_worker 0.0 cannot be. Give a number above 0 and at most 1"),
        (Crew(gpus_per_worker=2.0), "gpus_per_worker 2.0 cannot be"),
        (Crew(memory_gib_per_worker=-1.0), "memory_gib_per_worker -1.0 cannot be"),
        (Crew(seconds_per_shard=math.nan), "seconds_per_shard nan cannot be"),
        (Crew("serial", 2), "the serial engine has one worker, not 2"),
        (Crew("serial", ray_address="a:1"), "the serial engine takes no ray_address"),
        (Crew("serial", seconds_per_shard=1.0), "the serial engine takes no seconds_per_shard"),
    ],
    ids=str,
)
def test_a_crew_that_cannot_be_is_refused_by_name(crew: Crew, why: str) -> None:
    with pytest.raises(RecipeError, match=f"^{re.escape(why)}"):
        check_engine(crew)


GIB = 2.0**30
CPU_NODE = Node("c", "c (10.0.0.1)", {"CPU": 8.0, "memory": 16 * GIB})
GPU_NODE = Node("g", "g (10.0.0.2)", {"CPU": 16.0, "memory": 64 * GIB, "GPU": 2.0})


@pytest.mark.parametrize(
    ("crew", "nodes", "places", "gpus"),
    [
        (Crew(), [CPU_NODE, CPU_NODE], 16, 0.0),
        (Crew(memory_gib_per_worker=3.0), [CPU_NODE, CPU_NODE], 10, 0.0),
        (Crew(), [GPU_NODE, CPU_NODE], 16, 0.125),  # none on the node without a GPU
        (Crew(workers=3), [GPU_NODE], 4, 0.5),  # a third of two GPUs each would leave one worker without
        (Crew(gpus_per_worker=0.4), [GPU_NODE], 4, 0.4),  # two a GPU, for a share never lies on two
        (Crew(gpus_per_worker=1.0, memory_gib_per_worker=40.0), [GPU_NODE], 1, 1.0),
    ],
    ids=str,
)
def test_a_cluster_holds_as_many_workers_as_their_needs_allow(
    crew: Crew, nodes: list[Node], places: int, gpus: float
) -> None:
    needs = needs_of(crew, nodes)
    assert (needs.places(nodes), needs.gpus) == (places, gpus)


@pytest.mark.parametrize(
    ("crew", "nodes", "why"),
    [
        (Crew(workers=9), [CPU_NODE], "room for 8 of 9 worker(s), each with 1 core, on 1 node(s) with 8 core(s)"),
        (Crew(memory_gib_per_worker=17.0), [CPU_NODE], "room for 0 of 1 worker(s), each with 1 core, 17 GiB"),
        (Crew(workers=3, gpus_per_worker=1.0), [GPU_NODE], "room for 2 of 3 worker(s), each with 1 core, 1 GPU"),
        (Crew(gpus_per_worker=0.5), [CPU_NODE], "gpus_per_worker 0.5 cannot be: Ray sees no GPU"),
        (Crew(), [], "room for 0 of 1"),
    ],
    ids=str,
)
def test_workers_that_no_node_holds_are_refused(crew: Crew, nodes: list[Node], why: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(why)):
        needs_of(crew, nodes)


@pytest.mark.parametrize("kind", [RuntimeError, Exception])
def test_ray_that_cannot_be_started_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    def init(**_: object) -> None:
        raise kind("The current node\ntimed out.")

    monkeypatch.setattr("ray.init", init)
    with pytest.raises(
        EngineError, match=r"^Ray cannot be started on this machine: The current node timed out\. See to its limits"
    ):
        build(tmp_path / "d", engine="ray", records=32)


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.bad_day), signal.SIGTERM])
def test_a_signal_while_ray_starts_is_one_line_and_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    command = ["-m", "pipeline.cli", "build", "--workers", "1", "--records", "32", "--out", str(tmp_path / "d")]
    with Processes() as here:
        process = here.start(sys.executable, *command, name="build")
        wait_until(lambda: "gcs_server" in {each.name() for each in processes_of(process.pid)}, "Ray is starting")
        process.send_signal(number)
        assert here.exit_status(process, 60) == 128 + number
        assert here.log("build").read_text() == "ecg-foundry: stopped; run the same command again to go on\n"
        wait_until(lambda: not processes_of(process.pid), "nothing is left", 20)


class Cluster:
    """Ray as the engine knows it: actors answer at once, unless a test has them do something else."""

    def __init__(self) -> None:
        self.actors: list[Actor] = []
        self.killed: list[Actor] = []
        self.ready: Callable[[Actor], object] = lambda _actor: None
        self.run: Callable[[Actor, Shard], object] = lambda _actor, shard: shard

    def remote(self, _worker: type) -> Any:
        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=self._spawn))

    def _spawn(self, *_: object) -> "Actor":
        self.actors.append(Actor(self))
        return self.actors[-1]

    def get(self, call: Callable[[], object], timeout: float | None = None) -> object:  # noqa: ARG002
        return call()

    def kill(self, actor: "Actor") -> None:
        self.killed.append(actor)
        actor.dead.set()

    def is_initialized(self) -> bool:
        return True

    def nodes(self) -> list[Node]:
        return [Node("0", "here (127.0.0.1)", {"CPU": 64.0})]


class Actor:
    """An actor of such a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.number = len(cluster.actors)
        self.dead = threading.Event()
        self.under_way: list[Shard] = []
        self.ready = SimpleNamespace(remote=lambda: lambda: self._alive(cluster.ready(self)))
        self.run = SimpleNamespace(remote=lambda shard: lambda: self._make(cluster, shard))

    def wait_for_death(self) -> None:
        self.dead.wait(20)
        raise RayActorError

    def _alive(self, answer: object) -> object:
        if self.dead.is_set():
            raise RayActorError
        return answer

    def _make(self, cluster: Cluster, shard: Shard) -> object:
        self.under_way.append(shard)
        try:
            return self._alive(cluster.run(self, shard))
        finally:
            self.under_way.remove(shard)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    cluster = Cluster()
    monkeypatch.setattr("pipeline.engines.ray.ray", cluster)
    monkeypatch.setattr("pipeline.engines.ray_cluster.ray", cluster)
    monkeypatch.setattr("pipeline.engines.ray.nodes", cluster.nodes)
    monkeypatch.setattr("pipeline.engines.ray.head_answers", lambda: True)
    yield cluster
    left = [thread for thread in threading.enumerate() if "_await_actor" in thread.name]
    assert not left


def task_error(cause: Exception) -> RayTaskError:
    """What Ray raises for an exception in an actor's method."""
    return RayTaskError("method", "its traceback", cause)  # type: ignore[no-untyped-call]


def engine_of(workers: int, **crew: Any) -> RayEngine:
    return RayEngine(Job(Path(), planned(records=32)), Crew(workers=workers, **crew))


def outcomes(engine: RayEngine, shards: list[Shard]) -> list[object]:
    """What each shard came to, as many at once as the engine takes."""

    def outcome(shard: Shard) -> object:
        try:
            return engine.run(shard)
        except (EngineError, WorkerError) as error:
            return error

    with ThreadPoolExecutor(engine.slots) as threads:
        return list(threads.map(outcome, shards))


def test_an_actor_that_is_never_ready_gets_no_shard_and_the_others_go_on(cluster: Cluster) -> None:
    cluster.ready = lambda actor: actor.wait_for_death() if actor.number else None
    with engine_of(3) as engine:
        assert outcomes(engine, SHARDS) == SHARDS
    assert set(cluster.killed) == set(cluster.actors)


def test_where_none_is_ready_in_time_every_waiting_shard_ends(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last nodes are lost: new actors can start nowhere."""

    def lost(actor: Actor, _shard: Shard) -> None:
        cluster.ready = Actor.wait_for_death
        actor.dead.set()

    cluster.run = lost
    with engine_of(2) as engine:
        monkeypatch.setattr("pipeline.engines.ray.START_SECONDS", 0.3)
        failed = outcomes(engine, SHARDS)
        again = outcomes(engine, SHARDS[:1])
    assert {type(each) for each in failed} == {WorkerError, EngineError}
    assert "no worker is left: none was ready within 0 s" in str(again[0])


def test_a_place_where_none_starts_is_given_up_and_the_others_go_on(cluster: Cluster) -> None:
    given_up = threading.Event()

    def ready(actor: Actor) -> None:
        if actor.number == 3:
            given_up.set()
        if actor.number:
            raise task_error(ValueError("no GPU\nhere"))

    def make(_actor: Actor, shard: Shard) -> Shard:
        assert given_up.wait(20)
        return shard

    cluster.ready, cluster.run = ready, make
    with engine_of(2) as engine:
        assert outcomes(engine, SHARDS) == SHARDS
    assert len(cluster.actors) == 4


def test_an_actor_that_loses_two_shards_at_once_is_replaced_once(cluster: Cluster) -> None:
    both = threading.Barrier(2)

    def die(actor: Actor, shard: Shard) -> Shard:
        if not actor.number:
            both.wait(20)
            actor.dead.set()
        return shard

    cluster.run = die
    with engine_of(1) as engine:
        assert [type(each) for each in outcomes(engine, SHARDS[:2])] == [WorkerError, WorkerError]
        assert outcomes(engine, SHARDS[:2]) == SHARDS[:2]
    assert len(cluster.actors) == 2


def test_a_shard_that_failed_is_tried_alone(cluster: Cluster) -> None:
    """So that one which brings its worker down every time does not take the same other one along every time."""
    company: list[int] = []

    def deadly(actor: Actor, shard: Shard) -> Shard:
        if shard == SHARDS[3]:
            company.append(len(actor.under_way))
            actor.dead.set()
        return shard

    cluster.run = deadly
    with engine_of(1) as engine, ThreadPoolExecutor(2) as threads:
        assert isinstance(outcomes(engine, [SHARDS[3]])[0], WorkerError)
        others = [threads.submit(outcomes, engine, [shard]) for shard in SHARDS[4:]]
        assert all(isinstance(outcomes(engine, [SHARDS[3]])[0], WorkerError) for _ in range(3))
        assert [other.result() for other in others] == [[shard] for shard in SHARDS[4:]]
    assert company == [1] * 4


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (GetTimeoutError(), "the worker of shard-00000 did not answer in time; a new one takes its place"),
        (RayActorError(), "the worker of shard-00000 died; a new one takes its place"),
        (
            task_error(KeyError("lead")),
            "shard-00000 ended in KeyError: 'lead'; `ecg-foundry --debug build` shows where",
        ),
        (
            task_error(MemoryError()),
            "shard-00000 ended in MemoryError: no reason given; give it more memory, or use fewer workers",
        ),
    ],
    ids=["hangs", "dies", "raises", "no memory"],
)
def test_an_actor_that_fails_a_shard_is_replaced(cluster: Cluster, error: Exception, reason: str) -> None:
    def fail(actor: Actor, shard: Shard) -> Shard:
        if actor.number:
            return shard
        raise error

    cluster.run = fail
    with engine_of(1, seconds_per_shard=1.0) as engine:  # Ray's own would not be told of a timeout at once
        assert str(outcomes(engine, SHARDS[:1])[0]) == reason
        assert outcomes(engine, SHARDS[:1]) == SHARDS[:1]
    assert [actor.number for actor in cluster.killed] == [0, 1]


def test_a_fault_of_the_surroundings_passes_and_costs_no_actor(cluster: Cluster) -> None:
    def full(_actor: Actor, _shard: Shard) -> None:
        raise task_error(DatasetError("disk full"))

    cluster.run = full
    with engine_of(1) as engine, pytest.raises(DatasetError, match=r"^disk full$"):
        engine.run(SHARDS[0])
    assert len(cluster.actors) == 1


def test_who_waits_when_the_engine_stops_is_told_so(cluster: Cluster) -> None:
    cluster.run = lambda actor, _shard: actor.wait_for_death()
    with ThreadPoolExecutor(1) as threads:
        with engine_of(1) as engine:
            waiting = threads.submit(outcomes, engine, SHARDS[:3])
            while not cluster.actors[0].under_way[1:]:
                time.sleep(0.01)
        said = sorted(map(str, waiting.result()))
    assert said == [
        "shard-00000 was left unfinished. Run the same build again",
        "shard-00001 was left unfinished. Run the same build again",
        "the workers have been stopped. Run the same build again",
    ]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("one\ntwo"), "shard-00000 ended in ValueError: one; `ecg-foundry --debug build` shows where"),
        (RuntimeError("can't allocate memory"), "give it more memory, or use fewer workers"),
    ],
)
def test_what_a_shard_ended_in_is_one_line(error: Exception, said: str) -> None:
    told = str(shard_error(SHARDS[0], error))
    assert said in told
    assert "\n" not in told


def test_the_serial_engine_isolates_a_shard_that_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(worker: Worker, shard: Shard) -> LedgerEntry:
        if shard.index == 1:
            raise MemoryError("Unable to allocate 9.77 MiB")
        return made(worker, shard)

    made = Worker.run
    monkeypatch.setattr(Worker, "run", fails)
    with pytest.raises(WorkerError, match=r"^1 shard.*shard-00001 ended in MemoryError: Unable to allocate 9.77 MiB; "):
        build(tmp_path / "d", records=96, shard_records=32)
    with open_build(tmp_path / "d", planned(records=96, shard_records=32)) as again:
        assert [shard.index for shard in again.pending] == [1]


class Cursed(SerialEngine):
    """Fails on one shard for ever, and once on another."""

    tries = 0

    def run(self, shard: Shard) -> LedgerEntry:
        """As the engine, but for the curse."""
        if shard.index == 1:
            self.tries += 1
            raise WorkerError("cursed")
        return super().run(shard)


def test_a_shard_that_always_fails_is_named_and_the_others_are_kept(tmp_path: Path) -> None:
    with open_build(tmp_path / "d", planned(records=96, shard_records=32)) as started:
        engine = Cursed(started.job)
        with pytest.raises(WorkerError, match=r"shard-00001 \(records 32 to 63\): cursed"):
            make_shards(started, engine)
    assert engine.tries == ATTEMPTS
    with open_build(tmp_path / "d", planned(records=96, shard_records=32)) as again:
        assert [shard.index for shard in again.pending] == [1]


def test_a_worker_with_other_code_refuses_to_work(tmp_path: Path) -> None:
    plan = planned(records=32)
    for other in ({"generation_version": "0.0"}, {"measurement_version": "0.0"}, {"rule_set": "another"}):
        worker = Worker(Job(tmp_path, plan.model_copy(update=other)))
        with pytest.raises(DatasetError, match="which this worker runs"):
            worker.run(Shard(0, 0, 32))
    assert not any(tmp_path.iterdir())
