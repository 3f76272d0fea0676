"""Signals and measurements as HDF5, a row a record."""

import zlib
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.columns import SOURCE_RECORD_ID
from pipeline.leads import SAMPLES, SAMPLING_RATE_HZ, STORED_LEADS
from pipeline.release.exports.export import (
    Export,
    dataset_of_all,
    lists_as_text,
    pieces,
    rows_alone,
    write_readme,
)
from pipeline.release.manifest import TITLE, ReleaseManifest
from pipeline.release.source import Source
from pipeline.shards import BLOCK
from pipeline.store.threads import in_threads

PART_RECORDS = 1600 * BLOCK
"""As in the archives of signals; even incompressible ones stay below 4.5 GB."""

TRACINGS = "tracings"
"""The signals as (record, sample, lead), which loaders of many records in one file expect (CODE-15 %, ecgbench)."""

_ZLIB_HEADER = b"\x78\x01"
"""Deflate in a window of 32 kB."""
_FORMAT = ("v110", "v110")
"""Of the file: the oldest that has virtual datasets, whatever the library's own version."""
_README = """
All {records:,} records, {part_records:,} a file, in the order of their numbers: `signal[record, lead, sample]`,
int16, µV, 500 Hz, a record a chunk, compressed as every HDF5 library reads it (shuffle, gzip).

    with h5py.File("all-000.h5") as file:
        signal = file["signal"][0]  # (8, 5000), leads as in file["lead"]
        normal = numpy.flatnonzero(file["measurements/verdict"].asstr()[:] == "Normal")
        rows = pandas.DataFrame({{name: column[:] for name, column in file["measurements"].items()}})

`record_id`, at the root and in `measurements/`, is the number among all records, as is `source_record_id`.
`measurements/` has every column of the table, with unit
and description as attributes: numbers and flags (1, 0) are floating, NaN where they could not be measured; lists are
text, divided by spaces; text, as bytes or by `asstr()`, is empty where there is none. `{tracings}` is the same signals
as (record, sample, lead), for loaders that want them so: a view, which takes no room, and more time to read. The normal
records are those with the verdict Normal; they are not stored again.
"""


def write(sources: Sequence[Source], facts: ReleaseManifest, folder: Path, *, part_records: int = PART_RECORDS) -> None:
    """Write `all-000.h5` and so on, of the dataset of all records.

    Args:
        sources: the datasets.
        facts: what the release is.
        folder: where the files go.
        part_records: records a file, a multiple of `BLOCK`.
    """
    import h5py  # noqa: PLC0415 - an extra

    source = dataset_of_all(sources)
    table = lists_as_text(rows_alone(source.table))
    compressed = in_threads(_compressed, pieces(source, "hdf5"))
    for number, part in groupby(compressed, key=lambda piece: piece[0].start // part_records):
        first = number * part_records
        with h5py.File(folder / part_name(number), "w", libver=_FORMAT) as file:
            _describe(file, facts)
            _add_rows(file, table.slice(first, part_records))
            signal = _add_signals(file, min(part_records, table.num_rows - first))
            for rows, chunks in part:
                for row, chunk in zip(rows, chunks, strict=True):
                    signal.id.write_direct_chunk((row - first, 0, 0), chunk)
    readme = _README.format(records=table.num_rows, part_records=part_records, tracings=TRACINGS)
    write_readme(folder, facts, readme)


def part_name(number: int) -> str:
    """The file of a part, by its place."""
    return f"all-{number:03}.h5"


def _compressed(piece: tuple[range, NDArray[np.int16]]) -> tuple[range, list[bytes]]:
    """The chunks of some records as HDF5's own filters could have made them, which work in one thread."""
    rows, signals = piece
    shuffled = signals.view(np.uint8).reshape(len(rows), -1, 2).transpose(0, 2, 1)
    return rows, [_deflated(low.tobytes(), high.tobytes()) for low, high in shuffled]


def _deflated(low: bytes, high: bytes) -> bytes:
    """Both halves of a shuffled record as one zlib stream.

    The low bytes are noise, which is stored as it is; the high ones are runs, and deflate need not look for more. They
    take 42 kB a record, by level 1 they take 41, in a seventh of the time, and are read in 40 % of it.
    """
    store = zlib.compressobj(0, zlib.DEFLATED, -zlib.MAX_WBITS)
    runs = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_RLE)
    body = store.compress(low) + store.flush(zlib.Z_FULL_FLUSH) + runs.compress(high) + runs.flush()
    return _ZLIB_HEADER + body + zlib.adler32(high, zlib.adler32(low)).to_bytes(4, "big")


def _describe(file: Any, facts: ReleaseManifest) -> None:  # noqa: ANN401 - the library is an extra
    file.attrs["title"] = TITLE
    file.attrs["version"] = facts.version
    file.attrs["content_digest"] = facts.datasets["all"].content_digest
    file.attrs["license"] = "CC BY 4.0"
    file.attrs["note"] = "Synthetic. Not for clinical use."


def _add_signals(file: Any, records: int) -> Any:  # noqa: ANN401
    """Room for the signals, the names of their leads, and the view with the leads last."""
    shape = (records, len(STORED_LEADS), SAMPLES)
    signal = file.create_dataset("signal", shape, "<i2", chunks=(1, *shape[1:]), compression=1, shuffle=True)
    _add_view(file, shape)
    for array in (signal, file[TRACINGS]):
        array.attrs["unit"] = "uV"
        array.attrs["sampling_rate_hz"] = SAMPLING_RATE_HZ
    file.create_dataset("lead", data=np.array(STORED_LEADS, "S"))
    return signal


def _add_view(file: Any, shape: tuple[int, int, int]) -> None:  # noqa: ANN401
    """`TRACINGS`, lead by lead; by h5py's own function it would carry the time."""
    from h5py import h5d, h5p, h5s, h5t  # noqa: PLC0415

    records, leads, samples = shape
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_obj_track_times(False)
    for lead in range(leads):
        stored, seen = h5s.create_simple(shape), h5s.create_simple((records, samples, leads))
        stored.select_hyperslab((0, lead, 0), (records, 1, samples))
        seen.select_hyperslab((0, 0, lead), (records, samples, 1))
        properties.set_virtual(seen, b".", b"signal", stored)
    space = h5s.create_simple((records, samples, leads))
    h5d.create(file.id, TRACINGS.encode(), h5t.STD_I16LE, space, properties)


def _add_rows(file: Any, table: pa.Table) -> None:  # noqa: ANN401
    """Every column of the table, and the records' numbers besides."""
    file.create_dataset("record_id", data=table[SOURCE_RECORD_ID.name].to_numpy())
    for field in table.schema:
        values = _array(table[field.name])
        path = f"measurements/{field.name}"
        column = file.create_dataset(path, data=values, chunks=True, compression=4, shuffle=True)
        column.attrs.update({key.decode(): text.decode() for key, text in field.metadata.items()})


def _array(column: pa.ChunkedArray) -> NDArray[Any]:
    """A column without nulls, of a type that does not depend on whether it had some."""
    if pa.types.is_string(column.type):
        return np.array(column.fill_null("").to_pylist(), "S")
    if pa.types.is_int64(column.type):  # numbers of records and the seed, which are never missing
        values: NDArray[np.int64] = column.to_numpy()
        return values
    exact = pa.float64() if pa.types.is_float64(column.type) else pa.float32()  # which every int16 fits
    floating: NDArray[np.floating] = column.cast(exact).to_numpy()
    return floating


EXPORT = Export(
    name="hdf5",
    description="HDF5, a row a record: signals, and every measurement as a dataset (extra: ecg-foundry[hdf5])",
    bytes_per_record=50_000,
    write=write,
    normal_again=False,
    library="h5py",
)
