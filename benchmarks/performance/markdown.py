"""Markdown from numbers."""

from collections.abc import Iterable, Sequence

from benchmarks import markdown
from benchmarks.performance.figures import Series

NONE = "–"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The first column is text, the others are numbers."""
    return markdown.table(header, rows, align="--:")


def number(value: float) -> str:
    """Three digits, or all before the point."""
    for limit, digits in ((0.995, 3), (9.95, 2), (99.5, 1)):
        if abs(value) < limit:
            return f"{value:.{digits}f}"
    return f"{value:,.0f}"


def spread(series: Series) -> str:
    """From the lowest to the highest; nothing for a single value."""
    low, high = series.spread
    return f"{number(low)} to {number(high)}" if len(series.values) > 1 else NONE


def series_cells(series: Series) -> tuple[str, str]:
    """Median and spread."""
    return number(series.median), spread(series)
