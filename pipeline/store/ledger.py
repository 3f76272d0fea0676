"""The ledger: one small entry a shard, written last. What has no entry does not count."""

from datetime import datetime
from pathlib import Path

from pydantic import Field

from pipeline.errors import DatasetError
from pipeline.recipe import Recipe, canonical_sha256
from pipeline.shards import DEFAULT_SHARD_RECORDS, Shard, plan_shards
from pipeline.store.documents import Document, read_document
from pipeline.store.files import FileEntry, file_entry
from pipeline.store.signals import shard_file

LEDGER = "ledger"


class Plan(Document):
    """`ledger/plan.json`, written first: what this folder is going to hold."""

    recipe: Recipe
    generation_version: str = Field(description="version of the noise and of the generators' arithmetic")
    measurement_version: str = Field(description="version of the measurement's algorithm and constants")
    rule_set: str = Field(description="version of the rules that give statements and verdict")
    shard_records: int = DEFAULT_SHARD_RECORDS

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

    lineage_digest: str = Field(pattern="^[0-9a-f]{64}$")
    index: int = Field(ge=0)
    start: int = Field(ge=0, description="first record")
    stop: int = Field(ge=1, description="one past the last record")
    signals: FileEntry = Field(description="the Zarr shard file")
    rows: FileEntry = Field(description="the Parquet part")
    verdicts: dict[str, int] = Field(description="records by verdict")
    seconds: dict[str, float] = Field(description="time spent by stage")
    device: str
    instruction_set: str = Field(description="class within which bytes are identical, such as x86_64 AVX2")
    finished_at: datetime = Field(strict=False)


def plan_file(folder: Path) -> Path:
    """Where a folder's plan is."""
    return folder / LEDGER / "plan.json"


def entry_file(folder: Path, shard: Shard) -> Path:
    """Where a shard's ledger entry is."""
    return folder / LEDGER / f"{shard.name}.json"


def part_file(folder: Path, shard: Shard) -> Path:
    """Where a shard's Parquet part is."""
    return folder / LEDGER / f"{shard.name}.parquet"


def known_entry(folder: Path, plan: Plan, shard: Shard) -> LedgerEntry | None:
    """The shard's entry, if it is this plan's and both files are there in the size it says; otherwise None.

    An unreadable entry counts as none: a shard is cheap to make again, and comes out the same.
    """
    path = entry_file(folder, shard)
    if not path.exists():
        return None
    try:
        entry = read_document(path, LedgerEntry)
    except DatasetError:
        return None
    expected = (plan.format_version, plan.lineage_digest(), shard.index, shard.start, shard.stop)
    if (entry.format_version, entry.lineage_digest, entry.index, entry.start, entry.stop) != expected:
        return None
    files = _files(folder, shard, entry)
    there = all(path.is_file() and not path.is_symlink() and path.stat().st_size == files[path].bytes for path in files)
    return entry if there else None


def committed_entry(folder: Path, plan: Plan, shard: Shard) -> LedgerEntry | None:
    """The shard's entry, if it is known and both files still hash to what it says; otherwise None."""
    entry = known_entry(folder, plan, shard)
    if entry is None:
        return None
    whole = all(file_entry(path) == known for path, known in _files(folder, shard, entry).items())
    return entry if whole else None


def _files(folder: Path, shard: Shard, entry: LedgerEntry) -> dict[Path, FileEntry]:
    return {shard_file(folder, shard): entry.signals, part_file(folder, shard): entry.rows}
