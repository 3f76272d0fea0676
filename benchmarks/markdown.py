"""Paragraphs and tables of the documents that benchmarks write."""

import textwrap
from collections.abc import Iterable, Sequence


def text(words: str) -> str:
    """A paragraph."""
    return textwrap.fill(words, 120, break_on_hyphens=False)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], align: str = "---") -> str:
    """A table; what comes from outside cannot end a cell.

    Args:
        header: titles of the columns.
        rows: their cells.
        align: the rule under every column but the first, `--:` for numbers to the right.
    """
    lines = [header, ["---", *[align] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in line) + " |" for line in lines)
