"""Building a dataset: open, make the pending shards, finalise. Each step can be killed and run again."""

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Never

from tqdm import tqdm

from pipeline.dataset import MANIFEST, Dataset, open_dataset
from pipeline.engines import Engine, make_engine
from pipeline.errors import DatasetError, WorkerError
from pipeline.finalise import finalise
from pipeline.normal import NORMAL
from pipeline.progress import progress_bar, tracked
from pipeline.release.package import RELEASE
from pipeline.shards import Shard
from pipeline.store.files import read_model, remove, write_model, writing
from pipeline.store.ledger import LEDGER, Plan, committed_entry, plan_file
from pipeline.store.signals import SIGNALS, create_signals, remove_unfinished
from pipeline.store.tables import MEASUREMENTS
from pipeline.verify import damaged_files
from pipeline.worker import Job

BYTES_PER_RECORD = 40_000
"""Signals (36 kB), rows and their share of the ledger on disk; measured on 2,000 records, rounded up."""


_DERIVED = (MANIFEST, MEASUREMENTS, NORMAL, RELEASE)
"""What `finalise` makes from committed shards; the manifest goes first."""

ATTEMPTS = 4
"""How often a shard is tried: workers die for reasons of their own, but not four times over the same shard."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Build:
    """A dataset folder being built, locked against other builds."""

    job: Job
    pending: list[Shard]
    complete: bool

    @property
    def plan(self) -> Plan:
        """What the folder is going to hold."""
        return self.job.plan

    def progress(self) -> "tqdm[Never]":
        """A bar over the records, those of finished shards already counted."""
        records = self.plan.recipe.records
        return progress_bar(records, "building", "records", done=records - sum(map(len, self.pending)))

    def finalise(self, *, release: bool = True) -> Dataset:
        """Check the ledger, join the rows, select the normal subset, package, and write the manifest.

        Raises:
            DatasetError: when a shard is missing or damaged.
        """
        if not (self.complete and (not release or (self.job.folder / RELEASE).is_dir())):
            with writing(self.job.folder):
                (self.job.folder / MANIFEST).unlink(missing_ok=True)
                finalise(self.job.folder, self.plan, release=release)
        return open_dataset(self.job.folder)


def build_dataset(
    out: Path,
    plan: Plan,
    checkpoint: Path | None = None,
    *,
    engine: str = "ray",
    workers: int | None = None,
    release: bool = True,
) -> tuple[Dataset, bool]:
    """Build a dataset, or finish, repair or extend one; returns it, and whether it was complete already.

    Args:
        out: the dataset's folder.
        plan: what it is going to hold.
        checkpoint: the generator's checkpoint; None for the published one.
        engine: `ray` or `serial`.
        workers: how many; None for one a GPU, or one a core where there is no GPU.
        release: whether to package a release as well.

    Raises:
        DatasetError: when the folder is foreign, of another recipe, in use or cannot be written.
        WorkerError: names the shards that failed every time; the others are kept.
    """
    with open_build(out, plan, checkpoint) as build:
        if build.pending:
            with make_engine(engine, build.job, workers) as started:
                make_shards(build, started)
        return build.finalise(release=release), build.complete


@contextmanager
def open_build(out: Path, plan: Plan, checkpoint: Path | None = None) -> Iterator[Build]:
    """Create the dataset's folder, or find out what is left to do in it; holds its lock meanwhile.

    A folder that a build of the same recipe left unfinished is resumed, a damaged one repaired, and one of fewer
    records extended.

    Args:
        out: the dataset's folder.
        plan: what it is going to hold.
        checkpoint: the generator's checkpoint; None for the published one.

    Raises:
        DatasetError: when the folder is foreign, of another recipe, in use or cannot be written.
    """
    folder = out.absolute()
    existing = _existing_plan(folder)
    if existing is not None:
        _check_same(folder, existing, plan)
    _check_disk(folder, plan)
    try:
        (folder / LEDGER).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(f"{folder} cannot be made: {error.strerror}. Choose another output folder") from error
    with _locked(folder):
        job = Job(folder, plan, checkpoint.absolute() if checkpoint else None)
        if existing == plan and _is_whole(folder):
            yield Build(job, pending=[], complete=True)
            return
        _prepare(folder, plan)
        shards = plan.shards()
        looked_at = tracked(shards, "checking shards", "shards") if existing else shards
        pending = [shard for shard in looked_at if committed_entry(folder, plan, shard) is None]
        yield Build(job, pending, complete=False)


def _is_whole(folder: Path) -> bool:
    """Whether the folder is a finished dataset whose every file is what the manifest says."""
    try:
        manifest = open_dataset(folder).manifest
    except DatasetError as error:
        _log.info("%s", error)
        return False
    problems = list(damaged_files(folder, manifest))
    for problem in problems:
        _log.warning("%s; it is made again", problem)
    return not problems


def _existing_plan(folder: Path) -> Plan | None:
    if folder.exists() and not folder.is_dir():
        raise DatasetError(f"{folder} is a file. Choose a folder for the dataset")
    if plan_file(folder).is_file():
        return read_model(plan_file(folder), Plan)
    foreign = sorted(path.name for path in folder.iterdir() if path.name != LEDGER) if folder.is_dir() else []
    if foreign:
        raise DatasetError(
            f"{folder} is not empty and holds no dataset ({foreign[0]} is there). Choose a new or an empty folder"
        )
    return None


def _check_same(folder: Path, existing: Plan, plan: Plan) -> None:
    theirs, ours = existing.model_dump(exclude={"recipe"}), plan.model_dump(exclude={"recipe"})
    theirs |= existing.recipe.lineage()
    ours |= plan.recipe.lineage()
    differing = [f"{name} {theirs[name]} there, {ours[name]} asked" for name in theirs if theirs[name] != ours[name]]
    if differing:
        raise DatasetError(
            f"{folder} is a dataset of another recipe or layout: {'; '.join(differing)}. Choose another output folder"
        )
    if plan.recipe.records < existing.recipe.records:
        raise DatasetError(
            f"{folder} is a dataset of {existing.recipe.records} records, {plan.recipe.records} asked. "
            f"Ask for at least as many, or choose another output folder"
        )


def _check_disk(folder: Path, plan: Plan) -> None:
    """Signals, their normal subset, and both again in the release: four copies at the most."""
    where = next(parent for parent in (folder, *folder.parents) if parent.exists())
    committed = len(list((folder / LEDGER).glob("shard-*.json"))) * plan.shard_records
    needed = max(0, plan.recipe.records - committed) * BYTES_PER_RECORD * 4
    free = shutil.disk_usage(where).free
    if needed > free:
        raise DatasetError(
            f"{where} has {free / 1e9:.1f} GB free, and {plan.recipe.records} records may need {needed / 1e9:.1f} GB. "
            f"Free some space, ask for fewer records, or choose another output folder"
        )


def make_shards(build: Build, engine: Engine) -> None:
    """Make every pending shard; one that fails is tried again, and does not keep the others from being made.

    Raises:
        WorkerError: names the shards that failed every time.
    """
    failed: dict[Shard, WorkerError] = {}
    with ThreadPoolExecutor(engine.workers) as threads, build.progress() as bar:
        futures = {threads.submit(_attempt, engine, shard): shard for shard in build.pending}
        try:
            for future in as_completed(futures):
                shard, error = futures[future], future.exception()
                if isinstance(error, WorkerError):
                    failed[shard] = error
                elif error is not None:
                    raise error
                else:
                    bar.update(len(shard))
        finally:
            threads.shutdown(wait=True, cancel_futures=True)
    if failed:
        raise failed_shards(failed)


def failed_shards(failed: Mapping[Shard, WorkerError]) -> WorkerError:
    """One error for all shards that failed every time."""
    named = "; ".join(
        f"{shard.name} (records {shard.start} to {shard.stop - 1}): {error}" for shard, error in failed.items()
    )
    return WorkerError(
        f"{len(failed)} shard(s) could not be made: {named}. The others are kept; run the same build again"
    )


def _attempt(engine: Engine, shard: Shard) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            engine.run(shard)
        except WorkerError as error:
            _log.warning("attempt %d of %d at %s failed: %s", attempt, ATTEMPTS, shard.name, error)
            if attempt == ATTEMPTS:
                raise
        else:
            return


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
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


def _prepare(folder: Path, plan: Plan) -> None:
    """Make the folder ready for workers: what is derived or left over goes; plan and metadata are written anew.

    Raises:
        DatasetError: when something lies there that is no part of a dataset; it stays.
    """
    with writing(folder):
        remove_unfinished(folder)
        foreign = sorted({path.name for path in folder.iterdir()} - {LEDGER, SIGNALS, *_DERIVED})
        if foreign:
            raise DatasetError(f"{folder / foreign[0]} is no part of the dataset. Move it elsewhere and build again")
        for name in _DERIVED:
            remove(folder / name)
        write_model(plan_file(folder), plan)
        create_signals(folder, plan.recipe.records, plan.shard_records)
