"""Some records of a dataset as a store of their own: compressed records are copied as they are."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DatasetError
from pipeline.progress import tracked
from pipeline.shards import Shard
from pipeline.store.files import FileEntry, content_entry, read_verified
from pipeline.store.place import Place
from pipeline.store.sharding import join_chunks, split_shard
from pipeline.store.signals import create_signals, shard_file
from pipeline.store.threads import in_threads


def write_subset(
    source: Place, entries: Mapping[Shard, FileEntry], records: NDArray[np.int64], folder: Place, shard_records: int
) -> dict[Place, FileEntry]:
    """Write a dense, shard-aligned store of some records of another, and check every shard of that one on the way.

    It is for the caller to push the new folder to the disk, as a whole: file by file takes longer.

    Args:
        source: the dataset's folder to take them from.
        entries: its shards in order, and what their files have to be.
        records: their numbers, ascending.
        folder: the dataset's folder to write, with no signals in it.
        shard_records: records a Zarr shard, in both.

    Returns:
        The shard files written.

    Raises:
        DatasetError: names the shard that is missing or damaged.
    """

    def read(shard: Shard) -> list[memoryview]:
        chunks = committed_chunks(shard_file(source, shard), entries[shard], shard_records)
        first, last = np.searchsorted(records, (shard.start, shard.stop))
        return [chunks[record - shard.start] for record in records[first:last].tolist()]

    def write(numbered: tuple[Shard, list[memoryview]]) -> tuple[Place, FileEntry]:
        shard, chunks = numbered
        path, content = shard_file(folder, shard), join_chunks(chunks, shard_records)
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        return path, content_entry(content)

    create_signals(folder, len(records), shard_records)
    copied = chain.from_iterable(in_threads(read, tracked(list(entries), "copying records", "shards")))
    return dict(in_threads(write, numbered_shards(copied, shard_records)))


def committed_chunks(path: Place, entry: FileEntry, shard_records: int) -> list[memoryview]:
    """The compressed records of a shard file that is what its entry says.

    Raises:
        DatasetError: when it is missing or damaged.
    """
    content = read_verified(path, entry)
    try:
        return split_shard(content, shard_records)
    except ValueError as error:
        raise DatasetError(f"{path} cannot be read: {error}. Build into a new folder") from error


def numbered_shards(chunks: Iterable[memoryview], shard_records: int) -> Iterator[tuple[Shard, list[memoryview]]]:
    """Shards of so many records until there are no more chunks."""
    chunks, start = iter(chunks), 0
    while batch := list(islice(chunks, shard_records)):
        yield Shard(start // shard_records, start, start + len(batch)), batch
        start += len(batch)
