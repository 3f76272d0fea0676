"""Recordings from outside, as the measurement wants them: 8 leads in µV, 5000 samples, batch by batch.

An input is a folder of WFDB records, one WFDB record, or a `.npy` array. Nothing in a file from outside is
trusted: a record is checked against what its header claims before a sample is read, and whatever is wrong
with it ends in one `InputError` that names the file, the reason and the remedy.

A recording of another sampling rate, 250 Hz or more, is resampled to 500 Hz; one that is not 10 s long is refused,
because which 10 s of a longer one are meant is for its owner to say.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

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
        names: the WFDB records' names; None for an array.
        signals: (n, 8, 5000) µV at 500 Hz, leads as in `STORED_LEADS`.
        remarks: (n,) what was done with each, or is odd about it.
    """

    numbers: NDArray[np.int64]
    names: tuple[str, ...] | None
    signals: NDArray[np.floating | np.integer]
    remarks: tuple[tuple[str, ...], ...]

    def keep(self, kept: Sequence[bool]) -> "Batch":
        """Some of them."""
        return Batch(
            self.numbers[list(kept)],
            None if self.names is None else tuple(compress(self.names, kept)),
            self.signals[list(kept)],
            tuple(compress(self.remarks, kept)),
        )


@dataclass(frozen=True)
class Recordings:
    """The recordings of one input, in a fixed order.

    Attributes:
        total: how many there are.
        names: the WFDB records' names, with their path inside the folder given; empty for an array.
        label: gives what an error calls a recording.
        read: reads one recording.
    """

    total: int
    names: tuple[str, ...]
    label: Callable[[int], str]
    read: Callable[[int], Recording]

    def batches(self, size: int = BATCH) -> Iterator[tuple[tuple[str, ...] | None, NDArray[np.float32]]]:
        """The names (None for an array) and signals of `read_batches`, which says more."""
        for batch in self.read_batches(size):
            yield batch.names, batch.signals.astype(np.float32, copy=False)

    def read_batches(self, size: int = BATCH, *, refused: list[str] | None = None) -> Iterator[Batch]:
        """Read the recordings a batch at a time, so that memory stays bounded.

        Args:
            size: recordings a batch; the last one may be smaller.
            refused: takes what is wrong with a recording that cannot be used, which is then left out; without it
                the first such recording ends everything.

        Yields:
            Batches of one recording or more.

        Raises:
            InputError: a recording cannot be read or is not a 10 s ECG of the 8 leads.
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
                    tuple(self.names[number] for number in read) if self.names else None,
                    np.stack([each.signal for each in read.values()]),
                    tuple(each.remarks for each in read.values()),
                )


def open_recordings(source: Path, *, sampling_rate_hz: float | None = None, units: str | None = None) -> Recordings:
    """Find the recordings of an input; the samples are read later, by `Recordings.read_batches`.

    Args:
        source: a folder (searched recursively for `*.hea`; other files are ignored), a WFDB record with or
            without `.hea`, or a `.npy`: (n, 8, 10 s) in the order of `STORED_LEADS`, or (n, 12, 10 s) in
            that of `LEADS`.
        sampling_rate_hz: of a `.npy`, which cannot state its own. Not looked at for WFDB, whose headers do.
        units: of a `.npy`, `uV` or `mV`; likewise.

    Returns:
        The recordings: WFDB records sorted by name, those of an array in its order.

    Raises:
        InputError: there is nothing to read, or the array cannot be used.
    """
    try:
        if source.is_dir():
            return _folder(source)
        if source.suffix == ".npy":
            return _array(source, sampling_rate_hz, units)
        return _record(source)
    except OSError as error:
        raise InputError(f"{source}: {error.strerror or error}; check the path and its permissions") from error


def _folder(folder: Path) -> Recordings:
    # Names that start with a dot are what file systems and archives leave behind ("._100.hea"), not records.
    headers = {
        path.relative_to(folder).as_posix().removesuffix(".hea"): path
        for path in folder.rglob("*.hea")
        if path.is_file() and not path.name.startswith(".")
    }
    if not headers:
        raise InputError(f"{folder}: no WFDB header (*.hea) in this folder or below it; {_KINDS}")
    return _wfdb(dict(sorted(headers.items())))


def _record(source: Path) -> Recordings:
    parts = (".hea", ".dat", ".mat")  # any of a record's files names the record
    header = source.with_suffix(".hea") if source.suffix in parts else source.with_name(f"{source.name}.hea")
    if not header.is_file():
        raise InputError(f"{source}: not found; {_KINDS}")
    return _wfdb({header.stem: header})


def _wfdb(headers: dict[str, Path]) -> Recordings:
    paths = list(headers.values())
    return Recordings(
        len(paths), tuple(headers), lambda number: str(paths[number]), lambda number: read_record(paths[number])
    )


def _array(source: Path, sampling_rate_hz: float | None, units: str | None) -> Recordings:
    if not source.is_file():
        raise InputError(f"{source}: not found; {_KINDS}")
    samples, microvolts = open_array(source, sampling_rate_hz, units)
    rate_hz = float(sampling_rate_hz or 0)

    def label(number: int) -> str:
        return f"{source}, record {number}"

    return Recordings(
        len(samples), (), label, lambda number: read_from_array(label(number), samples[number], rate_hz, microvolts)
    )
