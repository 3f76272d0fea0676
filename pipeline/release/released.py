"""A release, read as the dataset that it was made from."""

import zipfile
from collections.abc import Iterator
from io import BytesIO
from itertools import accumulate
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.columns import SUBSET_SCHEMA, TABLE_SCHEMA
from pipeline.dataset import Dataset, Manifest
from pipeline.errors import DatasetError
from pipeline.leads import SAMPLES, STORED_LEADS
from pipeline.release.archives import SHARD_RECORDS, archive_name
from pipeline.release.manifest import RELEASE_MANIFEST, ReleaseManifest, SignalsPart
from pipeline.shards import MOST_SHARD_RECORDS, plan_shards
from pipeline.store.documents import read_document
from pipeline.store.outside import MOST_CHUNK_BYTES, check_plain, read_records
from pipeline.store.place import Place
from pipeline.store.tables import MEASUREMENTS, read_table

AGAIN = "Get the release again"
_MOST_SHARD_BYTES = SHARD_RECORDS * (MOST_CHUNK_BYTES + 16) + 4


def is_release(folder: Place) -> bool:
    """Whether a folder is a release, or the remains of one; what cannot be looked into is none."""
    try:
        return (folder / RELEASE_MANIFEST).exists()
    except OSError:
        return False


def read_release(folder: Place) -> ReleaseManifest:
    """What a release says of itself.

    Raises:
        DatasetError: when the folder holds none.
    """
    return read_document(folder / RELEASE_MANIFEST, ReleaseManifest, remedy=AGAIN)


def check_contents(folder: Path, release: ReleaseManifest) -> None:
    """Refuse what no release says of itself: other files than its own, or counts that contradict each other.

    Args:
        folder: the release.
        release: what it says of itself.

    Raises:
        DatasetError: names the first that is wrong.
    """
    problem = next(_contradictions(release), None)
    if problem is not None:
        raise DatasetError(f"{folder / RELEASE_MANIFEST} {problem}. {AGAIN}")


def _contradictions(release: ReleaseManifest) -> Iterator[str]:
    if release.datasets.keys() != {"all", "normal"}:
        yield "does not describe all/ and normal/"
        return
    for name, contents in release.datasets.items():
        names = [f"{name}/{archive_name(number)}" for number in range(len(contents.signals))]
        if contents.table != f"{name}/{MEASUREMENTS}" or [part.file for part in contents.signals] != names:
            yield f"names other files for {name}/ than a release has"
        for what, counts in (
            ("archives", [part.records for part in contents.signals]),
            ("verdicts", contents.verdicts.values()),
            ("statuses", contents.statuses.values()),
        ):
            if sum(counts) != contents.records:
                yield f"has {what} of {sum(counts)} records in {name}/, not {contents.records}"
    everything, normal = release.datasets["all"], release.datasets["normal"]
    if everything.records != release.recipe.records:
        yield f"has {everything.records} records by a recipe of {release.recipe.records}"
    if {everything.verdicts.get("Normal", 0), normal.verdicts.get("Normal", 0)} != {normal.records}:
        yield "has other records in normal/ than those with the verdict Normal"


def open_release(folder: Path) -> "ReleasedDataset":
    """All records of a release, as the dataset that they were.

    Raises:
        DatasetError: when the folder holds none.
    """
    return ReleasedDataset(folder, read_release(folder), "all")


class ReleasedDataset(Dataset):
    """One of the two datasets of a release; it is numbered, and has the columns, as where it came from."""

    folder: Path

    def __init__(self, folder: Path, release: ReleaseManifest, name: Literal["all", "normal"]) -> None:
        """Open it.

        Args:
            folder: the release.
            release: what it says of itself.
            name: which of the two.

        Raises:
            DatasetError: when the release contradicts itself.
        """
        check_contents(folder, release)
        self.contents = release.datasets[name]
        self._normal = name == "normal"
        about = release.model_dump(include=set(Manifest.model_fields) & set(ReleaseManifest.model_fields) - {"kind"})
        own = self.contents.model_dump(include=set(Manifest.model_fields))
        kind = "subset" if self._normal else "dataset"
        manifest = Manifest.model_validate(
            about | own | {"kind": kind, "shard_records": MOST_SHARD_RECORDS, "files": {}, "sealed_by": ""}
        )
        super().__init__(folder, manifest)

    def released_rows(self) -> pa.Table:
        """The table as it lies in the release, of `RELEASE_SCHEMA` if it is whole.

        Raises:
            DatasetError: when it cannot be read or has not a row for every record.
        """
        return self._read_table(None)

    def measurements(self, columns: list[str] | None = None) -> pa.Table:
        """The columns that the dataset had from which the release was made, or some of them.

        Raises:
            DatasetError: when it cannot be read, lacks a column or has not a row for every record.
        """
        schema = SUBSET_SCHEMA if self._normal else TABLE_SCHEMA
        return self._read_table(columns or schema.names)

    def _read_table(self, columns: list[str] | None) -> pa.Table:
        return read_table(self.folder / self.contents.table, columns, records=len(self))

    def read(self, start: int, stop: int) -> NDArray[np.int16]:
        """The signals of records start ≤ i < stop, (stop - start, 8, 5000) int16, µV.

        Raises:
            DatasetError: when they are missing or do not decode.
        """
        ends = list(accumulate(part.records for part in self.contents.signals))
        read = [
            _read(
                self.folder,
                part,
                max(start, end - part.records) - end + part.records,
                min(stop, end) - end + part.records,
            )
            for part, end in zip(self.contents.signals, ends, strict=True)
            if start < end and stop > end - part.records
        ]
        return np.concatenate([np.empty((0, len(STORED_LEADS), SAMPLES), np.int16), *read])


def _read(folder: Path, part: SignalsPart, start: int, stop: int) -> NDArray[np.int16]:
    """Some records of one archive, numbered from its first."""
    path = folder / part.file
    check_plain(folder, path)
    try:
        with zipfile.ZipFile(path) as archive:
            return np.concatenate(
                [
                    read_records(
                        BytesIO(_member(archive, shard.index)),
                        SHARD_RECORDS,
                        max(start, shard.start) - shard.start,
                        min(stop, shard.stop) - shard.start,
                        index_first=True,
                    )
                    for shard in plan_shards(part.records, SHARD_RECORDS)
                    if shard.start < stop and shard.stop > start
                ]
            )
    except (OSError, KeyError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile) as error:
        raise DatasetError(f"{path} cannot be read: {error}. {AGAIN}") from error


def _member(archive: zipfile.ZipFile, index: int) -> bytes:
    """A shard's content, which is not compressed again and so no larger than it says."""
    member = archive.getinfo(f"signal/c/{index}/0/0")
    if member.compress_type != zipfile.ZIP_STORED or member.file_size > _MOST_SHARD_BYTES:
        raise ValueError(f"{member.filename} is no shard of {SHARD_RECORDS} records")
    return archive.read(member)
