"""The tables of a report as rows of text, for whatever writes them: Markdown, HTML."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from pipeline.report import published
from pipeline.report.comparison import (
    NORMALS_TOLERANCES,
    ROUNDING,
    TABLE_2_TOLERANCE,
    Cell,
    Comparison,
    Correlation,
    Tolerance,
)
from pipeline.report.records import CONCERNS
from pipeline.report.statistics import Outlier, Reason, SecondOpinion, Share, Statistics, percent
from pipeline.report.text import SHARES, by_count, counts_text, number, percent_text

STATISTICS = {"sd": "SD", "p2_5": "2.5 %", "p25": "25 %", "p50": "50 %", "p75": "75 %", "p97_5": "97.5 %"}
"""How the statistics are called that have another name here."""

DOUBTS_READING = (
    "Missing: null in our table and in no statistic. In doubt: measured and in the statistics, but under a quality "
    "flag that concerns the parameter. The records are not the paper's: both are samples of one generator, and with "
    "fewer of them than the paper's chance alone moves a cell, minimum and maximum most."
)
NORMALS_READING = f"Our records with the verdict Normal beside the paper's {published.NORMAL:,}, cells as above."
REASONS_NOTE = (
    "The paper lists 12SL's reasons in its Table S4, which is not at hand; ours are this program's statements under "
    "12SL's library codes. A record may carry several. Only reason: the record carries no other; the voltage criteria "
    "530 to 533 are the grounds of the statement that sums them up (542, 548) and count as one with it."
)
OPINION_NOTE = (
    "NeuroKit2 measures the rate on lead II in its own way. Differences are our whole number less its unrounded one; "
    "within 1 or 2 bpm compares whole numbers."
)


@dataclass(frozen=True)
class Beside:
    """A statistic of ours, 12SL's and their difference."""

    ours: str
    theirs: str
    difference: str
    out: bool = False
    """Is the difference out of tolerance?"""


Entry = str | Beside | tuple[str, ...]
"""What stands in one place of a table: text, a comparison, or beginnings of columns' names."""


@dataclass(frozen=True)
class Table:
    """A table to be written."""

    head: Sequence[str]
    """One for each column; all of them empty where the first column says what the others are."""
    rows: Sequence[Sequence[Entry]]
    words: Collection[int] = (0,)
    """Columns of words; the others are of numbers."""

    def by_name(self) -> list[dict[str, str]]:
        """Its rows as text under their heads; a comparison as `ours (theirs)`, with `*` if out of tolerance."""
        return [dict(zip(self.head, map(_text, row), strict=True)) for row in self.rows]

    def groups(self) -> list[list[Sequence[Entry]]]:
        """The rows, with those that follow each other under the same first entry together."""
        return [list(rows) for _, rows in groupby(self.rows, key=lambda row: row[0])]


def _text(entry: Entry) -> str:
    if isinstance(entry, Beside):
        return f"{entry.ours} ({entry.theirs}){' *' if entry.out else ''}"
    return entry if isinstance(entry, str) else ", ".join(entry)


def shares_table(shares: Mapping[str, Share | None]) -> Table:
    """How many records are normal, slow, fast and irregular, beside 12SL's."""
    rows: list[list[Entry]] = []
    for name, label in SHARES.items():
        share = shares[name]
        if share is None:
            rows.append([label, "not in this table", "–", "–", "–", "–"])
        else:
            theirs = number(share.published_records, 0), percent_text(share.published_percent)
            rows.append([label, f"{share.records:,}", percent_text(share.percent), *theirs, f"{share.missing:,}"])
    return Table(["", "records", "share", "12SL", "share", "unknown"], rows)


def comparison_table(table: Comparison) -> Table:
    """Our statistics beside published ones, a row for each parameter and choice of records."""
    head = [STATISTICS.get(cell.statistic, cell.statistic) for cell in table.rows[0].cells]
    rows: list[list[Entry]] = [
        [
            f"{row.label}, {row.unit}" if row.unit else row.label,
            row.records,
            *(_cell(cell) for cell in row.cells),
            *(f"{count:,}" for count in (row.values, row.missing, row.in_doubt)),
        ]
        for row in table.rows
    ]
    return Table(["parameter", "records", *head, "values", "missing", "in doubt"], rows, words=(0, 1))


def _cell(cell: Cell) -> Beside:
    theirs = number(cell.published, 0 if cell.published.is_integer() else 1)
    return Beside(number(cell.ours), theirs, number(cell.difference, sign=True), cell.within is False)


def correlations_table(correlations: Iterable[Correlation]) -> Table:
    """The lower triangle of the matrix."""
    pairs = {pair.columns: pair for pair in correlations}
    names = list(published.CORRELATED.items())
    rows: list[list[Entry]] = []
    for at, (column, name) in enumerate(names[1:], 1):
        cells = [_correlation(pairs[other, column]) for other, _ in names[:at]]
        rows.append([name, *cells, *[""] * (len(names) - 1 - at)])
    return Table(["", *(name for _, name in names[:-1])], rows)


def _correlation(pair: Correlation) -> Beside:
    return Beside(number(pair.ours, 3), number(pair.published, 3), number(pair.difference, 3, sign=True))


def pairs_text(correlations: Iterable[Correlation]) -> str:
    """Over how many records the correlations are: `1,600 to 1,700`."""
    pairs = [pair.values for pair in correlations]
    fewest, most = min(pairs), max(pairs)
    return f"{most:,}" if fewest == most else f"{fewest:,} to {most:,}"


def reasons_table(reasons: Iterable[Reason]) -> Table:
    """The statements that cost records their normality."""
    rows = [
        [
            reason.text,
            str(reason.code),
            reason.severity,
            f"{reason.records:,}",
            percent_text(reason.percent),
            f"{reason.only:,}",
        ]
        for reason in reasons
    ]
    return Table(["statement", "code", "severity", "records", "share of them", "only reason"], rows, words=(0, 2))


def funnel_table(statistics: Statistics) -> Table:
    """What became of the generated records, a stage a row, each with how many it is fewer than the one above."""
    measured = statistics.records - statistics.statuses.get("unmeasurable", 0)
    normal = statistics.records - statistics.not_normal
    partial, missing = statistics.statuses.get("partial", 0), counts_text(statistics.missing_reasons)
    others = counts_text({name: count for name, count in statistics.verdicts.items() if name != "Normal"})
    stages = [
        ("generated", statistics.records, statistics.records),
        (f"measured ({partial:,} in part: {missing})", measured, statistics.records),
        (f"normal (others: {others})", normal, measured),
    ]
    rows = [
        [stage, f"{count:,}", percent_text(percent(count, statistics.records)), f"{above - count:,}"]
        for stage, count, above in stages
    ]
    return Table(["stage", "records", "share of all", "left out"], rows)


def missing_table(missing_reasons: Mapping[str, int]) -> Table:
    """Why something is null, the commonest first."""
    rows = [[reason, f"{count:,}"] for reason, count in by_count(missing_reasons)]
    return Table(["why something is null", "records"], rows)


def flags_table(quality_flags: Mapping[str, int]) -> Table:
    """Every quality flag, the commonest first, and what it casts doubt on."""
    rows = [[flag, f"{count:,}", CONCERNS.get(flag) or "any"] for flag, count in by_count(quality_flags)]
    return Table(["quality flag", "records", "concerns columns that begin with"], rows, words=(0, 2))


def opinion_table(opinion: SecondOpinion) -> Table:
    """Our heart rate beside NeuroKit2's."""
    rows = [
        ["records sampled", f"{opinion.sampled:,} ({percent_text(opinion.percent)})"],
        ["missing, ours", f"{opinion.missing_ours:,}"],
        ["missing, NeuroKit2's", f"{opinion.missing_neurokit2:,}"],
        ["compared", f"{opinion.compared:,}"],
        ["mean difference, bpm", number(opinion.mean_difference, 2, sign=True)],
        ["SD of the difference, bpm", number(opinion.sd_difference, 2)],
        ["within 1 bpm", f"{opinion.within_1:,} ({percent_text(opinion.within_1_percent)})"],
        ["within 2 bpm", f"{opinion.within_2:,} ({percent_text(opinion.within_2_percent)})"],
        ["beyond 2 bpm", f"{opinion.beyond_2:,}"],
    ]
    return Table(["", ""], rows)


def outliers_table(outliers: Iterable[Outlier]) -> Table:
    """The records on whose rates the two programs differ most."""
    rows = [[str(item.record_id), str(item.ours), number(item.neurokit2)] for item in outliers]
    return Table(["record", "ours, bpm", "NeuroKit2's, bpm"], rows)


def table_2_tolerances() -> str:
    """What the cells of Table 2 are held to."""
    tolerances = ", ".join(
        f"{parameter.label} {TABLE_2_TOLERANCE[column]:g} {parameter.unit}"
        for column, parameter in published.TABLE_2.items()
    )
    return f"Tolerance: {tolerances}, and {ROUNDING:g} more because the paper prints whole numbers."


def normals_tolerances() -> str:
    """What the statistics of the normals are held to."""
    return f"Tolerance: {'; '.join(map(_tolerance, NORMALS_TOLERANCES))}; the rest have none."


def _tolerance(tolerance: Tolerance) -> str:
    limits = [f"{tolerance.amount:g} {tolerance.unit}"] if tolerance.amount else []
    limits += [f"{100 * tolerance.share:g} %"] if tolerance.share else []
    larger = ", whichever is more," if len(limits) > 1 else ""
    name = STATISTICS.get(tolerance.statistic, tolerance.statistic)
    return f"{' or '.join(limits)}{larger} for the {name} of {tolerance.of}"
