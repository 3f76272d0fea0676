"""Killed at any point and started again, a publication ends with every file there, once, and right."""

import multiprocessing
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from pipeline.publish import publish
from pipeline.release.checksums import CHECKSUMS
from tests.fake_osf import FakeOsf, Node, fake_osf, make_release
from tests.publishing import NODE, TOKEN, expected

KILLS = 20
FOLDERS = ("all", "normal", "quality", "code", "exports/asc/all")


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files in several folders, one of them of some megabytes."""
    content = {
        f"{folder}/{place}{number}.bin": os.urandom(700) for place, folder in enumerate(FOLDERS) for number in range(4)
    }
    content["all/signals-000.zarr.zip"] = os.urandom(4 << 20)
    return make_release(tmp_path_factory.mktemp("kill") / "release", content)


@pytest.fixture(scope="module")
def processes() -> multiprocessing.context.ForkServerContext:
    """Each one forked from a process that has read the program already, which takes a second."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pipeline.publish"])
    return context


class Killer:
    """Kills the process that publishes when the server has lived through so many moments."""

    def __init__(self, osf: FakeOsf) -> None:
        self._osf = osf
        self.moments = 0
        self.fatal = 0
        self.pid = 0
        osf.at_moment = self._live

    def _live(self) -> None:
        with self._osf.lock:
            self.moments += 1
            if self.moments == self.fatal:
                os.kill(self.pid, 9)


def run(
    release: Path, osf: FakeOsf, killer: Killer, fatal: int, context: multiprocessing.context.ForkServerContext
) -> bool:
    """Publish in a process of its own; returns whether it was killed."""
    killer.moments, killer.fatal = 0, fatal
    process = context.Process(target=publish, args=(release, osf.api), kwargs={"node": NODE, "token": SecretStr(TOKEN)})
    with osf.lock:  # no moment passes before it is known whom to kill
        process.start()
        killer.pid = process.pid or 0
    process.join(60)
    assert process.exitcode in {0, -9}
    while osf.busy:  # a server finds out soon that nobody is there any more
        time.sleep(0.002)
    return process.exitcode == -9


@pytest.fixture(params=[False, True], ids=["drops what is cut off", "keeps what is cut off"])
def osf(request: pytest.FixtureRequest) -> Iterator[FakeOsf]:
    with fake_osf(TOKEN, page_size=100, keeps_partial=request.param) as server:
        server.nodes[NODE] = Node()
        yield server


def test_killed_twenty_times(release: Path, osf: FakeOsf, processes: multiprocessing.context.ForkServerContext) -> None:
    whole = expected(release)
    killer = Killer(osf)
    assert not run(release, osf, killer, 0, processes)
    moments = killer.moments  # of an undisturbed publication
    draw = random.Random(20)
    points = list[str]()
    while len(points) < KILLS:
        osf.nodes[NODE] = Node()
        # Six times at the most in each publication, at points spread over what it has left to do.
        for _ in range(6):
            if len(points) == KILLS or not run(release, osf, killer, draw.randint(1, moments), processes):
                break
            last = osf.requests[-1]
            points.append(f"{last.method} {last.file or last.path}")
            files = osf.nodes[NODE].files()  # nothing is there twice
            if f"1.0.0/{CHECKSUMS}" in files:  # the seal vouches for all
                assert files.keys() == whole.keys()
        run(release, osf, killer, 0, processes)
        assert osf.nodes[NODE].files() == whole  # nothing missing, nothing twice, nothing wrong
    assert len({point for point in points if point.startswith("PUT")}) >= KILLS // 4
