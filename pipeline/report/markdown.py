"""A report as Markdown."""

from collections.abc import Iterable, Mapping, Sequence

from pipeline.dataset import Manifest
from pipeline.report import published
from pipeline.report.comparison import Cell, Comparison, Correlation
from pipeline.report.figures import Picture
from pipeline.report.records import CONCERNS
from pipeline.report.statistics import Reason, SecondOpinion, Share, Statistics
from pipeline.report.text import (
    CAVEAT,
    NO_SECOND_OPINION,
    SHARES,
    by_count,
    counts_text,
    identity,
    number,
    percent_text,
)

FIGURES = "figures"

READING = (
    "Every cell is ours / 12SL's / the difference; **bold** is out of tolerance. Missing: null in our table and in no "
    "statistic. In doubt: measured and in the statistics, but under a quality flag that concerns the parameter. The "
    "records are not the paper's: both are samples of one generator, and with fewer of them than the paper's chance "
    "alone moves a cell, minimum and maximum most."
)
TABLE_2_TOLERANCE = (
    "Tolerance of every cell: heart rate 1 bpm, P 6 ms, the other intervals 4 ms, STJ 10 µV, R 40 µV, T 25 µV, and "
    "half a unit more because the paper prints whole numbers."
)
NORMALS_TOLERANCE = (
    "Tolerance: 3 ms for the means of PR, QRS, QT and QTcF and 15 % for their standard deviations, 4° for the means of "
    "the axes, 5 % or 15 µV, whichever is more, for the means of the R amplitudes; the rest have none."
)
NORMALS_READING = f"Our records with the verdict Normal beside the paper's {published.NORMAL:,}, cells as above."
REASONS_NOTE = (
    "The paper lists 12SL's reasons in its Table S4, which is not at hand; ours are this program's statements under "
    "12SL's library codes. A record may carry several. Only reason: the record carries no other; the voltage criteria "
    "530 to 533 and the statement that sums them up (542, 548) count as one."
)
RATE_NOTE = "Ours go by the measured rate alone, 12SL's by its statements of sinus bradycardia and tachycardia."
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
    pairs = [pair.values for pair in statistics.correlations]
    fewest, most = min(pairs), max(pairs)
    sections = {
        "Counts": [
            _shares(statistics.shares),
            RATE_NOTE,
            f"Verdicts: {counts_text(statistics.verdicts)}. Status: {counts_text(statistics.statuses)}.",
            CAVEAT.replace("\n", " "),
        ],
        "The paper's Table 2": [
            f"**{statistics.table_2.within} of {statistics.table_2.checks} cells are within tolerance.** {READING}",
            _comparison(statistics.table_2),
            f"{TABLE_2_TOLERANCE} Source: {published.PAPER}, Table 2.",
        ],
        "12SL's measurements of its normals": [
            f"**{statistics.normals.within} of {statistics.normals.checks} checks are within tolerance.**",
            NORMALS_READING,
            _comparison(statistics.normals),
            NORMALS_TOLERANCE,
            f"Correlations (Pearson's r) of the intervals, over {fewest:,} to {most:,} records that have both:",
            _correlations(statistics.correlations),
            f"Source: {published.NORMALS_SOURCE}.",
        ],
        "Reasons for not Normal": [
            f"{statistics.not_normal:,} records. {REASONS_NOTE}",
            _reasons(statistics.reasons),
        ],
        "What is missing and what is in doubt": [
            _table(["why something is null", "records"], _counts(statistics.missing_reasons)),
            f"Under any quality flag: {statistics.flagged:,} records.",
            _table(["quality flag", "records", "concerns columns that begin with"], _flags(statistics.quality_flags)),
        ],
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
    return _table(["", "records", "share", "paper, 12SL", "share", "unknown"], rows)


def _comparison(table: Comparison) -> str:
    names = {"sd": "SD", "p2_5": "2.5 %", "p25": "25 %", "p50": "50 %", "p75": "75 %", "p97_5": "97.5 %"}
    head = [names.get(cell.statistic, cell.statistic) for cell in table.rows[0].cells]
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


def _counts(counts: Mapping[str, int]) -> list[list[str]]:
    return [[name, f"{count:,}"] for name, count in by_count(counts)]


def _flags(counts: Mapping[str, int]) -> list[list[str]]:
    rows = _counts(counts)
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
