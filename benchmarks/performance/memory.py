"""The memory of a program and of all its processes together, sampled while it runs."""

import threading
from collections.abc import Callable, Mapping
from typing import Self
from uuid import uuid4

import psutil

from benchmarks.performance.results import Peak

SECONDS = 0.5
"""Between samples."""
_GROWTH, _SAMPLES = 1.01, 10
"""PSS, for which the kernel walks through all pages, is read when RSS has grown by 1 % over the most at which it was
read before, and at every tenth sample; more would slow down what is measured."""
_MARK = "ECG_FOUNDRY_BENCHMARK"


def marked(environment: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """An environment with a mark that a process hands down to all it starts, and the mark."""
    mark = uuid4().hex
    return mark, {**environment, _MARK: mark}


class MemoryWatch:
    """Samples, from another thread, a process and everything it started; `peak` holds the most seen at once.

    A process that outlives who started it is adopted by another, so that parents alone do not lead to it: it is found
    by the mark in its environment. Where a process has overwritten its environment, as Ray's workers do by their
    titles, its parent leads to it. Whatever was found stays in until it ends.
    """

    def __init__(self, pid: int, mark: str) -> None:
        self._mark = mark
        self._looked_at: set[psutil.Process] = set()
        self._known = {psutil.Process(pid)}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self.peak = Peak(pss_bytes=0, rss_bytes=0, processes=0, samples=0)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop."""
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        read_at = 0.0
        while True:
            self._find()
            rss = self._sum(_rss)
            pss = 0
            if rss > _GROWTH * read_at or self.peak.samples % _SAMPLES == 0:
                read_at, pss = max(read_at, rss), self._sum(_pss)
            self.peak = Peak(
                pss_bytes=max(self.peak.pss_bytes, pss),
                rss_bytes=max(self.peak.rss_bytes, rss),
                processes=max(self.peak.processes, len(self._known)),
                samples=self.peak.samples + 1,
            )
            if self._ended.wait(SECONDS):
                return

    def _find(self) -> None:
        """Look at the processes that are new."""
        for process in psutil.process_iter():
            if process not in self._looked_at:
                self._looked_at.add(process)
                if self._belongs(process):
                    self._known.add(process)

    def _belongs(self, process: psutil.Process) -> bool:
        try:
            return process.ppid() in {one.pid for one in self._known} or process.environ().get(_MARK) == self._mark
        except (psutil.Error, OSError):
            return False

    def _sum(self, size: Callable[[psutil.Process], int]) -> int:
        """Over all that still run; the others are forgotten."""
        total = 0
        for process in list(self._known):
            try:
                total += size(process)
            except (psutil.Error, OSError):
                self._known.remove(process)
        return total


def _rss(process: psutil.Process) -> int:
    return int(process.memory_info().rss)


def _pss(process: psutil.Process) -> int:
    """What only Linux tells; elsewhere, what belongs to the process alone."""
    memory = process.memory_full_info()
    return int(getattr(memory, "pss", memory.uss))
