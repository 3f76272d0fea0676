"""The ledger: one small entry a shard, written last. What has no entry does not count."""

import logging
from datetime import datetime

from pydantic import Field

from pipeline.errors import DatasetError
from pipeline.recipe import Recipe, canonical_sha256
from pipeline.shards import DEFAULT_SHARD_RECORDS, Shard, plan_shards
from pipeline.store.documents import (
    Document,
    Sha256,
    ShardRecords,
    Words,
    create_document,
    read_document,
    write_document,
)
from pipeline.store.files import FileEntry, file_entry
from pipeline.store.outside import check_plain
from pipeline.store.place import Place
from pipeline.store.signals import shard_file

LEDGER = "ledger"

_log = logging.getLogger(__name__)


class Plan(Document):
    """`ledger/plan.json`, written first: what this folder is going to hold."""

    recipe: Recipe
    generation_version: str = Field(description="version of the noise and of the generators' arithmetic")
    measurement_version: str = Field(description="version of the measurement's algorithm and constants")
    rule_set: str = Field(description="version of the rules that give statements and verdict")
    shard_records: ShardRecords = DEFAULT_SHARD_RECORDS

    def lineage_digest(self) -> str:
        """SHA-256 of everything that fixes a single record's row and signal, whatever the number of records."""
        return canonical_sha256(
            {
                "format_version": self.format_version,
                "recipe": self.recipe.lineage(),
                "generation_version": self.generation_version,
                "measurement_version": self.measurement_version,
                "rule_set": self.rule_set,
            }
        )

    def shards(self) -> list[Shard]:
        """The shards in order."""
        return plan_shards(self.recipe.records, self.shard_records)


class LedgerEntry(Document):
    """`ledger/shard-NNNNN.json`: one shard's signals and rows are on disk, and these are their hashes."""

    lineage_digest: Sha256
    index: int = Field(ge=0)
    start: int = Field(ge=0, description="first record")
    stop: int = Field(ge=1, description="one past the last record")
    signals: FileEntry = Field(description="the Zarr shard file")
    rows: FileEntry = Field(description="the Parquet part")
    verdicts: dict[Words, int] = Field(description="records by verdict")
    seconds: dict[Words, float] = Field(description="time spent by stage")
    device: str
    instruction_set: str = Field(description="class within which bytes are identical, such as x86_64 AVX2")
    finished_at: datetime = Field(strict=False)


def plan_file(folder: Place) -> Place:
    """Where a folder's plan is."""
    return folder / LEDGER / "plan.json"


def entry_file(folder: Place, shard: Shard) -> Place:
    """Where a shard's ledger entry is."""
    return folder / LEDGER / f"{shard.name}.json"


def part_file(folder: Place, shard: Shard) -> Place:
    """Where a shard's Parquet part is."""
    return folder / LEDGER / f"{shard.name}.parquet"


def shard_files(folder: Place, shard: Shard) -> list[Place]:
    """The three files that a committed shard has."""
    return [shard_file(folder, shard), part_file(folder, shard), entry_file(folder, shard)]


def read_entry(folder: Place, plan: Plan, shard: Shard) -> LedgerEntry:
    """The shard's entry, if it is this plan's and both files are there in the size it says.

    Raises:
        DatasetError: says what is wrong with it.
    """
    path = entry_file(folder, shard)
    remedy = "Run the same build again to make the shard"
    if not path.is_file() or path.is_symlink():
        raise DatasetError(f"{path} is missing. {remedy}")
    entry = read_document(path, LedgerEntry)
    if entry.lineage_digest != plan.lineage_digest():
        raise DatasetError(f"{path} is of another recipe, checkpoint or version of the program. {remedy}")
    if (entry.index, entry.start, entry.stop) != (shard.index, shard.start, shard.stop):
        raise DatasetError(
            f"{path} is of shard {entry.index}, records {entry.start} to {entry.stop - 1}, "
            f"in the place of records {shard.start} to {shard.stop - 1}. {remedy}"
        )
    for file, known in _files(folder, shard, entry).items():
        check_plain(folder, file)
        if file.stat().st_size != known.bytes:
            raise DatasetError(f"{file} is not of the size that its ledger entry says. {remedy}")
    return entry


def known_entry(folder: Place, plan: Plan, shard: Shard) -> LedgerEntry | None:
    """The shard's entry as `read_entry` gives it; None where there is none that counts.

    An unreadable entry counts as none: a shard is cheap to make again, and comes out the same.
    """
    try:
        return read_entry(folder, plan, shard)
    except DatasetError as error:
        _log.debug("%s", error)
        return None


def committed_entry(folder: Place, plan: Plan, shard: Shard) -> LedgerEntry | None:
    """The shard's entry, if it is known and both files still hash to what it says; otherwise None."""
    entry = known_entry(folder, plan, shard)
    if entry is None:
        return None
    try:
        whole = all(file_entry(path) == known for path, known in _files(folder, shard, entry).items())
    except OSError:  # what cannot be read is no use either
        return None
    return entry if whole else None


def commit(folder: Place, plan: Plan, shard: Shard, entry: LedgerEntry) -> LedgerEntry:
    """Write a shard's entry unless another worker has committed the shard meanwhile; returns the one that counts.

    The first entry wins, for by a later one a finished dataset would no longer be what its manifest says: a worker
    that was given up as lost may come back at any time.
    """
    path = entry_file(folder, shard)
    try:
        create_document(path, entry)
    except FileExistsError:
        committed = known_entry(folder, plan, shard)
        if committed is not None:
            return committed
        write_document(path, entry)  # over what a killed worker left of its own
    return entry


def _files(folder: Place, shard: Shard, entry: LedgerEntry) -> dict[Place, FileEntry]:
    return {shard_file(folder, shard): entry.signals, part_file(folder, shard): entry.rows}
