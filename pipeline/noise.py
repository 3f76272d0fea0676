"""The noise of record i, from (seed, i) alone, by a formula that no library version can change.

Record i's noise is drawn from the counter-based generator Philox4x64-10 (Salmon et al., "Parallel random numbers: as
easy as 1, 2, 3", SC11) with the 128-bit key (seed, i), its 256-bit counter running from 1. Its 64-bit words are cut
into 32-bit words w, the low half first. Each gives one sample

    x = ((w >> 7 | 1) - 2**24) * 2**-24

that is, the midpoint of one of 2**24 equal cells of (-1, 1). Every x is exact in float32, so the bits are the same
on every machine. NumPy promises the raw words of its bit generators, not what its samplers make of them.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.leads import SAMPLES, STORED_LEADS

_WORDS = len(STORED_LEADS) * SAMPLES // 2


def block_noise(seed: int, start: int, stop: int) -> NDArray[np.float32]:
    """U(-1, 1) noise of records start ≤ i < stop, shape (stop - start, 8, 5000), float32."""
    noise = np.empty((stop - start, len(STORED_LEADS), SAMPLES), dtype=np.float32)
    for row, record in enumerate(range(start, stop)):  # a record at a time stays in the processor's cache
        words = (
            np.random.Philox(key=np.array([seed, record], dtype=np.uint64)).random_raw(_WORDS).astype("<u8", copy=False)
        )
        cells = words.view("<u4")
        cells >>= np.uint32(7)
        cells |= np.uint32(1)
        signed = cells.view("<i4")
        signed -= np.int32(2**24)
        samples = noise[row].reshape(-1)
        samples[:] = signed
        samples *= np.float32(2.0**-24)
    return noise
