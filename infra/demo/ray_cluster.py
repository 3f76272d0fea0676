"""A Ray head and its nodes, each on a host of its own, with one token for all."""

import os
import secrets
from functools import partial

from infra.demo.errors import DemoError
from infra.demo.network import Host, add_host
from infra.demo.processes import Processes, title

_PORT = 6379
_STARTS = 3  # Ray gives up a node whose agents take more than 15 s, as they do on a busy machine
_OBJECT_STORE_BYTES = 80 * 1024**2  # Ray's smallest: only names and counts travel


class RayCluster:
    """The head, which has no core to give, and the nodes with one each."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self.head = add_host("head", 10)
        self.address = f"{self.head.address}:{_PORT}"
        self.nodes: list[Host] = []
        os.environ |= {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        self._start(self.head, "--head", "--port", str(_PORT), "--include-dashboard", "false", "--num-cpus", "0")

    def add_node(self) -> Host:
        """Start another node and wait until it has joined."""
        number = len(self.nodes) + 1
        node = add_host(f"node-{number}", 10 + number)
        self.nodes.append(node)
        self._start(node, "--address", self.address, "--num-cpus", "1")
        return node

    def actors(self, *, at_work: bool = False) -> dict[Host, list[int]]:
        """The processes of the actors that are there, or that make a shard, a node; Ray gives them their titles."""
        wanted = is_at_work if at_work else is_actor
        return {node: [pid for pid in node.pids() if wanted(title(pid))] for node in self.nodes}

    def _start(self, host: Host, *options: str) -> None:
        env = {"RAY_TMPDIR": str(self._processes.folder / host.name)}  # as on a machine of its own
        command = ["ray", "start", "--block", "--node-ip-address", host.address, *options]
        command += ["--object-store-memory", str(_OBJECT_STORE_BYTES), "--disable-usage-stats"]
        start_on(self._processes, host, command, "runtime started", env)


def start_on(processes: Processes, host: Host, command: list[str], ready: str, env: dict[str, str]) -> None:
    """Start what becomes a node of Ray, again if need be, and wait until it has said that it is ready.

    Args:
        processes: what has the log.
        host: where, and the log's name.
        command: the program and its arguments.
        ready: what it says then.
        env: further variables.

    Raises:
        DemoError: when it does not get ready in several attempts.
    """
    for attempt in range(1, _STARTS + 1):
        name = host.name if attempt == 1 else f"{host.name}-again-{attempt}"
        node = processes.start(name, *command, on=host.on, env=env)
        try:
            processes.await_start(name, node, partial(_has_said, processes, name, ready))
        except DemoError:
            host.kill()
            if attempt == _STARTS:
                raise
        else:
            return


def _has_said(processes: Processes, name: str, text: str) -> bool:
    return text in processes.said(name)


def is_actor(process_title: str) -> bool:
    """Whether a process is one of the pipeline's actors."""
    return process_title.startswith("ray::Worker")


def is_at_work(process_title: str) -> bool:
    """Whether a process is an actor that makes a shard."""
    return process_title.startswith("ray::Worker.run")
