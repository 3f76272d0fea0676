"""Where the figures come from: machine, versions, date and commit."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version

import psutil

from benchmarks.performance.child import CAN_PIN, ROOT
from benchmarks.performance.results import Machine
from pipeline.worker import cpu_field, instruction_set

_LIBRARIES = ("torch", "numpy", "scipy", "pyarrow", "zarr", "numcodecs", "ray", "prefect", "deepfake-ecg", "neurokit2")


def this_machine() -> Machine:
    """Describe it."""
    return Machine(
        date=datetime.now(UTC).date().isoformat(),
        commit=_commit(),
        processor=cpu_field("model name") or platform.processor() or platform.machine(),
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
