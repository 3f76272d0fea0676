"""From committed shards to a dataset: table, normal subset, second opinion, and last of all the manifest."""

import platform
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version

import numpy as np
import pyarrow as pa

from pipeline.columns import RECORD_ID, TABLE_SCHEMA
from pipeline.dataset import MANIFEST, Manifest, Provenance, describe, open_dataset
from pipeline.engines.readiness import LIBRARIES
from pipeline.errors import DatasetError
from pipeline.folder import DERIVED, known_files
from pipeline.normal import NORMAL, write_normal_subset
from pipeline.progress import tracked
from pipeline.second_opinion import SECOND_OPINION, write_second_opinion
from pipeline.shards import Shard
from pipeline.store.documents import write_document
from pipeline.store.files import FileEntry, all_files, file_entry, folder_entries, is_temporary, read_verified, remove
from pipeline.store.ledger import LEDGER, LedgerEntry, Plan, entry_file, part_file, read_entry
from pipeline.store.place import Place
from pipeline.store.signals import SIGNALS, remove_unfinished, shard_file
from pipeline.store.tables import MEASUREMENTS, parse_table, read_table, write_table
from pipeline.store.threads import in_threads


def finalise(
    folder: Place,
    plan: Plan,
    *,
    second_opinion: float,
    stale: Collection[str] = DERIVED,
    finished: Manifest | None = None,
) -> Manifest:
    """Turn a folder of committed shards into a dataset, or repair one.

    Args:
        folder: the dataset's folder.
        plan: its plan.
        second_opinion: share of the records whose heart rate neurokit2 measures as well, from 0 to 1.
        stale: what is to be made, of `DERIVED`; the rest is left as it is.
        finished: the manifest that is there, where the dataset was finished before.

    Raises:
        DatasetError: when shards are missing, damaged, foreign or do not fit together; it names them.
    """
    remove_unfinished(folder)  # what workers that were killed have left; one that is late fails for itself alone
    entries = _all_entries(folder, plan)
    _refuse_foreign_files(folder, plan)
    if finished:
        _check_remade(folder, entries, finished)
    if finished and not _are_as_before(folder, entries, finished):
        remove(folder / MANIFEST)  # another instruction set's shards: nothing made from the old ones is right
        stale, finished = DERIVED, None
    if MEASUREMENTS in stale:
        table = _joined_rows(folder, entries)
        write_table(folder / MEASUREMENTS, table, TABLE_SCHEMA)
    else:
        table = read_table(folder / MEASUREMENTS)
    manifest = finished or describe("dataset", plan, table)
    provenance = manifest.provenance or _provenance(entries)
    if SECOND_OPINION in stale and second_opinion:
        versions = provenance.versions | {"neurokit2": version("neurokit2")}
        provenance = provenance.model_copy(update={"versions": versions})
    manifest = manifest.model_copy(update={"provenance": provenance})
    if NORMAL in stale:
        normal = write_normal_subset(folder, plan, entries, table, manifest.content_digest)
    else:
        normal = open_dataset(folder / NORMAL).manifest
    if SECOND_OPINION in stale:  # now that the signals are known to be whole
        write_second_opinion(folder, table, second_opinion)
    manifest = manifest.model_copy(update={"files": _manifest_files(folder, entries, normal)})
    if not finished or manifest.files != finished.files:
        write_document(folder / MANIFEST, manifest)
    return manifest


def _all_entries(folder: Place, plan: Plan) -> dict[Shard, LedgerEntry]:
    """The entry of every shard; files are checked against them where they are read."""
    shards = plan.shards()
    entries: dict[Shard, LedgerEntry] = {}
    faults: dict[Shard, str] = {}

    def entry_or_fault(shard: Shard) -> LedgerEntry | DatasetError:
        try:
            return read_entry(folder, plan, shard)
        except DatasetError as error:
            return error

    read = in_threads(entry_or_fault, tracked(shards, "checking entries", "shards"))
    for shard, found in zip(shards, read, strict=True):
        if isinstance(found, LedgerEntry):
            entries[shard] = found
        else:
            faults[shard] = str(found)
    if faults:
        named = ", ".join(shard.name for shard in list(faults)[:5])
        more = f" and {len(faults) - 5} more" if len(faults) > 5 else ""
        first = next(iter(faults.values()))
        raise DatasetError(
            f"{folder} lacks {len(faults)} of {len(shards)} shards: {named}{more}; of the first, {first}"
        )
    return entries


def _refuse_foreign_files(folder: Place, plan: Plan) -> None:
    """Whatever lies among ledger and signals and is not of this plan; a worker late at another may have brought it."""
    known = known_files(folder, plan)
    for path in [*all_files(folder / LEDGER), *all_files(folder / SIGNALS)]:
        if path not in known and not is_temporary(path.name):
            raise DatasetError(f"{path} is no part of the dataset. Run the same build again, which removes it")


def _check_remade(folder: Place, entries: Mapping[Shard, LedgerEntry], finished: Manifest) -> None:
    """Hash the files of shards that were made again since; those of all others were when they were looked at."""
    for shard, entry in entries.items():
        path = entry_file(folder, shard)
        if file_entry(path) != finished.files.get(path.relative_to(folder).as_posix()):
            read_verified(shard_file(folder, shard), entry.signals)
            read_verified(part_file(folder, shard), entry.rows)


def _are_as_before(folder: Place, entries: Mapping[Shard, LedgerEntry], finished: Manifest) -> bool:
    """Whether every shard has the bytes that the finished dataset had."""
    files = _files(folder, entries)
    return all(finished.files.get(path.relative_to(folder).as_posix()) == entry for path, entry in files)


def _files(folder: Place, entries: Mapping[Shard, LedgerEntry]) -> Iterator[tuple[Place, FileEntry]]:
    """What the ledger knows of every shard's files."""
    for shard, entry in entries.items():
        yield shard_file(folder, shard), entry.signals
        yield part_file(folder, shard), entry.rows


def _joined_rows(folder: Place, entries: Mapping[Shard, LedgerEntry]) -> pa.Table:
    def rows(shard: Shard) -> pa.Table:
        path = part_file(folder, shard)
        return parse_table(read_verified(path, entries[shard].rows), str(path))

    parts = list(in_threads(rows, tracked(list(entries), "joining rows", "shards")))
    table = pa.concat_tables(parts).combine_chunks().cast(TABLE_SCHEMA)
    if not np.array_equal(table[RECORD_ID.name].to_numpy(), np.arange(max(shard.stop for shard in entries))):
        raise DatasetError(f"{folder} has rows that are not its records in order. Build into a new folder")
    return table


def _provenance(entries: Mapping[Shard, LedgerEntry]) -> Provenance:
    return Provenance(
        software=f"ecg-foundry {version('ecg-foundry')}",
        devices=sorted({entry.device for entry in entries.values()}),
        instruction_sets=sorted({entry.instruction_set for entry in entries.values()}),
        versions={name: version(name) for name in LIBRARIES} | {"python": platform.python_version()},
        finished_at=datetime.now(UTC),
    )


def _manifest_files(folder: Place, entries: Mapping[Shard, LedgerEntry], normal: Manifest) -> dict[str, FileEntry]:
    """The entries of every file but the manifest; what was hashed when it was checked or written is not read again."""
    known = dict(_files(folder, entries))
    known |= {folder / NORMAL / name: entry for name, entry in normal.files.items()}
    files = folder_entries(folder, known)
    files.pop(MANIFEST, None)
    return files
