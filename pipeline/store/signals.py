"""Signals as a Zarr v3 array `signal[record, lead, sample]`, int16 µV, one record a chunk."""

from pathlib import Path

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec
from zarr.core.common import JSON

from pipeline.errors import DatasetError
from pipeline.leads import SAMPLES, SAMPLING_RATE_HZ, STORED_LEADS
from pipeline.shards import Shard
from pipeline.store.files import TEMPORARY, fsync, is_temporary, remove

SIGNALS = "signals.zarr"
_CODEC = BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle", typesize=2)
_ATTRIBUTES: dict[str, JSON] = {
    "units": "uV",
    "sampling_rate_hz": SAMPLING_RATE_HZ,
    "long_name": "synthetic electrocardiogram, not for clinical use",
}


def create_signals(folder: Path, records: int, shard_records: int) -> None:
    """Write the store's metadata and its lead names anew; the signals in it stay.

    Args:
        folder: the dataset's folder.
        records: length of the record dimension.
        shard_records: records a Zarr shard.
    """
    store = folder / SIGNALS
    if not store.is_dir():
        remove(store)
    for derived in (store / "zarr.json", store / "signal" / "zarr.json", store / "lead"):
        remove(derived)
    group = zarr.create_group(store, zarr_format=3)
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
    lead = group.create_array("lead", shape=(len(STORED_LEADS),), dtype=str, dimension_names=["lead"])
    lead[:] = np.array(STORED_LEADS, dtype=np.dtypes.StringDType())


def shard_file(folder: Path, shard: Shard) -> Path:
    """The one file that holds a shard's signals."""
    return _shard_path(folder, shard.index)


def _shard_path(folder: Path, index: int) -> Path:
    return folder / SIGNALS / "signal" / "c" / str(index) / "0" / "0"


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
    with zarr.config.set({"array.write_empty_chunks": True}):  # or a shard of zeros would leave no file to hash
        array = _signal_array(folder, mode="r+")
    size = array.shards[0] if array.shards else 0
    aligned = shard.start == shard.index * size and shard.stop == min(shard.start + size, array.shape[0])
    if not aligned or signals.shape != (len(shard), *array.shape[1:]) or signals.dtype != np.int16:
        raise ValueError(
            f"{shard} with {signals.dtype}{signals.shape} is not one whole shard of {size} records of {array.shape}: "
            f"write whole, aligned shards only"
        )
    path = shard_file(folder, shard)
    if path.is_dir() or path.is_symlink():
        remove(path)  # put there by somebody else; Zarr would write into it
    array[shard.start : shard.stop] = signals
    for part in (path, path.parent, path.parent.parent, path.parent.parent.parent):
        fsync(part)
    return path


def read_signals(folder: Path, start: int, stop: int) -> NDArray[np.int16]:
    """Signals of records start ≤ i < stop, shape (stop - start, 8, 5000), int16, µV.

    Raises:
        DatasetError: when they are missing or do not decode.
    """
    array = open_signals(folder)
    if stop > array.shape[0]:
        raise DatasetError(f"{folder / SIGNALS} ends at record {array.shape[0]}. Run its build again to repair it")
    size = array.shards[0] if array.shards else 1
    for index in range(start // size, -(-stop // size)):
        if not _shard_path(folder, index).is_file():  # which Zarr would read as zeros
            raise DatasetError(f"{_shard_path(folder, index)} is missing. Run its build again to repair it")
    try:
        return np.asarray(array[start:stop], dtype=np.int16)
    except Exception as error:  # decoders of damaged bytes raise as many kinds as there are codecs
        raise DatasetError(
            f"{folder / SIGNALS} does not decode in records {start} to {stop - 1}: {error}. Run its build again"
        ) from error


def write_subset(source: Path, records: NDArray[np.int64], folder: Path, shard_records: int) -> None:
    """Write a dense, shard-aligned store of some records of another.

    Args:
        source: the dataset's folder to take them from.
        records: their numbers, ascending.
        folder: the dataset's folder to write.
        shard_records: records a Zarr shard.
    """
    create_signals(folder, len(records), shard_records)
    for index, start in enumerate(range(0, len(records), shard_records)):
        chosen = records[start : start + shard_records]
        signals = np.concatenate(
            [
                read_signals(source, int(run[0]), int(run[-1]) + 1)[run - run[0]]
                for run in np.split(chosen, np.flatnonzero(np.diff(chosen // shard_records)) + 1)
            ]
        )
        write_shard(folder, Shard(index, start, start + len(chosen)), signals)


def remove_unfinished(folder: Path) -> None:
    """Remove what a killed worker left half-written: ours, and the `*.partial` files that Zarr renames when whole."""
    left = [path for path in folder.rglob(f".*{TEMPORARY}") if is_temporary(path.name)]
    for path in [*left, *(folder / SIGNALS).rglob("*.partial")]:
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
        array = zarr.open_array(folder / SIGNALS / "signal", mode=mode, zarr_format=3)
    except Exception as error:  # damaged metadata ends in whatever its parser stumbles over
        raise DatasetError(
            f"{folder / SIGNALS} holds no readable signal array: {error}. Run its build again to repair it"
        ) from error
    return array
