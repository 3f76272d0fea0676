"""A dataset may come from anyone: its files are held against what they have to be before anything is made of them."""

import os
import struct
from typing import BinaryIO

import numpy as np
from numcodecs import blosc
from numpy.typing import NDArray

from pipeline.errors import DatasetError
from pipeline.leads import SAMPLES, STORED_LEADS
from pipeline.store.place import BucketPath, Place
from pipeline.store.sharding import index_bytes, read_index

_RECORD_BYTES = 2 * len(STORED_LEADS) * SAMPLES
MOST_CHUNK_BYTES = _RECORD_BYTES + blosc.MAX_OVERHEAD


def check_plain(folder: Place, path: Place) -> None:
    """Refuse what is no regular file of a dataset's own: a link may lead anywhere, and a FIFO is never read to its end.

    Args:
        folder: the dataset's, which may itself be given by a link.
        path: of a file below it.

    Raises:
        DatasetError: names the file.
    """
    if isinstance(path, BucketPath):
        if not path.is_file():
            raise DatasetError(f"{path} is missing. Run its build again to repair it")
        return
    own = os.path.join(os.path.realpath(folder), path.relative_to(folder))  # noqa: PTH118 - as realpath gives it
    if not os.path.lexists(path):
        raise DatasetError(f"{path} is missing. Run its build again to repair it")
    if os.path.realpath(path) != own:
        raise DatasetError(
            f"{path} is a symbolic link or behind one, of which a dataset has none. Put the file itself in its place"
        )
    if not path.is_file():
        raise DatasetError(f"{path} is no regular file. Run the build of its dataset again")


def read_records(
    file: BinaryIO, shard_records: int, start: int, stop: int, *, index_first: bool = False
) -> NDArray[np.int16]:
    """Some records of a shard, each of which is decoded only if it is as large as a record is.

    A decoder takes a chunk's word for how much it reads and writes: 2 GB for one of 50 bytes, or beyond its end.

    Args:
        file: the shard file, opened.
        shard_records: records a whole shard has.
        start: place of the first record in the shard.
        stop: one past the last.
        index_first: whether the index is in front of the records.

    Returns:
        (stop - start, 8, 5000) int16, µV.

    Raises:
        OSError: when the file cannot be read.
        ValueError: when it is damaged; `read_index` and this say where.
    """
    signals = np.empty((stop - start, len(STORED_LEADS), SAMPLES), np.int16)
    size = file.seek(0, os.SEEK_END)
    file.seek(0 if index_first else max(0, size - index_bytes(shard_records)))
    index = read_index(file.read(index_bytes(shard_records)), shard_records)[start:stop].tolist()
    for record, (offset, nbytes) in enumerate(index, start):
        if nbytes > MOST_CHUNK_BYTES or offset + nbytes > size:
            raise ValueError(f"place {record} holds no record")
        file.seek(offset)
        signals[record - start] = _decoded(file.read(nbytes), record)
    return signals


def _decoded(chunk: bytes, record: int) -> NDArray[np.int16]:
    # Blosc 1's header: two versions, flags, size of a number; then nbytes, blocksize and cbytes as uint32.
    nbytes, _, cbytes = struct.unpack_from("<3I", chunk, 4) if len(chunk) >= 16 else (0, 0, 0)
    if nbytes != _RECORD_BYTES or cbytes != len(chunk):
        raise ValueError(f"place {record} holds a chunk of {len(chunk)} bytes that is no record")
    try:
        decoded = blosc.decompress(chunk)
    except RuntimeError as error:
        raise ValueError(f"the record at place {record} does not decode") from error
    return np.frombuffer(decoded, "<i2").reshape(len(STORED_LEADS), SAMPLES)
