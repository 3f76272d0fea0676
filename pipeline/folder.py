"""The output folder: whose it is, whether it is whole, and that it is ready for workers."""

import logging

from pipeline.dataset import MANIFEST, Manifest, check_outside, open_dataset, plan_of
from pipeline.errors import DatasetError
from pipeline.logs import log_event
from pipeline.normal import NORMAL
from pipeline.second_opinion import SECOND_OPINION
from pipeline.store.documents import read_document, write_document
from pipeline.store.failures import SUFFIX as FAILURE
from pipeline.store.files import fsync, is_temporary, make_folders, remove, remove_strays, updating, writing
from pipeline.store.ledger import LEDGER, Plan, known_entry, plan_file, shard_files
from pipeline.store.place import BucketPath, Place, is_there
from pipeline.store.signals import SIGNALS, create_signals, metadata_files, remove_unfinished
from pipeline.store.tables import MEASUREMENTS

DERIVED = (MEASUREMENTS, SECOND_OPINION, NORMAL)
"""What `finalise` makes from committed shards, before the manifest."""

_log = logging.getLogger(__name__)


def finished_manifest(folder: Place, plan: Plan) -> Manifest | None:
    """The manifest of the plan's finished dataset, whatever has become of its other files; None where there is none."""
    if not (folder / MANIFEST).exists():
        return None
    try:
        manifest = open_dataset(folder).manifest
    except DatasetError as error:
        log_event(_log, logging.WARNING, "manifest is made again", reason=str(error))
        return None
    return manifest if manifest.kind == "dataset" and plan_of(manifest) == plan else None


def check_folder(folder: Place, plan: Plan) -> Plan | None:
    """The plan of the dataset that is there, if it is one that this plan may finish, repair or extend."""
    if is_there(folder) and not folder.is_dir():
        raise DatasetError(f"{folder} is a file, or a link that leads nowhere. Choose a folder for the dataset")
    check_outside(folder)
    existing = _existing_plan(folder, plan)
    if existing is not None:
        _check_same(folder, existing, plan)
    elif folder.is_dir():
        _check_empty(folder)
    return existing


def _existing_plan(folder: Place, plan: Plan) -> Plan | None:
    """The plan in the ledger or in the manifest; where both are lost the one asked for, if shards are of it.

    Where they are not the same, one of them is another dataset's, and the one that is asked for tells which.
    """
    plans, faults = list[Plan](), list[DatasetError]()
    for path, read in ((plan_file(folder), _plan_in_ledger), (folder / MANIFEST, _plan_in_manifest)):
        if is_there(path):
            try:
                plans.append(read(folder))
            except DatasetError as error:
                faults.append(error)
    if plans:
        return next((each for each in plans if each.seal() == plan.seal()), plans[0])
    if faults and not any(known_entry(folder, plan, shard) for shard in plan.shards()):
        raise DatasetError(f"{str(faults[0]).partition('. ')[0]}. Build into a new folder") from faults[0]
    return plan if faults else None


def _plan_in_ledger(folder: Place) -> Plan:
    return read_document(plan_file(folder), Plan)


def _plan_in_manifest(folder: Place) -> Plan:
    manifest = open_dataset(folder).manifest
    if manifest.kind == "subset":
        raise DatasetError(f"{folder} is the subset of another dataset. Build that one, or into a new folder")
    return plan_of(manifest)


def _check_empty(folder: Place) -> None:
    """Refuse a folder that holds anything but what a build leaves when it is killed at its very start."""
    ours = [path.name for path in (folder / LEDGER).iterdir()] if (folder / LEDGER).is_dir() else []
    foreign = [path.name for path in folder.iterdir() if path.name != LEDGER or path.is_symlink() or path.is_file()]
    foreign += [f"{LEDGER}/{name}" for name in ours if not is_temporary(name)]
    if foreign:
        raise DatasetError(
            f"{folder} is not empty and holds no dataset ({min(foreign)} is there). Choose a new or an empty folder"
        )


def _check_same(folder: Place, existing: Plan, plan: Plan) -> None:
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


def make_dataset_folder(folder: Place) -> None:
    """Make the folder and its ledger where they are not there, so that a power cut does not take their names."""
    if isinstance(folder, BucketPath):  # which needs none
        return
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for made in missing:
            fsync(made.parent)
        make_folders(folder, folder / LEDGER)


def prepare(folder: Place, plan: Plan, *, keep_derived: bool) -> None:
    """Make the folder ready for workers: what is left over or foreign goes; plan and metadata are as they should be.

    Args:
        folder: the dataset's folder.
        plan: what it is going to hold.
        keep_derived: leave what was made from committed shards, to be repaired.

    Raises:
        DatasetError: when something lies there that is no part of a dataset; it stays.
    """
    with writing(folder):
        ours = {LEDGER, SIGNALS, MANIFEST, *DERIVED}
        links = {name for name in (LEDGER, SIGNALS) if (folder / name).is_symlink()}
        names = {path.name for path in folder.iterdir() if not is_temporary(path.name)}
        foreign = sorted(names - ours | links)
        if foreign:
            raise DatasetError(f"{folder / foreign[0]} is no part of the dataset. Move it elsewhere and build again")
        remove_unfinished(folder)
        if not keep_derived:
            remove(folder / MANIFEST)
            fsync(folder)  # so that no power cut brings it back without what it names
            for name in DERIVED:
                remove(folder / name)
        known = known_files(folder, plan)
        for stray in [*remove_strays(folder / LEDGER, known), *remove_strays(folder / SIGNALS, known)]:
            if not stray.name.endswith(FAILURE):
                log_event(_log, logging.WARNING, "removed, for it is no part of the dataset", file=str(stray))
        with updating(folder / LEDGER) as temporary:
            temporary.mkdir()
            write_document(temporary / plan_file(folder).name, plan)
        create_signals(folder, plan.recipe.records, plan.shard_records)


def known_files(folder: Place, plan: Plan) -> set[Place]:
    """Every file that ledger and signals of a plan's dataset have."""
    shards = {file for shard in plan.shards() for file in shard_files(folder, shard)}
    return shards | {plan_file(folder)} | metadata_files(folder)
