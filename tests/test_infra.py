"""The Makefile's choice of PyTorch's index."""

import http.server
import importlib.util
import threading
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "infra" / "torch_index.py"


@pytest.fixture
def torch_index() -> Any:
    """The script as a module; it stands beside the packages, not in one."""
    spec = importlib.util.spec_from_file_location("torch_index", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Answers(http.server.BaseHTTPRequestHandler):
    """A server that has every page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()


def test_an_index_that_answers_is_reachable_and_others_are_not_waited_for(torch_index: Any) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), Answers) as server:
        port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert torch_index.reachable(f"http://127.0.0.1:{port}", 2)
        server.shutdown()
    started = time.monotonic()
    assert not torch_index.reachable(f"http://127.0.0.1:{port}", 2)
    assert not torch_index.reachable("http://192.0.2.1", 0.3)  # an address that never answers (RFC 5737)
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("gpu", [True, False])
def test_a_gpu_machine_takes_the_default_build(
    torch_index: Any, gpu: bool, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch_index.platform, "system", lambda: "Linux")
    monkeypatch.setattr(torch_index.shutil, "which", lambda _: "/usr/bin/nvidia-smi" if gpu else None)
    monkeypatch.setattr(torch_index, "reachable", lambda *_: True)
    monkeypatch.setattr(torch_index.os, "_exit", lambda _: None)
    torch_index.main()
    assert bool(capfd.readouterr().out) == (not gpu)
