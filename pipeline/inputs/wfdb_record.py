"""One WFDB record, of which nothing is known yet: held against what its header claims before a sample is read."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from itertools import groupby
from pathlib import Path

import numpy as np
import wfdb
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.inputs.limb_leads import DERIVED_LEADS, check_limb_leads
from pipeline.inputs.samples import Recording, check_rate, check_samples, is_ten_seconds, ten_seconds, to_recording
from pipeline.leads import MICROVOLTS, STORED_LEADS

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


_LEAD_NAME = re.compile(r"(?:mdc[ _-]ecg[ _-]lead[ _-]|(?:ecg[ _-]+)?(?:lead[ _-]+)?)(\S+)")
"""A lead's name, with what devices and IEEE 11073 put before it."""


def read_record(header: Path) -> Recording:
    """Read one WFDB record.

    Args:
        header: its `.hea`.

    Raises:
        InputError: names the header, the reason and the remedy.
    """
    _check_beside(header, header)
    lines = _header_lines(header)
    path = _path_for_wfdb(header)
    try:
        record = wfdb.rdheader(path)
    # wfdb meets a damaged header with whatever its parser trips over: ValueError, TypeError, IndexError,
    # KeyError, AttributeError, OverflowError. To the user all of them mean the same.
    except Exception as error:
        raise InputError(f"{header}: unreadable header ({_in_one_line(error)}); get it again") from error
    try:
        channels = _checked_channels(header, record, lines)
    except OSError as error:  # such as a name of more bytes than a file system has
        raise InputError(f"{header}: its signal file cannot be read: {error.strerror}; get the record again") from error
    microvolts = np.array([[_microvolts(header, record, lines, channel)] for channel in channels])
    try:
        with np.errstate(all="ignore"):  # an absurd gain overflows; the samples are looked at below
            physical = wfdb.rdrecord(path, channels=channels).p_signal.T
            signal: NDArray[np.float64] = physical * microvolts
            stored = signal[: len(STORED_LEADS)].astype(np.float32)
    except Exception as error:  # likewise for damaged signal files
        raise InputError(f"{header}: unreadable signals ({_in_one_line(error)}); get it again") from error
    if len(signal) != len(channels) or not is_ten_seconds(signal.shape[-1], record.fs):
        raise InputError(
            f"{header}: {signal.shape[-1]} samples read, not {ten_seconds(record.fs)}; get the record again"
        )
    check_samples(str(header), stored)
    derived = signal[len(STORED_LEADS) :]
    remarks = check_limb_leads(str(header), signal[0], signal[1], derived) if len(derived) else ()
    return to_recording(str(header), stored, record.fs, remarks)


def _check_beside(header: Path, path: Path) -> None:
    """Refuse a link out of the record's folder: an archive can carry one to any file of whoever unpacks it."""
    if Path(os.path.realpath(path)).parent != Path(os.path.realpath(header.parent)):
        raise InputError(
            f"{header}: {path.name!r} is a symbolic link out of the record's folder; put the file itself there (cp -L)"
        )


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
    """The channels of the 8 leads, after all that the header claims has been held against the files.

    Where all four derived leads are there as well, and in no way peculiar, theirs follow.
    """
    if isinstance(record, wfdb.MultiRecord):
        raise InputError(f"{header}: a multi-segment record; give its segments of 10 s by themselves")
    if not record.n_sig or record.n_sig != len(lines) - 1:
        raise InputError(f"{header}: claims {record.n_sig} signals, describes {len(lines) - 1}; get it again")
    names = [_lead_name(name) for name in record.sig_name]
    channels = _lead_channels(header, names)
    if any(record.samps_per_frame[channel] != 1 for channel in channels):
        raise InputError(f"{header}: several samples of a lead in one frame; rewrite the record without frames")
    check_rate(str(header), record.fs)
    files = [(name, list(group)) for name, group in groupby(range(record.n_sig), record.file_name.__getitem__)]
    if len({name for name, _ in files}) != len(files):  # wfdb would mix up the leads without a word
        raise InputError(f"{header}: the signals of one file do not follow each other; correct the header")
    for name, signals in files:
        if not set(channels).isdisjoint(signals):
            _check_signal_file(header, record, name, signals)
    checked = {record.file_name[channel] for channel in channels}
    derived = [names.index(lead.lower()) for lead in DERIVED_LEADS if names.count(lead.lower()) == 1]
    if len(derived) == len(DERIVED_LEADS) and all(
        record.file_name[channel] in checked
        and record.samps_per_frame[channel] == 1
        and (record.units[channel] or "").lower() in MICROVOLTS
        for channel in derived
    ):
        channels += derived
    return channels


def _lead_name(name: str | None) -> str:
    """A lead's name as it is compared: "Lead aVR", "ECG_I" and "MDC_ECG_LEAD_V1" are avr, i and v1."""
    match = _LEAD_NAME.fullmatch((name or "").strip().lower())
    return match[1] if match else ""


def _lead_channels(header: Path, names: Sequence[str]) -> list[int]:
    """Where the 8 leads are; what is missing is not made up, though Einthoven's identity could make a limb lead."""
    count = Counter(names)
    missing = [lead for lead in STORED_LEADS if count[lead.lower()] == 0]
    for lead in STORED_LEADS:
        if count[lead.lower()] > 1:
            raise InputError(f"{header}: lead {lead} is there {count[lead.lower()]} times; keep one of them")
        if lead in missing:
            listed = f"lead {lead} is" if len(missing) == 1 else f"leads {', '.join(missing)} are"
            other = {"I": "; I is II - III", "II": "; II is I + III"} if count["iii"] and len(missing) == 1 else {}
            raise InputError(
                f"{header}: {listed} missing; the leads {', '.join(STORED_LEADS)} are needed{other.get(lead, '')}"
            )
    return [names.index(lead.lower()) for lead in STORED_LEADS]


def _check_signal_file(header: Path, record: wfdb.Record, name: str, signals: list[int]) -> None:
    """Hold the claims about one signal file against the file, before memory of that size is taken."""
    path = header.parent / name
    if not path.is_file():
        raise InputError(f"{header}: signal file {name!r} is not beside it; get the whole record")
    _check_beside(header, path)
    # Signals that were shifted against each other are padded in memory by the largest shift.
    wanted = ten_seconds(record.fs)
    if any((record.skew[signal] or 0) > wanted for signal in signals):
        raise InputError(f"{header}: a lead is skewed by more than 10 s; correct the header")
    signal_format, offset = record.fmt[signals[0]], record.byte_offset[signals[0]] or 0
    held = record.sig_len  # of a compressed file no more than this is unpacked, whatever its size
    if signal_format in FIXED_SIZE_FORMATS:
        frame = sum(record.samps_per_frame[signal] for signal in signals)
        held = max(path.stat().st_size - offset, 0) // (FIXED_SIZE_FORMATS[signal_format] * frame)
    elif signal_format not in FLAC_FORMATS:
        raise InputError(f"{header}: unknown signal format {signal_format}; rewrite the record in format 16")
    length = held if record.sig_len is None else record.sig_len
    if length is None or not is_ten_seconds(length, record.fs):
        raise InputError(
            f"{header}: {length or 'unknown number of'} samples, not {wanted} (10 s at {record.fs:g} Hz); cut longer "
            "recordings into records of 10 s; shorter ones cannot be measured"
        )
    if held < length:
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


def _in_one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
