"""Where the figures come from: machine, versions, date and commit."""

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

from benchmarks.performance.child import CAN_PIN, ROOT
from benchmarks.performance.results import Machine
from pipeline.worker import instruction_set

_LIBRARIES = ("torch", "numpy", "scipy", "pyarrow", "zarr", "numcodecs", "ray", "prefect", "deepfake-ecg", "neurokit2")


def this_machine() -> Machine:
    """Describe it."""
    return Machine(
        date=datetime.now(UTC).date().isoformat(),
        commit=_commit(),
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)) if CAN_PIN else os.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        system=f"{platform.system()} {platform.release()}",
        instruction_set=instruction_set(),
        versions={"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES},
        pinned=CAN_PIN,
    )


def _commit() -> str:
    """The short name of the commit, and whether files differ from it."""
    try:
        name = _git("rev-parse", "--short=10", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{name} with changes" if changed else name


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()
