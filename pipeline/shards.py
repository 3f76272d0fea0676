"""Shards: the unit of work, of storage and of commitment."""

from dataclasses import dataclass

from pipeline.errors import RecipeError

BLOCK = 32
"""Records that the generator makes in one batch. Convolution rounding depends on the batch's shape, so blocks are
always whole and aligned, and a record's bytes do not depend on anything but its number."""

DEFAULT_SHARD_RECORDS = 256
MOST_SHARD_RECORDS = 8192
"""A worker holds a whole shard, 80 kB a record: 0.66 GB."""

MOST_SHARDS = 30_000
"""The manifest names three files a shard, 150 bytes each, and is read only up to 16 MiB."""


@dataclass(frozen=True)
class Shard:
    """Records start ≤ i < stop."""

    index: int
    start: int
    stop: int

    def __len__(self) -> int:
        """Number of records."""
        return self.stop - self.start

    @property
    def name(self) -> str:
        """The name used in files, logs and messages."""
        return f"shard-{self.index:05d}"


def check_shard_records(shard_records: int) -> None:
    """Refuse a shard size that would cut a block.

    Raises:
        RecipeError: when the size is not a positive multiple of the block, or too large.
    """
    if shard_records > MOST_SHARD_RECORDS:
        raise RecipeError(
            f"shard_records {shard_records} is more than a worker holds in memory. Use 32 to {MOST_SHARD_RECORDS}"
        )
    if shard_records < BLOCK or shard_records % BLOCK:
        below = max(BLOCK, shard_records // BLOCK * BLOCK)
        raise RecipeError(
            f"shard_records {shard_records} would cut a block of {BLOCK} records, whose bytes would then depend on "
            f"the cut. Use a multiple of {BLOCK}, such as {below} or {below + BLOCK}"
        )


def plan_shards(records: int, shard_records: int) -> list[Shard]:
    """Cut `records` into shards of `shard_records`, the last one shorter where it must be."""
    check_shard_records(shard_records)
    return [
        Shard(index, start, min(start + shard_records, records))
        for index, start in enumerate(range(0, records, shard_records))
    ]
