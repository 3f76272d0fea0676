"""Electrodes in each other's place, as far as a single recording shows it.

Arms: exchanged, they turn lead I over and leave the chest leads alone. Normally I and V6 look at the heart from the
same side and are alike; where I's QRS-T is rather V6's opposite, and P points to the right as well, the arms are
exchanged. Dextrocardia turns I over too, but with it V6, so that the two stay alike.

Chest: neighbours are alike. Where exchanging two of the chest leads would make neighbours much more alike, or where
I looks like V1 and not like V6 although P points to the left, their order is doubtful.

Of real and generated records with exchanged arms 92 to 98 % are found, and none of 2,280 as they were. Of chest leads
in reverse or in any order nine in ten are found, of V1 and V3 exchanged eight, of V1 and V2 or V3 and V4 every second.

Not to be seen: legs exchanged with each other (the recording is the same), left arm with left leg (an ordinary axis
results), V5 with V6 and mostly with V4, right arm with left leg in half of the records, and any electrode that is
merely at the wrong place.
"""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from pipeline.leads import STORED_LEADS
from pipeline.measurement import constants as c
from pipeline.measurement.delineate import Fiducials
from pipeline.measurement.waves import Signal

_CHEST = tuple(STORED_LEADS.index(lead) for lead in ("V1", "V2", "V3", "V4", "V5", "V6"))
_LEAD_I, _V1, _V6 = STORED_LEADS.index("I"), _CHEST[0], _CHEST[-1]


def _exchanged(one: int, other: int) -> list[int]:
    """The places of the chest leads, two of them exchanged."""
    places = list(range(len(_CHEST)))
    places[one], places[other] = other, one
    return places


_EXCHANGES = np.array([_exchanged(one, other) for one, other in combinations(range(len(_CHEST)), 2)])


def suspect_placement(
    waves: Signal, fiducials: Fiducials, p_axis: NDArray[np.float64], flat: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether the arms seem exchanged, and whether the order of the chest leads is doubtful, each (n,).

    Args:
        waves: (n, 8, 600) µV, the median beats.
        fiducials: their boundaries.
        p_axis: (n,) degrees; NaN where there is none.
        flat: (n, 8) leads that show nothing and so are like no other.
    """
    beats = _qrs_to_t(waves, fiducials)
    size = {lead: np.sqrt((beats[lead] * beats[lead]).sum(axis=-1)) for lead in beats}

    def alike(one: int, other: int) -> NDArray[np.float64]:
        product = (beats[one] * beats[other]).sum(axis=-1)
        likeness: NDArray[np.float64] = product / np.maximum(size[one] * size[other], np.finfo(np.float64).tiny)
        return likeness

    with_v6, with_v1 = alike(_LEAD_I, _V6), alike(_LEAD_I, _V1)
    to_the_left = np.abs(p_axis) <= c.P_TO_THE_LEFT_DEG  # false, as the next, where there is no axis
    to_the_right = np.abs(p_axis) > c.P_TO_THE_LEFT_DEG
    opposite = np.where(to_the_right, with_v6 < 0, with_v6 < -c.OPPOSITE_WITHOUT_P)
    arms = opposite & ~to_the_left & ~flat[:, _LEAD_I] & ~flat[:, _V6]
    turned = to_the_left & (with_v1 - with_v6 > c.CHEST_TURNED)
    between = np.ones((len(waves), len(_CHEST), len(_CHEST)))
    for one, other in combinations(range(len(_CHEST)), 2):
        between[:, one, other] = between[:, other, one] = alike(_CHEST[one], _CHEST[other])
    as_given = sum(between[:, place, place + 1] for place in range(len(_CHEST) - 1))
    exchanged = between[:, _EXCHANGES[:, :-1], _EXCHANGES[:, 1:]].sum(axis=-1).max(axis=-1)
    chest = (turned | (exchanged - as_given > c.CHEST_EXCHANGED)) & ~flat.any(axis=1)
    return arms, chest


def _qrs_to_t(waves: Signal, fiducials: Fiducials) -> dict[int, NDArray[np.float64]]:
    """By lead: (n, samples) the median beat from QRS onset to T end re its level at QRS onset, zeros elsewhere."""
    samples = np.arange(*c.PLACEMENT_SPAN)
    onset = fiducials.qrs_onset
    inside = (samples >= onset[:, None]) & (samples <= fiducials.t.offset[:, None])
    rows = np.arange(len(waves))
    return {
        lead: np.where(inside, waves[:, lead, slice(*c.PLACEMENT_SPAN)] - waves[rows, lead, onset][:, None], 0.0)
        for lead in (_LEAD_I, *_CHEST)
    }
