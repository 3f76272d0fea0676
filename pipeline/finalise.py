"""From committed shards to a dataset: table, second opinion, normal subset, release, and last of all the manifest."""

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa

from pipeline.columns import RECORD_ID, TABLE_SCHEMA
from pipeline.dataset import MANIFEST, Manifest, Provenance, describe
from pipeline.errors import DatasetError
from pipeline.normal import write_normal_subset
from pipeline.progress import tracked
from pipeline.release.package import write_release
from pipeline.second_opinion import write_second_opinion
from pipeline.shards import Shard
from pipeline.store.documents import write_document
from pipeline.store.files import FileEntry, all_files, file_entry, remove
from pipeline.store.ledger import (
    LEDGER,
    LedgerEntry,
    Plan,
    committed_entry,
    entry_file,
    part_file,
    plan_file,
)
from pipeline.store.signals import SIGNALS, shard_file
from pipeline.store.tables import MEASUREMENTS, read_table, write_table

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
    entries = _all_committed(folder, plan)
    _remove_foreign_shards(folder, plan)
    table = _joined_rows(folder, plan)
    write_table(folder / MEASUREMENTS, table, TABLE_SCHEMA)
    write_second_opinion(folder, table, second_opinion)
    libraries = (*_LIBRARIES, "neurokit2") if second_opinion else _LIBRARIES
    provenance = _provenance(list(entries.values()), libraries)
    manifest = describe("dataset", plan, table).model_copy(update={"provenance": provenance})
    normal = write_normal_subset(folder, plan, table, manifest.content_digest)
    if release:
        write_release(folder, manifest, normal)
    manifest = manifest.model_copy(update={"files": _manifest_files(folder, entries)})
    write_document(folder / MANIFEST, manifest)
    return manifest


def _all_committed(folder: Path, plan: Plan) -> dict[Shard, LedgerEntry]:
    shards = plan.shards()
    entries = {shard: committed_entry(folder, plan, shard) for shard in tracked(shards, "checking shards", "shards")}
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


def _joined_rows(folder: Path, plan: Plan) -> pa.Table:
    parts = [read_table(part_file(folder, shard)).cast(TABLE_SCHEMA) for shard in plan.shards()]
    table = pa.concat_tables(parts)
    if table[RECORD_ID.name].to_pylist() != list(range(plan.recipe.records)):
        raise DatasetError(
            f"{folder} has rows that are not records 0 to {plan.recipe.records - 1} in order. Build into a new folder"
        )
    return table


def _provenance(entries: list[LedgerEntry], libraries: Sequence[str]) -> Provenance:
    return Provenance(
        software=f"ecg-foundry {version('ecg-foundry')}",
        devices=sorted({entry.device for entry in entries}),
        instruction_sets=sorted({entry.instruction_set for entry in entries}),
        versions={name: version(name) for name in libraries} | {"python": platform.python_version()},
        finished_at=datetime.now(UTC),
    )


def _manifest_files(folder: Path, entries: dict[Shard, LedgerEntry]) -> dict[str, FileEntry]:
    """Hash every file but the manifest; the shards' hashes were checked a moment ago and are taken from the ledger."""
    known = {shard_file(folder, shard): entry.signals for shard, entry in entries.items()}
    known |= {part_file(folder, shard): entry.rows for shard, entry in entries.items()}
    files = [path for path in all_files(folder) if path != folder / MANIFEST]
    return {
        path.relative_to(folder).as_posix(): known.get(path) or file_entry(path)
        for path in tracked(files, "hashing files", "files")
    }
