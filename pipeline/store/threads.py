"""Work on files in several threads: hashing, compressing and waiting for a disk all release the interpreter's lock."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")
_Result = TypeVar("_Result")

THREADS = min(4, os.cpu_count() or 1)
"""More would wait for the disk, and hold more shards in memory."""


def in_threads(work: Callable[[_T], _Result], items: Iterable[_T]) -> Iterator[_Result]:
    """The results of some work on every item, in order.

    Items are taken only as results are, so that few of either are in memory, however many there are.
    """
    waiting: deque[Future[_Result]] = deque()
    with ThreadPoolExecutor(THREADS) as pool:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > THREADS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
