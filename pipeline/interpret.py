"""From measurements to statements and a verdict, in the structure and with the library codes of GE's 12SL.

12SL's thresholds are not public. The rules below are public criteria, except where 12SL itself is known to
have called a value normal: the outermost values among the 121,977 ECGs that it called normal (`NORMALS`)
overrule any narrower public limit, because what 12SL calls normal must not by itself cost a record its
normality. The rules were fixed before any normal share was looked at; they are not to be fitted to one.

Every rule that applies leaves its statement; the verdict is the worst of their severities. Sex and age are
unknown: of voltage limits that depend on them the stricter applies, and costs no more than Borderline. A rule
does not apply where a value that it needs is null.

Not covered yet, because the measurement table has no columns for it: R' and the bundle branch patterns (440
to 465; any QRS of 120 ms is 482), fascicular blocks (470, 471), P terminal force (360), Q durations and with
them most infarcts (740 to 830), J point notches (early repolarization, 1000), pacing, and rhythms that need
the single beats (atrial fibrillation, junctional rhythm, AV block of 2nd degree; without P waves it is 299).
Right ventricular hypertrophy (520), ST and T by region (920 to 1082, 1145 to 1181) and combined statements
(544, 1141) have no rule of their own either; mostly 383, 904, 1023 or 1140 speaks for them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.columns import INTERPRETED, schema
from pipeline.leads import LEADS

RULE_SET = "2026.11-1"
"""Version of the rules; changes with any of them."""

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Severity(IntEnum):
    """What a statement costs; a record's verdict is its worst."""

    NORMAL = 0
    OTHERWISE_NORMAL = 1
    BORDERLINE = 2
    ABNORMAL = 3


VERDICTS = {
    Severity.NORMAL: (1684, "Normal"),
    Severity.OTHERWISE_NORMAL: (1687, "Otherwise normal"),
    Severity.BORDERLINE: (1693, "Borderline"),
    Severity.ABNORMAL: (1699, "Abnormal"),
}
"""12SL's library code and our name of every verdict."""

NOT_INTERPRETED = 1676
"""Statement of a record whose status is unmeasurable; it has no verdict."""


class Measurements:
    """The columns of a measurement table as arrays; null is NaN, with which every comparison is false."""

    def __init__(self, table: pa.Table) -> None:
        """View a table with the columns `MEASURED` and `QUALITY`."""
        self._table = table

    def __getitem__(self, column: str) -> Values:
        """One column, (n,)."""
        values: Values = self._table[column].cast(pa.float64()).to_numpy()
        return values

    def missing(self, column: str) -> Flags:
        """Where a column is null, (n,)."""
        return np.isnan(self[column])

    def amplitude(self, wave: str, lead: str) -> Values:
        """Amplitude of a wave in a lead, (n,) in µV."""
        return self[f"{wave}_amplitude_{lead.lower()}_uv"]

    def depth(self, lead: str) -> Values:
        """Depth of the S wave, or of the QS where there is no R, (n,) in µV."""
        return np.maximum(self.amplitude("q", lead), self.amplitude("s", lead))


Condition = Callable[[Measurements], Flags]
"""Tells for every record whether something holds, (n,)."""


@dataclass(frozen=True)
class Rule:
    """One statement: 12SL's code, what it costs, its wording, its threshold's source and when it applies."""

    code: int
    severity: Severity
    text: str
    source: str
    applies: Condition


# --- What the rules look at -------------------------------------------------------------------------------


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


slow = below("heart_rate_bpm", 60)  # the lowest rate among 12SL's normals is 60
fast = above("heart_rate_bpm", 100)  # the highest is 100, although the paper calls 100 tachycardia
irregular = above("rr_deviation_percent", 20)
another_shape = below("beat_correlation", 0.85)  # working limit: a beat, P to T, that is unlike the median beat


def has_p(m: Measurements) -> Flags:
    """P waves and a rate were measured."""
    return ~m.missing("p_duration_ms") & ~m.missing("heart_rate_bpm")


def ectopic_p(m: Measurements) -> Flags:
    """P axis outside the range among 12SL's normals, which is wider than the public 0 to 75 degrees."""
    return has_p(m) & outside("p_axis_deg", -29, 119)(m)


def sinus(m: Measurements) -> Flags:
    """P waves whose axis does not speak against the sinus node."""
    return has_p(m) & ~ectopic_p(m)


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


# --- The rules --------------------------------------------------------------------------------------------

NORMALS = (
    "range of the 121,977 generated ECGs that 12SL 2.43 called normal (OSF 6hved, as described in the notebook "
    "deepfake_ecg_analysis.ipynb of ECG-k-Fold)"
)
PART_III = "AHA/ACCF/HRS recommendations part III, Circulation 2009;119:e235"
PART_IV = "AHA/ACCF/HRS recommendations part IV, Circulation 2009;119:e241"
PART_VI = "AHA/ACCF/HRS recommendations part VI, Circulation 2009;119:e262"
ATHLETES = "criteria for the athlete's ECG, table 1, Br J Sports Med 2009;43:669"
VOLTAGE = "LVH voltage criteria as tabulated in PMC4750022; of two limits by sex the lower"
OURS = "working definition of this project; 12SL's is not public"

NORMAL, OTHERWISE_NORMAL, BORDERLINE, ABNORMAL = Severity
ECTOPIC = "Unusual P axis, possible ectopic atrial"
LVH = "voltage criteria for LVH, may be normal variant"

RULES = (
    # Rhythm. Rhythm and AV findings are what 12SL combines with "Otherwise normal ECG".
    Rule(22, NORMAL, "Normal sinus rhythm", NORMALS, lambda m: sinus(m) & ~slow(m) & ~fast(m)),
    Rule(21, OTHERWISE_NORMAL, "Sinus bradycardia", NORMALS, lambda m: sinus(m) & slow(m)),
    Rule(23, OTHERWISE_NORMAL, "Sinus tachycardia", NORMALS, lambda m: sinus(m) & fast(m)),
    Rule(61, BORDERLINE, f"{ECTOPIC} bradycardia", NORMALS, lambda m: ectopic_p(m) & slow(m)),
    Rule(62, BORDERLINE, f"{ECTOPIC} rhythm", NORMALS, lambda m: ectopic_p(m) & ~slow(m) & ~fast(m)),
    Rule(63, BORDERLINE, f"{ECTOPIC} tachycardia", NORMALS, lambda m: ectopic_p(m) & fast(m)),
    # 7,726 of 12SL's normals carry sinus arrhythmia.
    Rule(251, NORMAL, "with sinus arrhythmia", OURS, lambda m: sinus(m) & irregular(m) & ~another_shape(m)),
    Rule(231, OTHERWISE_NORMAL, "premature ventricular complexes", OURS, lambda m: irregular(m) & another_shape(m)),
    # All of 12SL's normals are in sinus rhythm, the 96 without a measured P onset included; but without P waves this
    # may be atrial fibrillation, and we cannot tell.
    Rule(299, ABNORMAL, "Undetermined rhythm", OURS, lambda m: ~has_p(m)),
    # AV conduction and P. Public limits of PR are 120 and 210 ms; 12SL's normals go from 112 to 208.
    Rule(101, OTHERWISE_NORMAL, "with 1st degree AV block", NORMALS, above("pr_interval_ms", 208)),
    Rule(102, OTHERWISE_NORMAL, "with short PR", NORMALS, below("pr_interval_ms", 112)),
    Rule(350, BORDERLINE, "Right atrial enlargement", ATHLETES, right_atrial_p),
    # QRS duration. The public limit of the normal is 110 ms; 12SL's normals reach 116 (all values are even).
    Rule(
        487, BORDERLINE, "Nonspecific intraventricular conduction delay", NORMALS, within("qrs_duration_ms", 117, 119)
    ),
    Rule(482, ABNORMAL, "Nonspecific intraventricular block", PART_III, above("qrs_duration_ms", 119)),
    # QRS axis. 12SL's normals go from -29 to 89 degrees, as does the public normal range.
    Rule(371, ABNORMAL, "Abnormal left axis deviation", PART_III, within("qrs_axis_deg", -90, -45)),
    Rule(372, BORDERLINE, "Left axis deviation", NORMALS, within("qrs_axis_deg", -44, -30)),
    Rule(380, BORDERLINE, "Rightward axis", NORMALS, within("qrs_axis_deg", 90, 119)),
    Rule(383, ABNORMAL, "Right axis deviation", ATHLETES, within("qrs_axis_deg", 120, 180)),
    Rule(384, ABNORMAL, "Right superior axis deviation", PART_III, below("qrs_axis_deg", -90)),
    # Voltage. By itself it is never more than Borderline.
    Rule(410, BORDERLINE, "Low voltage QRS", "Surawicz and Knilans, Chou's Electrocardiography, 6th ed.", low_voltage),
    Rule(530, BORDERLINE, "R in aVL", f"PMC6932705; {NORMALS}", high_r_avl),
    Rule(531, BORDERLINE, "Sokolow-Lyon", VOLTAGE, sokolow_lyon),
    Rule(532, BORDERLINE, "Cornell voltage", VOLTAGE, cornell_voltage),
    Rule(533, BORDERLINE, "Cornell product", VOLTAGE, cornell_product),
    Rule(542, BORDERLINE, f"Minimal {LVH}", f"one of 530 to 533; {OURS}", lambda m: lvh_criteria(m) == 1),
    Rule(548, BORDERLINE, f"Moderate {LVH}", f"two of 530 to 533; {OURS}", lambda m: lvh_criteria(m) > 1),
    Rule(700, ABNORMAL, "Septal infarct", f"Minnesota code 1-2-7; {NORMALS}", septal_qs),
    # Repolarization. 12SL called early repolarization normal 384 times, so ST elevation is not Abnormal.
    Rule(904, BORDERLINE, "Nonspecific ST elevation", f"{PART_VI}, men of 40 and older", st_elevation),
    Rule(1023, ABNORMAL, "Nonspecific ST depression", PART_VI, st_depression),
    Rule(1140, ABNORMAL, "Nonspecific T wave abnormality", PART_IV, t_abnormality),
    Rule(
        1142,
        BORDERLINE,
        "Abnormal QRS-T angle, consider primary T wave abnormality",
        NORMALS,
        outside("t_axis_deg", -41, 92),
    ),
    # Public limits of QTc by Bazett, 450 ms (men) and 460 ms (women), lie within what 12SL called normal.
    Rule(1143, ABNORMAL, "Prolonged QT", NORMALS, above("qtc_fridericia_ms", 478)),
    # None of 12SL's normals lacks a QRS; without it a record cannot be told to be normal.
    Rule(
        1673,
        BORDERLINE,
        "Poor data quality, interpretation may be adversely affected",
        NORMALS,
        lambda m: m.missing("qrs_duration_ms"),
    ),
)

VERDICT_STATEMENTS = {code: f"{name} ECG" for code, name in VERDICTS.values()}
"""The statements that give the verdict, by code."""

STATEMENT_TEXTS = (
    {rule.code: rule.text for rule in RULES}
    | VERDICT_STATEMENTS
    | {NOT_INTERPRETED: "Less than 4 QRS complexes detected, no interpretation possible"}
)
"""The wording of every statement that `interpret` makes, by code."""


def interpret(measurements: pa.Table) -> pa.Table:
    """Apply every rule to every record.

    Args:
        measurements: n rows with the columns `MEASURED` and `QUALITY` of `pipeline.columns`.

    Returns:
        n rows with the columns `INTERPRETED`: verdict (null where the status is unmeasurable), the codes of
        all statements, the verdict's among them, and the rule set.
    """
    view = Measurements(measurements)
    measurable = pc.not_equal(measurements["status"], "unmeasurable").fill_null(False).to_numpy()
    fired = np.array([rule.applies(view) & measurable for rule in RULES])
    severity = (fired * np.array([[rule.severity] for rule in RULES])).max(axis=0)
    hits = [(rule.code, applies) for rule, applies in zip(RULES, fired, strict=True)]
    hits += [(code, measurable & (severity == level)) for level, (code, _) in VERDICTS.items()]
    hits.append((NOT_INTERPRETED, ~measurable))
    names = np.array([name for _, name in VERDICTS.values()], dtype=object)
    verdict = pa.array(names[severity], pa.string(), mask=~measurable)
    rule_set = pa.repeat(RULE_SET, len(measurements))
    return pa.table([verdict, _code_lists(hits), rule_set], schema=schema(*INTERPRETED))


def _code_lists(hits: Iterable[tuple[int, Flags]]) -> pa.ListArray:
    """The codes that hit each record, ascending, from each code and the records that it hits, (n,)."""
    codes, flags = zip(*sorted(hits, key=lambda hit: hit[0]), strict=True)
    matrix = np.stack(flags, axis=1)
    offsets = np.concatenate([[0], matrix.sum(axis=1).cumsum()])
    # Row by row and, within a row, in the order of the codes.
    values = np.array(codes, dtype=np.int16)[matrix.nonzero()[1]]
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(values))
