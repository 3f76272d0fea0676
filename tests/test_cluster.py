"""Builds on a Ray cluster that is there already: who is let in, which nodes may work, and what is left behind."""

import os
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from pipeline.dataset import Dataset, open_dataset
from pipeline.verify import verify
from tests.processes import RayNodes, entries, kill_all, ray_workers, wait_until

Record = Callable[[str, object], None]


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayNodes]:
    """A head and a node beside it."""
    with RayNodes() as nodes:
        nodes.start_node()
        nodes.start_node()
        yield nodes


def said(cluster: RayNodes, out: Path, *more: str, **variables: str) -> tuple[int, str, float]:
    """How a build ended, what it said, and how long it took."""
    started = time.monotonic()
    process = cluster.start_build(out, 80, *more, **variables)
    status = cluster.exit_status(process, 120)
    return status, cluster.log(f"build-{out.name}").read_text(encoding="utf-8"), time.monotonic() - started


def test_two_nodes_make_the_bytes_of_one_process(cluster: RayNodes, tmp_path: Path, dataset: Dataset) -> None:
    status, text, _ = said(cluster, tmp_path / "d")
    assert status == 0, text
    assert "by 2 worker(s)" in text
    assert open_dataset(tmp_path / "d").manifest.content_digest == dataset.manifest.content_digest


def mute_head(port: int) -> socket.socket:
    """A head that takes connections and says nothing, as when it hangs."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", port))
    listening.listen()
    return listening


def test_who_is_not_let_in_is_told_why_in_one_line(cluster: RayNodes, tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path)}
    with mute_head(0) as mute:
        silent = f"127.0.0.1:{mute.getsockname()[1]}"
        cases = {
            "token": ("but not to our token", {"RAY_AUTH_TOKEN": "0" * 64}, ()),
            "none": ("there is no token", {"RAY_AUTH_TOKEN": "", "RAY_AUTH_MODE": "", **home}, ()),
            "mute": ("timed out", {}, ("--ray-address", silent)),
            "many": ("room for 2 of 3 worker", {}, ("--workers", "3")),
            "gpu": ("Ray sees no GPU", {}, ("--gpus-per-worker", "0.5")),
        }
        for name, (why, variables, more) in cases.items():
            status, text, seconds = said(cluster, tmp_path / name, *more, **variables)
            print(name, status, text, seconds)
