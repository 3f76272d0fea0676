"""The doctor: what is amiss is named, each check for itself, in time, and without a secret."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import boto3  # type: ignore[import-untyped]
import prefect
import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from flows import doctor as flows_doctor
from pipeline.cli import main
from pipeline.doctor import machine, services
from pipeline.doctor.examination import run_side_by_side
from pipeline.doctor.findings import Finding, clock
from pipeline.errors import DatasetError
from pipeline.store.place import BucketPath
from tests.processes import RayNodes, free_port, wait_until
from tests.s3_server import BUCKET, s3_server

SECRETS = {"OSF_TOKEN": "osf-5up3rs3cr3t", "AWS_SECRET_ACCESS_KEY": "a-sentinel-secret"}


def verdicts(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.thing, finding.verdict) for finding in findings]


def test_a_healthy_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole command, in a folder without a prefect.toml; every finding has its line, no secret is in any."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(services, "PATIENCE_SECONDS", 100.0)  # the machine that runs the tests may be busy
    monkeypatch.setattr("pipeline.doctor.examination.PATIENCE_SECONDS", 110.0)

    assert main(["doctor", "--out", str(tmp_path / "d"), "--records", "2000"]) == 0

    lines = capsys.readouterr().out.splitlines()
    things = [line[9:24].strip() for line in lines]
    expected = ["packages", "processor", "GPU", "memory", "disk", "temporary files", "checkpoint", "tokens"]
    assert things == [*expected, "Ray cluster", "Prefect server", "clock"]
    assert all(line.startswith(("ok ", "warning ")) for line in lines)
    assert "torch 2" in lines[0]
    assert "set: AWS_SECRET_ACCESS_KEY, OSF_TOKEN;" in lines[7]
    assert not any(secret in "\n".join(lines) for secret in SECRETS.values())
    assert not (tmp_path / "d").exists()


def test_a_fault_is_told_to_programs_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(services, "prefect_server", list)
    missing = str(tmp_path / "missing.pt")
    assert main(["doctor", "--out", str(tmp_path), "--checkpoint", missing, "--ray-address", "ray://x", "--json"]) == 1
    found = {each["thing"]: each for each in json.loads(capsys.readouterr().out)}
    assert {thing for thing, each in found.items() if each["verdict"] == "fault"} == {"checkpoint", "Ray cluster"}
    assert "missing.pt cannot be read" in found["checkpoint"]["finding"]
    assert "Give HOST:PORT" in found["Ray cluster"]["finding"]


def test_a_check_that_fails_or_hangs_keeps_none_from_being_told() -> None:
    over = threading.Event()

    def hang() -> list[Finding]:
        over.wait(30)
        return []

    begun = time.monotonic()
    found = run_side_by_side({"a": hang, "b": lambda: 1 // 0, "c": lambda: [Finding("ok", "c", "well")]}, 0.5)  # type: ignore[dict-item, return-value]
    over.set()
    assert verdicts(found) == [("a", "fault"), ("b", "fault"), ("c", "ok")]
    assert "no answer within" in found[0].finding
    assert "by zero" in found[1].finding
    assert time.monotonic() - begun < 25  # of 30


@pytest.mark.parametrize(
    ("check", "patched", "value", "verdict", "said"),
    [
        (machine.packages, "_version", lambda name: None if name == "zarr" else "1!9", "fault", "zarr is missing"),
        (machine.packages, "_version", lambda name: "3.8.7" if name == "prefect" else "9", "fault", "prefect 3.8.7"),
        (machine.packages, "_tested_versions", lambda: {"numpy": "1.0"}, "warning", "(tested: 1.0)"),
        (machine.processor, "_control_group", lambda _: "150000 100000\n", "warning", "--workers 1"),
        (machine.processor, "_control_group", lambda _: "max 100000\n", "ok", "16 cores"),
        (machine.memory, "_control_group", lambda _: str(3 << 30), "warning", "--workers 3"),
        (machine.memory, "_control_group", lambda _: "max\n", "ok", "for 16 workers"),
        (machine.memory, "_read", lambda _: "", "warning", "does not tell"),
    ],
)  # fmt: skip
def test_this_machine(
    monkeypatch: pytest.MonkeyPatch,
    check: Callable[[], list[Finding]],
    patched: str,
    value: object,
    verdict: str,
    said: str,
) -> None:
    read = machine._read
    monkeypatch.setattr(machine, "cores", lambda: 16)
    monkeypatch.setattr(
        machine, "_read", lambda path: read(path) if "sys" in str(path) else "MemAvailable: 99000000 kB"
    )
    monkeypatch.setattr(machine, patched, value)
    [finding] = check()
    assert finding.verdict == verdict
    assert said in str(finding)


@pytest.mark.parametrize(("free_gb", "verdict"), [(1.0, "fault"), (1.5, "fault"), (1.7, "warning"), (3.3, "ok")])
def test_the_disk_against_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_gb: float, verdict: str
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free_gb * 1e9))
    assert machine.disk(tmp_path / "a" / "b", 20_000)[0].verdict == verdict
    assert machine.disk(tmp_path, None)[0].verdict == "ok"


def test_what_is_made_already_needs_no_room(monkeypatch: pytest.MonkeyPatch, dataset: Any) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1e6))
    assert machine.disk(dataset.folder, 80)[0].verdict == "ok"
    assert machine.disk(dataset.folder, 120)[0].verdict == "fault"


@pytest.mark.parametrize(("apart", "verdict"), [(0, "ok"), (-3, "ok"), (60, "warning"), (-900, "fault")])
def test_clocks(apart: float, verdict: str) -> None:
    finding = clock("the server", 1_000_000.0 + apart, 1_000_000.0)
    assert finding.verdict == verdict
    assert verdict == "ok" or ("ahead" in finding.finding) == (apart > 0)


@pytest.fixture(scope="module")
def bucket() -> Iterator[BucketPath]:
    """A place in a bucket of a real server, which AWS's variables name."""
    with s3_server():
        yield BucketPath("/", BUCKET, "ecg")


def test_a_bucket_is_tried_and_left_as_it_was(bucket: BucketPath, monkeypatch: pytest.MonkeyPatch) -> None:
    assert verdicts(services.bucket(bucket)) == [("bucket", "ok"), ("clock", "ok")]
    assert boto3.client("s3").list_objects_v2(Bucket="datasets", Prefix="ecg")["KeyCount"] == 0

    now = time.time()
    monkeypatch.setattr("time.time", lambda: now - 3600)
    assert verdicts(services.bucket(bucket)) == [("bucket", "ok"), ("clock", "fault")]


def test_a_store_that_cannot_be_relied_on(bucket: BucketPath, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(BucketPath, "write_if", lambda self, content, _: self.write_bytes(content))
        assert "If-None-Match" in services.bucket(bucket)[0].finding
    with monkeypatch.context() as patch:
        patch.setattr(BucketPath, "write_if", lambda *_: (_ for _ in ()).throw(PermissionError(13, "AccessDenied")))
        assert "cannot be written: AccessDenied" in services.bucket(bucket)[0].finding
    with pytest.raises(DatasetError, match="s3://nowhere/ecg cannot be used"):
        services.bucket(BucketPath("/", "nowhere", "ecg"))
    assert boto3.client("s3").list_objects_v2(Bucket="datasets", Prefix="ecg")["KeyCount"] == 0


class Server(BaseHTTPRequestHandler):
    """The few routes of a Prefect server that the doctor asks; a test sets what it has."""

    version = prefect.__version__
    status = 200
    skew = 0.0
    deployments: list[dict[str, object]] = []  # noqa: RUF012 - each test sets its own
    workers: list[dict[str, object]] = []  # noqa: RUF012

    def do_GET(self) -> None:
        routes: dict[str, object] = {
            "/api/admin/version": self.version,
            "/api/work_pools/local-process": {"name": "local-process", "type": "process", "base_job_template": {}}
            | {"default_queue_id": str(uuid4())},
        }
        self._answer(routes.get(self.path))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        routes = {
            "/api/deployments/filter": self.deployments,
            "/api/work_pools/local-process/workers/filter": self.workers,
        }
        self._answer(routes.get(self.path))

    def _answer(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response_only(self.status if content is not None else 404)
        self.send_header("Date", formatdate(time.time() + self.skew, usegmt=True))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


DEPLOYED = {"id": str(uuid4()), "flow_id": str(uuid4()), "name": "local", "work_pool_name": "local-process"}
ONLINE = {"id": str(uuid4()), "name": "one", "work_pool_id": str(uuid4()), "status": "ONLINE"}


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ({}, {"Prefect server": "ok", "clock": "ok", "deployments": "ok", "work pool": "ok"}),
        ({"version": "3.0.0"}, {"Prefect server": "warning"}),
        ({"version": "99.0.0"}, {"Prefect server": "fault"}),
        ({"status": 401}, {"Prefect server": "fault"}),
        ({"skew": -120.0}, {"clock": "warning"}),
        ({"deployments": []}, {"deployments": "warning"}),
        ({"deployments": [DEPLOYED | {"work_pool_name": None}]}, {"deployments": "fault"}),
        ({"workers": [ONLINE | {"status": "OFFLINE"}]}, {"work pool": "fault"}),
    ],
)
def test_a_prefect_server(server: dict[str, object], expected: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    handler = type("Handler", (Server,), {"deployments": [DEPLOYED], "workers": [ONLINE]} | server)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        monkeypatch.setenv("PREFECT_API_URL", "named in the environment")
        found = _prefect_findings(f"http://ops:s3cr3t@127.0.0.1:{serving.server_port}/api")
        serving.shutdown()
    assert dict(verdicts(found)) | expected == dict(verdicts(found))
    assert all(finding.verdict == "ok" or finding.remedy for finding in found)
    assert "s3cr3t" not in str(found)


def _prefect_findings(url: str | None) -> list[Finding]:
    with temporary_settings({PREFECT_API_URL: url, PREFECT_CLIENT_MAX_RETRIES: 0}):
        return asyncio.run(flows_doctor.findings())


def test_no_prefect_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is alone on a machine needs none; whoever has named one does."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    nobody = f"http://127.0.0.1:{free_port()}/api"
    assert verdicts(_prefect_findings(None)) == [("Prefect server", "ok")]
    assert verdicts(_prefect_findings(nobody)) == [("Prefect server", "warning")]
    monkeypatch.setenv("PREFECT_API_URL", nobody)
    assert verdicts(_prefect_findings(nobody)) == [("Prefect server", "fault")]
    monkeypatch.setattr(flows_doctor, "PATIENCE_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        found = _prefect_findings(f"http://127.0.0.1:{deaf.getsockname()[1]}/api")
    assert verdicts(found) == [("Prefect server", "fault")]


def test_a_process_that_does_not_answer_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[str]] = []
    popen = subprocess.Popen

    def start(*_: object, **options: Any) -> "subprocess.Popen[str]":
        started.append(popen(["sh", "-c", "sleep 60 & sleep 60"], **options))
        return started[-1]

    monkeypatch.setattr("subprocess.Popen", start)
    monkeypatch.setattr(services, "PATIENCE_SECONDS", 0.3)
    begun = time.monotonic()
    assert verdicts(services.prefect_server()) == [("Prefect server", "fault")]
    assert time.monotonic() - begun < 50  # of 60
    assert started[0].wait(5) < 0
    wait_until(lambda: not _group_lives(started[0].pid), "what it had started has gone too", seconds=10)


def _group_lives(number: int) -> bool:
    try:
        os.killpg(number, 0)
    except ProcessLookupError:
        return False
    return True


def test_what_is_said_of_a_ray_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one that is there in the words of a stand-in; `make bad-day` asks a real one."""
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{free_port()}")
    monkeypatch.setattr(services, "PATIENCE_SECONDS", 100.0)
    [nobody] = services.ray_cluster(None)
    assert nobody.verdict == "fault"
    assert f"RAY_ADDRESS={os.environ['RAY_ADDRESS']} cannot be joined" in nobody.finding
    known = {"nodes": 3, "cores": 24.0, "gpus": 2.0, "version": "2.60.0"}
    monkeypatch.setattr(services, "_ask", lambda *_: known)
    assert services.ray_cluster("10.0.0.5:6379")[0].finding == "10.0.0.5:6379: 3 nodes, 24 cores, 2 GPUs, Ray 2.60.0"


@pytest.mark.bad_day
def test_a_ray_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "PATIENCE_SECONDS", 100.0)  # as above
    with RayNodes() as ray:
        for name in ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
            monkeypatch.setenv(name, ray.env[name])
        ray.start_node()
        [there] = services.ray_cluster(None)
        assert str(there).startswith("ok ")
        assert "1 nodes, 1 cores, 0 GPUs, Ray 2" in there.finding
        monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
        [stranger] = services.ray_cluster(ray.env["RAY_ADDRESS"])
        assert stranger.verdict == "fault"
        assert "token" in stranger.finding
        assert sys.executable not in stranger.finding
