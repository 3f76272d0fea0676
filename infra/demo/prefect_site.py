"""A Prefect server on PostgreSQL, a worker on Ray's head, and runs started as anybody starts them."""

import os
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from infra.demo.errors import DemoError
from infra.demo.network import OUTSIDE, add_host
from infra.demo.processes import Processes, kill_group
from infra.demo.ray_cluster import start_on
from infra.demo.sandbox import ROOT

_PORT = 4200
_POOL = "local-process"
_ENDS = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


class PrefectSite:
    """The server, which can be killed and started again, and its worker."""

    def __init__(self, processes: Processes, database: str) -> None:
        self._processes = processes
        user, password = "admin", secrets.token_hex(16)
        secret = f"{user}:{password}"
        self._server_env = {
            "PREFECT_API_DATABASE_CONNECTION_URL": database,
            "PREFECT_SERVER_API_AUTH_STRING": secret,
        }
        self._api = httpx.Client(base_url=f"http://{OUTSIDE}:{_PORT}/api", auth=(user, password), timeout=20)
        self.worker = add_host("worker", 9)
        os.environ |= {
            "PREFECT_HOME": str(processes.folder / "prefect"),
            "PREFECT_API_URL": str(self._api.base_url).rstrip("/"),
            "PREFECT_API_AUTH_STRING": secret,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
        }

    def start_server(self) -> None:
        """Start it and wait until it answers; the first time it makes its tables."""
        command = ["prefect", "server", "start", "--host", OUTSIDE, "--port", str(_PORT)]
        self._server = self._processes.start("server", *command, env=self._server_env)
        self._processes.await_start("server", self._server, self._answers)

    def kill_server(self) -> None:
        """Kill -9 it."""
        kill_group(self._server)

    def deploy(self) -> None:
        """Make the work pool and the deployments of prefect.yaml."""
        self._processes.run("pool", "prefect", "work-pool", "create", _POOL, "--type", "process")
        self._processes.run("deploy", "prefect", "--no-prompt", "deploy", "--all")

    def start_worker(self, ray_address: str) -> None:
        """Start the worker as its container does: on a host of its own, which joins Ray with no core to give."""
        env = {"JOIN_RAY": ray_address, "RAY_TMPDIR": str(self._processes.folder / self.worker.name)}
        command = [str(ROOT / "infra" / "join-ray"), "prefect", "worker", "start", "--pool", _POOL]
        start_on(self._processes, self.worker, command, "started!", env)

    def start_run(self, parameters: Mapping[str, object]) -> "FlowRun":
        """Start a run by the command that the README gives."""
        given = [argument for key, value in parameters.items() for argument in ("-p", f"{key}={value}")]
        said = self._processes.run("deployment-run", "prefect", "deployment", "run", "build-dataset", *given)
        numbers: list[str] = re.findall(r"UUID:\s+([0-9a-f-]{36})", said)
        return FlowRun(self._api, numbers[-1])

    def _answers(self) -> bool:
        try:
            return self._api.get("/health", timeout=2).is_success
        except httpx.TransportError:
            return False


@dataclass(frozen=True)
class FlowRun:
    """A run, as the server's API shows it."""

    api: httpx.Client
    number: str

    @property
    def ended(self) -> bool:
        """Whether it has ended, in whatever state."""
        return self.state()[0] in _ENDS

    def state(self) -> tuple[str, str]:
        """Such as `RUNNING` or `COMPLETED`, and why."""
        state = self._ask("GET", f"/flow_runs/{self.number}")["state"]
        return str(state["type"]), str(state["message"] or "")

    def seconds(self) -> float:
        """From its start to its end or to now."""
        return float(self._ask("GET", f"/flow_runs/{self.number}")["estimated_run_time"])

    def completed(self) -> int:
        """Shards whose task run is Completed, as far as the server was told."""
        completed = {"state": {"type": {"any_": ["COMPLETED"]}}}
        return int(self._ask("POST", "/task_runs/count", self._shards(completed)))

    def retried(self) -> list[str]:
        """The names of the shards that took more than one attempt, in order."""
        found, page = [], self._page(0)
        while page:
            found += page
            page = self._page(len(found))
        return sorted(str(task["name"]) for task in found if task["run_count"] > 1)

    def _page(self, offset: int) -> list[dict[str, Any]]:
        wanted = self._shards({}) | {"limit": 200, "offset": offset, "sort": "NAME_ASC"}
        return list(self._ask("POST", "/task_runs/filter", wanted))

    def _shards(self, which: Mapping[str, object]) -> dict[str, object]:
        return {"flow_runs": {"id": {"any_": [self.number]}}, "task_runs": {"name": {"like_": "shard-"}, **which}}

    def _ask(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        """What the server answers; while it is down, it is waited for."""
        deadline = time.monotonic() + 60
        while True:
            try:
                answer = self.api.request(method, path, json=body)
                answer.raise_for_status()
                return answer.json()
            except httpx.HTTPError as error:
                if time.monotonic() > deadline:
                    raise DemoError(f"the Prefect server does not answer: {error}. --keep keeps server.log") from error
                time.sleep(0.5)
