"""The three public verbs: generate, measure, open_dataset."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.dataset import Dataset, open_dataset
from pipeline.errors import RecipeError
from pipeline.leads import SAMPLES, SAMPLING_RATE_HZ, STORED_LEADS
from pipeline.recipe import MOST_RECORDS
from pipeline.rows import interpreted_rows
from pipeline.shards import BLOCK

__all__ = ["Dataset", "generate", "measure", "open_dataset"]


def generate(ids: Sequence[int], *, seed: int = 0, checkpoint: str | Path | None = None) -> NDArray[np.int16]:
    """Generate records with the published Pulse2Pulse network on the CPU, the bytes of a dataset of this seed.

    Args:
        ids: record numbers, in any order; whole blocks of 32 are made for them, so neighbours come almost free.
        seed: the dataset's seed.
        checkpoint: another Pulse2Pulse checkpoint file; its weights are loaded without running code from it.

    Returns:
        (len(ids), 8, 5000) int16, µV at 500 Hz, leads I, II, V1-V6.

    Raises:
        RecipeError: for an impossible id or seed, or an unusable checkpoint.
    """
    from pipeline.generators import generate_block, load_generator  # torch, which the other verbs do not need
    from pipeline.plan import plan_build

    path = Path(checkpoint) if checkpoint is not None else None
    recipe = plan_build({"seed": seed}, checkpoint=path).recipe
    numbers = _record_numbers(ids)
    generator = load_generator(recipe, path)
    signals = np.empty((len(numbers), len(STORED_LEADS), SAMPLES), dtype=np.int16)
    for block in np.unique(numbers // BLOCK):
        wanted = numbers // BLOCK == block
        signals[wanted] = generate_block(generator, seed, int(block))[numbers[wanted] % BLOCK]
    return signals


def measure(signals_uv: NDArray[Any], *, sampling_rate_hz: float = SAMPLING_RATE_HZ, units: str = "uV") -> pa.Table:
    """Measure and interpret ECGs by 12SL's published definitions; the results are ours, not 12SL's.

    Args:
        signals_uv: (records, 8 or 12, 5000), 10 s at 500 Hz; 8 leads I, II, V1-V6, or 12 in the order of `LEADS`, of
            which III, aVR, aVL and aVF are not measured but derived; they may not contradict I and II. An array
            cannot name its leads; a wrong order is caught only in part, and I and II exchanged are not.
        sampling_rate_hz: of the signals, 250 or more; what is not 500 is resampled by `scipy.signal.resample_poly`.
        units: of the signals, `uV` or `mV`.

    Returns:
        One row a record: intervals in ms, amplitudes in µV, axes, quality, statements and verdict. Every field
        carries its unit and description; what could not be measured is null.

    Raises:
        InputError: for another shape, rate or unit, and for samples that are not numbers or not in that unit.
    """
    from pipeline.inputs.array import check_array, read_from_array
    from pipeline.inputs.limb_leads import REMARK

    signals = np.asarray(signals_uv)
    microvolts = check_array("signals", signals, sampling_rate_hz, units)
    as_stored = (len(STORED_LEADS), SAMPLING_RATE_HZ, 1)
    if signals.dtype == np.int16 and (signals.shape[1], sampling_rate_hz, microvolts) == as_stored:
        return interpreted_rows(signals)  # a dataset's are measured as in its table, whatever they look like
    stored = np.empty((len(signals), len(STORED_LEADS), SAMPLES), np.float32)
    odd = []
    for number, signal in enumerate(signals):
        recording = read_from_array(f"record {number}", signal, sampling_rate_hz, microvolts)
        stored[number] = recording.signal
        if REMARK in recording.remarks:
            odd.append(number)
    if odd:
        warnings.warn(f"{len(odd)} records, {odd[0]} the first, {REMARK}", stacklevel=2)
    return interpreted_rows(stored)


def _record_numbers(ids: Sequence[int]) -> NDArray[np.int64]:
    numbers = np.asarray(ids)
    whole = numbers.ndim == 1 and (numbers.dtype.kind in "iu" or numbers.size == 0)
    if not whole or (numbers < 0).any() or (numbers >= MOST_RECORDS).any():
        raise RecipeError(
            f"record numbers must be a list of whole numbers from 0 to {MOST_RECORDS - 1}, got {ids!r:.80}"
        )
    return numbers.astype(np.int64)
