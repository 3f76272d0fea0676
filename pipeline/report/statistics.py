"""What a report says of a dataset, in numbers: plain data that goes to JSON as it is."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.columns import SIGNAL_SHA256
from pipeline.interpret import NOT_INTERPRETED, STATEMENT_TEXTS, VERDICT_STATEMENTS
from pipeline.interpret.rules import RULES, Severity
from pipeline.report import published
from pipeline.report.comparison import Comparison, Correlation, correlations, described, normals, rounded, table_2
from pipeline.report.records import PERMISSIVE, STRICT, Mask, Records, membership, true_where

_GROUNDS = (530, 531, 532, 533)
COMPANIONS = {542: _GROUNDS, 548: _GROUNDS} | dict.fromkeys(_GROUNDS, (542,))
"""Statements that say the same as another: the voltage criteria (530 to 533) are the grounds of 542 (one of them) and
548 (two or more). Beside such a companion a statement is still a record's only reason."""

SINUS_ARRHYTHMIA = 251

WORST = 20


@dataclass(frozen=True)
class Share:
    """How many records something is true of, beside 12SL's share where it is known."""

    records: int
    percent: float | None
    missing: int
    """Records for which it cannot be told."""
    published_records: int | None = None
    published_percent: float | None = None


@dataclass(frozen=True)
class Reason:
    """A statement that costs records their normality."""

    code: int
    text: str
    severity: str
    records: int
    percent: float | None
    """Of the records that are not normal."""
    only: int
    """Records that would be normal without it."""


@dataclass(frozen=True)
class Outlier:
    """A record on whose rate this program and NeuroKit2 differ."""

    record_id: int
    ours: int
    neurokit2: float


@dataclass(frozen=True)
class SecondOpinion:
    """Our heart rate less NeuroKit2's, on the records that both have measured."""

    sampled: int
    percent: float | None
    missing_ours: int
    missing_neurokit2: int
    compared: int
    mean_difference: float | None
    sd_difference: float | None
    within_1: int
    within_2: int
    within_1_percent: float | None
    within_2_percent: float | None
    beyond_2: int
    worst: tuple[Outlier, ...]
    """The largest differences above 2 a minute, at most `WORST`."""


@dataclass(frozen=True)
class Statistics:
    """Everything that a report says in numbers."""

    records: int
    shares: dict[str, Share | None]
    """None where the table has no such column."""
    verdicts: dict[str, int]
    statuses: dict[str, int]
    missing_reasons: dict[str, int]
    duplicates: int | None
    """Records with the same signal as another; None where the table has no digests of signals."""
    quality_flags: dict[str, int]
    flagged: int
    table_2: Comparison
    normals: Comparison
    correlations: tuple[Correlation, ...]
    not_normal: int
    reasons: tuple[Reason, ...]
    second_opinion: SecondOpinion | None


def statistics(records: Records, second_opinion: pa.Table | None = None) -> Statistics:
    """Everything that a report says of a dataset.

    Args:
        records: its rows, with `COLUMNS`.
        second_opinion: record_id, heart_rate_bpm and neurokit2_heart_rate_bpm of the records that NeuroKit2 has
            looked at, if it has.
    """
    table, normal = records.table, records.normal()
    return Statistics(
        records=len(records),
        shares=shares(records, normal),
        verdicts=count_strings(table["verdict"]),
        statuses=count_strings(table["status"]),
        missing_reasons=count_members(membership(pc.split_pattern(table["status_reason"], "; "))),
        duplicates=duplicates(table),
        quality_flags=count_members(records.flags),
        flagged=int(records.flagged().sum()),
        table_2=table_2(records, normal),
        normals=normals(normal),
        correlations=correlations(normal),
        not_normal=len(records) - len(normal),
        reasons=reasons(records),
        second_opinion=None if second_opinion is None else opinion(second_opinion, len(records)),
    )


def percent(part: int, whole: int) -> float | None:
    """A share in %, of nothing None."""
    return rounded(100 * part / whole) if whole else None


def count_strings(column: pa.ChunkedArray) -> dict[str, int]:
    """How often each value of a string column occurs; a missing one counts under `none`."""
    return {str(pair["values"]): pair["counts"] for pair in pc.value_counts(column.fill_null("none")).to_pylist()}


def count_members(masks: Mapping[str, Mask]) -> dict[str, int]:
    """How many records hold each value."""
    return {value: int(mask.sum()) for value, mask in masks.items()}


def duplicates(table: pa.Table) -> int | None:
    """How many records have the same signal as another; None where the table has no digests of signals."""
    if SIGNAL_SHA256.name not in table.column_names:
        return None
    counts = pc.value_counts(table[SIGNAL_SHA256.name].drop_null()).field("counts").to_numpy()
    return int(counts[counts > 1].sum())


def shares(records: Records, normal: Records) -> dict[str, Share | None]:
    """How many records are normal, slow and fast by the paper's words, and normal by strict and permissive limits.

    Sinus arrhythmia is a share of the normal records.
    """
    table, rate = records.table, records["heart_rate_bpm"]
    no_rate, no_verdict = int(np.isnan(rate).sum()), table["verdict"].null_count
    arrhythmia = membership(normal.table["statements"]).get(SINUS_ARRHYTHMIA, np.zeros(len(normal), np.bool_))
    found: dict[str, Share | None] = {
        "normal": _share(records.is_normal(), no_verdict, published.NORMAL),
        "bradycardia": _share(rate < 60, no_rate, published.BRADYCARDIA),
        "tachycardia": _share(rate >= 100, no_rate, published.TACHYCARDIA),
        "sinus_arrhythmia": _share(arrhythmia, 0, published.SINUS_ARRHYTHMIA, published.NORMAL),
    }
    for name in (STRICT, PERMISSIVE):
        has = name in table.column_names
        found[name] = _share(true_where(table[name]), table[name].null_count) if has else None
    return found


def _share(holds: Mask, missing: int, theirs: int | None = None, of: int = published.RECORDS) -> Share:
    count = int(holds.sum())
    their_percent = None if theirs is None else percent(theirs, of)
    return Share(count, percent(count, holds.size), missing, theirs, their_percent)


def reasons(records: Records) -> tuple[Reason, ...]:
    """The statements that cost records their normality, the commonest first; those without a record are left out.

    What this program does not know, from a later rule set, counts as well: better too much than hidden.
    """
    severities = {rule.code: rule.severity for rule in RULES}
    free = {code for code, severity in severities.items() if severity == Severity.NORMAL} | set(VERDICT_STATEMENTS)
    costs = ~records.is_normal()
    not_normal = int(costs.sum())
    held = {code: mask & costs for code, mask in membership(records.table["statements"]).items() if code not in free}
    carried = np.zeros(len(records), np.int64)
    for mask in held.values():
        carried += mask
    found = []
    for code, mask in held.items():
        others = carried - mask
        for companion in COMPANIONS.get(code, ()):
            others -= held.get(companion, np.False_)
        count, only = int(mask.sum()), int((mask & (others == 0)).sum())
        if count:
            severity, share = _severity(severities, code), percent(count, not_normal)
            found.append(Reason(code, _text(code), severity, count, share, only))
    return tuple(sorted(found, key=lambda reason: (-reason.records, reason.code)))


def _text(code: int) -> str:
    text = STATEMENT_TEXTS.get(code, "unknown to this program")
    return f"criterion: {text}" if code in _GROUNDS else text


def _severity(severities: Mapping[int, Severity], code: int) -> str:
    if code == NOT_INTERPRETED:
        return "Not interpreted"
    return severities[code].name.capitalize().replace("_", " ") if code in severities else "Unknown"


def opinion(table: pa.Table, records: int) -> SecondOpinion:
    """Our heart rate beside NeuroKit2's, rounded to a whole number for the shares within 1 and 2 a minute.

    Args:
        table: record_id, heart_rate_bpm and neurokit2_heart_rate_bpm of the sampled records.
        records: how many the dataset has.
    """
    ours, theirs = (
        table[name].cast(pa.float64()).to_numpy() for name in ("heart_rate_bpm", "neurokit2_heart_rate_bpm")
    )
    both = ~np.isnan(ours) & ~np.isnan(theirs)
    ids, difference = table["record_id"].to_numpy()[both], ours[both] - theirs[both]
    apart = np.abs(ours[both] - np.rint(theirs[both]))
    n, spread = int(both.sum()), described(difference)
    within_1, within_2 = int((apart <= 1).sum()), int((apart <= 2).sum())
    order = np.lexsort((ids, -np.abs(difference)))
    worst = order[apart[order] > 2][:WORST]
    return SecondOpinion(
        sampled=len(table),
        percent=percent(len(table), records),
        missing_ours=int(np.isnan(ours).sum()),
        missing_neurokit2=int(np.isnan(theirs).sum()),
        compared=n,
        mean_difference=spread["mean"],
        sd_difference=spread["sd"],
        within_1=within_1,
        within_2=within_2,
        within_1_percent=percent(within_1, n),
        within_2_percent=percent(within_2, n),
        beyond_2=n - within_2,
        worst=tuple(Outlier(int(ids[i]), int(ours[both][i]), rounded(theirs[both][i])) for i in worst),
    )
