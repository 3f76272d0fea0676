"""Medians over beats by a sorting network: whole arrays are compared, and every result is exact."""

from functools import cache

import numpy as np
from numpy.typing import NDArray


def median_of_slots(slots: NDArray[np.float32], counts: NDArray[np.intp]) -> NDArray[np.float32]:
    """Median over the first axis where each record fills a number of slots of its own.

    Args:
        slots: (slots, n, length), infinity in a record's empty slots; overwritten.
        counts: (n,) filled slots of each record; where none is, the result is 0.

    Returns:
        (n, length).
    """
    filled = np.maximum(counts, 1)
    lower, upper = (filled - 1) // 2, filled // 2
    wanted = range(int(lower.min(initial=len(slots))), int(upper.max(initial=-1)) + 1)
    wires = list(slots)
    spare = np.empty_like(wires[0])
    for low, high in _comparators(len(slots), wanted):
        np.minimum(wires[low], wires[high], out=spare)
        np.maximum(wires[low], wires[high], out=wires[high])
        wires[low], spare = spare, wires[low]
    middle = np.zeros_like(spare)
    for rank in wanted:
        for end in (lower, upper):
            middle[end == rank] += wires[rank][end == rank]
    return np.where(counts[:, None] > 0, middle * np.float32(0.5), np.float32(0))


@cache
def _comparators(size: int, wanted: range) -> tuple[tuple[int, int], ...]:
    """Batcher's odd-even merge sort (Knuth, The Art of Computer Programming 3, algorithm 5.2.2 M).

    What no wanted rank depends on is left out.
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
    for pair in reversed(pairs):
        if needed & set(pair):
            needed |= set(pair)
            kept.append(pair)
    return tuple(reversed(kept))
