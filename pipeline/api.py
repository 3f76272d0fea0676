"""The three public verbs: generate, measure, open_dataset."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.dataset import Dataset, open_dataset
from pipeline.errors import InputError, RecipeError
from pipeline.interpret import interpret
from pipeline.leads import LEADS, SAMPLING_RATE_HZ, STORED_LEADS
from pipeline.shards import BLOCK

__all__ = ["Dataset", "generate", "measure", "open_dataset"]

_UV_PER_UNIT = {"uV": 1.0, "mV": 1000.0}
_STORED_AMONG_TWELVE = [LEADS.index(lead) for lead in STORED_LEADS]


def generate(ids: Sequence[int], *, seed: int = 0, checkpoint: str | Path | None = None) -> NDArray[np.int16]:
    """Generate records with the published Pulse2Pulse network, the same bytes as in a dataset of this seed.

    Args:
        ids: record numbers, in any order; whole blocks of 32 are made for them, so neighbours come almost free.
        seed: the dataset's seed.
        checkpoint: another Pulse2Pulse checkpoint file; its weights are loaded without running code from it.

    Returns:
        (len(ids), 8, 5000) int16, µV at 500 Hz, leads I, II, V1-V6.

    Raises:
        RecipeError: for a negative id, an impossible seed or an unusable checkpoint.
    """
    from pipeline.build import plan_build
    from pipeline.generators import (  # imports torch, which the other verbs do not need
        generate_block,
        load_generator,
    )

    path = Path(checkpoint) if checkpoint is not None else None
    recipe = plan_build(checkpoint=path, seed=seed).recipe
    numbers = np.asarray(ids, dtype=np.int64)
    if numbers.ndim != 1 or (numbers < 0).any():
        raise RecipeError(f"record numbers must be a sequence of whole numbers from 0, got {ids!r}")
    generator = load_generator(recipe, path)
    signals = np.empty((len(numbers), len(STORED_LEADS), 5000), dtype=np.int16)
    for block in np.unique(numbers // BLOCK):
        wanted = numbers // BLOCK == block
        signals[wanted] = generate_block(generator, seed, int(block))[numbers[wanted] % BLOCK]
    return signals


def measure(signals_uv: NDArray[Any], *, sampling_rate_hz: float = SAMPLING_RATE_HZ, units: str = "uV") -> pa.Table:
    """Measure and interpret ECGs by 12SL's published definitions; the results are ours, not 12SL's.

    Args:
        signals_uv: (records, 8 or 12, 5000), 10 s at 500 Hz; 8 leads I, II, V1-V6, or 12 in the order of `LEADS`.
        sampling_rate_hz: must be 500.
        units: of the signals, `uV` or `mV`.

    Returns:
        One row a record: intervals in ms, amplitudes in µV, axes, quality, statements and verdict. Every field
        carries its unit and description; what could not be measured is null.

    Raises:
        InputError: for another shape, rate or unit, and for samples that are not numbers.
    """
    from pipeline.measurement import measure as measure_waves

    if sampling_rate_hz != SAMPLING_RATE_HZ:
        raise InputError(f"signals are sampled at {sampling_rate_hz:g} Hz, not {SAMPLING_RATE_HZ}. Resample them first")
    if units not in _UV_PER_UNIT:
        raise InputError(f"signals are in {units!r}, which is not known. Give units 'uV' or 'mV'")
    signals = np.asarray(signals_uv)
    if signals.ndim == 3 and signals.shape[1] == len(LEADS):
        signals = signals[:, _STORED_AMONG_TWELVE]
    if units != "uV":
        signals = signals * _UV_PER_UNIT[units]
    measured = measure_waves(signals)
    interpreted = interpret(measured)
    for field in interpreted.schema:
        measured = measured.append_column(field, interpreted[field.name])
    return measured
