"""What the codes and words in the tables mean: every statement with its condition, every flag with its limit.

Numbers are those of the rules and of the measurement themselves. A condition on one column is read from the rule, one
that has a name is told by its own description; for the rest there are words here.
"""

import csv
import inspect
import io
from collections.abc import Iterable

from pipeline.columns import TABLE_COLUMNS
from pipeline.interpret import NOT_INTERPRETED, STATEMENT_TEXTS, VERDICT_STATEMENTS, VERDICTS
from pipeline.interpret.criteria import CONTIGUOUS, Condition, another_shape, fast, irregular, slow
from pipeline.interpret.rules import (
    ATHLETES,
    OURS,
    PART_III,
    PART_IV,
    PART_VI,
    RULES,
    STRICT_LIMITS,
    VOLTAGE,
    Rule,
    Severity,
)
from pipeline.measurement import constants as c
from pipeline.measurement import rows as reasons
from pipeline.report.records import CONCERNS

_UNITS = {column.name: f" {column.unit}" if column.unit not in {"", "1"} else "" for column in TABLE_COLUMNS}
_OF_ONE_COLUMN = {
    "above": "{column} above {limit}{unit}",
    "below": "{column} below {limit}{unit}",
    "within": "{column} from {lowest} to {highest}{unit}",
    "outside": "{column} below {lowest} or above {highest}{unit}",
}
"""What the conditions of the same names in `pipeline.interpret.criteria` ask."""


def _words(condition: Condition) -> str:
    """A condition on one column, with its numbers; of any other what it says of itself."""
    name = getattr(condition, "__qualname__", "").partition(".")[0]
    if name not in _OF_ONE_COLUMN:
        return (inspect.getdoc(condition) or "").rstrip(".")
    asked = inspect.getclosurevars(condition).nonlocals
    return _OF_ONE_COLUMN[name].format(**asked, unit=_UNITS[asked["column"]])


_SLOW, _FAST, _IRREGULAR, _ANOTHER_SHAPE = map(_words, (slow, fast, irregular, another_shape))
_HAS_P = "p_duration_ms is not null"
_SINUS = f"{_HAS_P}; not p_axis_deg below -29 or above 119 deg; no flag pacing_spikes"
_ECTOPIC = f"{_HAS_P}; p_axis_deg below -29 or above 119 deg"
_NEIGHBOURS = f"contiguous are {', '.join('-'.join(pair) for pair in CONTIGUOUS)}"
_IN_WORDS = {
    22: f"{_SINUS}; neither {_SLOW} nor {_FAST}",
    21: f"{_SINUS}; {_SLOW}",
    23: f"{_SINUS}; {_FAST}",
    61: f"{_ECTOPIC}; {_SLOW}",
    62: f"{_ECTOPIC}; neither {_SLOW} nor {_FAST}",
    63: f"{_ECTOPIC}; {_FAST}",
    251: f"{_SINUS}; {_IRREGULAR}; not {_ANOTHER_SHAPE}",
    231: f"{_IRREGULAR}; {_ANOTHER_SHAPE}",
    299: "p_duration_ms is null",
    290: "flag pacing_spikes; not qrs_duration_ms below 120 ms",
    292: "flag pacing_spikes; qrs_duration_ms below 120 ms",
    542: "one of 530, 531, 532 and 533",
    548: "two or more of 530, 531, 532 and 533",
    1672: "flag suspect_lead_reversal",
    1673: "qrs_duration_ms is null, or a flag of flat_lead, clipped, above_5_mv and suspect_chest_leads",
}
"""By code, what a rule asks that is put together of others: all parts between semicolons. A null meets no limit."""
_BESIDES = {
    532: "R in aVL + S in V3, or QS where there is no R",
    904: _NEIGHBOURS,
    1023: _NEIGHBOURS,
}
"""By code, what a rule's description takes for granted."""
_STRICT_IN_WORDS = {"R in V3 below 0.3 mV": "r_amplitude_v3_uv below 300 uV"}


def statements_csv() -> str:
    """Every statement that a record can have, and the limits that count in the strict band alone, as CSV.

    Returns:
        A row each of code (empty where a limit leaves no statement), text, severity, condition, source, and counts_in:
        to which of verdict, strict (`normal_strict`) and permissive (`normal_permissive`) the severity is a cost.
    """
    rows = [_statement(rule) for rule in RULES]
    for code, name in VERDICTS.values():
        condition = f"the worst severity of the record's statements is {name}"
        rows.append((code, VERDICT_STATEMENTS[code], name, condition, OURS, ""))
    few = f"status is unmeasurable: fewer than {c.FEWEST_QRS} QRS complexes"
    rows.append((NOT_INTERPRETED, STATEMENT_TEXTS[NOT_INTERPRETED], "", few, "12SL's library of statements", ""))
    rows.sort()
    for limit in STRICT_LIMITS:
        condition = _STRICT_IN_WORDS.get(limit.text) or _words(limit.applies)
        rows.append(("", limit.text, "", condition, _source(limit.source), "strict"))
    return _csv(("code", "text", "severity", "condition", "source", "counts_in"), rows)


def _statement(rule: Rule) -> tuple[object, ...]:
    condition = _IN_WORDS.get(rule.code) or "; ".join(filter(None, (_words(rule.applies), _BESIDES.get(rule.code))))
    counts_in = ["verdict", "strict", "permissive"][: 2 if rule.by_sex_or_age else 3]
    costs = rule.severity is not Severity.NORMAL
    severity = VERDICTS[rule.severity][1]
    return rule.code, rule.text, severity, condition, _source(rule.source), " ".join(counts_in) if costs else ""


def _source(source: str) -> str:
    """Where a limit is from, and whether that was looked at."""
    not_seen = source.startswith((PART_III, PART_IV, PART_VI, ATHLETES, VOLTAGE))
    return f"{source} (put down from memory or from others who cite it, to be checked)" if not_seen else source


_ALL = "the whole record"
_SWING = f"below {c.FLAT_UV:.0f} uV from peak to peak over 1 s"
_TOP = f"{c.CLIPPED_SAMPLES} samples in a row, or {c.CLIPPED_BRIEFLY} in a row {c.CLIPPED_TIMES} times or more"
_FLAGS = {
    "flat_lead": ("a stored lead shows no QRS, or no change at all over half a second", _SWING),
    "clipped": ("a lead that is not flat stays at its highest or its lowest sample", _TOP),
    "above_5_mv": ("a stored lead goes far from the baseline", f"above {c.HIGHEST_UV:.0f} uV to either side"),
    "suspect_lead_reversal": (
        (
            "the arms' electrodes seem exchanged: P does not point to the left, and lead I is V6's opposite from QRS "
            "to T; not told of paced records"
        ),
        (
            f"correlation below 0 where the P axis is beyond {c.P_TO_THE_LEFT_DEG} deg to either side, below "
            f"-{c.OPPOSITE_WITHOUT_P} where there is no P axis"
        ),
    ),
    "suspect_chest_leads": (
        (
            "the chest leads seem out of order: with P to the left, I is like V1 rather than V6, or two leads "
            "exchanged would make neighbours more alike"
        ),
        (
            f"correlation with V1 more than {c.CHEST_TURNED} above that with V6; sum of five correlations more than "
            f"{c.CHEST_EXCHANGED} higher"
        ),
    ),
    "pacing_spikes": (
        (
            f"spikes that are back within {c.NARROW_SPIKE.back * c.MS_PER_SAMPLE:.0f} ms, in {c.NARROW_SPIKE.leads} "
            "leads or more at once; they are taken out before the measurement"
        ),
        f"{c.FEWEST_SPIKES} or more, above {c.NARROW_SPIKE.height_uv:.0f} uV",
    ),
    "noisy": ("much noise in the worst lead", f"noise_uv above {c.NOISY_UV:g} uV"),
    "baseline_wander": ("much wander in the worst lead", f"baseline_wander_uv above {c.WANDER_UV:g} uV"),
    "unlike_beats": ("a beat is unlike the median beat", f"beat_correlation below {c.UNLIKE_CORRELATION:g}"),
    "varying_beats": ("the beats differ more than usual", f"beat_residual_uv above {c.RESIDUAL_UV[1]:g} uV"),
    "template_beats": ("the beats differ less than any heart's", f"beat_residual_uv below {c.RESIDUAL_UV[0]:g} uV"),
    "template_rhythm": (
        "RR varies less than any heart's",
        f"rr_sd_ms below {100 * c.RR_VARIATION_LEAST:g} % of mean_rr_ms",
    ),
    "uncertain_p": (
        "a P was measured that does not come with every beat",
        f"p_correlation below {c.P_CORRELATION_DOUBT:g}",
    ),
    "p_upon_t": (
        "P begins where T before it ends",
        f"mean_rr_ms - qt_interval_ms - pr_interval_ms below {c.P_AFTER_T_MS:g} ms",
    ),
    "uncertain_t_end": (
        "the estimates of the end of T differ",
        f"t_end_spread_ms above {c.T_SPREAD_DOUBT_MS:g} ms",
    ),
} | {
    f"unlikely_{name.removesuffix('_ms')}": (
        "the value is hardly a heart's, so that the measurement is suspect",
        f"{name} below {least} or above {most} ms",
    )
    for name, (least, most) in c.LIKELY_MS.items()
}
"""Of every quality flag what it means and its limit; a null value raises none."""
_P_SHORTEST, _P_LONGEST = (edge * c.MS_PER_SAMPLE for edge in c.P_LASTS)
_REASONS = {
    reasons.TOO_FEW_QRS: ("too few QRS complexes: unmeasurable", f"beats below {c.FEWEST_QRS}"),
    reasons.TOO_FEW_BEATS: (
        "no median beat, or no QRS on it",
        f"beats_used below {c.FEWEST_USED}, or no QRS boundaries",
    ),
    reasons.NO_P: (
        "no P wave comes with the beats",
        (
            f"p_prominence_uv below {c.P_PROMINENCE_UV:g} uV, p_correlation below {c.P_CORRELATION} (below "
            f"{c.P_CORRELATION_IRREGULAR} where RR changes by more than {100 * c.IRREGULAR_RR:g} % from beat to beat), "
            f"or P shorter than {_P_SHORTEST:.0f} ms or longer than {_P_LONGEST:.0f} ms"
        ),
    ),
    reasons.NO_T: ("no T wave", f"height below {c.T_PROMINENCE_UV:g} uV on the median beat's vector"),
    reasons.OUT_OF_RANGE: (
        "an axis of a wave without net area, or an amplitude too large for its column",
        f"net area in I and aVF below {c.AXIS_LEAST_UV_MS:g} uV ms; beyond 32767 uV",
    ),
}
"""Of every word of `status_reason` what it means and its limit."""


def flags_csv() -> str:
    """Every quality flag and every reason of a status, as CSV.

    Returns:
        A row each of flag, column (in which it is found), meaning, limit and concerns: the beginnings of the names of
        the columns that a flag casts doubt on.
    """
    rows = [
        (flag, "quality_flags", *said, " ".join(f"{start}*" for start in CONCERNS.get(flag, ())) or _ALL)
        for flag, said in _FLAGS.items()
    ]
    null = "null, as `missing` in columns.csv tells of each column"
    rows += [(reason, "status_reason", *said, null) for reason, said in _REASONS.items()]
    return _csv(("flag", "column", "meaning", "limit", "concerns"), rows)


def _csv(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([head, *rows])
    return text.getvalue()
