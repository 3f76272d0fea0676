"""Compare compressors on generated signals, one record a chunk as in a dataset.

    python -m benchmarks.codecs [--records 512]

Prints bytes a record and the median milliseconds to compress and to decompress one, on one core.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
from numcodecs import Blosc
from numpy.typing import NDArray

import pipeline
from benchmarks.arguments import count

CANDIDATES = [
    *(("zstd", level, shuffle) for level in (1, 2, 3, 5) for shuffle in ("bit", "byte")),
    ("lz4", 5, "bit"),
    ("zlib", 1, "bit"),
]
"""Codec, level and shuffle."""


def main() -> None:
    """Generate the signals and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=count, default=512)
    signals = pipeline.generate(range(parser.parse_args().records))
    print(f"{'codec':<6}{'level':>6}{'shuffle':>9}{'bytes/record':>14}{'encode ms':>11}{'decode ms':>11}")
    for codec, level, shuffle in CANDIDATES:
        size, encode, decode = compared(signals, codec, level, shuffle)
        print(f"{codec:<6}{level:>6}{shuffle:>9}{size:>14,.0f}{encode:>11.3f}{decode:>11.3f}")


def compared(signals: NDArray[np.int16], codec: str, level: int, shuffle: str) -> tuple[float, float, float]:
    """Mean bytes a record, and the median milliseconds to compress and to decompress one."""
    shuffles = {"bit": Blosc.BITSHUFFLE, "byte": Blosc.SHUFFLE}
    blosc = Blosc(codec, level, shuffles[shuffle])
    chunks, encode = timed(blosc.encode, signals)
    _, decode = timed(blosc.decode, chunks)
    return statistics.mean(map(len, chunks)), encode, decode


def timed(work: Callable[..., bytes], items: Sequence[bytes] | NDArray[np.int16]) -> tuple[list[bytes], float]:
    """What some work gives for each item, and its median milliseconds."""
    results, times = [], []
    for item in items:
        started = time.perf_counter()
        results.append(work(item))
        times.append(1000 * (time.perf_counter() - started))
    return results, statistics.median(times)


if __name__ == "__main__":
    main()
