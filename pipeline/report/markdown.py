"""A report as Markdown."""

from collections.abc import Sequence

from pipeline.dataset import Manifest
from pipeline.report import published
from pipeline.report.comparison import Comparison
from pipeline.report.figures import Picture
from pipeline.report.statistics import SecondOpinion, Statistics
from pipeline.report.tables import (
    DOUBTS_READING,
    NORMALS_READING,
    OPINION_NOTE,
    REASONS_NOTE,
    Beside,
    Entry,
    Table,
    comparison_table,
    correlations_table,
    flags_table,
    funnel_table,
    missing_table,
    normals_tolerances,
    opinion_table,
    outliers_table,
    pairs_text,
    reasons_table,
    shares_table,
    table_2_tolerances,
)
from pipeline.report.text import (
    ARRHYTHMIA_NOTE,
    CAVEAT,
    NO_SECOND_OPINION,
    RATE_NOTE,
    counts_text,
    duplicates_text,
    identity,
)

FIGURES = "figures"
READING = f"Every cell is ours / 12SL's / the difference; **bold** is out of tolerance. {DOUBTS_READING}"


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
            table_markdown(reasons_table(statistics.reasons)),
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
        table_markdown(shares_table(statistics.shares)),
        f"{RATE_NOTE} {ARRHYTHMIA_NOTE}",
        f"Verdicts: {counts_text(statistics.verdicts)}. Status: {counts_text(statistics.statuses)}."
        + duplicates_text(statistics.duplicates),
        CAVEAT.replace("\n", " "),
    ]


def _table_2(table: Comparison) -> list[str]:
    return [
        f"**{table.within} of {table.checks} cells are within tolerance.** {READING}",
        table_markdown(comparison_table(table)),
        table_2_tolerances(),
        f"Source: {published.PAPER}, Table 2.",
    ]


def _normals(statistics: Statistics) -> list[str]:
    table = statistics.normals
    over = pairs_text(statistics.correlations)
    return [
        f"**{table.within} of {table.checks} checks are within tolerance.**",
        NORMALS_READING,
        table_markdown(comparison_table(table)),
        normals_tolerances(),
        f"Correlations (Pearson's r) of the intervals, over {over} records that have both:",
        table_markdown(correlations_table(statistics.correlations)),
        f"Source: {published.NORMALS_SOURCE}.",
    ]


def _doubts(statistics: Statistics) -> list[str]:
    return [
        table_markdown(missing_table(statistics.missing_reasons)),
        f"Under any quality flag: {statistics.flagged:,} records.",
        table_markdown(flags_table(statistics.quality_flags)),
    ]


def _opinion(opinion: SecondOpinion | None) -> list[str]:
    if opinion is None:
        return [NO_SECOND_OPINION]
    paragraphs = [OPINION_NOTE, table_markdown(opinion_table(opinion))]
    if opinion.worst:
        paragraphs += ["The largest of these:", table_markdown(outliers_table(opinion.worst))]
    return paragraphs


def funnel_markdown(statistics: Statistics) -> str:
    """How many records were generated, measured and found normal, and why the others were not.

    Args:
        statistics: of a dataset's records.
    """
    reasons = [[f"{each.text} ({each.code})", f"{each.records:,}", f"{each.only:,}"] for each in statistics.reasons]
    parts = [
        table_markdown(funnel_table(statistics)),
        f"**Reasons for not Normal**, {statistics.not_normal:,} records. {REASONS_NOTE}",
        table_markdown(Table(["statement", "records", "only reason"], reasons)),
        f"Measured, but in doubt by a quality flag: {statistics.flagged:,} records.",
        table_markdown(flags_table(statistics.quality_flags)),
    ]
    return "\n\n".join(parts) + "\n"


def table_markdown(table: Table) -> str:
    """A table, its first column to the left, the others to the right."""
    lines = [
        table.head,
        ["---", *["--:"] * (len(table.head) - 1)],
        *([_entry(entry) for entry in row] for row in table.rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _entry(entry: Entry) -> str:
    if isinstance(entry, Beside):
        text = f"{entry.ours} / {entry.theirs} / {entry.difference}"
        return f"**{text}**" if entry.out else text
    return entry if isinstance(entry, str) else ", ".join(f"`{name}`" for name in entry)
