"""Medians over beats by a sorting network: whole arrays are compared, and every result is exact."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray


def median_of_slots(slots: NDArray[np.float32], counts: NDArray[np.intp]) -> NDArray[np.float32]:
    """Median over the first axis where each record fills a number of slots of its own.

    Fastest where all records fill equally many: then only the middle of the order has to be found.

    Args:
        slots: (slots, n, ...), infinity in a record's empty slots.
        counts: (n,) filled slots of each record; where none is, the result is 0.

    Returns:
        (n, ...).
    """
    filled = np.maximum(counts, 1)
    lower, upper = (filled - 1) // 2, filled // 2
    wanted = range(int(lower.min(initial=len(slots))), int(upper.max(initial=-1)) + 1)
    wires: list[Any] = list(slots)
    for low, high, low_is_needed, high_is_needed in _comparators(len(slots), wanted):
        smaller = np.minimum(wires[low], wires[high]) if low_is_needed else None
        wires[high] = np.maximum(wires[low], wires[high]) if high_is_needed else None
        wires[low] = smaller
    middle = np.zeros(slots.shape[1:], np.float32)
    for rank in wanted:
        for end in (lower, upper):
            np.add(middle, wires[rank], out=middle, where=(end == rank).reshape(-1, *(1,) * (middle.ndim - 1)))
    middle *= np.float32(0.5)
    middle[counts == 0] = 0
    return middle


@cache
def _comparators(size: int, wanted: range) -> tuple[tuple[int, int, bool, bool], ...]:
    """Batcher's odd-even merge sort (Knuth, The Art of Computer Programming 3, algorithm 5.2.2 M).

    What no wanted rank depends on is left out.

    Returns:
        The wires to compare, in order: that of the smaller value, that of the larger one, and whether each is needed.
    """
    pairs = []
    top = 1 << max(size - 1, 1).bit_length() - 1
    p = top
    while p > 0:
        q, r, d = top, 0, p
        while d > 0:
            pairs += [(i, i + d) for i in range(size - d) if i & p == r]
            d, q, r = q - p, q >> 1, p
        p >>= 1
    needed, kept = set(wanted), []
    for low, high in reversed(pairs):
        if low in needed or high in needed:
            kept.append((low, high, low in needed, high in needed))
            needed |= {low, high}
    return tuple(reversed(kept))
