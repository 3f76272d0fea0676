"""Ray itself: a cluster is joined where one is named, else Ray is started on this machine for as long as it is used."""

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import AuthenticationError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipeline.engines import Crew, cluster_address
from pipeline.engines.placement import Node
from pipeline.engines.readiness import check_place, check_versions, version_finder
from pipeline.errors import EngineError, FoundryError
from pipeline.logs import log_event
from pipeline.worker import Job

JOIN_SECONDS = 10.0
"""In which a cluster lets a driver in; it takes a second or two."""
NODE_SECONDS = 60.0
"""In which a node says what it has; it imports torch for that. One that does not is used without."""
_HEAD_SECONDS = 5.0
_STOP_SECONDS = 10.0
_OBJECT_STORE_BYTES = 80 * 1024**2  # Ray's smallest; nothing but shards and entries travels
_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""What an HTTP/2 client says first (RFC 9113, 3.4), with empty settings; a server that lives answers at once."""

_log = logging.getLogger(__name__)


class RayCluster:
    """Ray, joined or started, until it is left.

    A thread of its own holds it: Ray would take SIGTERM over from the main thread; an interrupt there would leave a
    part of Ray behind; and what Ray starts dies with the thread that started it.
    """

    def __init__(self, crew: Crew) -> None:
        self.named = cluster_address(crew)
        self._crew = crew
        self._holder: threading.Thread | None = None
        self._joined = False
        self._over = threading.Event()

    def enter(self) -> None:
        """Join the cluster that is named, or start one on this machine, unless the process has one already.

        Raises:
            EngineError: when Ray cannot be joined or started; a cluster that does not answer is not waited for.
        """
        if ray.is_initialized():
            return
        connected: Future[None] = Future()
        self._holder = threading.Thread(target=self._hold, args=(connected,), daemon=True)
        self._holder.start()
        try:
            connected.result(JOIN_SECONDS if self.named else None)
        except TimeoutError:
            why = f"nobody was let in for {JOIN_SECONDS:.0f} s. See to its head, and that this machine is a node of it"
            raise _cannot_join(self.named, why) from None
        self._joined = True

    def leave(self, *, lost: bool = False) -> None:
        """Leave Ray, and stop it if it was started here.

        Args:
            lost: whether its head is; of one that is silent nobody can take leave.
        """
        if self._holder is None or (lost and self.named):
            return
        self._over.set()
        if lost or (self.named and not self._joined):
            return
        self._holder.join(_STOP_SECONDS if self.named else None)  # a start cannot be broken off

    def _hold(self, connected: "Future[None]") -> None:
        try:
            connect(self._crew)
        except Exception as error:  # noqa: BLE001 - who waits raises it
            connected.set_exception(error)
        else:
            connected.set_result(None)
        self._over.wait()
        ray.shutdown()


def connect(crew: Crew) -> None:
    """Join the cluster that is named, or start one on this machine.

    Raises:
        EngineError: when Ray cannot be joined or started.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    named = cluster_address(crew)
    if named:
        _join(named)
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
            log_to_driver=False,
        )
    except Exception as error:  # Ray raises plain ones too
        raise EngineError(
            f"Ray cannot be started on this machine: {_reason(error)}. See to its limits (`ulimit -a`), its memory and "
            f"the space in /tmp, or use --engine serial"
        ) from error


def _join(named: tuple[str, str]) -> None:
    address = named[1]
    os.environ["RAY_AUTH_MODE"] = os.environ.get("RAY_AUTH_MODE") or "token"  # one without only where that is said
    os.environ.setdefault("RAY_gcs_server_port_wait_time_s", "1")  # or a wrong token is tried for twenty seconds
    try:
        _check_answers(address)
    except OSError as error:
        raise _cannot_join(named, f"{error}. Start it") from error
    try:
        with _silence():
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
    except AuthenticationError as error:
        why = "there is no token. Give the cluster's in RAY_AUTH_TOKEN, or RAY_AUTH_MODE=disabled if it has none"
        raise _cannot_join(named, why) from error
    except ConnectionError as error:
        why = "its head answers, but not to our token. Give the cluster's in RAY_AUTH_TOKEN"
        raise _cannot_join(named, why) from error
    except Exception as error:  # Ray raises plain ones too
        raise _cannot_join(named, f"{_reason(error)}. Start the build in the environment of the cluster") from error


def _cannot_join(named: tuple[str, str] | None, why: str) -> EngineError:
    name, address = named or ("", "")
    return EngineError(
        f"the Ray cluster at {name}={address} cannot be joined: {why}, "
        f"or leave {name} out to work on this machine alone"
    )


def _check_answers(address: str) -> None:
    """Say hello to the head: Ray itself would wait for one that listens and is silent for minutes."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), timeout=_HEAD_SECONDS) as connection:
        connection.sendall(_HTTP2_PREFACE)
        connection.recv(1)


def head_answers() -> bool:
    """Whether the head of the cluster that was joined or started still answers."""
    try:
        _check_answers(ray.get_runtime_context().gcs_address)
    except OSError:
        return False
    return True


def nodes() -> list[Node]:
    """The nodes of the cluster that are alive."""
    return [
        Node(each["NodeID"], f"{each['NodeManagerHostname']} ({each['NodeManagerAddress']})", each["Resources"])
        for each in ray.nodes()  # type: ignore[no-untyped-call]
        if each["Alive"]
    ]


def check_nodes(found: Sequence[Node], job: Job) -> None:
    """Refuse a cluster with a node that has other code or libraries than the driver, or does not see the dataset.

    Raises:
        EngineError: names the first node that has something else.
        DatasetError: names the first one that does not see the dataset's folder.
    """
    finder = version_finder()
    ours = finder()
    answers = _ask(found, finder, lambda _: ())
    for node, theirs in answers.items():
        check_versions(node.name, theirs, ours)
    _ask(list(answers), check_place, lambda node: (node.name, job))


def _ask(
    found: Sequence[Node], question: Callable[..., Any], arguments: Callable[[Node], tuple[Any, ...]]
) -> dict[Node, Any]:
    """What each node answers; one that is lost, or does not answer in time, is missing."""
    task: Any = ray.remote(question)
    asked = {
        task.options(
            num_cpus=0, max_retries=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node.identity, soft=False)
        ).remote(*arguments(node)): node
        for node in found
    }
    answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=NODE_SECONDS)
    answers = {}
    for answer in answered:
        node = asked[answer]
        try:
            answers[node] = ray.get(answer)
        except RayTaskError as error:
            if isinstance(error.cause, FoundryError):
                raise error.cause from error
            raise EngineError(
                f"node {node.name} cannot run this program: {_reason(error.cause)}. Give it the driver's environment"
            ) from error
        except RayError as error:
            log_event(_log, logging.WARNING, "node was lost", node=node.name, reason=type(error).__name__)
    return answers


@contextmanager
def _silence() -> Iterator[None]:
    """Keep what Ray's core writes to the screen while it joins from it: what is amiss is said in one line."""
    screen = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(screen, 2)
        os.close(screen)


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".")
