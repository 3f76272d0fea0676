"""Recordings from outside, as the measurement wants them: 8 leads in µV, 5000 samples, batch by batch.

An input is a folder of WFDB records, one WFDB record, or a `.npy` array. Nothing in a file from outside is
trusted: a record is checked against what its header claims before a sample is read, and whatever is wrong
with it ends in one `InputError` that names the file, the reason and the remedy.

A recording of another sampling rate, 250 Hz or more, is resampled to 500 Hz; one that is not 10 s long is refused,
because which 10 s of a longer one are meant is for its owner to say.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Never

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.inputs.array import open_array, read_from_array
from pipeline.inputs.samples import Recording
from pipeline.inputs.wfdb_record import read_record

BATCH = 256
"""Records a batch: 41 MB of samples, whatever the size of the input."""

_KINDS = "give a folder of WFDB records, one WFDB record or a .npy file"


@dataclass(frozen=True)
class Batch:
    """Some recordings of an input.

    Attributes:
        numbers: (n,) their places in the input.
        names: (n,) the WFDB records' names; empty for an array.
        signals: (n, 8, 5000) µV at 500 Hz, leads as in `STORED_LEADS`.
        remarks: what was done with some of them or is odd about them, and with how many.
    """

    numbers: NDArray[np.int64]
    names: tuple[str, ...]
    signals: NDArray[np.floating | np.integer]
    remarks: Counter[str]


@dataclass(frozen=True)
class Recordings:
    """The recordings of one input, in a fixed order.

    Attributes:
        total: how many there are.
        names: the WFDB records' names, with their path inside the folder given; empty for an array.
        read: reads one recording.
    """

    total: int
    names: tuple[str, ...]
    read: Callable[[int], Recording]

    def read_batches(self, size: int = BATCH, *, refused: list[str] | None = None) -> Iterator[Batch]:
        """Read the recordings a batch at a time, so that memory stays bounded.

        Args:
            size: recordings a batch; the last one may be smaller.
            refused: takes what is wrong with a recording that cannot be used, which is then left out; without it
                the first such recording ends everything.

        Yields:
            Batches of one recording or more.

        Raises:
            InputError: a recording cannot be read or is not a 10 s ECG of the 8 leads in its unit.
        """
        for start in range(0, self.total, size):
            read: dict[int, Recording] = {}
            for number in range(start, min(start + size, self.total)):
                try:
                    read[number] = self.read(number)
                except InputError as error:
                    if refused is None:
                        raise
                    refused.append(str(error))
            if read:
                yield Batch(
                    np.array(list(read), np.int64),
                    tuple(self.names[number] for number in read) if self.names else (),
                    np.stack([each.signal for each in read.values()]),
                    Counter(remark for each in read.values() for remark in each.remarks),
                )


def open_recordings(source: Path, *, sampling_rate_hz: float | None = None, units: str | None = None) -> Recordings:
    """Find the recordings of an input; the samples are read later, by `Recordings.read_batches`.

    Args:
        source: a folder (searched recursively for `*.hea`; other files are ignored), a WFDB record with or
            without `.hea`, or a `.npy`: (n, 8, 10 s) in the order of `STORED_LEADS`, or (n, 12, 10 s) in
            that of `LEADS`. An array cannot name its leads; a wrong order is caught only in part.
        sampling_rate_hz: of a `.npy`, which cannot state its own; of nothing else.
        units: of a `.npy`, `uV` or `mV`; likewise.

    Returns:
        The recordings: WFDB records sorted by name, those of an array in its order.

    Raises:
        InputError: there is nothing to read, the array cannot be used, or a rate or units are given for WFDB.
    """
    try:
        if source.suffix == ".npy" and not source.is_dir():
            return _array(source, sampling_rate_hz, units)
        recordings = _folder(source) if source.is_dir() else _record(source)
    except OSError as error:
        raise InputError(f"{source}: {error.strerror or error}; check the path and its permissions") from error
    check_nothing_stated(source, sampling_rate_hz, units)
    return recordings


def check_nothing_stated(source: Path, sampling_rate_hz: float | None, units: str | None) -> None:
    """Refuse a sampling rate or units for an input that states its own.

    Raises:
        InputError: names the input.
    """
    if sampling_rate_hz is not None or units is not None:
        raise InputError(f"{source}: --fs and --units are for a .npy; this input states its own, so leave them out")


def _folder(folder: Path) -> Recordings:
    # Names that start with a dot are what file systems and archives leave behind ("._100.hea"), not records.
    headers = {
        path.relative_to(folder).as_posix().removesuffix(".hea"): path
        for place, _, names in os.walk(folder, onerror=_refuse)
        for path in (Path(place, name) for name in names)
        if path.suffix == ".hea" and path.is_file() and not path.name.startswith(".")
    }
    if not headers:
        raise InputError(f"{folder}: no WFDB header (*.hea) in this folder or below it; {_KINDS}")
    return _wfdb(dict(sorted(headers.items())))


def _refuse(error: OSError) -> Never:
    """Or what lies in a folder that cannot be looked into would be left out."""
    raise InputError(f"{error.filename}: {error.strerror}; check its permissions") from error


def _record(source: Path) -> Recordings:
    parts = (".hea", ".dat", ".mat")  # any of a record's files names the record
    header = source.with_suffix(".hea") if source.suffix in parts else source.with_name(f"{source.name}.hea")
    if not header.is_file():
        raise InputError(f"{source}: not found; {_KINDS}")
    return _wfdb({header.stem: header})


def _wfdb(headers: dict[str, Path]) -> Recordings:
    for name, path in headers.items():
        if not name.isprintable():  # it goes into a table, which has no place for what is no Unicode
            raise InputError(f"{str(path)!a}: a record's name cannot have characters that cannot be printed; rename it")
    paths = list(headers.values())
    return Recordings(len(paths), tuple(headers), lambda number: read_record(paths[number]))


def _array(source: Path, sampling_rate_hz: float | None, units: str | None) -> Recordings:
    if not source.is_file():
        raise InputError(f"{source}: not found; {_KINDS}")
    samples, microvolts = open_array(source, sampling_rate_hz, units)
    rate_hz = float(sampling_rate_hz or 0)

    def read(number: int) -> Recording:
        return read_from_array(f"{source}, record {number}", samples[number], rate_hz, microvolts)

    return Recordings(len(samples), (), read)
