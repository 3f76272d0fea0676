"""A report as text of at most 120 columns, for a terminal; a build's summary is made of the same parts."""

from collections.abc import Iterable, Mapping
from textwrap import fill

from pipeline.dataset import Manifest
from pipeline.report import published
from pipeline.report.comparison import Cell, Comparison, Row
from pipeline.report.records import PERMISSIVE, STRICT
from pipeline.report.statistics import Reason, SecondOpinion, Share, Statistics

CAVEAT = (
    "Ours are this program's measurements, the paper's are 12SL's. The limits that make a record normal lean on the\n"
    "ranges of the paper's own normals, so the figures of normals and their share are no independent check. Nor are\n"
    "those of all records wholly one: which estimators are combined was chosen after an earlier version had been seen\n"
    "to differ from 12SL's published means. No constant was fitted to these means."
)
RATE_NOTE = (
    "Rates are the measured ones, 12SL's counts those of its statements. Tachycardia begins at 100 a minute, as in the "
    "paper; statement 23 asks for more, because 12SL's normals reach 100."
)
ARRHYTHMIA_NOTE = (
    "Sinus arrhythmia is statement 251 on normal records, and a share of these. Ours asks for an RR interval more than "
    "20 % from the mean; 12SL's criterion is not public."
)
NO_SECOND_OPINION = "There was no second opinion on the heart rate: the folder has no second_opinion.parquet."
SHARES = {
    "normal": "verdict Normal",
    STRICT: "normal by the strict limits",
    PERMISSIVE: "normal by the permissive limits",
    "bradycardia": "bradycardia, below 60 a minute",
    "tachycardia": "tachycardia, 100 a minute or more",
    "sinus_arrhythmia": "sinus arrhythmia, of the normal",
}
"""What each share is of."""

WIDTH = 120
_COMMONEST = 8
_WORST = 3


def number(value: float | None, decimals: int = 1, *, sign: bool = False, separator: str = ",") -> str:
    """A number with thousands separators, a dash for none, and no sign on a zero."""
    if value is None:
        return "–"
    text = f"{value:{'+' if sign else ''}{separator}.{decimals}f}"
    return text if text.strip("+-0.") else text.lstrip("+-")


def identity(manifest: Manifest) -> str:
    """Which dataset it is."""
    subset = (
        "" if manifest.kind == "dataset" else "\nthe normal records of a dataset: whatever is of all records is of them"
    )
    return (
        f"{manifest.records:,} synthetic ECGs, not for clinical use; seed {manifest.recipe.seed}\n"
        f"generation {manifest.generation_version}, measurement {manifest.measurement_version}, "
        f"rules {manifest.rule_set}\n"
        f"content digest {manifest.content_digest}{subset}"
    )


def report_text(manifest: Manifest, statistics: Statistics) -> str:
    """The whole report.

    Args:
        manifest: of the dataset.
        statistics: of its records.
    """
    parts = [
        identity(manifest),
        shares_text(statistics.shares),
        table_2_text(statistics.table_2),
        normals_text(statistics),
        CAVEAT,
        reasons_text(statistics.reasons, statistics.not_normal),
        doubts_text(statistics),
        opinion_text(statistics.second_opinion),
    ]
    return "\n\n".join(parts) + "\n"


def shares_text(shares: Mapping[str, Share | None]) -> str:
    """How many records are normal, slow, fast and irregular, beside 12SL's."""
    lines = [f"{'':<34}{'records':>10}{'share':>10}{'12SL':>12}{'share':>10}{'unknown':>10}"]
    for name, label in SHARES.items():
        share = shares[name]
        if share is None:
            lines.append(f"{label:<34}{'not in this table':>20}")
        else:
            theirs = "–" if share.published_records is None else f"{share.published_records:,}"
            lines.append(
                f"{label:<34}{share.records:>10,}{percent_text(share.percent):>10}{theirs:>12}"
                f"{percent_text(share.published_percent):>10}{share.missing:>10,}"
            )
    return "\n".join([*lines, fill(f"{RATE_NOTE} {ARRHYTHMIA_NOTE}", WIDTH)])


def percent_text(percent: float | None) -> str:
    """A share with two or three digits that count."""
    if percent is None:
        return "–"
    return f"{percent:.{1 if percent >= 10 else 2 if percent >= 1 else 3 if percent else 0}f} %"


def table_2_text(table: Comparison) -> str:
    """The paper's Table 2 and ours, 64 cells."""
    title = (
        f"Table 2 of the paper, normal records ({published.NORMAL:,}) and all ({published.RECORDS:,}), beside ours;\n"
        f"{table.within} of {table.checks} cells are within tolerance, * marks the others"
    )
    lines = [title, _head(["mean", "SD", "2.5 %", "97.5 %"])]
    lines += [_line(row, row.cells) for row in table.rows]
    return "\n".join(lines)


def normals_text(statistics: Statistics) -> str:
    """12SL's normals and ours in mean and SD, and the largest difference of a correlation."""
    table = statistics.normals
    title = (
        f"12SL's measurements of the paper's {published.NORMAL:,} normals beside ours of our normal records;\n"
        f"{table.within} of {table.checks} checks are within tolerance, * marks the others"
    )
    lines = [title, _head(["mean", "SD"], theirs_width=7)]
    lines += [_line(row, row.cells[:2], theirs_width=7) for row in table.rows]
    known = [(abs(pair.difference), pair) for pair in statistics.correlations if pair.difference is not None]
    if known:
        difference, pair = max(known, key=lambda item: item[0])
        one, other = (published.CORRELATED[column] for column in pair.columns)
        lines.append(
            f"Of {len(known)} correlations of intervals the one that differs most is {one} with {other}: ours "
            f"{number(pair.ours, 2)}, theirs {number(pair.published, 2)}, difference {number(difference, 2)}"
        )
    return "\n".join(lines)


def _head(statistics: Iterable[str], theirs_width: int = 5) -> str:
    names = list(statistics)
    first = f"{'':<24}" + "".join(f"{name:^{14 + theirs_width}}" for name in names)
    columns = f"{'ours':>7}{'12SL':>{theirs_width}}{'diff':>6} "
    return f"{first.rstrip()}\n{'':<24}{columns * len(names)}{'missing':>9}{'in doubt':>10}"


def _line(row: Row, cells: Iterable[Cell], theirs_width: int = 5) -> str:
    label = f"{row.label}, {row.unit}" if row.unit else row.label
    columns = "".join(_cell(cell, 0 if row.unit == "µV" else 1, theirs_width) for cell in cells)
    return f"{label:<17}{row.records:<7}{columns}{row.missing:>9,}{row.in_doubt:>10,}"


def _cell(cell: Cell, decimals: int, theirs_width: int) -> str:
    ours = number(cell.ours, decimals, separator="")
    theirs = number(cell.published, 0 if cell.published.is_integer() else decimals, separator="")
    difference = number(cell.difference, decimals, sign=True, separator="")
    return f"{ours:>7}{theirs:>{theirs_width}}{difference:>6}{'*' if cell.within is False else ' '}"


def reasons_text(reasons: tuple[Reason, ...], not_normal: int) -> str:
    """The commonest statements that cost records their normality."""
    lines = [
        f"Commonest reasons for not Normal ({not_normal:,} records):",
        f"{'records':>10}{'share':>9}{'only reason':>13}{'code':>7}",
    ]
    lines += [
        f"{reason.records:>10,}{percent_text(reason.percent):>9}{reason.only:>13,}{reason.code:>7}  {reason.text}"
        for reason in reasons[:_COMMONEST]
    ]
    if not reasons:
        return f"{lines[0]} none"
    rest = len(reasons) - _COMMONEST
    return "\n".join([*lines, f"{'':>41}and {rest} rarer statements"] if rest > 0 else lines)


def doubts_text(statistics: Statistics) -> str:
    """What is missing and why, and what is in doubt."""
    lines = (
        f"Status: {counts_text(statistics.statuses)}. Why: {counts_text(statistics.missing_reasons)}."
        + duplicates_text(statistics.duplicates),
        f"In doubt by a quality flag: {statistics.flagged:,} records, {counts_text(statistics.quality_flags)}.",
    )
    return "\n".join(fill(line, WIDTH, subsequent_indent="    ") for line in lines)


def duplicates_text(duplicates: int | None) -> str:
    """A sentence on exact duplicates; none where they are not known."""
    return "" if duplicates is None else f" Exact duplicates: {duplicates:,} records have the signal of another."


def counts_text(counts: Mapping[str, int]) -> str:
    """Names and their counts, the commonest first."""
    return ", ".join(f"{name} {count:,}" for name, count in by_count(counts)) or "none"


def by_count(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """The commonest first."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def opinion_text(opinion: SecondOpinion | None) -> str:
    """Our heart rate beside NeuroKit2's, and where they differ most."""
    if opinion is None:
        return NO_SECOND_OPINION
    mean, sd = number(opinion.mean_difference, 2, sign=True), number(opinion.sd_difference, 2)
    known = (
        f"NeuroKit2's heart rate on {opinion.sampled:,} records ({percent_text(opinion.percent)}), "
        f"missing: ours {opinion.missing_ours:,}, theirs {opinion.missing_neurokit2:,}"
    )
    found = (
        f"Ours less theirs {mean} ± {sd} bpm, n {opinion.compared:,}; within 1 bpm "
        f"{percent_text(opinion.within_1_percent)}, within 2 bpm {percent_text(opinion.within_2_percent)}, "
        f"beyond {opinion.beyond_2:,}"
    )
    lines = [known, found]
    lines += [
        f"{'record':>10} {item.record_id}: ours {item.ours}, theirs {item.neurokit2:.1f}"
        for item in opinion.worst[:_WORST]
    ]
    return "\n".join(lines)
