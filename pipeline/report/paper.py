"""One ECG on ECG paper, true to scale: 25 mm/s, 10 mm/mV, 12 leads in 3 x 4 and a rhythm strip of lead II."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from numpy.typing import ArrayLike, NDArray

from pipeline.leads import LEADS, SAMPLES, SAMPLING_RATE_HZ, STORED_LEADS, to_twelve_leads
from pipeline.store.files import replacing, writing

MM_PER_S = 25
MM_PER_MV = 10
DPI = 254
"""10 pixels a millimetre, so that every line of the grid falls on a pixel."""

PAGE_MM = (297, 210)
"""A4, landscape."""

MARK = "SYNTHETIC — not for clinical use"

ROWS = (("I", "aVR", "V1", "V4"), ("II", "aVL", "V2", "V5"), ("III", "aVF", "V3", "V6"), ("II",))
"""The leads of each row; those of a row follow each other in time, 10 s in all."""

# The grid in mm from the lower left corner of the page, whole squares of 5 mm; the 10 s take 250 mm of it.
LEFT, RIGHT, BOTTOM, TOP = 11, 286, 15, 195
PULSE = LEFT + 5
START = LEFT + 20

LABEL_MM = 5
"""Room above a row's highest point for the names of its leads."""

CLEARANCE_MM = 2
"""Room below a row's lowest point."""

PAPER = "#fffaf8"
FINE_GRID = "#f9d9d6"
BOLD_GRID = "#efaaa6"
INK = "#16161d"
MARK_INK = "#b3261e"


@dataclass(frozen=True)
class Strip:
    """One lead's trace in its row.

    Attributes:
        lead: its name.
        x: place of every sample on the page, mm from its left edge.
        y: height of every sample, mm above the row's baseline.
    """

    lead: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]


def draw_ecg(signal_uv: ArrayLike, *, title: str, path: Path) -> None:
    """Draw one record as a PNG of an A4 page at 254 dpi, the same bytes for the same input.

    Every lead is shifted so that its median over the 10 s lies on its row's baseline; amplitudes are untouched.
    Rows get the height that their traces need. Where the page is too small, a trace is cut at the edge of its
    row and a triangle marks the place.

    Args:
        signal_uv: (8, 5000) in µV, leads in the order of `STORED_LEADS`.
        title: the line above the grid.
        path: the file to write; it appears whole or not at all.

    Raises:
        ValueError: the signal has another shape, or samples that are no number.
    """
    signal = np.asarray(signal_uv, dtype=np.float64)
    if signal.shape != (len(STORED_LEADS), SAMPLES) or not np.isfinite(signal).all():
        raise ValueError(f"signal of shape {signal.shape}; give ({len(STORED_LEADS)}, {SAMPLES}) finite values in µV")
    figure = Figure(figsize=(PAGE_MM[0] / 25.4, PAGE_MM[1] / 25.4), dpi=DPI, facecolor=PAPER)
    page = figure.add_axes((0, 0, 1, 1), xlim=(0, PAGE_MM[0]), ylim=(0, PAGE_MM[1]))
    page.set_axis_off()
    _draw_grid(page)
    _draw_rows(page, [_strips(signal, row) for row in ROWS])
    _draw_texts(page, title)
    with writing(path), replacing(path) as temporary:
        temporary.write_bytes(png(figure))


def png(figure: Figure) -> bytes:
    """A figure as a PNG, the same bytes for the same picture."""
    canvas: Any = FigureCanvasAgg(figure)  # matplotlib has no types for its backends
    content = BytesIO()
    # matplotlib writes its version into a PNG unless told not to; the bytes shall depend on the picture alone.
    canvas.print_png(content, metadata={"Software": None})
    return content.getvalue()


def _strips(signal_uv: NDArray[np.float64], row: tuple[str, ...]) -> list[Strip]:
    """Cut a row's leads out of the record, each over its own stretch of the 10 s."""
    leads = to_twelve_leads(signal_uv)[[LEADS.index(lead) for lead in row]]
    height = (leads - np.median(leads, axis=1, keepdims=True)) / 1000 * MM_PER_MV
    stretches = np.split(np.arange(SAMPLES), len(row))
    return [
        Strip(lead, START + at / SAMPLING_RATE_HZ * MM_PER_S, y[at])
        for lead, y, at in zip(row, height, stretches, strict=True)
    ]


def _draw_grid(page: Axes) -> None:
    for spacing, color, width_mm in ((1, FINE_GRID, 0.1), (5, BOLD_GRID, 0.2)):
        lines = [((x, BOTTOM), (x, TOP)) for x in range(LEFT, RIGHT + 1, spacing)]
        lines += [((LEFT, y), (RIGHT, y)) for y in range(BOTTOM, TOP + 1, spacing)]
        page.add_collection(LineCollection(lines, colors=color, linewidths=_points(width_mm), zorder=spacing / 5))


def _draw_rows(page: Axes, rows: list[list[Strip]]) -> None:
    """Draw the rows from the top, each in a band of the height that it needs or, failing that, its share."""
    needs = np.array([_need(strips) for strips in rows])
    spare = TOP - BOTTOM - needs.sum()
    bands = needs + spare / needs.size if spare >= 0 else needs * (TOP - BOTTOM) / needs.sum()
    top = float(TOP)
    for strips, (above, below) in zip(rows, bands, strict=True):
        bottom = top - above - below
        _draw_row(page, strips, bottom, round(top - above), top)
        top = bottom


def _draw_row(page: Axes, strips: list[Strip], bottom: float, baseline: float, top: float) -> None:
    """One row, its baseline on a line of the grid: pulse, traces, names, and ticks where the lead changes."""
    _draw_pulse(page, baseline)
    start = max(float(np.max(strip.y[strip.x < strip.x[0] + 10])) for strip in strips)
    label = min(baseline + start + CLEARANCE_MM, top - LABEL_MM + 1)  # above what stands where the name goes
    for strip in strips:
        _draw_trace(page, strip, bottom, baseline, top)
        _write(page, strip.x[0] + 1, label, strip.lead, 10, weight="bold")
    for strip in strips[1:]:
        tick = [strip.x[0]] * 2, [baseline - 4, baseline + 4]
        page.plot(*tick, color=INK, linewidth=_points(0.2), zorder=3)


def _need(strips: list[Strip]) -> tuple[float, float]:
    """Height that a row needs above and below its baseline, mm."""
    highest = max(float(np.max(strip.y)) for strip in strips)
    lowest = min(float(np.min(strip.y)) for strip in strips)
    return max(highest, MM_PER_MV) + LABEL_MM, max(-lowest, 0) + CLEARANCE_MM


def _draw_pulse(page: Axes, baseline: float) -> None:
    """The calibration pulse: 1 mV, 0.2 s."""
    x = PULSE + np.array([0, 2.5, 2.5, 7.5, 7.5, 10])
    y = baseline + np.array([0, 0, MM_PER_MV, MM_PER_MV, 0, 0])
    page.plot(x, y, color=INK, linewidth=_points(0.3), solid_joinstyle="miter", zorder=4)


def _draw_trace(page: Axes, strip: Strip, bottom: float, baseline: float, top: float) -> None:
    """The trace, cut at the edges of its band; a triangle marks every place where it was."""
    y = baseline + strip.y
    page.plot(strip.x, y.clip(bottom, top), color=INK, linewidth=_points(0.3), solid_joinstyle="round", zorder=4)
    for cut, edge, marker in ((y > top, top, "^"), (y < bottom, bottom, "v")):
        first = cut & ~np.concatenate([[False], cut[:-1]])
        at = np.full(first.sum(), edge)
        page.plot(strip.x[first], at, marker, color=MARK_INK, markersize=_points(2), zorder=5)


def _draw_texts(page: Axes, title: str) -> None:
    title = " ".join(title.split())
    _write(page, LEFT, TOP + 4, title if len(title) <= 80 else f"{title[:79]}…", 12, weight="bold")
    _write(page, RIGHT, TOP + 4, MARK, 12, color=MARK_INK, weight="bold", align="right")
    _write(page, LEFT, BOTTOM - 7, f"{MM_PER_S} mm/s  {MM_PER_MV} mm/mV", 10)


def _write(
    page: Axes,
    x: float,
    y: float,
    text: str,
    size: float,
    *,
    color: str = INK,
    weight: str = "normal",
    align: str = "left",
) -> None:
    # The font comes with matplotlib, so that the page looks the same everywhere.
    font = FontProperties(family="DejaVu Sans", size=size, weight=weight)
    page.text(x, y, text, fontproperties=font, color=color, ha=align, va="baseline", parse_math=False, zorder=6)


def _points(mm: float) -> float:
    """Millimetres in points, the unit of matplotlib's widths."""
    return mm / 25.4 * 72
