"""Is a dataset what its manifest says? Every file, every row, every signal."""

from collections.abc import Collection, Iterator
from dataclasses import replace

import pyarrow as pa

from pipeline.columns import RECORD_ID, SIGNAL_SHA256
from pipeline.damage import Damage, Problem, damaged_files
from pipeline.dataset import MANIFEST, Dataset
from pipeline.digest import digests, signal_sha256
from pipeline.errors import DatasetError
from pipeline.progress import tracked
from pipeline.shards import plan_shards
from pipeline.store.ledger import plan_file
from pipeline.store.signals import metadata_files, read_signals, shard_file
from pipeline.store.tables import MEASUREMENTS


def verify(dataset: Dataset) -> list[Problem]:
    """Check a dataset wholly: files against the manifest, rows against their digest, signals against their rows.

    Returns:
        What is wrong, with the records concerned; empty where nothing is.
    """
    if dataset.manifest.kind == "subset" and plan_file(dataset.folder).exists():
        return [Problem(MANIFEST, "is a subset's, in a folder that is none")]
    files = list(damaged_files(dataset.folder, dataset.manifest))
    damaged = {problem.thing for problem in files}
    damage = Damage(dataset, damaged) if files else None
    problems = [replace(problem, records=damage.records(problem.thing)) for problem in files] if damage else []
    if MEASUREMENTS in damaged:
        return problems  # by which the signals would be checked; their files are as they were, or named
    try:
        table = dataset.measurements()
        problems += _damaged_rows(dataset, table)
        if table.num_rows == len(dataset):
            problems += _damaged_signals(dataset, table, damaged)
    except (DatasetError, KeyError, TypeError, ValueError) as error:  # hashes that are none
        problems.append(Problem("content", f"cannot be read, so its digest was not checked: {error}"))
    return problems


def _damaged_rows(dataset: Dataset, table: pa.Table) -> Iterator[Problem]:
    manifest = dataset.manifest
    if manifest.kind == "dataset" and manifest.recipe.records != manifest.records:
        yield Problem(MANIFEST, f"its recipe has {manifest.recipe.records} records, it says {manifest.records}")
    numbers = table[RECORD_ID.name].to_pylist()
    if len(numbers) != manifest.records or numbers != list(range(len(numbers))):
        yield Problem(MEASUREMENTS, f"its record_id is not 0 to {manifest.records - 1} in order")
    found_digests = digests(table)
    for what, found, expected in (
        ("table digest", found_digests.table, manifest.table_digest),
        ("signals digest", found_digests.signals, manifest.signals_digest),
        ("content digest", found_digests.content, manifest.content_digest),
    ):
        if found != expected:
            yield Problem(what, f"{found[:12]}… is not the manifest's {expected[:12]}…")


def _damaged_signals(dataset: Dataset, table: pa.Table, damaged: Collection[str]) -> Iterator[Problem]:
    """Signals that are not those their rows were measured on, in files that are as the manifest says."""
    if any(path.relative_to(dataset.folder).as_posix() in damaged for path in metadata_files(dataset.folder)):
        return  # without which none can be read
    expected = table[SIGNAL_SHA256.name].to_pylist()
    for shard in tracked(plan_shards(len(dataset), dataset.manifest.shard_records), "checking signals", "shards"):
        name = shard_file(dataset.folder, shard).relative_to(dataset.folder).as_posix()
        if name in damaged:
            continue
        try:
            found = signal_sha256(read_signals(dataset.folder, shard.start, shard.stop))
        except DatasetError as error:
            yield Problem(name, f"cannot be read: {error}", range(shard.start, shard.stop))
            continue
        wrong = [record for record, now in enumerate(found, shard.start) if now != expected[record]]
        if wrong:
            yield Problem(name, "does not hold the signals that its rows were measured on", wrong)
