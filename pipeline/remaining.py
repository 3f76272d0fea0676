"""What is left to do in a dataset's folder: shards to make, and what is made from them."""

import logging
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from pipeline.damage import damaged_files
from pipeline.dataset import Manifest
from pipeline.errors import DatasetError
from pipeline.folder import DERIVED, finished_manifest
from pipeline.logs import log_event
from pipeline.normal import NORMAL
from pipeline.progress import tracked
from pipeline.second_opinion import SECOND_OPINION, count_opinions, sample_size
from pipeline.shards import Shard
from pipeline.store.files import bytes_on_disk
from pipeline.store.ledger import Plan, committed_entry, entry_file, known_entry, part_file
from pipeline.store.place import BucketPath, Place
from pipeline.store.signals import shard_file
from pipeline.store.threads import in_threads

BYTES_PER_RECORD = 40_000
"""Signals (36 kB), rows and their share of the ledger on disk; measured on 2,000 records, rounded up."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Remaining:
    """What is left to do."""

    pending: list[Shard]
    """Shards to be made."""
    stale: frozenset[str] = frozenset(DERIVED)
    """What has to be made from the shards, of `DERIVED`."""
    finished: Manifest | None = None
    """Of the dataset that is there, to be repaired or added to."""
    complete: bool = False
    """Whether there is nothing to do at all."""


def find_remaining(folder: Place, plan: Plan, *, begun: bool, second_opinion: float) -> Remaining:
    """Find out what is left to do, without changing anything.

    Args:
        folder: the dataset's folder.
        plan: what it is going to hold.
        begun: whether a build has been there before.
        second_opinion: share of the records that are going to have a second opinion at least.
    """
    finished = finished_manifest(folder, plan)
    if finished is None:
        return Remaining(_uncommitted(folder, plan) if begun else plan.shards())
    damage = list(damaged_files(folder, finished))
    for problem in damage:
        log_event(_log, logging.WARNING, "damaged, to be put right", file=problem.thing, reason=problem.reason)
    damaged = {problem.thing for problem in damage}
    stale = {Path(name).parts[0] for name in damaged} & set(DERIVED)
    if SECOND_OPINION not in stale and count_opinions(folder) < sample_size(plan.recipe.records, second_opinion):
        stale.add(SECOND_OPINION)
    pending = [shard for shard in plan.shards() if _is_damaged(folder, plan, shard, finished, damaged)]
    return Remaining(pending, frozenset(stale), finished, complete=not damage and not stale)


def _uncommitted(folder: Place, plan: Plan) -> list[Shard]:
    shards = plan.shards()
    looked_at = tracked(shards, "checking shards", "shards")
    entries = in_threads(lambda shard: committed_entry(folder, plan, shard), looked_at)
    return [shard for shard, entry in zip(shards, entries, strict=True) if entry is None]


def _is_damaged(folder: Place, plan: Plan, shard: Shard, finished: Manifest, damaged: Collection[str]) -> bool:
    """Whether a shard has to be made again. An entry alone may be another: that of a repair that was interrupted."""
    paths = shard_file(folder, shard), part_file(folder, shard), entry_file(folder, shard)
    signals, rows, entry = (path.relative_to(folder).as_posix() for path in paths)
    if signals in damaged or rows in damaged:
        return True
    if entry not in damaged:
        return False
    known = known_entry(folder, plan, shard)
    return known is None or (known.signals, known.rows) != (finished.files.get(signals), finished.files.get(rows))


def check_disk(folder: Place, plan: Plan, remaining: Remaining) -> None:
    """Refuse what would not fit: signals and rows, and the normal subset, which is at most as large.

    Raises:
        DatasetError: says what is free and what may be needed.
    """
    if isinstance(folder, BucketPath):  # which has no bounds that could be asked for
        return
    where = next(parent for parent in (folder, *folder.parents) if parent.exists())
    records = plan.recipe.records
    needed = (sum(map(len, remaining.pending)) + (NORMAL in remaining.stale) * records) * BYTES_PER_RECORD
    going = 0 if remaining.finished else sum(bytes_on_disk(folder / name) for name in DERIVED)
    free = shutil.disk_usage(where).free + going
    if needed > free:
        raise DatasetError(
            f"{where} has {free / 1e9:.1f} GB free, and {records} records may need {needed / 1e9:.1f} GB. "
            f"Free some space, ask for fewer records, or choose another output folder"
        )
