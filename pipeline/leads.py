"""The 8 stored leads and the 4 that follow from them."""

import numpy as np
from numpy.typing import NDArray

SAMPLING_RATE_HZ = 500
SAMPLES = 5000
"""Samples a lead in one record: 10 s at 500 Hz."""

STORED_LEADS = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
"""The independent leads, in the order of the published generator's output channels."""

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
"""The 12 leads in the standard order of display."""


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
