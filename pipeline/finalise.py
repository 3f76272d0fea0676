"""From committed shards to a dataset: table, normal subset, second opinion, release, and last of all the manifest."""

import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.columns import RECORD_ID, TABLE_SCHEMA
from pipeline.dataset import MANIFEST, Manifest, Provenance, describe
from pipeline.errors import DatasetError
from pipeline.normal import NORMAL, write_normal_subset
from pipeline.progress import tracked
from pipeline.release.package import write_release
from pipeline.second_opinion import write_second_opinion
from pipeline.shards import Shard
from pipeline.store.documents import write_document
from pipeline.store.files import FileEntry, all_files, folder_entries, read_verified, remove
from pipeline.store.ledger import (
    LEDGER,
    LedgerEntry,
    Plan,
    entry_file,
    known_entry,
    part_file,
    plan_file,
)
from pipeline.store.signals import SIGNALS, shard_file
from pipeline.store.tables import MEASUREMENTS, parse_table, write_table
from pipeline.store.threads import in_threads

_LIBRARIES = ("numpy", "pyarrow", "scipy", "torch", "zarr", "numcodecs")
"""Libraries whose version can change bytes."""


def finalise(folder: Path, plan: Plan, *, release: bool, second_opinion: float) -> Manifest:
    """Turn a folder of committed shards into a dataset.

    Args:
        folder: the dataset's folder, without a manifest.
        plan: its plan.
        release: whether to package a release as well.
        second_opinion: share of the records whose heart rate neurokit2 measures as well, from 0 to 1.

    Raises:
        DatasetError: when shards are missing or damaged; it names them.
    """
    entries = _all_entries(folder, plan)
    _remove_foreign_shards(folder, plan)
    table = _joined_rows(folder, entries)
    write_table(folder / MEASUREMENTS, table, TABLE_SCHEMA)
    libraries = (*_LIBRARIES, "neurokit2") if second_opinion else _LIBRARIES
    provenance = _provenance(list(entries.values()), libraries)
    manifest = describe("dataset", plan, table).model_copy(update={"provenance": provenance})
    normal = write_normal_subset(folder, plan, entries, table, manifest.content_digest)
    write_second_opinion(folder, table, second_opinion)  # now that the signals are known to be whole
    if release:
        write_release(folder, manifest, normal)
    manifest = manifest.model_copy(update={"files": _manifest_files(folder, entries, normal)})
    write_document(folder / MANIFEST, manifest)
    return manifest


def _all_entries(folder: Path, plan: Plan) -> dict[Shard, LedgerEntry]:
    """The entry of every shard; files are checked against them where they are read."""
    shards = plan.shards()
    entries = {shard: known_entry(folder, plan, shard) for shard in tracked(shards, "checking entries", "shards")}
    missing = [shard.name for shard, entry in entries.items() if entry is None]
    if missing:
        named = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise DatasetError(
            f"{folder} lacks {len(missing)} of {len(shards)} shards: {named}. Run the same build again to make them"
        )
    return {shard: entry for shard, entry in entries.items() if entry is not None}


def _remove_foreign_shards(folder: Path, plan: Plan) -> None:
    """Whatever lies among ledger and signals and is not of this plan, such as what a damaged disk brought back."""
    shards = plan.shards()
    known = {plan_file(folder)}
    known |= {file(folder, shard) for shard in shards for file in (entry_file, part_file, shard_file)}
    signals = folder / SIGNALS
    known |= {signals / "zarr.json", signals / "signal" / "zarr.json"}
    known |= set(all_files(signals / "lead"))
    for path in [*all_files(folder / LEDGER), *all_files(signals)]:
        if path not in known:
            remove(path)


def _joined_rows(folder: Path, entries: Mapping[Shard, LedgerEntry]) -> pa.Table:
    def rows(shard: Shard) -> pa.Table:
        return parse_table(read_verified(part_file(folder, shard), entries[shard].rows))

    parts = list(in_threads(rows, tracked(list(entries), "joining rows", "shards")))
    table = pa.concat_tables(parts).combine_chunks().cast(TABLE_SCHEMA)
    if not np.array_equal(table[RECORD_ID.name].to_numpy(), np.arange(max(shard.stop for shard in entries))):
        raise DatasetError(f"{folder} has rows that are not its records in order. Build into a new folder")
    return table


def _provenance(entries: list[LedgerEntry], libraries: Sequence[str]) -> Provenance:
    return Provenance(
        software=f"ecg-foundry {version('ecg-foundry')}",
        devices=sorted({entry.device for entry in entries}),
        instruction_sets=sorted({entry.instruction_set for entry in entries}),
        versions={name: version(name) for name in libraries} | {"python": platform.python_version()},
        finished_at=datetime.now(UTC),
    )


def _manifest_files(folder: Path, entries: Mapping[Shard, LedgerEntry], normal: Manifest) -> dict[str, FileEntry]:
    """The entries of every file but the manifest; what was hashed when it was checked or written is not read again."""
    known = {shard_file(folder, shard): entry.signals for shard, entry in entries.items()}
    known |= {part_file(folder, shard): entry.rows for shard, entry in entries.items()}
    known |= {folder / NORMAL / name: entry for name, entry in normal.files.items()}
    files = folder_entries(folder, known)
    files.pop(MANIFEST, None)
    return files
