"""Ray nodes and Prefect servers as processes of their own, for tests to kill, to stop and to cut off."""

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.error import URLError

import psutil
import pytest

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
PREFECT = str(BIN / "prefect")
_MARK = "ECG_FOUNDRY_TEST_PROCESSES"
_STARTS = 3
"""Of a Ray node, which gives up by itself on a machine so busy that one of its processes takes 15 s to start."""


_Found = TypeVar("_Found")


def wait_until(condition: Callable[[], _Found], what: str, seconds: float = 120) -> _Found:
    """What the condition finds; it is looked at every few milliseconds, so that a fault comes when it should."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"after {seconds:.0f} s still not: {what}")
        time.sleep(0.005)
    return found


def ray_workers(of: psutil.Process, *, at_work: bool = False) -> list[psutil.Process]:
    """The Ray actors below a process; `at_work` those that are making a shard. Ray gives them their titles."""
    title = "ray::Worker.run" if at_work else "ray::Worker"
    found = []
    for child in of.children(recursive=True):
        try:
            if "".join(child.cmdline()[:1]).startswith(title):
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def processes_of(session: int) -> list[psutil.Process]:
    """The processes that run in a session."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def entry_files(out: Path) -> list[Path]:
    """The entries of the shards that are committed; the notes of failed ones are called otherwise."""
    return list((out / "ledger").glob("shard-?????.json"))


def entries(out: Path) -> int:
    """Shards that are committed."""
    return len(entry_files(out))


def free_port(address: str = "127.0.0.1") -> int:
    with socket.socket() as free:
        free.bind((address, 0))
        return int(free.getsockname()[1])


class Processes:
    """Processes that end with the block, and all that they started too: what they inherit tells them."""

    def __init__(self, **settings: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ecg-", dir="/tmp"))  # short: Ray's sockets lie in it
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "RAY_"))}
        path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        own = {"PATH": path, "PWD": str(ROOT), _MARK: secrets.token_hex(8)}  # PWD: what prefect.yaml reads
        self.env = inherited | own | settings
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, *command: str, name: str, env: dict[str, str] | None = None) -> psutil.Process:
        """Start a process whose output goes into `NAME.log`."""
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, env=self.env | (env or {}), stdout=log, stderr=log, start_new_session=True
            )
        self._started.append(process)
        return psutil.Process(process.pid)

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(command, cwd=ROOT, env=self.env, capture_output=True, text=True, timeout=200, check=False)

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def exit_status(self, process: psutil.Process, seconds: float = 200) -> int:
        """Wait for the end of a process that was started here."""
        return next(started for started in self._started if started.pid == process.pid).wait(seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Kill whatever has inherited the mark or is of a session of such; Ray's agents overwrite what they inherit."""
        sessions = {os.getsid(process.pid) for process in psutil.process_iter() if self._is_ours(process)}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                if self._is_ours(process) or os.getsid(process.pid) in sessions - {os.getsid(0)}:
                    process.kill()
        for started in self._started:
            started.kill()
            started.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get(_MARK) == self.env[_MARK]
        except psutil.Error:
            return False


def kill_all(process: psutil.Process) -> None:
    """Kill -9 a process and everything below it, as when its machine loses its power."""
    for each in [process, *process.children(recursive=True)]:
        try:
            each.kill()
        except psutil.NoSuchProcess:
            continue


class RayNodes(Processes):
    """A Ray cluster of nodes with a core each; builds are driven from the first one's."""

    def __init__(
        self, places: Sequence[Sequence[str]] = ((), ()), addresses: Sequence[str] = ("127.0.0.1", "127.0.0.1")
    ) -> None:
        super().__init__(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32), RAY_USAGE_STATS_ENABLED="0")
        self._places = places
        self._addresses = addresses
        self.env["RAY_ADDRESS"] = f"{addresses[0]}:{free_port()}"
        self.nodes: list[psutil.Process] = []

    def start_node(self, **variables: str) -> psutil.Process:
        """Start the next node, with these variables in its environment, and wait until it answers."""
        number = len(self.nodes)
        head = ["--head", "--port", self.env["RAY_ADDRESS"].split(":")[1], "--include-dashboard", "false"]
        head += ["--temp-dir", str(self.folder)]
        member = ["--address", self.env["RAY_ADDRESS"]]
        place = self._places[number] if number < len(self._places) else ()
        command = [*place, str(BIN / "ray"), "start", "--block", *(member if number else head)]
        command += [
            "--node-ip-address",
            self._addresses[min(number, 1)],
            "--num-cpus",
            "1",
            "--dashboard-agent-listen-port",
        ]
        command += ["0", "--object-store-memory", str(80 * 1024**2)]
        for _ in range(_STARTS):
            node = self.start(*command, name=f"node-{number}", env=variables)
            log = self.log(f"node-{number}")
            wait_until(
                lambda: "runtime started" in log.read_text() or not node.is_running() or node.status() == "zombie",  # noqa: B023
                f"node {number} has started or failed",
            )
            if "runtime started" in log.read_text():
                self.nodes.append(node)
                return node
        raise AssertionError(log.read_text())

    def start_build(
        self, out: Path, records: int, *more: str, place: Sequence[str] | None = None, **variables: str
    ) -> psutil.Process:
        """Start a build on the cluster, in the first node's place or another; it gives up a shard soon."""
        command = [sys.executable, "-m", "pipeline.cli", "build", "--records", str(records), "--seed", "7", *more]
        command += ["--shard-records", "32", "--seconds-per-shard", "7", "--out", str(out), "--no-release"]
        return self.start(*(place or self._places[0]), *command, name=f"build-{out.name}", env=variables)

    def work_remotely(self, out: Path) -> tuple[psutil.Process, psutil.Process]:
        """Hold the first node's worker back until the second one's has committed and makes another shard."""
        local = wait_until(lambda: ray_workers(self.nodes[0]), "the first node has a worker")[0]
        local.suspend()
        wait_until(lambda: entries(out), "an entry is in the ledger")
        return local, wait_until(lambda: ray_workers(self.nodes[1], at_work=True), "the second node's worker works")[0]


class PrefectSite(Processes):
    """A Prefect server, a process pool and a worker, started as the README says."""

    def __init__(self, home: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/api"
        super().__init__(PREFECT_HOME=str(home), PREFECT_API_URL=self.url, PREFECT_WORKER_QUERY_SECONDS="1")

    def start_server(self) -> None:
        server = self.start(PREFECT, "server", "start", "--port", str(self.port), name="server")
        wait_until(self._answers, f"{self.url} answers")
        self._server = server

    def kill_server(self) -> None:
        kill_all(self._server)

    def deploy(self) -> None:
        pool = self.run(PREFECT, "work-pool", "create", "local-process", "--type", "process")
        assert pool.returncode == 0, pool.stderr
        deployed = self.run(PREFECT, "deploy", "--all")
        assert deployed.returncode == 0, deployed.stdout + deployed.stderr

    def start_worker(self) -> psutil.Process:
        return self.start(PREFECT, "worker", "start", "--pool", "local-process", name="worker")

    def start_run(self, *parameters: str) -> str:
        """Start a run of the deployment; returns its number."""
        given = [argument for parameter in parameters for argument in ("-p", parameter)]
        started = self.run(PREFECT, "deployment", "run", "build-dataset", *given)
        assert started.returncode == 0, started.stdout + started.stderr
        return next(line.split()[-1] for line in started.stdout.splitlines() if "UUID" in line)

    def state(self, run: str) -> tuple[str, str]:
        """Such as `RUNNING`, `COMPLETED` or `CRASHED`, and why."""
        with urllib.request.urlopen(f"{self.url}/flow_runs/{run}", timeout=10) as answer:
            state: dict[str, Any] = json.load(answer)["state"]
        return str(state["type"]), str(state["message"])

    def end_of(self, run: str) -> tuple[str, str]:
        """Wait until a run has ended; returns the state it ended in, and why."""
        while self.state(run)[0] in {"SCHEDULED", "PENDING", "RUNNING"}:
            time.sleep(0.5)
        return self.state(run)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=2):
                return True
        except (URLError, OSError):
            return False
