"""A finished dataset: its manifest, its signals and its table."""

import os
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline.digest import digests
from pipeline.errors import DatasetError, InputError
from pipeline.recipe import MOST_RECORDS, Recipe
from pipeline.shards import MOST_SHARDS
from pipeline.store.documents import Document, Sha256, ShardRecords, Words, read_document
from pipeline.store.files import FileEntry
from pipeline.store.ledger import Plan, plan_file
from pipeline.store.place import BucketPath, Place, place_of
from pipeline.store.signals import SIGNALS, open_signals, read_signals
from pipeline.store.tables import MEASUREMENTS, count_values, read_table

MANIFEST = "dataset.json"

_Name = Annotated[str, Field(pattern=r"^[\w.-]*[\w-][\w.-]*(/[\w.-]*[\w-][\w.-]*)*$")]
"""A file's path in the folder, and never out of it: no part of it is empty or of dots alone."""
_Count = Annotated[int, Field(ge=0, le=MOST_RECORDS)]


class Provenance(BaseModel):
    """Where and with what a dataset was made; nothing here changes what it says."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    software: Words = Field(description="name and version of this program")
    devices: list[Words]
    instruction_sets: list[Words] = Field(description="classes within which the bytes are identical")
    versions: dict[Words, Words] = Field(description="libraries that took part, and Python")
    finished_at: datetime = Field(strict=False)


class Manifest(Document):
    """`dataset.json`, written last: what a dataset is, and the hash of every other file in its folder."""

    kind: Literal["dataset", "subset"]
    recipe: Recipe
    lineage_digest: Sha256
    generation_version: str
    measurement_version: str
    rule_set: str
    shard_records: ShardRecords
    records: int = Field(
        ge=0, le=MOST_RECORDS, description="records in this folder; a subset has fewer than its recipe"
    )
    content_digest: Sha256
    signals_digest: Sha256
    table_digest: Sha256
    verdicts: dict[Words, _Count] = Field(description="records by verdict")
    statuses: dict[Words, _Count] = Field(description="records by measurement status")
    source_content_digest: Sha256 | None = Field(default=None, description="of the dataset a subset was taken from")
    provenance: Provenance | None = Field(default=None, description="absent from a subset, which has its source's")
    files: dict[_Name, FileEntry] = Field(description="every other file, by its path in the folder")

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.records > MOST_SHARDS * self.shard_records:
            raise ValueError(f"{self.records} records in shards of {self.shard_records} are too many")
        if sum(self.verdicts.values()) != self.records:
            raise ValueError(f"it has verdicts on {sum(self.verdicts.values())} of {self.records} records")
        return self


def describe(kind: Literal["dataset", "subset"], plan: Plan, table: pa.Table) -> Manifest:
    """What a table and the plan it was built by say of a dataset; its files and provenance are still to be added."""
    found = digests(table)
    return Manifest(
        kind=kind,
        recipe=plan.recipe,
        lineage_digest=plan.lineage_digest(),
        generation_version=plan.generation_version,
        measurement_version=plan.measurement_version,
        rule_set=plan.rule_set,
        shard_records=plan.shard_records,
        records=table.num_rows,
        content_digest=found.content,
        signals_digest=found.signals,
        table_digest=found.table,
        verdicts=count_values(table["verdict"]),
        statuses=count_values(table["status"]),
        files={},
    )


def plan_of(manifest: Manifest) -> Plan:
    """The plan that a dataset was built by."""
    return Plan(
        recipe=manifest.recipe,
        generation_version=manifest.generation_version,
        measurement_version=manifest.measurement_version,
        rule_set=manifest.rule_set,
        shard_records=manifest.shard_records,
    )


class Dataset:
    """A finished dataset, or a subset of one, opened for reading."""

    def __init__(self, folder: Place, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest

    def __len__(self) -> int:
        """Number of records."""
        return self.manifest.records

    @property
    def signals(self) -> Any:  # noqa: ANN401 - zarr's array type is generic over its metadata
        """The lazy Zarr array (records, 8, 5000), int16, µV.

        Raises:
            DatasetError: when it is no such array.
        """
        array = open_signals(self.folder)
        if array.shape[0] != len(self):
            raise DatasetError(
                f"{self.folder} has signals of {array.shape[0]} records, not {len(self)}. Run its build again"
            )
        return array

    def signal(self, record: int) -> NDArray[np.int16]:
        """One record's signals, (8, 5000) int16, µV, leads in the order of `STORED_LEADS`.

        Raises:
            DatasetError: when there is no such record.
        """
        if not 0 <= record < len(self):
            its = f"Its records are 0 to {len(self) - 1}" if len(self) else "It is empty"
            raise DatasetError(f"{self.folder} has no record {record}. {its}")
        signal: NDArray[np.int16] = self.read(record, record + 1)[0]
        return signal

    def read(self, start: int, stop: int) -> NDArray[np.int16]:
        """The signals of records start ≤ i < stop, (stop - start, 8, 5000) int16, µV.

        Raises:
            DatasetError: when they are missing or do not decode.
        """
        return read_signals(self.folder, start, stop)

    def measurements(self, columns: list[str] | None = None) -> pa.Table:
        """The measurement table, sorted by record, or some of its columns.

        Raises:
            DatasetError: when it cannot be read, lacks a column or has not a row for every record.
        """
        return read_table(self.folder / MEASUREMENTS, columns, records=len(self))

    def source_record(self, record: int) -> int:
        """The number under which a record was generated: its own, or in a subset its `source_record_id`."""
        if self.manifest.kind == "dataset":
            return record
        number = self.measurements(["source_record_id"]).column(0)[record].as_py()
        if number is None or not 0 <= number < self.manifest.recipe.records:
            raise DatasetError(
                f"{self.folder} gives {number} as the source of record {record}. Run its build again to repair it"
            )
        return int(number)


def open_dataset(url: str | Place) -> Dataset:
    """Open a finished dataset folder, or the `normal` folder inside one.

    Args:
        url: the folder, or its address in a bucket, such as `s3://bucket/prefix`.

    Raises:
        DatasetError: when it holds no finished dataset.
    """
    folder = place_of(url)
    if isinstance(folder, BucketPath):
        folder.check()
    try:
        finished, unfinished = (folder / MANIFEST).is_file(), plan_file(folder).is_file()
    except OSError as error:
        raise DatasetError(f"{folder} cannot be read: {error.strerror}. Give the folder that a build wrote") from error
    if not finished:
        state = "is not finished" if unfinished else "holds no dataset"
        remedy = "Run the same build again to finish it" if unfinished else "Give the folder that a build wrote"
        raise DatasetError(f"{folder} {state}: there is no {MANIFEST}. {remedy}")
    return Dataset(folder, read_document(folder / MANIFEST, Manifest))


def check_output(out: Path, source: Place) -> None:
    """Refuse to write a single file where it would harm what is there.

    Args:
        out: the file to write.
        source: what it is made from; out may replace neither it nor a file in it.

    Raises:
        InputError: names what is in the way.
    """
    path = out.absolute()
    real = Path(os.path.realpath(out))  # `resolve` has its own error for a loop
    given = source if isinstance(source, BucketPath) else Path(os.path.realpath(source))
    remedy = "Choose another place for the output"
    try:
        path.exists()
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}. {remedy}") from error
    if not path.parent.is_dir():
        raise InputError(f"{path.parent} is no folder. Make it, or choose another place for the output")
    if os.path.lexists(path) and not path.is_file():
        raise InputError(f"{path} is there and is no file. {remedy}")
    if path.exists() and (
        (isinstance(source, Path) and source.exists() and path.samefile(source)) or given in real.parents
    ):
        raise InputError(f"{path} is part of the input. {remedy}")
    check_outside(path)


def check_outside(out: Place) -> None:
    """Refuse to write anything into a dataset.

    Args:
        out: the file or folder to write, which may itself be a dataset.

    Raises:
        InputError: names the dataset that is above it.
    """
    real = out if isinstance(out, BucketPath) else Path(os.path.realpath(out))
    for parent in [parent for parent in real.parents if len(parent.parts) > 1]:
        if plan_file(parent).exists() or ((parent / MANIFEST).exists() and (parent / SIGNALS).exists()):
            raise InputError(
                f"{parent} is a dataset, in which a foreign file is damage. Choose another place for the output"
            )
