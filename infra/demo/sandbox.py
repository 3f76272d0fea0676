"""A machine of the demo's own: one folder, and namespaces that end with one process.

Everything the demo starts lives in a process namespace, with a network and mounts of its own. When its first process
ends, by whatever cause, the kernel kills all the others and removes network, bridge and mounts; nothing outside can
be met by accident, and no port can be taken. Only the folder is left, and is removed here.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from infra.demo.errors import DemoError
from infra.demo.needs import BIN, ISOLATED

ROOT = Path(__file__).parents[2]
_PREFIX = "ecg-demo-"
_OWNER = "made-by-the-cluster-demo"
_TEMPORARY = Path("/tmp")  # noqa: S108 - Ray's sockets lie below it: a longer path does not fit into their names
_FOREIGN = ("PREFECT_", "RAY_", "AWS_")


def run_inside(arguments: Sequence[str], *, keep: bool) -> int:
    """Run the demo in namespaces of its own; returns its exit status.

    Args:
        arguments: the command line's.
        keep: whether the folder stays.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for left in remove_leftovers():
        print(f"{left}, of a demo that was killed, is removed")
    with _folder(keep=keep) as folder:
        inside = [sys.executable, "-m", "infra.demo", "--inside", str(folder), *arguments]
        command = ["setpriv", "--pdeathsig", "KILL", *ISOLATED, *inside]
        demo = subprocess.Popen(command, cwd=ROOT, env=_surroundings(folder), start_new_session=True)
        try:
            return demo.wait()
        except KeyboardInterrupt:
            return 130
        finally:
            _end(demo)


def enter() -> None:
    """Finish the machine, inside: memory that only it sees where `ip`, PostgreSQL and Ray would leave files behind."""
    if os.getpid() != 1:
        raise DemoError("--inside is for the demo itself. Leave it out")
    for place in ("/run", "/dev/shm"):  # noqa: S108 - to be hidden, not used
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def remove_leftovers() -> list[Path]:
    """Remove the folders of demos that were killed; returns them.

    A folder is one if it has the demo's mark, belongs to this user, and no living demo holds the mark's lock.
    """
    removed = []
    for mark in _TEMPORARY.glob(f"{_PREFIX}*/{_OWNER}"):
        if mark.parent.is_symlink() or mark.stat().st_uid != os.getuid():
            continue
        with mark.open("a", encoding="utf-8") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(mark.parent)
            removed.append(mark.parent)
    return removed


@contextmanager
def _folder(*, keep: bool) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_TEMPORARY))
    with (folder / _OWNER).open("a", encoding="utf-8") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        folder.chmod(0o711)  # PostgreSQL's user must come through
        (folder / "tmp").mkdir()
        try:
            yield folder
        finally:
            if keep:
                (folder / _OWNER).unlink()
                print(f"datasets and logs are in {folder}")
            else:
                shutil.rmtree(folder)


def _surroundings(folder: Path) -> dict[str, str]:
    """The environment inside: no other server's, cluster's or bucket's settings, and no home but the folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    path = os.pathsep.join([str(BIN), os.environ["PATH"], "/usr/sbin", "/sbin"])
    own = {"PATH": path, "PWD": str(ROOT), "HOME": str(folder), "TMPDIR": str(folder / "tmp"), "PYTHONUNBUFFERED": "1"}
    return kept | own


def _end(demo: "subprocess.Popen[bytes]") -> None:
    """Kill the first process inside, and with it all of them; returns when the last one is gone."""
    while demo.poll() is None:
        for child in psutil.Process(demo.pid).children():
            child.kill()
        with suppress(subprocess.TimeoutExpired):
            demo.wait(1)
