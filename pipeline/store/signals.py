"""Signals as a Zarr v3 array `signal[record, lead, sample]`, int16 µV, one record a chunk."""

from pathlib import Path

import numpy as np
import zarr
from numpy.typing import NDArray
from obstore.store import S3Store
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, ShardingCodec, ShardingCodecIndexLocation
from zarr.core.array import ShardsConfigParam
from zarr.core.common import JSON
from zarr.core.metadata import ArrayV3Metadata
from zarr.storage import ObjectStore

from pipeline.errors import DatasetError
from pipeline.leads import SAMPLES, SAMPLING_RATE_HZ, STORED_LEADS
from pipeline.shards import MOST_SHARD_RECORDS, Shard
from pipeline.store.files import (
    TEMPORARY,
    FileEntry,
    content_entry,
    is_temporary,
    make_folders,
    remove,
    replacing,
    updating,
)
from pipeline.store.outside import check_plain, read_records
from pipeline.store.place import BucketPath, Place
from pipeline.store.sharding import CODEC, split_shard

SIGNALS = "signals.zarr"
_MOST_METADATA_BYTES = 1 << 16
_KEYS = {"name": "default", "configuration": {"separator": "/"}}
_ATTRIBUTES: dict[str, JSON] = {
    "units": "uV",
    "sampling_rate_hz": SAMPLING_RATE_HZ,
    "long_name": "synthetic electrocardiogram, not for clinical use",
}


def create_signals(folder: Place, records: int, shard_records: int) -> None:
    """Write the store's metadata and its lead names; the signals in it stay, and so does what is there already.

    Args:
        folder: the dataset's folder.
        records: length of the record dimension.
        shard_records: records a Zarr shard.
    """
    with updating(folder / SIGNALS) as temporary:
        create_store(temporary, records, shard_records)


def create_store(
    store: Path,
    records: int,
    shard_records: int,
    record_ids: NDArray[np.int64] | None = None,
    *,
    index_first: bool = False,
) -> None:
    """Write the metadata and lead names of a store by itself.

    Args:
        store: folder to make.
        records: length of the record dimension.
        shard_records: records a Zarr shard.
        record_ids: (records,) their numbers as a coordinate, where they are not 0, 1, 2 and so on.
        index_first: whether a shard's index is in front of its records.
    """
    group, signal = zarr.create_group(store, zarr_format=3), (len(STORED_LEADS), SAMPLES)
    location = ShardingCodecIndexLocation.start if index_first else ShardingCodecIndexLocation.end
    shards: ShardsConfigParam = {"shape": (shard_records, *signal), "index_location": location}
    coordinates: dict[str, JSON] = {} if record_ids is None else {"coordinates": "record_id"}  # as xarray reads it
    group.create_array(
        "signal",
        shape=(records, *signal),
        shards=shards,
        chunks=(1, *signal),
        dtype="int16",
        fill_value=0,
        dimension_names=["record", "lead", "sample"],
        compressors=CODEC,
        attributes=_ATTRIBUTES | coordinates,
    )
    lead = group.create_array("lead", shape=(len(STORED_LEADS),), dtype=str, dimension_names=["lead"])
    lead[:] = np.array(STORED_LEADS, dtype=np.dtypes.StringDType())
    if record_ids is not None:
        ids = group.create_array(
            "record_id", shape=(records,), chunks=(max(1, records),), dtype="int64", dimension_names=["record"]
        )
        ids[:] = record_ids


def metadata_files(folder: Place) -> set[Place]:
    """Every file of the store that holds no shard."""
    store = folder / SIGNALS
    return {
        store / "zarr.json",
        store / "signal" / "zarr.json",
        store / "lead" / "zarr.json",
        store / "lead" / "c" / "0",
    }


def shard_file(folder: Place, shard: Shard) -> Place:
    """The one file that holds a shard's signals."""
    return _shard_path(folder, shard.index)


def _shard_path(folder: Place, index: int) -> Place:
    return folder / SIGNALS / "signal" / "c" / str(index) / "0" / "0"


def write_shard(folder: Place, shard: Shard, content: bytes) -> FileEntry:
    """Write one whole shard durably and in one step.

    Args:
        folder: the dataset's folder.
        shard: its place.
        content: what `encode_shard` made of its signals.

    Returns:
        The entry of the file written.

    Raises:
        ValueError: when the content is not exactly one whole shard. A part of one would have to be read, joined and
            written back, and two workers doing so lose each other's records in silence (zarr-python#3682).
    """
    array = _signal_array(folder)
    size = array.shards[0] if array.shards else 0
    aligned = shard.start == shard.index * size and shard.stop == min(shard.start + size, array.shape[0])
    if not aligned or len(split_shard(content, size)) != len(shard):
        raise ValueError(
            f"{shard} is not one whole shard of {size} records of {array.shape}: write whole, aligned shards only"
        )
    path = shard_file(folder, shard)
    make_folders(folder, path.parent)
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return content_entry(content)


def read_signals(folder: Place, start: int, stop: int) -> NDArray[np.int16]:
    """Signals of records start ≤ i < stop, shape (stop - start, 8, 5000), int16, µV.

    Raises:
        DatasetError: when they are missing or do not decode.
    """
    array = open_signals(folder)
    if not 0 <= start <= stop <= array.shape[0]:
        raise DatasetError(f"{folder / SIGNALS} ends at record {array.shape[0]}. Run its build again to repair it")
    size = (array.shards or (1,))[0]
    signals = np.empty((stop - start, *array.shape[1:]), np.int16)
    for first in range(start - start % size, stop, size):
        path = _shard_path(folder, first // size)
        check_plain(folder, path)  # Zarr would read a missing one as zeros
        begin, end = max(start, first), min(stop, first + size)
        try:
            with path.open("rb") as file:
                signals[begin - start : end - start] = read_records(file, size, begin - first, end - first)
        except (OSError, ValueError) as error:
            raise DatasetError(f"{path} cannot be read: {error}. Run its build again to repair it") from error
    return signals


def remove_unfinished(folder: Place) -> None:
    """Remove what a killed process left half-written; in a bucket nothing is."""
    if isinstance(folder, BucketPath):
        return
    for path in [path for path in folder.rglob(f".*{TEMPORARY}") if is_temporary(path.name)]:
        remove(path)


def open_signals(folder: Place) -> "zarr.Array[zarr.core.metadata.ArrayV3Metadata]":
    """The signal array of a dataset's folder, read-only.

    Raises:
        DatasetError: when the folder holds none of the expected shape and type.
    """
    metadata = folder / SIGNALS / "signal" / "zarr.json"
    check_plain(folder, metadata)
    if metadata.stat().st_size > _MOST_METADATA_BYTES:
        raise DatasetError(f"{metadata} is far too large. Run its build again to repair it")
    array = _signal_array(folder)
    if not _is_ours(array):
        raise DatasetError(
            f"{folder / SIGNALS} holds {array.dtype}{array.shape}, not int16 (records, 8, 5000) in the layout and "
            f"compression of this program. Use a dataset that it built"
        )
    return array


def _is_ours(array: "zarr.Array[zarr.core.metadata.ArrayV3Metadata]") -> bool:
    """Whether an array is laid out as `create_signals` does it, so that nothing else is decoded than what it writes."""
    metadata, signal = array.metadata, (len(STORED_LEADS), SAMPLES)
    if not isinstance(metadata, ArrayV3Metadata):
        return False
    sharding = metadata.codecs[0]
    return (
        isinstance(sharding, ShardingCodec)
        and len(metadata.codecs) == 1
        and [type(codec) for codec in sharding.codecs] == [BytesCodec, BloscCodec]
        and (sharding.codecs[0], *sharding.index_codecs) == (BytesCodec(), BytesCodec(), Crc32cCodec())
        and sharding.index_location == ShardingCodecIndexLocation.end
        and sharding.chunk_shape == (1, *signal)
        and array.shards is not None
        and array.shards[0] <= MOST_SHARD_RECORDS
        and array.shards[1:] == array.shape[1:] == signal
        and (metadata.data_type.to_native_dtype(), metadata.fill_value) == (np.dtype("<i2"), 0)
        and (metadata.chunk_key_encoding.to_dict(), metadata.storage_transformers) == (_KEYS, ())
    )


def _store(place: Place) -> Path | ObjectStore[S3Store]:
    return ObjectStore(place.prefixed(), read_only=True) if isinstance(place, BucketPath) else place


def _signal_array(folder: Place) -> "zarr.Array[zarr.core.metadata.ArrayV3Metadata]":
    try:
        array = zarr.open_array(_store(folder / SIGNALS / "signal"), mode="r", zarr_format=3)
    except Exception as error:  # damaged metadata ends in whatever its parser stumbles over
        raise DatasetError(
            f"{folder / SIGNALS} holds no readable signal array: {error}. Run its build again to repair it"
        ) from error
    return array
