"""The output folder: whose it is, whether it is whole, who holds its lock, and that it is ready for workers."""

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.dataset import MANIFEST, Manifest, open_dataset, plan_of
from pipeline.errors import DatasetError
from pipeline.logs import log_event
from pipeline.normal import NORMAL
from pipeline.release.package import RELEASE
from pipeline.second_opinion import SECOND_OPINION
from pipeline.store.documents import read_document, write_document
from pipeline.store.files import bytes_on_disk, fsync, is_temporary, remove, remove_strays, updating, writing
from pipeline.store.ledger import LEDGER, Plan, plan_file, shard_files
from pipeline.store.signals import SIGNALS, create_signals, metadata_files, remove_unfinished
from pipeline.store.tables import MEASUREMENTS

BYTES_PER_RECORD = 40_000
"""Signals (36 kB), rows and their share of the ledger on disk; measured on 2,000 records, rounded up."""

DERIVED = (MEASUREMENTS, SECOND_OPINION, NORMAL, RELEASE)
"""What `finalise` makes from committed shards, before the manifest."""

_log = logging.getLogger(__name__)


def finished_manifest(folder: Path, plan: Plan) -> Manifest | None:
    """The manifest of the plan's finished dataset, whatever has become of its other files; None where there is none."""
    if not (folder / MANIFEST).exists():
        return None
    try:
        manifest = open_dataset(folder).manifest
    except DatasetError as error:
        log_event(_log, logging.WARNING, "manifest is made again", reason=str(error))
        return None
    return manifest if manifest.kind == "dataset" and plan_of(manifest) == plan else None


def check_folder(folder: Path, plan: Plan) -> Plan | None:
    """The plan of the dataset that is there, if it is one that this plan may finish, repair or extend."""
    if folder.exists() and not folder.is_dir():
        raise DatasetError(f"{folder} is a file. Choose a folder for the dataset")
    existing = _existing_plan(folder)
    if existing is not None:
        _check_same(folder, existing, plan)
    elif folder.is_dir():
        _check_empty(folder)
    return existing


def _existing_plan(folder: Path) -> Plan | None:
    """The plan in the ledger, or, where that is lost, in the manifest."""
    try:
        return read_document(plan_file(folder), Plan) if plan_file(folder).is_file() else _plan_in_manifest(folder)
    except DatasetError:
        plan = _plan_in_manifest(folder)
        if plan is None:
            raise
        return plan


def _plan_in_manifest(folder: Path) -> Plan | None:
    if not (folder / MANIFEST).is_file():
        return None
    manifest = open_dataset(folder).manifest
    if manifest.kind == "subset":
        raise DatasetError(
            f"{folder} is the subset of another dataset. Build that one, or choose another output folder"
        )
    return plan_of(manifest)


def _check_empty(folder: Path) -> None:
    """Refuse a folder that holds anything but what a build leaves when it is killed at its very start."""
    ours = [path.name for path in (folder / LEDGER).iterdir()] if (folder / LEDGER).is_dir() else []
    foreign = [path.name for path in folder.iterdir() if path.name != LEDGER or path.is_symlink() or path.is_file()]
    foreign += [f"{LEDGER}/{name}" for name in ours if not is_temporary(name)]
    if foreign:
        raise DatasetError(
            f"{folder} is not empty and holds no dataset ({min(foreign)} is there). Choose a new or an empty folder"
        )


def _check_same(folder: Path, existing: Plan, plan: Plan) -> None:
    theirs, ours = (
        each.model_dump(exclude={"recipe", "sealed_by"}) | each.recipe.lineage() for each in (existing, plan)
    )
    differing = [f"{name} {theirs[name]} there, {ours[name]} asked" for name in theirs if theirs[name] != ours[name]]
    if differing:
        raise DatasetError(
            f"{folder} is a dataset of another recipe or layout: {'; '.join(differing)}. Choose another output folder"
        )
    if plan.recipe.records < existing.recipe.records and (folder / MANIFEST).exists():
        raise DatasetError(
            f"{folder} is a dataset of {existing.recipe.records} records, {plan.recipe.records} asked. "
            f"Ask for at least as many, or choose another output folder"
        )


def check_disk(folder: Path, plan: Plan, *, release: bool) -> None:
    """Signals and rows once, the normal subset at most as large, and both again in a release."""
    where = next(parent for parent in (folder, *folder.parents) if parent.exists())
    records = plan.recipe.records
    committed = len(list((folder / LEDGER).glob("shard-*.json"))) * plan.shard_records
    needed = (max(0, records - committed) + records * (3 if release else 1)) * BYTES_PER_RECORD
    there = sum(bytes_on_disk(folder / name) for name in DERIVED)
    free = shutil.disk_usage(where).free + there
    if needed > free:
        raise DatasetError(
            f"{where} has {free / 1e9:.1f} GB free, and {records} records may need {needed / 1e9:.1f} GB. "
            f"Free some space, ask for fewer records, or choose another output folder"
        )


def make_dataset_folder(folder: Path) -> None:
    """Make the folder and its ledger where they are not there, so that a power cut does not take their names."""
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    with writing(folder):
        (folder / LEDGER).mkdir(parents=True, exist_ok=True)
        for made in [folder, *(path.parent for path in missing)]:
            fsync(made)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; the kernel drops it when the process dies, so that none is ever stale."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise DatasetError(
            f"{folder} is being built by another process. Wait for it, or choose another output folder"
        ) from error
    else:
        yield
    finally:
        os.close(descriptor)


def prepare(folder: Path, plan: Plan, *, keep_derived: bool) -> None:
    """Make the folder ready for workers: what is left over or foreign goes; plan and metadata are as they should be.

    Args:
        folder: the dataset's folder.
        plan: what it is going to hold.
        keep_derived: leave what was made from committed shards, to be repaired.

    Raises:
        DatasetError: when something lies there that is no part of a dataset; it stays.
    """
    with writing(folder):
        remove_unfinished(folder)
        ours = {LEDGER, SIGNALS, MANIFEST, *DERIVED}
        links = {name for name in (LEDGER, SIGNALS) if (folder / name).is_symlink()}
        foreign = sorted({path.name for path in folder.iterdir()} - ours | links)
        if foreign:
            raise DatasetError(f"{folder / foreign[0]} is no part of the dataset. Move it elsewhere and build again")
        for name in () if keep_derived else (MANIFEST, *DERIVED):  # the manifest goes first
            remove(folder / name)
        known = known_files(folder, plan)
        for stray in [*remove_strays(folder / LEDGER, known), *remove_strays(folder / SIGNALS, known)]:
            log_event(_log, logging.WARNING, "removed, for it is no part of the dataset", file=str(stray))
        with updating(folder / LEDGER, whole=False) as temporary:
            temporary.mkdir()
            write_document(temporary / plan_file(folder).name, plan)
        create_signals(folder, plan.recipe.records, plan.shard_records)


def known_files(folder: Path, plan: Plan) -> set[Path]:
    """Every file that ledger and signals of a plan's dataset have."""
    shards = {file for shard in plan.shards() for file in shard_files(folder, shard)}
    return shards | {plan_file(folder)} | metadata_files(folder)
