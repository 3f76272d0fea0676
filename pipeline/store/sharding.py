"""Shard files in the binary format of Zarr v3's codec `sharding_indexed`, one compressed record a chunk.

The chunks end to end, and behind or in front of them the index: an (offset, nbytes) pair of little-endian uint64 a
chunk, both 2^64 - 1 where the chunk is missing, and last the CRC-32C of the pairs as a little-endian uint32.
https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/

zarr-python writes the same bytes, but starts several tasks and a thread's errand for every chunk of one record, which
takes longer than compressing it.
"""

from collections.abc import Sequence

import google_crc32c
import numpy as np
from numcodecs import blosc
from numpy.typing import NDArray
from zarr.codecs import BloscCodec

from pipeline.leads import SAMPLES, STORED_LEADS

# On 512 generated records (benchmarks/codecs.py) level 1 takes 0.17 ms and 36,470 bytes a record, level 3 0.29 ms and
# 36,116: 1 % of the disk for half of the time. Byte shuffle and lz4 make 42,000 bytes, zlib 38,619 in 0.78 ms.
# A record as one block takes 0.15 instead of 0.19 ms, 0.10 instead of 0.15 to decode, and 160 bytes less.
CODEC = BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle", typesize=2, blocksize=2 * len(STORED_LEADS) * SAMPLES)
"""How a record is compressed."""

_MISSING = np.uint64(2**64 - 1)
_CRC_BYTES = 4


def encode_shard(signals: NDArray[np.int16], shard_records: int) -> bytes:
    """Compress records one by one into the content of a shard file.

    It releases the interpreter's lock while it compresses, and gives the same bytes in any number of threads.

    Args:
        signals: (records, 8, 5000) int16, µV.
        shard_records: records a whole shard has; the last one of a dataset has fewer.

    Raises:
        ValueError: for another shape or type, or more records than fit.
    """
    if signals.shape[1:] != (len(STORED_LEADS), SAMPLES) or signals.dtype != np.int16:
        raise ValueError(f"signals are {signals.dtype}{signals.shape}, not int16 (records, 8, 5000)")
    return join_chunks([_compress(signal) for signal in np.ascontiguousarray(signals, dtype="<i2")], shard_records)


def _compress(signal: NDArray[np.int16]) -> bytes:
    chunk: bytes = blosc.compress(
        signal, CODEC.cname.value.encode(), CODEC.clevel, blosc.BITSHUFFLE, CODEC.blocksize, CODEC.typesize
    )
    return chunk


def join_chunks(chunks: Sequence[bytes | memoryview], shard_records: int, *, index_first: bool = False) -> bytes:
    """The content of a shard file.

    Args:
        chunks: compressed records.
        shard_records: records a whole shard has.
        index_first: put the index in front of the records instead of behind them.

    Raises:
        ValueError: when there are more chunks than fit.
    """
    if len(chunks) > shard_records:
        raise ValueError(f"{len(chunks)} records do not fit into a shard of {shard_records}")
    sizes = np.fromiter(map(len, chunks), dtype="<u8", count=len(chunks))
    index = np.full((shard_records, 2), _MISSING, dtype="<u8")
    index[: len(chunks), 0] = np.cumsum(sizes) - sizes + np.uint64(index_first * index_bytes(shard_records))
    index[: len(chunks), 1] = sizes
    pairs = index.tobytes()
    whole_index = [pairs, google_crc32c.value(pairs).to_bytes(_CRC_BYTES, "little")]
    return b"".join([*whole_index, *chunks] if index_first else [*chunks, *whole_index])


def index_bytes(shard_records: int) -> int:
    """Size of a shard's index."""
    return 2 * 8 * shard_records + _CRC_BYTES


def split_shard(content: bytes, shard_records: int) -> list[memoryview]:
    """The compressed records in a shard file's content, without copying them.

    Args:
        content: of the file.
        shard_records: records a whole shard has.

    Raises:
        ValueError: when the index is damaged, or is none of a shard of so many records with the missing ones last.
    """
    index = read_index(content, shard_records)
    present = index[(index != _MISSING).all(axis=1)]
    sizes = present[:, 1]
    packed = np.array_equal(present, index[: len(present)]) and np.array_equal(sizes.cumsum() - sizes, present[:, 0])
    if not packed or sizes.sum() != len(content) - index.nbytes - _CRC_BYTES:
        raise ValueError("the shard's records do not lie end to end")
    view = memoryview(content)
    return [view[offset : offset + nbytes] for offset, nbytes in present.tolist()]


def read_index(content: bytes, shard_records: int) -> NDArray[np.uint64]:
    """The index that content ends with: (shard_records, 2), offset and size of each record in bytes.

    Raises:
        ValueError: when it is cut short or does not have its checksum.
    """
    size = index_bytes(shard_records)
    pairs, checksum = content[-size:-_CRC_BYTES], content[-_CRC_BYTES:]
    if len(pairs) != size - _CRC_BYTES or google_crc32c.value(pairs) != int.from_bytes(checksum, "little"):
        raise ValueError(f"the shard's index of {shard_records} records is damaged")
    return np.frombuffer(pairs, dtype="<u8").reshape(shard_records, 2)
