"""What the rules look at: a view of the measurement table, and the conditions that they combine.

R is the first positive deflection, as 12SL names it. R' is not measured, so that where a small r comes before a q the
criteria that ask for the height of R fall short: R in V5 is below 50 µV in about 0.5 % of generated records.
"""

from collections.abc import Callable, Iterable
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.leads import LEADS

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Measurements:
    """The columns of a measurement table as arrays; null is NaN, with which every comparison is false."""

    def __init__(self, table: pa.Table) -> None:
        """View a table with the columns `MEASURED` and `QUALITY`."""
        self._table = table
        self._columns: dict[str, Values] = {}

    def __getitem__(self, column: str) -> Values:
        """One column, (n,)."""
        if column not in self._columns:
            self._columns[column] = self._table[column].cast(pa.float64()).to_numpy()
        return self._columns[column]

    def missing(self, column: str) -> Flags:
        """Where a column is null, (n,)."""
        return np.isnan(self[column])

    def amplitude(self, wave: str, lead: str) -> Values:
        """Amplitude of a wave in a lead, (n,) in µV."""
        return self[f"{wave}_amplitude_{lead.lower()}_uv"]

    def flagged(self, *names: str) -> Flags:
        """Where the quality flags hold one of some names, (n,)."""
        lists = self._table["quality_flags"].combine_chunks()
        raised = pc.is_in(lists.flatten(), pa.array(names)).to_numpy(zero_copy_only=False)
        flagged = np.zeros(len(lists), np.bool_)
        flagged[pc.list_parent_indices(lists).to_numpy()[raised]] = True
        return flagged

    def depth(self, lead: str) -> Values:
        """Depth of the S wave, or of the QS where there is no R, (n,) in µV."""
        return np.maximum(self.amplitude("q", lead), self.amplitude("s", lead))


Condition = Callable[[Measurements], Flags]
"""Tells for every record whether something holds, (n,)."""


def above(column: str, limit: float) -> Condition:
    """Values above a limit."""
    return lambda m: m[column] > limit


def below(column: str, limit: float) -> Condition:
    """Values below a limit."""
    return lambda m: m[column] < limit


def within(column: str, lowest: float, highest: float) -> Condition:
    """Values from the lowest to the highest, both included."""
    return lambda m: (m[column] >= lowest) & (m[column] <= highest)


def outside(column: str, lowest: float, highest: float) -> Condition:
    """Values below the lowest or above the highest."""
    return lambda m: (m[column] < lowest) | (m[column] > highest)


def count(flags: Iterable[Flags]) -> NDArray[np.int_]:
    """How many of several conditions hold, (n,)."""
    number: NDArray[np.int_] = np.sum(list(flags), axis=0)
    return number


def paced(m: Measurements) -> Flags:
    """Pacing spikes were seen in the signal."""
    return m.flagged("pacing_spikes")


def poor_data(m: Measurements) -> Flags:
    """No QRS to measure, or a fault of the recording that bears on what its leads say."""
    return m.missing("qrs_duration_ms") | m.flagged("flat_lead", "clipped", "above_5_mv", "suspect_chest_leads")


slow = below("heart_rate_bpm", 60)  # the lowest rate among 12SL's normals is 60
fast = above("heart_rate_bpm", 100)  # the highest is 100, although the paper calls 100 tachycardia
irregular = above("rr_deviation_percent", 20)  # working limit
another_shape = below("beat_correlation", 0.85)  # working limit: a beat, P to T, that is unlike the median beat


def has_p(m: Measurements) -> Flags:
    """P waves and a rate were measured."""
    return ~m.missing("p_duration_ms") & ~m.missing("heart_rate_bpm")


def ectopic_p(m: Measurements) -> Flags:
    """P axis outside the range among 12SL's normals, which is wider than the public 0 to 75 degrees."""
    return has_p(m) & outside("p_axis_deg", -29, 119)(m)


def sinus(m: Measurements) -> Flags:
    """P waves whose axis does not speak against the sinus node, and no pacemaker."""
    return has_p(m) & ~ectopic_p(m) & ~paced(m)


def right_atrial_p(m: Measurements) -> Flags:
    """P of 0.25 mV or more in II, III or V1."""
    return count(m.amplitude("p", lead) >= 250 for lead in ("II", "III", "V1")) > 0


def low_voltage(m: Measurements) -> Flags:
    """QRS from peak to peak below 0.5 mV in every limb lead and below 1.0 mV in every chest lead."""
    limits = dict.fromkeys(LEADS[:6], 500) | dict.fromkeys(LEADS[6:], 1000)
    return count(m.amplitude("r", lead) + m.depth(lead) < limit for lead, limit in limits.items()) > 11


def high_r_avl(m: Measurements) -> Flags:
    """R in aVL above 1.1 mV; 12SL's normals reach 1.098 mV."""
    return m.amplitude("r", "aVL") > 1100


def sokolow_lyon(m: Measurements) -> Flags:
    """S in V1 + the taller R of V5 and V6, 3.5 mV or more."""
    return m.depth("V1") + np.maximum(m.amplitude("r", "V5"), m.amplitude("r", "V6")) >= 3500


def cornell_uv(m: Measurements) -> Values:
    """R in aVL + S in V3."""
    return m.amplitude("r", "aVL") + m.depth("V3")


def cornell_voltage(m: Measurements) -> Flags:
    """2.0 mV or more, the limit for women (men: 2.8 mV)."""
    return cornell_uv(m) >= 2000


def cornell_product(m: Measurements) -> Flags:
    """Cornell voltage in mm x QRS duration in ms, 2440 or more; 1 mm is 100 µV."""
    return cornell_uv(m) * m["qrs_duration_ms"] >= 2440 * 100


def lvh_criteria(m: Measurements) -> NDArray[np.int_]:
    """How many of the four voltage criteria for left ventricular hypertrophy are met."""
    return count(criterion(m) for criterion in (high_r_avl, sokolow_lyon, cornell_voltage, cornell_product))


def septal_qs(m: Measurements) -> Flags:
    """No R, but a QS, in V1, V2 and V3; among 12SL's normals R is absent in V1 but never in V2 or V3."""
    return count((m.amplitude("r", lead) == 0) & (m.depth(lead) > 0) for lead in ("V1", "V2", "V3")) > 2


CONTIGUOUS = (("aVL", "I"), ("II", "aVF"), ("aVF", "III"), *pairwise(LEADS[6:]))
"""Neighbouring leads, those of the limbs in Cabrera's order (AHA/ACCF/HRS part VI); aVR is left out."""


def in_contiguous_leads(holds: Callable[[str], Flags]) -> Flags:
    """Whether something holds in two neighbouring leads."""
    return count(holds(one) & holds(other) for one, other in CONTIGUOUS) > 0


def st_elevation(m: Measurements) -> Flags:
    """J point at 0.2 mV or more in V2 and V3, 0.1 mV or more elsewhere, in two contiguous leads."""
    return in_contiguous_leads(lambda lead: m.amplitude("stj", lead) >= (200 if lead in ("V2", "V3") else 100))


def st_depression(m: Measurements) -> Flags:
    """J point at -0.05 mV or less in V2 and V3, -0.1 mV elsewhere, and ST not rising, in contiguous leads."""

    def depressed(lead: str) -> Flags:
        j_point = m.amplitude("stj", lead)
        return (j_point <= (-50 if lead in ("V2", "V3") else -100)) & (m.amplitude("stm", lead) <= j_point)

    return in_contiguous_leads(depressed)


def t_abnormality(m: Measurements) -> Flags:
    """T inverted by 0.1 mV or below a tenth of an R above 0.3 mV, in two of I, II, V4, V5 and V6; or no T at all."""

    def abnormal(lead: str) -> Flags:
        r, t, t2 = (m.amplitude(wave, lead) for wave in ("r", "t", "t2"))
        return (np.minimum(t, t2) <= -100) | ((np.maximum(t, t2) < 0.1 * r) & (r > 300))

    flat = m.missing("qt_interval_ms") & ~m.missing("qrs_duration_ms")
    return flat | (count(abnormal(lead) for lead in ("I", "II", "V4", "V5", "V6")) >= 2)


def st_depressed_at_all(m: Measurements) -> Flags:
    """J point at -0.05 mV or less in two contiguous leads, whatever the ST segment does after it."""
    return in_contiguous_leads(lambda lead: m.amplitude("stj", lead) <= -50)
