"""Recordings from outside, as the measurement wants them: 8 leads in µV, 5000 samples, batch by batch.

An input is a folder of WFDB records, one WFDB record, or a `.npy` array. Nothing in a file from outside is
trusted: a record is checked against what its header claims before a sample is read, and whatever is wrong
with it ends in one `InputError` that names the file, the reason and the remedy.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np
import wfdb
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.leads import (
    LARGEST_UV,
    LEADS,
    MICROVOLTS,
    SAMPLES,
    SAMPLING_RATE_HZ,
    STORED_LEADS,
    look_like_millivolts,
    to_stored_leads,
)

BATCH = 256
"""Records a batch: 41 MB of samples, whatever the size of the input."""

FIXED_SIZE_FORMATS = {"8": 1, "16": 2, "24": 3, "32": 4, "61": 2, "80": 1, "160": 2} | {
    "212": Fraction(3, 2),
    "310": Fraction(4, 3),
    "311": Fraction(4, 3),
}
"""Bytes a sample in the WFDB signal formats (WFDB Applications Guide, signal(5))."""

FLAC_FORMATS = ("508", "516", "524")

# A WFDB header of a 12-lead ECG has a few kilobytes. The limits keep a hostile one from costing time or
# memory: the patterns that parse a line take quadratic time, and a signal file is read with all its signals.
MAX_HEADER_BYTES = 1 << 20
MAX_LINE_CHARACTERS = 1024
MAX_SIGNALS = 64

Batch = tuple[tuple[str, ...] | None, NDArray[np.float32]]
"""Record names (None for an array) and signals, (n, 8, 5000) in µV."""

_KINDS = "give a folder of WFDB records, one WFDB record or a .npy file"


@dataclass(frozen=True)
class Recordings:
    """The recordings of one input, in a fixed order.

    Attributes:
        total: how many there are.
        names: the WFDB records' names, with their path inside the folder given; empty for an array.
        read: gives the signals from one recording up to, not including, another: (n, 8, 5000) in µV.
    """

    total: int
    names: tuple[str, ...]
    read: Callable[[int, int], NDArray[np.float32]]

    def batches(self, size: int = BATCH) -> Iterator[Batch]:
        """Read the recordings a batch at a time, so that memory stays bounded.

        Args:
            size: recordings a batch; the last one may be smaller.

        Yields:
            The names (None for an array) and the signals, (n, 8, 5000) in µV, leads as in `STORED_LEADS`.

        Raises:
            InputError: a recording cannot be read or is not a 10 s, 500 Hz ECG of the 8 leads.
        """
        for start in range(0, self.total, size):
            stop = min(start + size, self.total)
            yield self.names[start:stop] or None, self.read(start, stop)


def open_recordings(source: Path, *, sampling_rate_hz: float | None = None, units: str | None = None) -> Recordings:
    """Find the recordings of an input; the samples are read later, by `Recordings.batches`.

    Args:
        source: a folder (searched recursively for `*.hea`; other files are ignored), a WFDB record with or
            without `.hea`, or a `.npy`: (n, 8, 5000) in the order of `STORED_LEADS`, or (n, 12, 5000) in
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
    names = tuple(sorted(headers))
    return Recordings(len(names), names, partial(_read_records, [headers[name] for name in names]))


def _record(source: Path) -> Recordings:
    parts = (".hea", ".dat", ".mat")  # any of a record's files names the record
    header = source.with_suffix(".hea") if source.suffix in parts else source.with_name(f"{source.name}.hea")
    if not header.is_file():
        raise InputError(f"{source}: not found; {_KINDS}")
    return Recordings(1, (header.stem,), partial(_read_records, [header]))


def _read_records(headers: Sequence[Path], start: int, stop: int) -> NDArray[np.float32]:
    return np.stack([_read_record(header) for header in headers[start:stop]])


def _read_record(header: Path) -> NDArray[np.float32]:
    """Read one WFDB record of which nothing is known yet: (8, 5000) in µV."""
    lines = _header_lines(header)
    path = _path_for_wfdb(header)
    try:
        record = wfdb.rdheader(path)
    # wfdb meets a damaged header with whatever its parser trips over: ValueError, TypeError, IndexError,
    # KeyError, AttributeError, OverflowError. To the user all of them mean the same.
    except Exception as error:
        raise InputError(f"{header}: unreadable header ({_in_one_line(error)}); get it again") from error
    channels = _checked_channels(header, record, lines)
    microvolts = np.array([[_microvolts(header, record, lines, channel)] for channel in channels])
    try:
        with np.errstate(all="ignore"):  # an absurd gain overflows; the samples are looked at below
            physical = wfdb.rdrecord(path, channels=channels).p_signal.T
            signal: NDArray[np.float32] = (physical * microvolts).astype(np.float32)
    except Exception as error:  # likewise for damaged signal files
        raise InputError(f"{header}: unreadable signals ({_in_one_line(error)}); get it again") from error
    if signal.shape != (len(STORED_LEADS), SAMPLES):
        raise InputError(f"{header}: {signal.shape[-1]} samples read, not {SAMPLES}; get the record again")
    _check_samples(str(header), signal)
    return signal


def _path_for_wfdb(header: Path) -> str:
    """The record's path as wfdb takes it; '::' would make it a chain of URLs, which reaches the network."""
    path = str(header.absolute())
    if "::" in path:
        raise InputError(f"{header}: '::' cannot be in the path of a WFDB record; rename the file or folder")
    return path.removesuffix(".hea")


def _header_lines(header: Path) -> list[str]:
    """The record line and the signal lines, after the checks that have to come before parsing.

    wfdb drops every byte that is not ASCII, and would so read µV as V: here µ is kept as u.
    """
    try:
        with header.open("rb") as file:
            content = file.read(MAX_HEADER_BYTES + 1)
    except OSError as error:
        raise InputError(f"{header}: {error.strerror}; check the file and its permissions") from error
    for micro in (
        b"\xc2\xb5",
        b"\xce\xbc",
        b"\xb5",
    ):  # MICRO SIGN and Greek mu in UTF-8, MICRO SIGN in Latin-1
        content = content.replace(micro, b"u")
    stripped = (line.strip() for line in content.decode("ascii", "ignore").splitlines())
    lines = [line for line in stripped if line and not line.startswith("#")]
    if (
        not 1 <= len(lines) <= 1 + MAX_SIGNALS
        or len(content) > MAX_HEADER_BYTES
        or max(map(len, lines)) > MAX_LINE_CHARACTERS
    ):
        raise InputError(f"{header}: empty or far too large for the header of an ECG; remove it or get it again")
    for name in (line.split()[0] for line in lines[1:]):
        if any(character in name for character in "/\\:"):
            raise InputError(
                f"{header}: signal file {name!r} is outside the record's folder; put it beside the header, "
                "named without a path"
            )
    return lines


def _checked_channels(header: Path, record: wfdb.Record, lines: list[str]) -> list[int]:
    """The channels of the 8 leads, after all that the header claims has been held against the files."""
    if isinstance(record, wfdb.MultiRecord):
        raise InputError(f"{header}: a multi-segment record; give its segments of 10 s by themselves")
    if not record.n_sig or record.n_sig != len(lines) - 1:
        raise InputError(f"{header}: claims {record.n_sig} signals, describes {len(lines) - 1}; get it again")
    channels = _lead_channels(header, record.sig_name)
    if any(record.samps_per_frame[channel] != 1 for channel in channels):
        raise InputError(f"{header}: several samples of a lead in one frame; rewrite the record without frames")
    if record.fs != SAMPLING_RATE_HZ:
        raise InputError(f"{header}: sampled at {record.fs:g} Hz, not {SAMPLING_RATE_HZ} Hz; resample it first")
    files = [(name, list(group)) for name, group in groupby(range(record.n_sig), record.file_name.__getitem__)]
    if len({name for name, _ in files}) != len(files):  # wfdb would mix up the leads without a word
        raise InputError(f"{header}: the signals of one file do not follow each other; correct the header")
    for name, signals in files:
        if not set(channels).isdisjoint(signals):
            _check_signal_file(header, record, name, signals)
    return channels


def _lead_channels(header: Path, signal_names: Sequence[str | None]) -> list[int]:
    names = [(name or "").strip().lower() for name in signal_names]
    count = Counter(names)
    for lead in STORED_LEADS:
        if count[lead.lower()] == 0:
            raise InputError(f"{header}: lead {lead} is missing; the leads {', '.join(STORED_LEADS)} are needed")
        if count[lead.lower()] > 1:
            raise InputError(f"{header}: lead {lead} is there {count[lead.lower()]} times; keep one of them")
    return [names.index(lead.lower()) for lead in STORED_LEADS]


def _check_signal_file(header: Path, record: wfdb.Record, name: str, signals: list[int]) -> None:
    """Hold the claims about one signal file against the file, before memory of that size is taken."""
    path = header.with_name(name)
    if not path.is_file():
        raise InputError(f"{header}: signal file {name!r} is not beside it; get the whole record")
    # Signals that were shifted against each other are padded in memory by the largest shift.
    if any((record.skew[signal] or 0) > SAMPLES for signal in signals):
        raise InputError(f"{header}: a lead is skewed by more than 10 s; correct the header")
    signal_format, offset = record.fmt[signals[0]], record.byte_offset[signals[0]] or 0
    held = record.sig_len  # of a compressed file no more than this is unpacked, whatever its size
    if signal_format in FIXED_SIZE_FORMATS:
        frame = sum(record.samps_per_frame[signal] for signal in signals)
        held = max(path.stat().st_size - offset, 0) // (FIXED_SIZE_FORMATS[signal_format] * frame)
    elif signal_format not in FLAC_FORMATS:
        raise InputError(f"{header}: unknown signal format {signal_format}; rewrite the record in format 16")
    length = held if record.sig_len is None else record.sig_len
    if length != SAMPLES:
        raise InputError(
            f"{header}: {length or 'unknown number of'} samples, not {SAMPLES} (10 s); cut longer recordings "
            "into records of 10 s; shorter ones cannot be measured"
        )
    if held < SAMPLES:
        raise InputError(f"{header}: signal file {name!r} is truncated at sample {held}; get the record again")


def _microvolts(header: Path, record: wfdb.Record, lines: list[str], channel: int) -> float:
    """Microvolts in one unit of a channel."""
    unit = record.units[channel].lower()
    if unit == "v" and "/uv" in lines[1 + channel].lower():  # µV, of which wfdb has dropped the µ
        unit = "uv"
    if unit not in MICROVOLTS:
        lead = record.sig_name[channel]
        raise InputError(f"{header}: lead {lead} is in {unit!r}, not uV or mV; correct the header's units")
    return MICROVOLTS[unit]


def _array(source: Path, sampling_rate_hz: float | None, units: str | None) -> Recordings:
    if sampling_rate_hz is None or units is None:
        raise InputError(f"{source}: an array cannot state them; give its sampling rate in Hz and units, uV or mV")
    if sampling_rate_hz != SAMPLING_RATE_HZ:
        raise InputError(f"{source}: sampled at {sampling_rate_hz:g} Hz, not {SAMPLING_RATE_HZ} Hz; resample it")
    if units.lower() not in MICROVOLTS:
        raise InputError(f"{source}: units {units!r} are unknown; give uV or mV")
    samples = _mapped(source)
    return Recordings(len(samples), (), partial(_read_array, source, samples, MICROVOLTS[units.lower()]))


def _mapped(source: Path) -> NDArray[np.number]:
    """The array on disk, (n, 8 or 12, 5000) of any real number type; read when it is sliced."""
    if not source.is_file():
        raise InputError(f"{source}: not found; {_KINDS}")
    try:
        # Pickled arrays can run code when they are loaded; they are refused, like all that is no plain array.
        samples: NDArray[np.number] = np.load(source, allow_pickle=False, mmap_mode="r")
    except Exception as error:  # numpy's parser of a damaged header raises as many kinds as wfdb's
        raise InputError(
            f"{source}: unreadable ({_in_one_line(error)}); write a plain number array with numpy.save"
        ) from error
    if not isinstance(samples, np.ndarray) or samples.dtype.kind not in "iuf":
        raise InputError(f"{source}: not an array of real numbers; write integers or floats with numpy.save")
    if samples.shape[1:] not in {(len(STORED_LEADS), SAMPLES), (len(LEADS), SAMPLES)}:
        raise InputError(f"{source}: shape {samples.shape}; give (n, 8, {SAMPLES}) or (n, 12, {SAMPLES})")
    if not len(samples):
        raise InputError(f"{source}: holds no recording; give at least one")
    return samples


def _read_array(
    source: Path, samples: NDArray[np.number], microvolts: float, start: int, stop: int
) -> NDArray[np.float32]:
    batch = to_stored_leads(samples[start:stop])
    if microvolts == MICROVOLTS["uv"] and look_like_millivolts(batch):
        raise InputError(f"{source}: samples stay within 20 µV, so they are in mV; give units mV")
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is refused next
        signals = (batch * np.float64(microvolts)).astype(np.float32)
    for record, signal in enumerate(signals, start):
        _check_samples(f"{source}, record {record}", signal)
    return signals


def _check_samples(name: str, signal: NDArray[np.float32]) -> None:
    """Refuse samples that are no µV; wfdb gives NaN where a file marks a sample as invalid."""
    invalid = SAMPLES - np.isfinite(signal).sum(axis=-1)
    if invalid.any():
        lead = int(invalid.argmax())
        raise InputError(
            f"{name}: {invalid[lead]} invalid samples (NaN) in lead {STORED_LEADS[lead]}; repair or remove it"
        )
    if np.abs(signal).max() > LARGEST_UV:
        raise InputError(f"{name}: samples beyond 1 V, which no ECG reaches; correct the units or the gain")


def _in_one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
