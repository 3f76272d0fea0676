"""Measurement tables as Parquet, with units and descriptions on every field."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
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


def count_values(column: pa.ChunkedArray) -> dict[str, int]:
    """How often each value of a string column occurs; a missing one counts under `none`."""
    return dict(sorted(Counter(value or "none" for value in column.to_pylist()).items()))


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


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise DatasetError(f"{path} cannot be read: {reason}. Run build again on its dataset to repair it") from error
