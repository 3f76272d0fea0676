"""Builds on a Ray cluster that is there already: who is let in, which nodes may work, and what is left behind."""

import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import psutil
import pytest

from pipeline.dataset import Dataset, open_dataset
from tests.processes import ROOT, Processes, RayNodes, entries, kill_all, processes_of, ray_workers, wait_until

Record = Callable[[str, object], None]
MANY = 100_000
"""Records; such a build is still at work when its test has seen enough."""
PATIENCE = 90.0
"""What is said within 20 s on a machine that has no other work; less than any wait of the engine's own."""

REFUSING = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "prefect":
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
"""
OTHER_VERSION = """
import importlib.metadata
known = importlib.metadata.version
importlib.metadata.version = lambda name: "1.0" if name == {name!r} else known(name)
"""


def customised(folder: Path, code: str) -> dict[str, str]:
    """The environment of a Python that runs this code first."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(code, encoding="utf-8")
    return {"PYTHONPATH": str(folder)}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayNodes]:
    """A head and a node beside it, on which Prefect cannot be imported."""
    without_prefect = customised(tmp_path_factory.mktemp("node") / "site", REFUSING)
    with RayNodes() as nodes:
        nodes.start_node(**without_prefect)
        nodes.start_node(**without_prefect)
        yield nodes


def end_of(
    cluster: RayNodes, out: Path, *more: str, place: Sequence[str] | None = None, **variables: str
) -> tuple[int, str]:
    """How a build ended, and what it said; at once, whatever it was."""
    started = time.monotonic()
    process = cluster.start_build(out, 80, *more, place=place, **variables)
    status = cluster.exit_status(process, 120)
    if status:
        assert time.monotonic() - started < PATIENCE
    return status, cluster.log(f"build-{out.name}").read_text(encoding="utf-8")


def test_two_nodes_without_prefect_make_the_bytes_of_one_process(
    cluster: RayNodes, tmp_path: Path, dataset: Dataset
) -> None:
    status, text = end_of(cluster, tmp_path / "d")
    assert status == 0, text
    assert "by 2 worker(s)" in text
    assert open_dataset(tmp_path / "d").manifest.content_digest == dataset.manifest.content_digest


@pytest.mark.bad_day
def test_three_nodes_make_the_bytes_of_one_process(tmp_path: Path, dataset: Dataset) -> None:
    with RayNodes() as nodes:
        for _ in range(3):
            nodes.start_node()
        status, text = end_of(nodes, tmp_path / "d")
    assert status == 0, text
    assert "by 3 worker(s)" in text
    assert open_dataset(tmp_path / "d").manifest.content_digest == dataset.manifest.content_digest


@pytest.mark.parametrize(
    ("why", "more", "variables"),
    [
        ("its head answers, but not to our token. Give", (), {"RAY_AUTH_TOKEN": "0" * 64}),
        ("there is no token. Give", (), {"RAY_AUTH_TOKEN": "", "RAY_AUTH_MODE": "token", "HOME": "/nowhere"}),
        ("Ray has room for 2 of 3 worker(s), each with 1 core,", ("--workers", "3"), {}),
        ("gpus_per_worker 0.5 cannot be: Ray sees no GPU.", ("--gpus-per-worker", "0.5"), {}),
    ],
    ids=["wrong token", "no token", "too many workers", "no GPU"],
)
def test_what_the_cluster_does_not_give_is_told_in_one_line(
    cluster: RayNodes, tmp_path: Path, why: str, more: tuple[str, ...], variables: dict[str, str]
) -> None:
    status, text = end_of(cluster, tmp_path / "refused", *more, **variables)
    assert status in {2, 6}
    assert why in text
    assert text.count("\n") == 1
    assert cluster.env["RAY_AUTH_TOKEN"] not in text
    assert not entries(tmp_path / "refused")
    cluster.log("build-refused").unlink()


def test_a_driver_with_another_ray_is_told_so_in_one_line(cluster: RayNodes, tmp_path: Path) -> None:
    older = customised(tmp_path / "site", "import ray\nray.__version__ = '2.0.0'\n")
    status, text = end_of(cluster, tmp_path / "older", **older)
    assert status == 6
    assert "cannot be joined: Version mismatch: " in text
    assert "Ray: 2.0.0" in text
    assert text.count("\n") == 1


def test_a_head_that_hangs_is_not_waited_for(cluster: RayNodes, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        status, text = end_of(cluster, tmp_path / "mute", "--ray-address", address)
    assert status == 6
    assert f"ray_address={address} cannot be joined: timed out" in text
    assert text.count("\n") == 1


@pytest.mark.parametrize("name", ["numpy", "ecg-foundry"])
def test_a_node_with_other_code_is_refused_by_name(cluster: RayNodes, tmp_path: Path, name: str) -> None:
    status, text = end_of(cluster, tmp_path / name, **customised(tmp_path / "site", OTHER_VERSION.format(name=name)))
    assert status == 6
    assert f"node {socket.gethostname()} (" in text
    assert f" has {name} {version(name)}, the driver 1.0" in text
    assert text.count("\n") == 1
    assert not entries(tmp_path / name)


@pytest.mark.bad_day
@pytest.mark.usefixtures("root")
def test_a_node_without_the_package_is_refused_by_name(tmp_path: Path) -> None:
    without = f'mount -t tmpfs none {ROOT / "pipeline"} && exec "$@"'
    with RayNodes([(), ("unshare", "--mount", "sh", "-c", without, "sh")]) as nodes:
        nodes.start_node()
        nodes.start_node()
        status, text = end_of(nodes, tmp_path / "d")
    assert status == 6
    assert f"node {socket.gethostname()} (" in text
    assert " has ecg-foundry none, the driver " in text
    assert text.count("\n") == 1
    assert not entries(tmp_path / "d")


@pytest.mark.usefixtures("root")
def test_a_node_that_does_not_see_the_folder_is_refused_by_name(cluster: RayNodes, tmp_path: Path) -> None:
    """The driver has a disk of its own there."""
    (tmp_path / "disk").mkdir()
    own_disk = f'mount -t tmpfs none {tmp_path / "disk"} && exec "$@"'
    place = ("unshare", "--mount", "sh", "-c", own_disk, "sh")
    status, text = end_of(cluster, tmp_path / "disk" / "unseen", place=place)
    assert status == 4
    assert f"node {socket.gethostname()} (" in text
    assert "does not see the dataset's folder: " in text
    assert "Give --out as an s3:// address, or as a folder on a disk that all nodes share" in text
    assert text.count("\n") == 1


@pytest.mark.bad_day
def test_a_node_that_joins_is_used(tmp_path: Path, record_property: Record) -> None:
    with RayNodes() as nodes:
        nodes.start_node()
        process = nodes.start_build(tmp_path / "d", MANY)
        wait_until(lambda: entries(tmp_path / "d"), "the first node works")
        assert not any(ray_workers(node) for node in nodes.nodes[1:])
        nodes.start_node()
        wait_until(lambda: ray_workers(nodes.nodes[1], at_work=True), "the second node works as well", 60)
        process.terminate()
        assert nodes.exit_status(process, 30) == 128 + signal.SIGTERM
    record_property("bad_day", "a Ray node joins | mid-run | it works as well")


@pytest.mark.bad_day
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_driver_that_ends_takes_its_workers_along(
    tmp_path: Path, number: signal.Signals, record_property: Record
) -> None:
    with RayNodes() as nodes:
        nodes.start_node()
        nodes.start_node()
        process = nodes.start_build(tmp_path / "d", MANY)
        wait_until(lambda: all(ray_workers(node, at_work=True) for node in nodes.nodes), "both nodes work")
        process.send_signal(number)
        sent = time.monotonic()
        nodes.exit_status(process, 15)
        wait_until(lambda: not any(map(ray_workers, nodes.nodes)), "no worker is left", 15)
        seconds = time.monotonic() - sent
        made = entries(tmp_path / "d")
        time.sleep(3)
        assert entries(tmp_path / "d") == made
    gone = f"its workers on two nodes gone after {seconds:.1f} s"
    record_property("bad_day", f"{number.name} of the driver on a cluster | mid-run | {gone}; nothing written after")


def ours(session: psutil.Process) -> list[str]:
    """What is left of Ray and its workers below a process's session, by name; Ray's two agents linger for a minute."""
    names = [process.name() for process in processes_of(session.pid)]
    return [name for name in names if not name.endswith(("DashboardAgent", "RuntimeEnvAgent"))]


@pytest.mark.bad_day
def test_a_killed_driver_with_ray_of_its_own_leaves_no_worker(tmp_path: Path, record_property: Record) -> None:
    build = ["-m", "pipeline.cli", "build", "--records", str(MANY), "--shard-records", "32", "--workers", "2"]
    with Processes() as here:
        process = here.start(sys.executable, *build, "--no-release", "--out", str(tmp_path / "d"), name="build")
        wait_until(lambda: entries(tmp_path / "d") >= 2, "two entries in the ledger")
        process.kill()
        wait_until(lambda: not ours(process), "no worker is left", 15)
        made = entries(tmp_path / "d")
        time.sleep(3)
        assert entries(tmp_path / "d") == made
    record_property("bad_day", "kill -9 of a build with Ray of its own | mid-run | no worker left within 15 s")


@pytest.mark.bad_day
def test_a_lost_head_ends_the_build_in_one_line(tmp_path: Path, record_property: Record) -> None:
    with RayNodes() as nodes:
        nodes.start_node()
        nodes.start_node()
        process = nodes.start_build(tmp_path / "d", MANY)
        wait_until(lambda: entries(tmp_path / "d") >= 2, "two entries in the ledger")
        kill_all(nodes.nodes[0])
        lost = time.monotonic()
        assert nodes.exit_status(process, 60) == 6
        seconds = time.monotonic() - lost
        last = nodes.log("build-d").read_text(encoding="utf-8").splitlines()[-1]
    assert last.startswith("ecg-foundry: error: the head of the Ray cluster has not answered for 20 s.")
    record_property(
        "bad_day", f"the Ray head lost | mid-run | one line after {seconds:.0f} s; the same command goes on"
    )
