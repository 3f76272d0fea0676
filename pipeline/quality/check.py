"""The outcome of one quality check, as people and programs read it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Histogram:
    """Counts to be drawn."""

    title: str
    quantity: str
    """What is counted, with its unit: the label of the axis."""
    edges: Sequence[float]
    """(bins + 1,) ascending."""
    counts: Sequence[int]
    """(bins,)"""
    caption: str


@dataclass(frozen=True)
class Check:
    """One quality check of a dataset."""

    name: str
    """Stem of its file `quality/NAME.json`."""
    title: str
    summary: str
    """One to three sentences: what was found, of how many, with what is missing; and what it does not show."""
    rows: Sequence[tuple[str, str]]
    """The main figures, each a label and a number with its unit, as they are to be read."""
    document: Mapping[str, Any]
    """Everything, for JSON."""
    histograms: Sequence[Histogram] = field(default=())
