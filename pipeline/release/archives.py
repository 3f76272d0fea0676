"""A dataset's signals as Zarr stores in stored ZIP archives, which open in place; compressed records are copied."""

import json
import zipfile
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numcodecs import zstd
from numpy.typing import NDArray

from pipeline.dataset import Dataset
from pipeline.progress import tracked
from pipeline.recipe import parse_json
from pipeline.release.manifest import SignalsPart
from pipeline.shards import plan_shards
from pipeline.store.files import all_files
from pipeline.store.place import Place
from pipeline.store.sharding import join_chunks
from pipeline.store.signals import create_store, shard_file
from pipeline.store.subset import committed_chunks, numbered_shards
from pipeline.store.threads import in_threads

SHARD_RECORDS = 128
"""Records a Zarr shard in a release, 4.7 MB. Its index is in front, for Python's zipfile reads all that is before."""

PART_RECORDS = 400 * SHARD_RECORDS
"""Records an archive: at 36 kB each 1.9 GB, and even incompressible ones stay below the 5 GB that OSF takes a file."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The first moment that a ZIP can name."""

_SLACK_BYTES = 4096
"""By which another version's metadata may be longer."""


def archive_name(number: int) -> str:
    """The file of an archive, by its place."""
    return f"signals-{number:03}.zarr.zip"


def write_archives(dataset: Dataset, folder: Path, *, part_records: int = PART_RECORDS) -> list[SignalsPart]:
    """Pack the signals of a dataset or a subset into `folder`, and check every shard of it on the way.

    The same records give the same bytes.

    Args:
        dataset: whose signals.
        folder: where the archives go; its name is that of the dataset in the release.
        part_records: records an archive, in whole shards of `SHARD_RECORDS`.

    Returns:
        The archives in order.

    Raises:
        DatasetError: names the shard file that is missing or damaged.
    """
    chunks, written = _chunks(dataset, folder.name), list[SignalsPart]()
    for number, start in enumerate(range(0, max(1, len(dataset)), part_records)):
        records = np.arange(start, min(start + part_records, len(dataset)))
        path = folder / archive_name(number)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for name, content in _metadata(records):
                _add(archive, name, content)
            for shard, batch in numbered_shards(islice(chunks, len(records)), SHARD_RECORDS):
                _add(archive, f"signal/c/{shard.index}/0/0", join_chunks(batch, SHARD_RECORDS, index_first=True))
        written.append(SignalsPart(file=f"{folder.name}/{path.name}", records=len(records)))
    return written


def _chunks(dataset: Dataset, name: str) -> Iterator[memoryview]:
    """Every compressed record in order; whole shards are read ahead in threads."""
    manifest = dataset.manifest
    shards = plan_shards(len(dataset), manifest.shard_records)

    def read(path: Place) -> Sequence[memoryview]:
        entry = manifest.files[path.relative_to(dataset.folder).as_posix()]
        return committed_chunks(path, entry, manifest.shard_records)

    files = [shard_file(dataset.folder, shard) for shard in shards]
    return chain.from_iterable(in_threads(read, tracked(files, f"packing {name}", "shards")))


def archive_fault(path: Path, records: NDArray[np.int64]) -> str | None:
    """What is wrong with an archive but for its shards: a wrong name, shape, unit, lead or record number misleads.

    Another version of Zarr may write and compress the same metadata in other words.

    Args:
        path: its file.
        records: (n,) numbers of its records.

    Raises:
        OSError, ValueError, RuntimeError, zipfile.BadZipFile: when it cannot be read.
    """
    shards = [f"signal/c/{shard.index}/0/0" for shard in plan_shards(len(records), SHARD_RECORDS)]
    expected = dict(_metadata(records))
    with zipfile.ZipFile(path) as archive:
        if sorted(archive.namelist()) != sorted([*expected, *shards]):
            return f"has other members than an archive of {len(records)} records"
        for name, content in expected.items():
            member = archive.getinfo(name)
            if member.compress_type != zipfile.ZIP_STORED or member.file_size > 2 * len(content) + _SLACK_BYTES:
                return f"has a {name} that is compressed or far too large"
            found = archive.read(member)
            if found != content and _meaning(name, found, content) != _meaning(name, content, content):
                return f"has another {name} than an archive of its records"
    return None


def _meaning(name: str, content: bytes, ours: bytes) -> Any:  # noqa: ANN401 - what JSON holds, or bytes
    """What a metadata document says, or what a chunk unpacks to, which is never more than ours does."""
    if name.endswith(".json"):
        document = parse_json(content.decode("utf-8"))
        return {key: document.get(key) for key in json.loads(ours)} if isinstance(document, dict) else None
    unpacked: bytes = zstd.decompress(content, bytearray(len(zstd.decompress(ours))))
    return unpacked


def _metadata(records: NDArray[np.int64]) -> Iterator[tuple[str, bytes]]:
    """Everything of a store but its shards, as Zarr writes it."""
    with TemporaryDirectory() as temporary:
        store = Path(temporary) / "store"
        create_store(store, len(records), SHARD_RECORDS, records, index_first=True)
        for file in all_files(store):
            yield file.relative_to(store).as_posix(), file.read_bytes()


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.external_attr = 0o644 << 16
    archive.writestr(info, content)
