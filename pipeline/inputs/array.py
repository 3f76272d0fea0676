"""Recordings in a `.npy`, which can state neither units nor sampling rate."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.inputs.limb_leads import DERIVED_LEADS, check_limb_leads
from pipeline.inputs.samples import Recording, check_rate, check_samples, is_ten_seconds, ten_seconds, to_recording
from pipeline.leads import LEADS, MICROVOLTS, STORED_LEADS, to_stored_leads


def open_array(source: Path, sampling_rate_hz: float | None, units: str | None) -> tuple[NDArray[np.number], float]:
    """The array on disk, (n, 8 or 12, samples) of any real number type, read when sliced; and µV in one of its units.

    Raises:
        InputError: names the file.
    """
    if sampling_rate_hz is None or units is None:
        raise InputError(f"{source}: an array cannot state them; give its sampling rate in Hz and units, uV or mV")
    try:
        # Pickled arrays can run code when they are loaded; they are refused, like all that is no plain array.
        samples: NDArray[np.number] = np.load(source, allow_pickle=False, mmap_mode="r")
    except Exception as error:  # numpy's parser of a damaged header raises as many kinds as wfdb's
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(f"{source}: unreadable ({reason}); write a plain number array with numpy.save") from error
    if not isinstance(samples, np.ndarray):
        raise InputError(f"{source}: not an array but an archive; write a plain number array with numpy.save")
    microvolts = check_array(str(source), samples, sampling_rate_hz, units)
    if not len(samples):
        raise InputError(f"{source}: holds no recording; give at least one")
    return samples, microvolts


def check_array(name: str, signals: NDArray[Any], rate_hz: float, units: str) -> float:
    """Refuse what is not (n, 8 or 12, 10 s) of numbers in known units.

    Args:
        name: of the array, for errors.
        signals: all of its samples.
        rate_hz: what is said to be their sampling rate.
        units: likewise.

    Returns:
        µV in one of its units.

    Raises:
        InputError: names the array.
    """
    check_rate(name, rate_hz)
    if units.lower() not in MICROVOLTS:
        raise InputError(f"{name}: units {units!r} are unknown; give uV or mV")
    if signals.dtype.kind not in "iuf":
        raise InputError(f"{name}: type {signals.dtype} is not one of real numbers; give integers or floats")
    leads = (len(STORED_LEADS), len(LEADS))
    if signals.ndim == 2:
        hint = "give one record as signals[numpy.newaxis]"
    elif signals.ndim == 3 and signals.shape[1] not in leads and signals.shape[2] in leads:
        hint = "samples come last, so give signals.transpose(0, 2, 1)"
    elif signals.ndim != 3 or signals.shape[1] not in leads:
        hint = "give 8 leads (I, II, V1 to V6) or 12"
    elif not is_ten_seconds(signals.shape[2], rate_hz):
        hint = (
            f"give 10 s at {rate_hz:g} Hz; cut longer recordings into records of 10 s, shorter ones cannot be measured"
        )
    else:
        return MICROVOLTS[units.lower()]
    raise InputError(f"{name}: shape {signals.shape} is not (records, 8 or 12, {ten_seconds(rate_hz)}); {hint}")


def read_from_array(name: str, signal: NDArray[np.number], rate_hz: float, microvolts: float) -> Recording:
    """One recording of an array whose shape and rate have been checked.

    Args:
        name: of the recording, for errors.
        signal: (8 or 12, samples).
        rate_hz: their sampling rate.
        microvolts: µV in one unit.

    Raises:
        InputError: names the recording.
    """
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is refused next
        scaled = signal * np.float64(microvolts)
        stored = to_stored_leads(scaled[None])[0].astype(np.float32)
    check_samples(name, stored)
    remarks: tuple[str, ...] = ()
    if len(signal) == len(LEADS):
        remarks = check_limb_leads(
            name, scaled[0], scaled[1], np.stack([scaled[LEADS.index(lead)] for lead in DERIVED_LEADS])
        )
    return to_recording(name, stored, rate_hz, remarks)
