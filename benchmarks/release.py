"""Package a dataset twice, compare the two to the byte, and read single records of one where they lie.

    python -m benchmarks.release DATASET [--reads 200]

Prints seconds, memory beyond what the program takes by itself, sizes and the milliseconds of one random record by zarr.
It needs twice the dataset's room in the temporary folder.
"""

import argparse
import random
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import zarr

from benchmarks.arguments import count
from pipeline.boundary import one_line
from pipeline.dataset import open_dataset
from pipeline.errors import DatasetError
from pipeline.release.package import Request, make_release
from pipeline.release.released import read_release
from pipeline.store.files import all_files


def main() -> int:
    """Package, compare, read and print; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--reads", type=count, default=200, help="random records to read (default %(default)s)")
    options = parser.parse_args()
    return one_line("release", lambda: _run(options.dataset, options.reads), goes_on=False)


def _run(folder: Path, reads: int) -> int:
    dataset, before = open_dataset(folder), _peak_gb()
    with tempfile.TemporaryDirectory() as place:
        one, other = Path(place) / "one", Path(place) / "other"
        for out in (one, other):
            started = time.perf_counter()
            make_release(dataset, Request(out, "1.0.0"))
            seconds = time.perf_counter() - started
            print(f"{len(dataset):,} records packaged in {seconds:.0f} s, peak memory {_peak_gb():.2f} GB", end="")
            print(f", {before:.2f} GB of it from before")
        sums = [(out / "SHA256SUMS.txt").read_bytes() for out in (one, other)]
        if sums[0] != sums[1]:
            raise DatasetError("the two releases differ. Report it with both lists of checksums")
        sizes = [file.stat().st_size for file in all_files(one)]
        print(
            f"the two are identical: {len(sizes)} files, {sum(sizes) / 1e9:.2f} GB, largest {max(sizes) / 1e9:.2f} GB"
        )
        print(f"one random record in {_milliseconds(one, reads):.2f} ms, the median of {reads}")
    return 0


def _milliseconds(release: Path, reads: int) -> float:
    """Of one random record, from an archive that is open."""
    archive = read_release(release).datasets["all"].signals[0].file
    signal = zarr.open_array(zarr.storage.ZipStore(release / archive, mode="r"), path="signal", mode="r")
    times = []
    for record in random.Random(0).choices(range(signal.shape[0]), k=reads):
        started = time.perf_counter()
        np.asarray(signal[record])
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times)


def _peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    sys.exit(main())
