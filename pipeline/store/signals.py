"""Signals as a Zarr v3 array `signal[record, lead, sample]`, int16 µV, one record a chunk."""

import warnings
from pathlib import Path

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec
from zarr.core.common import JSON

from pipeline.errors import DatasetError
from pipeline.leads import SAMPLES, SAMPLING_RATE_HZ, STORED_LEADS
from pipeline.shards import Shard
from pipeline.store.files import TEMPORARY, fsync, remove

SIGNALS = "signals.zarr"
_CODEC = BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle", typesize=2)
_ATTRIBUTES: dict[str, JSON] = {
    "units": "uV",
    "sampling_rate_hz": SAMPLING_RATE_HZ,
    "long_name": "synthetic electrocardiogram, not for clinical use",
}


def create_signals(folder: Path, records: int, shard_records: int) -> None:
    """Create the store's metadata, or grow it to more records; signals already written stay.

    Args:
        folder: the dataset's folder.
        records: length of the record dimension.
        shard_records: records a Zarr shard.
    """
    group = zarr.open_group(folder / SIGNALS, mode="a", zarr_format=3)
    if "signal" not in group:
        group.create_array(
            "signal",
            shape=(records, len(STORED_LEADS), SAMPLES),
            shards=(shard_records, len(STORED_LEADS), SAMPLES),
            chunks=(1, len(STORED_LEADS), SAMPLES),
            dtype="int16",
            fill_value=0,
            dimension_names=["record", "lead", "sample"],
            compressors=_CODEC,
            attributes=_ATTRIBUTES,
        )
    elif _signal_array(folder).shape[0] != records:
        _signal_array(folder, mode="r+").resize((records, len(STORED_LEADS), SAMPLES))
    if "lead" not in group:
        lead = group.create_array("lead", shape=(len(STORED_LEADS),), dtype=str, dimension_names=["lead"])
        lead[:] = np.array(STORED_LEADS, dtype=np.dtypes.StringDType())


def shard_file(folder: Path, shard: Shard) -> Path:
    """The one file that holds a shard's signals."""
    return folder / SIGNALS / "signal" / "c" / str(shard.index) / "0" / "0"


def write_shard(folder: Path, shard: Shard, signals: NDArray[np.int16]) -> Path:
    """Write one whole shard durably.

    Args:
        folder: the dataset's folder.
        shard: its place.
        signals: (len(shard), 8, 5000) int16, µV.

    Returns:
        The file written.

    Raises:
        ValueError: when the signals are not exactly one whole shard. Zarr would read, change and write the shard
            back, and two workers doing so lose each other's records in silence (zarr-python#3682).
    """
    array = _signal_array(folder, mode="r+")
    size = array.shards[0] if array.shards else 0
    aligned = shard.start == shard.index * size and shard.stop == min(shard.start + size, array.shape[0])
    if not aligned or signals.shape != (len(shard), *array.shape[1:]) or signals.dtype != np.int16:
        raise ValueError(
            f"{shard} with {signals.dtype}{signals.shape} is not one whole shard of {size} records of {array.shape}: "
            f"write whole, aligned shards only"
        )
    with zarr.config.set({"array.write_empty_chunks": True}):  # or a shard of zeros would leave no file to hash
        _signal_array(folder, mode="r+")[shard.start : shard.stop] = signals
    path = shard_file(folder, shard)
    for part in (path, path.parent, path.parent.parent, path.parent.parent.parent):
        fsync(part)
    return path


def read_signals(folder: Path, start: int, stop: int) -> NDArray[np.int16]:
    """Signals of records start ≤ i < stop, shape (stop - start, 8, 5000), int16, µV."""
    return np.asarray(_signal_array(folder)[start:stop], dtype=np.int16)


def write_subset(source: Path, records: NDArray[np.int64], folder: Path, shard_records: int) -> None:
    """Write a dense, shard-aligned store of some records of another.

    Args:
        source: the dataset's folder to take them from.
        records: their numbers, ascending.
        folder: the dataset's folder to write.
        shard_records: records a Zarr shard.
    """
    create_signals(folder, len(records), shard_records)
    signal = _signal_array(source)
    for index, start in enumerate(range(0, len(records), shard_records)):
        chosen = records[start : start + shard_records]
        first = int(chosen[0])
        signals = np.asarray(signal[first : int(chosen[-1]) + 1], dtype=np.int16)[chosen - first]
        write_shard(folder, Shard(index, start, start + len(chosen)), signals)


def remove_unfinished(folder: Path) -> None:
    """Remove what a killed worker left half-written: Zarr writes `*.partial` files before it renames them."""
    for pattern in ("*.partial", f"*{TEMPORARY}"):
        for path in folder.rglob(pattern):
            remove(path)


def open_signals(folder: Path) -> "zarr.Array[zarr.core.metadata.ArrayV3Metadata]":
    """The signal array of a dataset's folder, read-only.

    Raises:
        DatasetError: when the folder holds none of the expected shape and type.
    """
    array = _signal_array(folder)
    if array.shape[1:] != (len(STORED_LEADS), SAMPLES) or array.dtype != np.int16:
        raise DatasetError(
            f"{folder / SIGNALS} holds {array.dtype}{array.shape}, not int16 (records, 8, 5000). Use a dataset that "
            f"this program built"
        )
    return array


def _signal_array(folder: Path, mode: str = "r") -> "zarr.Array[zarr.core.metadata.ArrayV3Metadata]":
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            array = zarr.open_array(folder / SIGNALS / "signal", mode=mode, zarr_format=3)
    except (FileNotFoundError, ValueError, KeyError) as error:
        raise DatasetError(
            f"{folder / SIGNALS} holds no readable signal array: {error}. Build the dataset again"
        ) from error
    return array
