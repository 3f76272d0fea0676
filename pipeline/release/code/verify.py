"""Check this release with numpy, zarr and pyarrow alone.

Every file against SHA256SUMS.txt, every row against the archives, every signal against its row's hash, and the counts
that release.json and README.md give against tables and arrays.
"""

import argparse
import hashlib
import json
import random
import sys
import zipfile
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import zarr

RELEASE = Path(__file__).resolve().parent.parent
SUMS = "SHA256SUMS.txt"
BLOCK = 128


def wrong_files() -> Iterator[str]:
    """Files that are missing, altered or not listed."""
    lines = text_of(SUMS).splitlines()
    listed = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    there = {path.relative_to(RELEASE).as_posix() for path in RELEASE.rglob("*") if path.is_file()}
    for name in sorted(there - listed.keys() - {SUMS}):
        if "__pycache__" not in name and not name.endswith(".DS_Store"):
            yield f"{name}: is not part of the release; move it elsewhere"
    for name in sorted(listed):
        if name not in there:
            yield f"{name}: is missing"
        elif digest_of(RELEASE / name) != listed[name]:
            yield f"{name}: is altered"


def text_of(name: str) -> str:
    """A text of the release; whoever writes to a pipe in its place is not waited for."""
    if not (RELEASE / name).is_file():
        raise FileNotFoundError(f"{name} is missing")
    return (RELEASE / name).read_text(encoding="utf-8")


def digest_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def wrong_records(name: str, records: int | None) -> Iterator[str]:
    """What does not fit together in `all` or `normal`, with its signals or a random sample of them."""
    said = json.loads(text_of("release.json"))["datasets"][name]
    columns = ["record_id", "signals_file", "signals_row", "signal_sha256"]
    rows = pq.read_table(RELEASE / name / "measurements.parquet", columns=columns)
    if rows.num_rows != said["records"]:
        yield f"{name}: {rows.num_rows} rows, release.json says {said['records']}"
    if f"| `{name}/` | {rows.num_rows:,} " not in text_of("README.md"):
        yield f"{name}: {rows.num_rows} rows, which README.md does not say"
    if rows["record_id"].to_pylist() != list(range(rows.num_rows)):
        yield f"{name}: record_id is not 0, 1, 2 and so on"
    files, places = rows["signals_file"].to_numpy(zero_copy_only=False), rows["signals_row"].to_numpy()
    hashes = rows["signal_sha256"].to_pylist()
    everything = range(rows.num_rows)
    wanted = set(everything if records is None else random.sample(everything, min(records, rows.num_rows)))
    found = 0
    for part in said["signals"]:
        file = RELEASE / part["file"]
        ids = np.flatnonzero(files == file.name)
        zipfile.ZipFile(file).close()  # which says what is wrong with it
        with zarr.storage.ZipStore(file, mode="r") as store:
            signal = zarr.open_array(store, path="signal", mode="r")
            if signal.shape != (len(ids), 8, 5000) or not np.array_equal(places[ids], np.arange(len(ids))):
                yield f"{part['file']}: is {signal.shape}, and {len(ids)} rows of the table name it"
                continue
            found += len(ids)
            for record, digest in digests_of(signal, ids.tolist(), wanted):
                if digest != hashes[record]:
                    yield f"{part['file']}: record {record} does not have the hash that its row gives"
    if found != rows.num_rows:
        yield f"{name}: {rows.num_rows - found} rows lead to no signal"


def digests_of(signal: zarr.Array[Any], ids: Sequence[int], wanted: Container[int]) -> Iterator[tuple[int, str]]:
    """The number and the SHA-256 of every wanted record of an archive."""
    for start in range(0, len(ids), BLOCK):
        some = [at for at in range(start, min(start + BLOCK, len(ids))) if ids[at] in wanted]
        block = np.asarray(signal[some[0] : some[-1] + 1] if some else [], dtype="<i2")
        for at in some:
            yield ids[at], hashlib.sha256(block[at - some[0]].tobytes()).hexdigest()


def main() -> int:
    """Print what is wrong; the exit status is 1 if anything is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, metavar="N", help="signals to check, drawn at random (default: all)")
    options = parser.parse_args()
    checks = {SUMS: wrong_files()} | {name: wrong_records(name, options.records) for name in ("all", "normal")}
    problems = list[str]()
    for name, check in checks.items():
        try:
            problems += check
        except Exception as error:  # noqa: BLE001 - of a damaged file libraries may say anything
            problems.append(f"{name}: cannot be read: {error}")
    print("\n".join(problems) if problems else "Every file, every row and every signal looked at is as it should be.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
