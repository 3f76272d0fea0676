"""A dataset on disk: its size, and how fast it is read back through Zarr on one core."""

import argparse
import time
from pathlib import Path

import numpy as np
import zarr
from numpy.typing import NDArray

from benchmarks.codecs import CANDIDATES, compared
from benchmarks.performance.figures import Series
from benchmarks.performance.results import Codec, Storage
from pipeline.store.files import all_files
from pipeline.store.signals import SIGNALS

_READS = 300
_SHARDS = 20
_COMPRESSED = 512
"""Records on which codecs are compared."""
_RANDOM = np.random.default_rng(0)


def read(folder: Path) -> Storage:
    """Measure a built dataset; the files are mostly in the page cache, having just been written.

    Args:
        folder: of the dataset.
    """
    array = zarr.open_array(folder / SIGNALS / "signal", mode="r")
    records, size = array.shape[0], (array.shards or array.chunks)[0]
    array[0]  # the first read starts Zarr's threads
    random_ms = []
    for record in _RANDOM.integers(records, size=_READS).tolist():
        started = time.perf_counter()
        array[record]
        random_ms.append(1000 * (time.perf_counter() - started))
    scans = []
    whole = _RANDOM.permutation(max(1, records // size))[:_SHARDS]
    for shard in whole.tolist():
        started = time.perf_counter()
        signals = np.asarray(array[shard * size : (shard + 1) * size])
        scans.append(signals.nbytes / 1e6 / (time.perf_counter() - started))
    return Storage(
        records=records,
        signal_bytes=_bytes(folder / SIGNALS),
        dataset_bytes=_bytes(folder),
        random_ms=Series(values=tuple(random_ms)),
        scan_mb_per_s=Series(values=tuple(scans)),
        codecs=_codecs(np.asarray(array[:_COMPRESSED])),
    )


def _codecs(signals: NDArray[np.int16]) -> list[Codec]:
    found = []
    for codec, level, shuffle in CANDIDATES:
        size, encode, decode = compared(signals, codec, level, shuffle)
        found.append(
            Codec(codec=codec, level=level, shuffle=shuffle, bytes_a_record=size, encode_ms=encode, decode_ms=decode)
        )
    return found


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in all_files(folder))


def main() -> None:
    """Print the figures as one line of JSON."""
    parser = argparse.ArgumentParser(prog="storage", description=__doc__)
    parser.add_argument("dataset", type=Path)
    print(read(parser.parse_args().dataset).model_dump_json())


if __name__ == "__main__":
    main()
