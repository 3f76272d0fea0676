"""The demo of a cluster: what it leaves, what it takes for its own, what it says; `make cluster-demo` runs it."""

import fcntl
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from infra.demo import needs, sandbox
from infra.demo.diary import Account, Made
from infra.demo.errors import DemoError
from infra.demo.ray_cluster import is_actor, is_at_work
from tests.processes import ROOT, wait_until


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_it_no_process_is_left(how: signal.Signals) -> None:
    demo = subprocess.Popen(
        [sys.executable, "-m", "infra.demo", "--records", "64"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert demo.stdout is not None
    assert "a laptop builds" in demo.stdout.readline()
    inside = psutil.Process(demo.pid).children(recursive=True)
    folder = Path(re.findall(r"--inside (\S+)", " ".join(inside[0].cmdline()))[0])
    assert folder.is_dir()
    demo.send_signal(how)
    assert demo.wait(30) == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[how]
    assert not psutil.wait_procs(inside, timeout=10)[1]
    if how == signal.SIGKILL:
        assert wait_until(lambda: folder in sandbox.remove_leftovers(), "the next demo removes its folder", 10)
    assert not folder.exists()


def test_only_folders_of_dead_demos_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_TEMPORARY", tmp_path)
    dead, alive, foreign = (tmp_path / f"ecg-demo-{name}" for name in ("dead", "alive", "foreign"))
    for folder in (dead, alive, foreign):
        folder.mkdir()
        (folder / "file").touch()
    (dead / sandbox._OWNER).touch()
    with (alive / sandbox._OWNER).open("a", encoding="utf-8") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert sandbox.remove_leftovers() == [dead]
    assert {folder.name for folder in tmp_path.iterdir()} == {"ecg-demo-alive", "ecg-demo-foreign"}


@pytest.mark.usefixtures("root")
def test_what_is_missing_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "program", lambda name: None if name in {"postgres", "initdb"} else name)
    with pytest.raises(DemoError, match=r"programs of postgresql are missing\. apt-get install postgresql"):
        needs.check_needs()


def test_ray_s_own_processes_are_no_actors() -> None:
    titles = ["ray::Worker.run", "ray::Worker.__init__", "ray::IDLE", "ray::DashboardAgent", ""]
    assert [is_actor(title) for title in titles] == [True, True, False, False, False]
    assert [is_at_work(title) for title in titles] == [True, False, False, False, False]


@pytest.mark.parametrize(("digest", "verdict"), [("a" * 64, "equal"), ("b" * 64, "NOT EQUAL")])
def test_the_account_says_whether_they_are_equal(digest: str, verdict: str) -> None:
    laptop, cluster = Made("1 process", 20, "a" * 64), Made("S3", 40, digest)
    account = Account(4000, laptop, cluster, [(3.4, "node-2 lost")], ["shard-00003"], "63 of 63")
    assert account.equal == (verdict == "equal")
    assert account.text().endswith(f"and on the cluster: {digest}, {verdict}\n")
    assert re.search(r"\| records/s +\| 200 +\| 100 +\|", account.text())
    assert re.search(r"\| 3 +\| node-2 lost +\|", account.text())
