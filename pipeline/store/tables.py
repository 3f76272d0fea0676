"""Measurement tables as Parquet, with units and descriptions on every field."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import DatasetError
from pipeline.store.files import replacing

MEASUREMENTS = "measurements.parquet"


def write_table(path: Path, table: pa.Table, schema: pa.Schema) -> None:
    """Write a table durably and in one step, in exactly the given schema."""
    ordered = pa.table([table[name] for name in schema.names], schema=schema)
    with replacing(path) as temporary:
        pq.write_table(
            ordered,
            temporary,
            compression="zstd",
            row_group_size=65_536,
            write_page_index=True,
            sorting_columns=[pq.SortingColumn(0)],
        )


def write_part(path: Path, table: pa.Table, schema: pa.Schema) -> None:
    """Write a shard's rows durably and in one step, to be read once and joined.

    Without dictionaries, statistics and a slow codec a part of 256 rows and 146 columns takes 2.8 ms instead of 19 to
    write, 1.9 ms instead of 18 to read, and 733 bytes a row instead of 663.
    """
    ordered = pa.table([table[name] for name in schema.names], schema=schema)
    with replacing(path) as temporary:
        pq.write_table(ordered, temporary, compression="snappy", use_dictionary=False, write_statistics=False)


def count_values(column: pa.ChunkedArray) -> dict[str, int]:
    """How often each value of a string column occurs; a missing one counts under `none`."""
    return dict(sorted((count["values"] or "none", count["counts"]) for count in pc.value_counts(column).to_pylist()))


def read_columns(path: Path) -> list[str]:
    """The names of a table's columns.

    Raises:
        DatasetError: when the file is missing or damaged.
    """
    with _readable(path):
        names: list[str] = pq.read_schema(path).names
    return names


def read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a measurement table, or some of its columns.

    Raises:
        DatasetError: when the file is missing, damaged, or lacks a column.
    """
    with _readable(path):
        return pq.read_table(path, columns=columns, partitioning=None)


def parse_table(content: bytes) -> pa.Table:
    """A table from the content of its Parquet file, in the calling thread alone."""
    return pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise DatasetError(f"{path} cannot be read: {reason}. Run build again on its dataset to repair it") from error
