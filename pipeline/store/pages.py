"""What a Parquet file's pages claim, read before Arrow unpacks them: 100 kB can be gigabytes.

A footer says little of how large its columns become, and Arrow takes a page's word for how many numbers a list has and
how many bytes it unpacks to. Footer and page headers are structs of Thrift's compact protocol:
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md and, for what the fields mean,
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

import os
from typing import Any, BinaryIO

from pipeline.errors import DatasetError
from pipeline.store.outside import check_plain
from pipeline.store.place import Place

_LIST_VALUES = 256
"""Values that a row may have in one column. The longest lists are R peaks, in 10 s not a tenth of that."""
_ROW_BYTES = 8192
"""Ten times what a row has, unpacked."""
_BESIDES_BYTES = 1 << 22
"""Of dictionaries and empty pages besides."""
_MOST_FOOTER_BYTES = 1 << 26
_MOST_HEADER_BYTES = 1 << 16
"""With the smallest and the largest value of the page, whose texts are short."""
_DEEPEST = 32

_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _, _STRUCT = range(1, 13)
_Fields = dict[tuple[int, int], Any]
"""A struct's values by number and type: one of another type is no such field."""


def check_pages(folder: Place, path: Place) -> None:
    """Refuse a table that would unpack to more than its rows can be.

    Args:
        folder: the dataset's or the release's.
        path: of a Parquet file in it.

    Raises:
        DatasetError: when it is damaged, or claims what no table of measurements has.
    """
    check_plain(folder, path)
    try:
        with path.open("rb") as file:
            _check(file)
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise DatasetError(f"{path} cannot be read: {_reason(error)}. Get it again, or run its build again") from error


def _reason(error: Exception) -> str:
    return "its footer or a page is damaged" if isinstance(error, LookupError) else str(error)


def _check(file: BinaryIO) -> None:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 8))
    tail = file.read(8)
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != b"PAR1" or length > min(size - 8, _MOST_FOOTER_BYTES):
        raise ValueError("it has no Parquet footer")
    file.seek(size - 8 - length)
    footer, _ = _struct(file.read(length), 0)
    if not footer.get((6, _BINARY), b"").startswith(b"parquet-cpp-arrow"):  # another's offsets are read otherwise
        raise ValueError("Arrow did not write it")
    rows, unpacked = footer[3, _I64], 0
    for group in footer.get((4, _LIST), []):
        for chunk in group[1, _LIST]:
            column = chunk[3, _STRUCT]
            values, its_bytes = _pages(file, column)
            unpacked += its_bytes
            if values > rows * _LIST_VALUES or unpacked > _BESIDES_BYTES + rows * _ROW_BYTES:
                raise ValueError(f"it unpacks to more than {rows} rows of measurements can be")


def _pages(file: BinaryIO, column: _Fields) -> tuple[int, int]:
    """The values and bytes that a column's pages claim together: dictionary, then data, from the first to the last."""
    if column[5, _I64] <= 0:  # of which no page is read, and none need be where it says
        return 0, 0
    data, dictionary = column[9, _I64], column.get((11, _I64), 0)
    at = min(data, dictionary) if dictionary > 0 else data
    stop, values, unpacked = at + column[7, _I64], 0, 0
    while at < stop:
        file.seek(at)
        header, length = _struct(file.read(min(_MOST_HEADER_BYTES, stop - at)), 0)
        claimed = [header[kind, _STRUCT][1, _I32] for kind in (5, 7, 8) if (kind, _STRUCT) in header]
        sizes = header[2, _I32], header[3, _I32]
        if min(at, *sizes, *claimed) < 0:
            raise ValueError("a page has a negative size")
        values, unpacked, at = values + sum(claimed), unpacked + sizes[0], at + length + sizes[1]
    return values, unpacked


def _struct(content: bytes, at: int, depth: int = 0) -> tuple[_Fields, int]:
    """The fields of a struct that begins at a place, and where it ends."""
    if depth > _DEEPEST:
        raise ValueError("its footer is nested too deeply")
    fields, number = _Fields(), 0
    while content[at]:
        kind, step = content[at] & 15, content[at] >> 4
        at += 1
        if step:
            number += step
        else:
            number, at = _integer(content, at)
        if any(known == number for known, _ in fields):  # of which another reader might take the other
            raise ValueError("its footer gives a field twice")
        fields[number, kind], at = _value(content, at, kind, depth)
    return fields, at + 1


def _value(content: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind in {_TRUE, _FALSE}:
        return kind == _TRUE, at
    if kind in {_I16, _I32, _I64}:
        return _integer(content, at)
    if kind in {_BYTE, _DOUBLE, _BINARY}:
        length, at = _varint(content, at) if kind == _BINARY else (1 if kind == _BYTE else 8, at)
        if at + length > len(content):
            raise ValueError("its footer is cut short")
        return content[at : at + length], at + length
    if kind in {_LIST, _SET}:
        return _list(content, at, depth)
    if kind == _STRUCT:
        return _struct(content, at, depth + 1)
    raise ValueError("its footer has a field of no known type")  # Parquet has no maps


def _list(content: bytes, at: int, depth: int) -> tuple[list[Any], int]:
    count, kind = content[at] >> 4, content[at] & 15
    at += 1
    if count == 15:  # the length follows
        count, at = _varint(content, at)
    if count > len(content) - at:
        raise ValueError("its footer is cut short")
    values = list[Any]()
    for _ in range(count):
        value, at = (content[at], at + 1) if kind in {_TRUE, _FALSE} else _value(content, at, kind, depth + 1)
        values.append(value)
    return values, at


def _integer(content: bytes, at: int) -> tuple[int, int]:
    """A zigzag number."""
    value, at = _varint(content, at)
    return value >> 1 ^ -(value & 1), at


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (content[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if content[at - 1] < 128:
            return value, at
        if shift > 63:
            raise ValueError("its footer has a number without end")
