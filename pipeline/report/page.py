"""A report as one page of HTML that needs neither a network nor a script."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from itertools import count
from typing import Any

import pyarrow as pa
from jinja2 import Environment, StrictUndefined

from pipeline.dataset import Dataset
from pipeline.interpret import STATEMENT_TEXTS, VERDICT_STATEMENTS
from pipeline.quality.check import Check
from pipeline.report import paper, published, strip, tables, text
from pipeline.report.figures import draw_figures
from pipeline.report.histogram import draw_histogram
from pipeline.report.records import read_records
from pipeline.report.statistics import statistics
from pipeline.second_opinion import read_second_opinion

TEMPLATE = "page.html.j2"
ECGS = 20
"""How many are shown."""

_PUBLISHED = published.MUSE_NORMALS | published.TABLE_2
MEASURED = {
    column: (_PUBLISHED[column].label, _PUBLISHED[column].unit)
    for column in (
        "heart_rate_bpm",
        "mean_rr_ms",
        "beats",
        "p_duration_ms",
        "pr_interval_ms",
        "qrs_duration_ms",
        "qt_interval_ms",
        "qtc_fridericia_ms",
        "p_axis_deg",
        "qrs_axis_deg",
        "t_axis_deg",
        "r_amplitude_v5_uv",
        "stj_amplitude_v5_uv",
        "t_amplitude_v5_uv",
    )
}
"""Label and unit of every measurement that stands beside an ECG."""

_REMARKED = ("verdict", "statements", "quality_flags", "status_reason")


@dataclass(frozen=True)
class Example:
    """One ECG and what is known of it."""

    record: int
    drawing: strip.Drawing
    verdict: str
    measurements: Sequence[tuple[str, str]]
    remarks: Sequence[tuple[str, str]]


def report_page(
    title: str, facts: Sequence[tuple[str, str]], dataset: Dataset, checks: Sequence[Check], *, version: str
) -> str:
    """A dataset's report as HTML, the same text for the same dataset and checks.

    Args:
        title: of the page.
        facts: a name and a value each, shown below the title.
        dataset: what the page is about.
        checks: what was looked into beyond its table; shown in this order.
        version: of the release.

    Raises:
        DatasetError: the dataset's table or signals cannot be read.
    """
    records = read_records(dataset)
    found = statistics(records, read_second_opinion(dataset.folder))
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["png"] = _data_uri
    environment.filters["minus"] = _minus
    template = environment.from_string((files("pipeline.report") / TEMPLATE).read_text(encoding="utf-8"))
    return template.render(
        title=title,
        facts=facts,
        version=version,
        statistics=found,
        figures={picture.name: picture for picture in draw_figures(records, found)},
        checks=[(check, [(each, draw_histogram(each)) for each in check.histograms]) for check in checks],
        examples=examples(dataset),
        paper=paper,
        published=published,
        strip=strip,
        tables=tables,
        text=text,
    )


def examples(dataset: Dataset) -> list[Example]:
    """The ECGs that are shown, in the order of their numbers."""
    chosen = drawn_records(dataset.manifest.content_digest, len(dataset))
    rows = dataset.measurements([*MEASURED, *_REMARKED]).take(pa.array(chosen, pa.int64())).to_pylist()
    return [_example(record, dataset, row) for record, row in zip(chosen, rows, strict=True)]


def drawn_records(content_digest: str, records: int) -> list[int]:
    """Records drawn by lot, the same ones of the same dataset, ascending.

    Args:
        content_digest: of the dataset.
        records: how many it has, n.

    Returns:
        The first `ECGS` different numbers among SHA-256 of `DIGEST k` modulo n for k = 0, 1, 2, …; all n if n is less.
    """
    numbers = (int(sha256(f"{content_digest} {k}".encode()).hexdigest(), 16) % records for k in count())
    found: set[int] = set()
    while len(found) < min(ECGS, records):
        found.add(next(numbers))
    return sorted(found)


def _example(record: int, dataset: Dataset, row: Mapping[str, Any]) -> Example:
    """One ECG beside its row of the table."""
    measurements = [(label, _quantity(row[column], unit)) for column, (label, unit) in MEASURED.items()]
    statements = [STATEMENT_TEXTS.get(code, str(code)) for code in row["statements"] if code not in VERDICT_STATEMENTS]
    remarks = {
        "Statements": "; ".join(statements),
        "Quality flags": ", ".join(row["quality_flags"]),
        "Missing because": row["status_reason"],
    }
    shown = [(name, remark) for name, remark in remarks.items() if remark]
    drawing = strip.draw_strip(dataset.signal(record))
    return Example(record, drawing, row["verdict"] or "no verdict", measurements, shown)


def _quantity(value: float | None, unit: str) -> str:
    if value is None:
        return "missing"
    return f"{text.number(value, 0)}{'' if unit == '°' else ' '}{unit}".rstrip()


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{b64encode(png).decode()}"


def _minus(number: str) -> str:
    """With the sign that print has for a hyphen."""
    return number.replace("-", "\N{MINUS SIGN}")
