"""The content digest: what a dataset says, whatever its layout, engine, shard size, order or file encoding."""

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.columns import SIGNAL_SHA256


def signal_sha256(signals: NDArray[np.int16]) -> list[str]:
    """SHA-256 of each record's int16 little-endian samples, lead by lead.

    Args:
        signals: (records, 8, 5000) int16, µV.
    """
    records = np.ascontiguousarray(signals, dtype="<i2")
    return [hashlib.sha256(record.data).hexdigest() for record in records]


class Digests(NamedTuple):
    """What a table says, whole and in its two halves."""

    content: str
    """SHA-256 over the other two."""
    signals: str
    """SHA-256 over the records' signal hashes in order."""
    table: str
    """SHA-256 over the canonical values of every column, in the order of the columns' names."""


def digests(table: pa.Table) -> Digests:
    """The digests of a measurement table, sorted by record."""
    signals, rows = _signals_digest(table), table_digest(table)
    return Digests(hashlib.sha256(f"{signals}\n{rows}\n".encode()).hexdigest(), signals, rows)


def _signals_digest(table: pa.Table) -> str:
    hashes: Iterable[str] = table[SIGNAL_SHA256.name].to_pylist()
    return hashlib.sha256(bytes.fromhex("".join(hashes))).hexdigest()


def table_digest(table: pa.Table) -> str:
    """SHA-256 over the canonical values of every column, in the order of the columns' names."""
    digest = hashlib.sha256()
    for name in sorted(table.column_names):
        column = hashlib.sha256()
        for part in _canonical(table[name].combine_chunks()):
            column.update(part)
        digest.update(f"{name} {table.num_rows} {column.hexdigest()}\n".encode())
    return digest.hexdigest()


def _canonical(array: pa.Array) -> Iterable[bytes]:
    """An array as bytes that no encoding changes.

    One byte a value says whether it is there; then come the values, integers as int64, floats as float64 without a
    negative zero, truth values as one byte, strings and lists as their lengths and their parts end to end. What is
    absent is zero or empty.
    """
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    yield np.asarray(array.is_valid()).astype(np.uint8).tobytes()
    if pa.types.is_integer(array.type):
        yield _numbers(array, "<i8")
    elif pa.types.is_floating(array.type):
        yield _numbers(array, "<f8")
    elif pa.types.is_boolean(array.type):
        yield _numbers(array.cast(pa.int8()), "u1")
    elif pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        yield _numbers(pc.binary_length(array), "<i8")
        yield "".join(value for value in array.to_pylist() if value is not None).encode()
    elif pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        yield _numbers(pc.list_value_length(array), "<i8")
        yield from _canonical(pc.list_flatten(array))
    else:
        raise TypeError(f"column type {array.type} has no canonical form")


def _numbers(array: pa.Array, dtype: str) -> bytes:
    values = np.asarray(pc.fill_null(array, 0)).astype(dtype)
    return (values + np.zeros(1, dtype=dtype)).tobytes()  # -0.0 + 0.0 is 0.0
