"""The flow in one process, and the literal commands of the README against a real Prefect server and worker."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from urllib.error import URLError

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings

from flows import build_dataset as flow_module
from pipeline.dataset import Dataset, open_dataset
from pipeline.engines.serial import SerialEngine
from pipeline.errors import DatasetError, WorkerError
from pipeline.shards import Shard
from pipeline.store.ledger import LedgerEntry
from pipeline.worker import Job

ROOT = Path(__file__).parents[1]
PREFECT = str(Path(sys.executable).parent / "prefect")
RECIPE = ["-p", "records=80", "-p", "seed=7", "-p", "shard_records=32", "-p", "workers=1"]


def environment(home: Path, **settings: str) -> dict[str, str]:
    """The surroundings of a user whose Prefect is fresh."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return inherited | {"PREFECT_HOME": str(home), "PATH": path} | settings


def run(*command: str, env: dict[str, str], timeout: float = 200) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=timeout, check=False)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[dict[str, str]]:
    """A Prefect server, a process pool and a worker, started as the README says; gives the client's surroundings."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    env = environment(home, PREFECT_API_URL=url, PREFECT_WORKER_QUERY_SECONDS="1")
    started: list[subprocess.Popen[bytes]] = []

    def start(*command: str) -> None:
        log = (home / f"{command[0]}-{len(started)}.log").open("wb")
        started.append(
            subprocess.Popen([PREFECT, *command], cwd=ROOT, env=env, stdout=log, stderr=log, start_new_session=True)
        )

    try:
        start("server", "start", "--port", str(port))
        _wait_for(f"{url}/health")
        pool = run(PREFECT, "work-pool", "create", "local-process", "--type", "process", env=env)
        assert pool.returncode == 0, pool.stderr
        deployed = run(PREFECT, "deploy", "--all", env=env)
        assert deployed.returncode == 0, deployed.stdout + deployed.stderr
        start("worker", "start", "--pool", "local-process")
        yield env
    finally:
        for process in reversed(started):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (URLError, OSError):
            time.sleep(0.3)
    pytest.fail(f"{url} did not answer")


@pytest.mark.parametrize("name", ["build-dataset", "build-dataset/local"])
def test_the_literal_command_builds_a_dataset(
    server: dict[str, str], tmp_path: Path, dataset: Dataset, name: str
) -> None:
    out = tmp_path / "dataset"
    done = run(PREFECT, "deployment", "run", name, *RECIPE, "-p", f"out={out}", "--watch", env=server)
    assert done.returncode == 0, done.stdout + done.stderr
    assert open_dataset(out).manifest.content_digest == dataset.manifest.content_digest
    assert (out / "release" / "SHA256SUMS.txt").is_file()


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        (["-p", "records=0"], "records"),
        (["-p", "color=red"], "color"),
        (["-p", "engine=dask"], "engine"),
        (["-p", "second_opinion=2"], "second_opinion"),
    ],
)
def test_parameters_that_cannot_work_are_refused_by_the_deployment(
    server: dict[str, str], tmp_path: Path, parameters: list[str], named: str
) -> None:
    out = tmp_path / "dataset"
    done = run(PREFECT, "deployment", "run", "build-dataset", *parameters, "-p", f"out={out}", env=server)
    assert done.returncode != 0
    assert named in done.stdout + done.stderr
    assert not out.exists()


def test_in_one_process_without_a_server(home: Path, tmp_path: Path, dataset: Dataset) -> None:
    out = tmp_path / "dataset"
    command = [sys.executable, "-m", "flows.build_dataset", "--records", "80", "--seed", "7", "--out", str(out)]
    env = environment(home)
    done = run(*command, "--engine", "serial", env=env)
    assert done.returncode == 0, done.stderr
    assert dataset.manifest.content_digest in done.stdout
    assert "Load it:" in done.stdout
    assert "80/80" in done.stderr
    again = run(*command, "--engine", "serial", env=env)
    assert again.returncode == 0, again.stderr
    assert "is complete" in again.stdout

    refused = run(*command[:-1], str(out), "--shard-records", "100", env=env)
    assert refused.returncode == 2
    assert refused.stderr.strip().count("\n") == 0, refused.stderr
    assert "shard_records 100" in refused.stderr


class Faulty(SerialEngine):
    """Loses its worker at the first try of every shard, and cannot make the shard that is cursed."""

    tried: set[int]
    curse: BaseException | None = None

    def run(self, shard: Shard) -> LedgerEntry:
        """As the engine, but for the faults."""
        if shard.index == 1 and self.curse:
            raise self.curse
        if shard.index not in self.tried:
            self.tried.add(shard.index)
            raise WorkerError("lost")
        return super().run(shard)


@pytest.mark.parametrize(
    ("curse", "error", "message"),
    [
        (None, None, ""),
        (WorkerError("gone"), WorkerError, r"1 shard\(s\) could not be made: shard-00001 \(records 32 to 63\): gone"),
        (DatasetError("disk full"), DatasetError, "^disk full$"),
        (TypeError("a bug"), TypeError, "^a bug$"),
    ],
)
def test_the_flow_tries_lost_workers_again_and_hides_nothing(
    server: dict[str, str],
    tmp_path: Path,
    dataset: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    curse: BaseException | None,
    error: type[BaseException] | None,
    message: str,
) -> None:
    def faulty(_: str, job: Job, __: int | None) -> Faulty:
        engine = Faulty(job)
        engine.tried, engine.curse = set(), curse
        return engine

    monkeypatch.setattr("pipeline.build.make_engine", faulty)
    monkeypatch.setattr(flow_module.make_shard, "retry_delay_seconds", [0, 0, 0])
    out = str(tmp_path / "d")
    with temporary_settings({PREFECT_API_URL: server["PREFECT_API_URL"], PREFECT_LOGGING_TO_API_ENABLED: False}):
        if error is None:
            flow_module.build_dataset(records=80, seed=7, out=out, shard_records=32, release=False)
            assert open_dataset(out).manifest.content_digest == dataset.manifest.content_digest
        else:
            with pytest.raises(error, match=message):
                flow_module.build_dataset(records=80, seed=7, out=out, shard_records=32, release=False)
            assert not (tmp_path / "d" / "dataset.json").exists()


def test_prefect_is_what_the_plugin_was_tested_with() -> None:
    pinned = version("prefect")
    assert f"prefect=={pinned}" in (ROOT / "constraints.txt").read_text().splitlines()
    assert f"prefect-version: {pinned}\n" in (ROOT / "prefect.yaml").read_text()
