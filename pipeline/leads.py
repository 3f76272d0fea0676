"""The 8 stored leads, the 4 that follow from them, and the units that leads come in."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLING_RATE_HZ = 500
SAMPLES = 5000
"""Samples a lead in one record: 10 s at 500 Hz."""

STORED_LEADS = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
"""The independent leads, in the order of the published generator's output channels."""

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
"""The 12 leads in the standard order of display."""

MICROVOLTS = {"uv": 1.0, "mv": 1000.0}
"""Microvolts in one unit, by the unit's name in lower case."""

LARGEST_UV = 1e6
"""No ECG reaches a volt: beyond it the samples are not in µV."""


def to_stored_leads(signals: NDArray[Any]) -> NDArray[Any]:
    """The 8 stored leads of signals that have them alone or among 12; the four derived ones are left out.

    Args:
        signals: (records, 8, samples) in the order of `STORED_LEADS`, or (records, 12, samples) in that of `LEADS`.
    """
    return (
        signals if signals.shape[1] == len(STORED_LEADS) else signals[:, [LEADS.index(lead) for lead in STORED_LEADS]]
    )


def to_twelve_leads(stored: NDArray[np.floating]) -> NDArray[np.floating]:
    """Derive the 12 standard leads from the 8 stored ones.

    Einthoven's and Goldberger's identities: III = II - I, aVR = -(I + II) / 2, aVL = I - II / 2, aVF = II - I / 2.
    The halves need a floating type: at 1 µV an integer would break the identities.

    Args:
        stored: (..., 8, samples), leads in the order of `STORED_LEADS`, any unit.

    Returns:
        (..., 12, samples), leads in the order of `LEADS`, the same unit and type.
    """
    one, two = stored[..., 0, :], stored[..., 1, :]
    limb = np.stack([one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2], axis=-2)
    return np.concatenate([limb, stored[..., 2:, :]], axis=-2)
