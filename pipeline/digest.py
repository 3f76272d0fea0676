"""The content digest: what a dataset says, whatever its layout, engine, shard size, order or file encoding."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.columns import SIGNAL_SHA256

_PIECE_ROWS = 1 << 16


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
    digest = hashlib.sha256()
    for piece in _pieces(table[SIGNAL_SHA256.name]):
        digest.update(bytes.fromhex("".join(piece.to_pylist())))
    return digest.hexdigest()


def table_digest(table: pa.Table) -> str:
    """SHA-256 over the canonical values of every column, in the order of the columns' names."""
    digest = hashlib.sha256()
    for name in sorted(table.column_names):
        column = hashlib.sha256()
        for part in _canonical(_pieces(table[name])):
            column.update(part)
        digest.update(f"{name} {table.num_rows} {column.hexdigest()}\n".encode())
    return digest.hexdigest()


def _pieces(column: pa.ChunkedArray) -> list[pa.Array]:
    """A column cut small: its text as Python's would fill the memory, and Arrow holds no 2 GiB of it in one piece."""
    return [chunk.slice(start, _PIECE_ROWS) for chunk in column.chunks for start in range(0, len(chunk), _PIECE_ROWS)]


def _canonical(pieces: Sequence[pa.Array]) -> Iterable[bytes]:
    """A column as bytes that no encoding changes.

    One byte a value says whether it is there; then come the values, integers as int64, floats as float64 without a
    negative zero, truth values as one byte, strings and lists as their lengths and their parts end to end. What is
    absent is zero or empty.
    """
    pieces = [piece.dictionary_decode() if pa.types.is_dictionary(piece.type) else piece for piece in pieces]
    yield from (np.asarray(piece.is_valid()).astype(np.uint8).tobytes() for piece in pieces)
    kind = pieces[0].type if pieces else pa.null()
    if pa.types.is_integer(kind):
        yield from (_numbers(piece, "<i8") for piece in pieces)
    elif pa.types.is_floating(kind):
        yield from (_numbers(piece, "<f8") for piece in pieces)
    elif pa.types.is_boolean(kind):
        yield from (_numbers(piece.cast(pa.int8()), "u1") for piece in pieces)
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        yield from (_numbers(pc.binary_length(piece), "<i8") for piece in pieces)
        yield from ("".join(value for value in piece.to_pylist() if value is not None).encode() for piece in pieces)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield from (_numbers(pc.list_value_length(piece), "<i8") for piece in pieces)
        yield from _canonical([pc.list_flatten(piece) for piece in pieces])
    elif pieces:
        raise TypeError(f"column type {kind} has no canonical form")


def _numbers(array: pa.Array, dtype: str) -> bytes:
    values = np.asarray(pc.fill_null(array, 0)).astype(dtype)
    return (values + np.zeros(1, dtype=dtype)).tobytes()  # -0.0 + 0.0 is 0.0
