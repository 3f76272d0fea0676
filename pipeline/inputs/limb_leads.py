"""Whether a file's own III, aVR, aVL and aVF agree with its I and II, from which they follow."""

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.leads import LEADS, STORED_LEADS, to_twelve_leads

DERIVED_LEADS = tuple(lead for lead in LEADS if lead not in STORED_LEADS)

_WEIGHTS = dict(zip(LEADS, to_twelve_leads(np.eye(len(STORED_LEADS), 2)), strict=True))
"""What each takes of I and of II: what becomes of one that has I alone for a sample, and II alone for the next."""

TOLERANCE_UV = 10.0
"""RMS; three leads rounded to 5 µV, the coarsest step of a diagnostic electrocardiograph, differ by 2.5 µV."""

CONTRADICTION_UV = 20.0
"""RMS of what no gain explains: as little as counts for a flat lead. In LUDB, whose leads' gains are off, it is 1."""

EXPLAINED_LEAST = 0.9
"""Share of a lead's power that I and II explain, each with a gain of the right sign; real leads: 0.99 and more."""

REMARK = "with III, aVR, aVL or aVF that do not follow from I and II (gains?); they were not read"


def check_limb_leads(
    name: str, one: NDArray[np.floating], two: NDArray[np.floating], derived: NDArray[np.floating]
) -> tuple[str, ...]:
    """Hold the four leads that are not read against those that are.

    Args:
        name: of the recording.
        one: (samples,) lead I in µV.
        two: (samples,) lead II.
        derived: (4, samples) III, aVR, aVL, aVF.

    Returns:
        A remark where they follow from I and II only on another scale, or not at all because one is empty.

    Raises:
        InputError: where no gains explain them, so that leads are not what they are called.
    """
    remarks: tuple[str, ...] = ()
    one, two = _centred(one), _centred(two)
    for lead, samples in zip(DERIVED_LEADS, map(_centred, derived), strict=True):
        if not np.isfinite(samples).all():
            remarks = (REMARK,)
            continue
        of_one, of_two = _WEIGHTS[lead][0] * one, _WEIGHTS[lead][1] * two
        if _rms(samples - of_one - of_two) <= TOLERANCE_UV:
            continue
        remarks = (REMARK,)
        unexplained = _unexplained(samples, of_one, of_two)
        if unexplained > max(CONTRADICTION_UV, np.sqrt(1 - EXPLAINED_LEAST) * _rms(samples)):
            raise InputError(
                f"{name}: {lead} contradicts I and II, from which it follows, by {unexplained:.0f} µV, whatever their "
                "gains; correct the leads' names or order, or give I, II and V1 to V6 alone"
            )
    return remarks


def _centred(samples: NDArray[np.floating]) -> NDArray[np.float64]:
    """About its mean: electrodes have offsets of their own."""
    centred: NDArray[np.float64] = samples - np.mean(samples, dtype=np.float64)
    return centred


def _rms(samples: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(samples * samples)))


def _unexplained(samples: NDArray[np.float64], one: NDArray[np.float64], two: NDArray[np.float64]) -> float:
    """RMS of what is left when the best gains of two leads, none of them negative, have explained what they can."""
    fits = [np.zeros_like(samples)]
    for lead in (one, two):
        power, common = float(lead @ lead), float(lead @ samples)
        if power > 0 and common > 0:
            fits.append(common / power * lead)
    both, *_ = np.linalg.lstsq(np.stack([one, two], axis=1), samples, rcond=None)
    if both.min() >= 0:
        fits.append(both[0] * one + both[1] * two)
    return min(_rms(samples - fit) for fit in fits)
