"""A report as Markdown."""

from collections.abc import Iterable, Mapping, Sequence

from pipeline.dataset import Manifest
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
from pipeline.report.figures import Picture
from pipeline.report.records import CONCERNS
from pipeline.report.statistics import Reason, SecondOpinion, Share, Statistics
from pipeline.report.text import (
    ARRHYTHMIA_NOTE,
    CAVEAT,
    NO_SECOND_OPINION,
    RATE_NOTE,
    SHARES,
    by_count,
    counts_text,
    duplicates_text,
    identity,
    number,
    percent_text,
)

FIGURES = "figures"
STATISTICS = {"sd": "SD", "p2_5": "2.5 %", "p25": "25 %", "p50": "50 %", "p75": "75 %", "p97_5": "97.5 %"}
"""How the statistics are called that have another name here."""

READING = (
    "Every cell is ours / 12SL's / the difference; **bold** is out of tolerance. Missing: null in our table and in no "
    "statistic. In doubt: measured and in the statistics, but under a quality flag that concerns the parameter. The "
    "records are not the paper's: both are samples of one generator, and with fewer of them than the paper's chance "
    "alone moves a cell, minimum and maximum most."
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


def report_markdown(manifest: Manifest, statistics: Statistics, figures: Sequence[Picture]) -> str:
    """The whole report.

    Args:
        manifest: of the dataset.
        statistics: of its records.
        figures: to be found in the folder `FIGURES` beside the Markdown.
    """
    sections = {
        "Counts": _counts(statistics),
        "The paper's Table 2": _table_2(statistics.table_2),
        "12SL's measurements of its normals": _normals(statistics),
        "Reasons for not Normal": [
            f"{statistics.not_normal:,} records. {REASONS_NOTE}",
            _reasons(statistics.reasons),
        ],
        "What is missing and what is in doubt": _doubts(statistics),
        "Second opinion on the heart rate": _opinion(statistics.second_opinion),
        "Figures": [
            f"![{figure.title}]({FIGURES}/{figure.name}.png)\n\n**{figure.title}.** {figure.caption}"
            for figure in figures
        ],
    }
    parts = [
        "# Report on a dataset of synthetic ECGs",
        "\n".join(f"- {line}" for line in identity(manifest).splitlines()),
    ]
    for title, paragraphs in sections.items():
        parts += [f"## {title}", *paragraphs]
    return "\n\n".join(parts) + "\n"


def _counts(statistics: Statistics) -> list[str]:
    return [
        _shares(statistics.shares),
        f"{RATE_NOTE} {ARRHYTHMIA_NOTE}",
        f"Verdicts: {counts_text(statistics.verdicts)}. Status: {counts_text(statistics.statuses)}."
        + duplicates_text(statistics.duplicates),
        CAVEAT.replace("\n", " "),
    ]


def _table_2(table: Comparison) -> list[str]:
    tolerances = ", ".join(
        f"{parameter.label} {TABLE_2_TOLERANCE[column]:g} {parameter.unit}"
        for column, parameter in published.TABLE_2.items()
    )
    return [
        f"**{table.within} of {table.checks} cells are within tolerance.** {READING}",
        _comparison(table),
        f"Tolerance: {tolerances}, and {ROUNDING:g} more because the paper prints whole numbers.",
        f"Source: {published.PAPER}, Table 2.",
    ]


def _normals(statistics: Statistics) -> list[str]:
    table, pairs = statistics.normals, [pair.values for pair in statistics.correlations]
    fewest, most = min(pairs), max(pairs)
    over = f"{most:,}" if fewest == most else f"{fewest:,} to {most:,}"
    return [
        f"**{table.within} of {table.checks} checks are within tolerance.**",
        NORMALS_READING,
        _comparison(table),
        f"Tolerance: {'; '.join(map(_tolerance, NORMALS_TOLERANCES))}; the rest have none.",
        f"Correlations (Pearson's r) of the intervals, over {over} records that have both:",
        _correlations(statistics.correlations),
        f"Source: {published.NORMALS_SOURCE}.",
    ]


def _tolerance(tolerance: Tolerance) -> str:
    limits = [f"{tolerance.amount:g} {tolerance.unit}"] if tolerance.amount else []
    limits += [f"{100 * tolerance.share:g} %"] if tolerance.share else []
    larger = ", whichever is more," if len(limits) > 1 else ""
    name = STATISTICS.get(tolerance.statistic, tolerance.statistic)
    return f"{' or '.join(limits)}{larger} for the {name} of {tolerance.of}"


def _doubts(statistics: Statistics) -> list[str]:
    return [
        _table(["why something is null", "records"], _by_count(statistics.missing_reasons)),
        f"Under any quality flag: {statistics.flagged:,} records.",
        _table(["quality flag", "records", "concerns columns that begin with"], _flags(statistics.quality_flags)),
    ]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The first column is text, the others are numbers."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _shares(shares: Mapping[str, Share | None]) -> str:
    rows = []
    for name, label in SHARES.items():
        share = shares[name]
        if share is None:
            rows.append([label, "not in this table", "–", "–", "–", "–"])
        else:
            theirs = number(share.published_records, 0), percent_text(share.published_percent)
            rows.append([label, f"{share.records:,}", percent_text(share.percent), *theirs, f"{share.missing:,}"])
    return _table(["", "records", "share", "12SL", "share", "unknown"], rows)


def _comparison(table: Comparison) -> str:
    head = [STATISTICS.get(cell.statistic, cell.statistic) for cell in table.rows[0].cells]
    rows = [
        [
            f"{row.label}, {row.unit}" if row.unit else row.label,
            row.records,
            *(_cell(cell) for cell in row.cells),
            *(f"{count:,}" for count in (row.values, row.missing, row.in_doubt)),
        ]
        for row in table.rows
    ]
    return _table(["parameter", "records", *head, "values", "missing", "in doubt"], rows)


def _cell(cell: Cell) -> str:
    theirs = number(cell.published, 0 if cell.published.is_integer() else 1)
    text = f"{number(cell.ours)} / {theirs} / {number(cell.difference, sign=True)}"
    return f"**{text}**" if cell.within is False else text


def _correlations(correlations: Iterable[Correlation]) -> str:
    """The lower triangle of the matrix."""
    pairs = {pair.columns: pair for pair in correlations}
    names = list(published.CORRELATED.items())
    rows = []
    for at, (column, name) in enumerate(names[1:], 1):
        cells = [_correlation(pairs[other, column]) for other, _ in names[:at]]
        rows.append([name, *cells, *[""] * (len(names) - 1 - at)])
    return _table(["", *(name for _, name in names[:-1])], rows)


def _correlation(pair: Correlation) -> str:
    return f"{number(pair.ours, 3)} / {number(pair.published, 3)} / {number(pair.difference, 3, sign=True)}"


def _reasons(reasons: Sequence[Reason]) -> str:
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
    return _table(["statement", "code", "severity", "records", "share of them", "only reason"], rows)


def _by_count(counts: Mapping[str, int]) -> list[list[str]]:
    return [[name, f"{count:,}"] for name, count in by_count(counts)]


def _flags(counts: Mapping[str, int]) -> list[list[str]]:
    rows = _by_count(counts)
    return [[*row, ", ".join(f"`{start}`" for start in CONCERNS.get(row[0], ())) or "any"] for row in rows]


def _opinion(opinion: SecondOpinion | None) -> list[str]:
    if opinion is None:
        return [NO_SECOND_OPINION]
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
    paragraphs = [OPINION_NOTE, _table(["", ""], rows)]
    if opinion.worst:
        worst = [[str(item.record_id), str(item.ours), number(item.neurokit2)] for item in opinion.worst]
        paragraphs += ["The largest of these:", _table(["record", "ours, bpm", "NeuroKit2's, bpm"], worst)]
    return paragraphs
