"""Measuring in a fresh process, held to a few cores."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from benchmarks.performance.figures import BuildRun, Figures
from benchmarks.performance.memory import MemoryWatch, marked
from benchmarks.performance.results import FullBuild, Peak
from pipeline.errors import FoundryError

ROOT = Path(__file__).parents[2]
CAN_PIN = hasattr(os, "sched_setaffinity")
_STARTED = time.monotonic()
_F = TypeVar("_F", bound=Figures)


@dataclass(frozen=True)
class Finished:
    """A process that ended well."""

    output: str
    seconds: float
    """From its start to its end."""
    peak: Peak


def say(text: str) -> None:
    """A line of progress with the time since the start, on standard error."""
    minutes, seconds = divmod(int(time.monotonic() - _STARTED), 60)
    print(f"[{minutes:3d}:{seconds:02d}] {text}", file=sys.stderr, flush=True)


def run(
    module: str, arguments: Sequence[object], *, cores: int, variables: Mapping[str, str] | None = None
) -> Finished:
    """Run a module of this project in a new process and watch the memory of all that it starts.

    Args:
        module: its full name.
        arguments: of its command line.
        cores: hold it to so many; on one, libraries have one thread.
        variables: further ones of its environment.

    Raises:
        FoundryError: when it fails; with the end of what it wrote on standard error.
    """
    mark, environment = marked({**os.environ, **(variables or {})})
    if cores == 1:
        environment |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        started = time.perf_counter()
        with held_to(cores):
            process = subprocess.Popen(
                [sys.executable, "-m", module, *map(str, arguments)],
                cwd=ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        with process, MemoryWatch(process.pid, mark) as watch:
            try:
                output, _ = process.communicate()
            except BaseException:
                process.terminate()
                raise
        seconds = time.perf_counter() - started
        if process.returncode:
            errors.seek(0)
            said = " / ".join(errors.read().splitlines()[-5:])
            raise FoundryError(f"{module} failed with status {process.returncode}: {said}")
    return Finished(output, seconds, watch.peak)


def measure(kind: type[_F], module: str, arguments: Sequence[object], *, cores: int) -> _F:
    """Run a module that prints figures as the last line of its output."""
    return parsed(kind, run(module, arguments, cores=cores).output)


def measure_build(arguments: Sequence[object], *, cores: int) -> FullBuild:
    """A whole build in a process of its own, with its time and memory."""
    finished = run("benchmarks.performance.build", arguments, cores=cores)
    return FullBuild(run=parsed(BuildRun, finished.output), process_s=finished.seconds, peak=finished.peak)


def parsed(kind: type[_F], output: str) -> _F:
    """The figures in a module's output."""
    return kind.model_validate_json(output.splitlines()[-1])


@contextmanager
def held_to(cores: int) -> Iterator[None]:
    """Processes that this thread starts meanwhile run on so many cores, the last ones that it may use."""
    if not CAN_PIN:
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[-cores:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
