"""Is a dataset what its manifest says? Every file, every row, every signal."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pipeline.columns import RECORD_ID, SIGNAL_SHA256
from pipeline.dataset import MANIFEST, Dataset, Manifest
from pipeline.digest import digests, signal_sha256
from pipeline.errors import DatasetError
from pipeline.progress import tracked
from pipeline.store.files import all_files, file_entry
from pipeline.store.signals import read_signals
from pipeline.store.threads import in_threads

_BATCH = 256


@dataclass(frozen=True)
class Problem:
    """Something that is not as the manifest says."""

    thing: str
    reason: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.thing}: {self.reason}"


def verify(dataset: Dataset) -> list[Problem]:
    """Check a dataset wholly: files against the manifest, rows against their digest, signals against their rows."""
    problems = list(damaged_files(dataset.folder, dataset.manifest))
    try:
        table = dataset.measurements()
        problems += _damaged_rows(dataset, table)
        problems += _damaged_signals(dataset, table)
    except (DatasetError, KeyError) as error:
        problems.append(Problem("content", f"cannot be read, so its digest was not checked: {error}"))
    return problems


def damaged_files(folder: Path, manifest: Manifest) -> Iterator[Problem]:
    """Files that are missing, altered, or unknown to the manifest."""
    present = {path.relative_to(folder).as_posix(): path for path in all_files(folder)}
    present.pop(MANIFEST, None)
    for name in sorted(manifest.files.keys() - present.keys()):
        yield Problem(name, "is missing")
    for name in sorted(present.keys() - manifest.files.keys()):
        yield Problem(name, "is not part of the dataset")
    known = sorted(present.keys() & manifest.files.keys())

    def is_altered(name: str) -> bool:
        return present[name].is_symlink() or file_entry(present[name]) != manifest.files[name]

    for name, altered in zip(known, in_threads(is_altered, tracked(known, "checking files", "files")), strict=True):
        if altered:
            yield Problem(name, "is altered: its SHA-256 is not the manifest's")


def _damaged_rows(dataset: Dataset, table: pa.Table) -> Iterator[Problem]:
    manifest = dataset.manifest
    if manifest.kind == "dataset" and manifest.recipe.records != manifest.records:
        yield Problem("dataset.json", f"its recipe has {manifest.recipe.records} records, it says {manifest.records}")
    if table[RECORD_ID.name].to_pylist() != list(range(manifest.records)):
        yield Problem("measurements.parquet", f"its record_id is not 0 to {manifest.records - 1} in order")
    found_digests = digests(table)
    for what, found, expected in (
        ("table digest", found_digests.table, manifest.table_digest),
        ("signals digest", found_digests.signals, manifest.signals_digest),
        ("content digest", found_digests.content, manifest.content_digest),
    ):
        if found != expected:
            yield Problem(what, f"{found[:12]}… is not the manifest's {expected[:12]}…")


def _damaged_signals(dataset: Dataset, table: pa.Table) -> Iterator[Problem]:
    expected = table[SIGNAL_SHA256.name].to_pylist()
    starts = range(0, len(dataset), _BATCH)
    for start in tracked(starts, "checking signals", "batches"):
        stop = min(start + _BATCH, len(dataset))
        try:
            found = signal_sha256(read_signals(dataset.folder, start, stop))
        except DatasetError as error:
            yield Problem(f"signals of records {start} to {stop - 1}", str(error))
            continue
        for record, (is_now, was) in enumerate(zip(found, expected[start:stop], strict=False), start):
            if is_now != was:
                yield Problem(f"signal of record {record}", "is not the one its row was measured on")
