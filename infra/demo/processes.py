"""Starting programs with a log each, and waiting for what they do."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from infra.demo.errors import DemoError
from infra.demo.sandbox import ROOT

_Found = TypeVar("_Found")
_SAID_LINES = 12


class Processes:
    """Programs of the demo; what they print goes into `NAME.log` in its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def start(
        self, name: str, *command: str, on: Sequence[str] = (), env: Mapping[str, str] | None = None
    ) -> "subprocess.Popen[bytes]":
        """Start a program, and leave it running.

        Args:
            name: what to call it.
            command: the program and its arguments.
            on: what comes before them to run it on another host or as another user.
            env: further variables.
        """
        with self.log(name).open("ab") as log:
            return subprocess.Popen(
                [*on, *command],
                cwd=ROOT,
                env=os.environ | (env or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def run(self, name: str, *command: str, on: Sequence[str] = (), env: Mapping[str, str] | None = None) -> str:
        """Run a program to its end; returns what the log says.

        Raises:
            DemoError: when it fails, with the end of its log.
        """
        if self.start(name, *command, on=on, env=env).wait():
            raise self.failed(name, "failed")
        return self.said(name)

    def log(self, name: str) -> Path:
        """Where a program's output is."""
        return self.folder / f"{name}.log"

    def said(self, name: str) -> str:
        """What a program has printed."""
        return self.log(name).read_text(encoding="utf-8", errors="replace")

    def failed(self, name: str, how: str) -> DemoError:
        """An error with the end of a program's log."""
        last = "\n    ".join(self.said(name).rstrip().splitlines()[-_SAID_LINES:])
        return DemoError(f"{name} {how}; --keep keeps {self.log(name).name}, which ends in\n    {last}")

    def await_start(
        self, name: str, process: "subprocess.Popen[bytes]", ready: Callable[[], object], seconds: float = 120
    ) -> None:
        """Wait until a program is ready.

        Raises:
            DemoError: when it ends instead, or is not ready in time.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if process.poll() is not None:
                raise self.failed(name, f"ended with status {process.returncode}")
            if time.monotonic() > deadline:
                raise self.failed(name, f"was not ready within {seconds:.0f} s")
            time.sleep(0.1)


def wait_until(condition: Callable[[], _Found], what: str, seconds: float = 120) -> _Found:
    """What the condition finds.

    Raises:
        DemoError: when it has found nothing within the time.
    """
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise DemoError(f"after {seconds:.0f} s still not: {what}. --keep keeps the logs")
        time.sleep(0.05)
    return found


def kill_group(process: "subprocess.Popen[bytes]") -> None:
    """Kill -9 a program and what it started in its session, and wait for it."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def listens(host: str, port: int) -> bool:
    """Whether somebody listens there."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def title(pid: int) -> str:
    """A process's title, or its command; empty when it is gone."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
    except OSError:
        return ""
    return " ".join(words).strip()
