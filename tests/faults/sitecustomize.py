"""Brings a fault into the processes that a test starts; Python imports this by itself where its folder is on the path.

The environment's FAULT names it, as JSON: in front of or behind a call of `target` (module and function), the `nth` one
among all processes together of those with `given` among their arguments, does `action` happen, to the one process that
makes the call.
"""

import importlib.abc
import importlib.machinery
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import Any

BALLAST = ".ballast"
_MEMORY_LEFT = 1 << 20


def _wait() -> None:
    folder = Path(os.environ["FAULT_FOLDER"])
    (folder / "reached").write_text(str(os.getpid()))
    while not (folder / "go on").exists():
        time.sleep(0.02)


def _fill_disk() -> None:
    with (Path(os.environ["FAULT_DISK"]) / BALLAST).open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 16))
        except OSError:
            pass


def _make_read_only() -> None:
    subprocess.run(["mount", "-o", "remount,ro", os.environ["FAULT_DISK"]], check=True)


def _take_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
    limit = pages * resource.getpagesize() + _MEMORY_LEFT
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _fail() -> None:
    raise ValueError("a fault of the test's")


ACTIONS = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "SIGHUP": lambda: os.kill(os.getpid(), signal.SIGHUP),
    "SIGINT": lambda: os.kill(os.getpid(), signal.SIGINT),
    "SIGTERM": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "wait": _wait,
    "fill": _fill_disk,
    "read-only": _make_read_only,
    "memory": _take_memory,
    "fail": _fail,
}


def _is_due(nth: int, times: int) -> bool:
    """Count a call, among all processes; whether it is the nth, or one of so many from there on."""
    count = 1
    while True:
        try:
            Path(os.environ["FAULT_FOLDER"], f"call-{count}").open("x", encoding="utf-8").close()
        except FileExistsError:
            count += 1
        else:
            return nth <= count < nth + times


def _spoil(module: ModuleType, fault: dict[str, Any]) -> None:
    name = fault["target"].rpartition(".")[2]
    stock = getattr(module, name)

    @wraps(stock)
    def faulty(*arguments: Any, **named: Any) -> Any:
        meant = fault["given"] is None or any(isinstance(each, int) and each == fault["given"] for each in arguments)
        due = meant and _is_due(fault["nth"], fault["times"])
        if due and fault["when"] == "before":
            ACTIONS[fault["action"]]()
        result = stock(*arguments, **named)
        if due and fault["when"] == "after":
            ACTIONS[fault["action"]]()
        return result

    setattr(module, name, faulty)


class _Finder(importlib.abc.MetaPathFinder):
    """Spoils one module as soon as it has been imported."""

    def __init__(self, fault: dict[str, Any]) -> None:
        self._fault = fault

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The module's own spec, with the fault brought in behind its execution."""
        if name != self._fault["target"].rpartition(".")[0]:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        assert spec is not None
        loader: Any = spec.loader
        execute = loader.exec_module

        def execute_and_spoil(module: ModuleType) -> None:
            execute(module)
            _spoil(module, self._fault)

        loader.exec_module = execute_and_spoil
        return spec


if "FAULT" in os.environ:
    sys.meta_path.insert(0, _Finder(json.loads(os.environ["FAULT"])))
