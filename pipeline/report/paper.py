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

TICK_MM = 4
"""Where the lead changes, half of a tick's height."""

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


@dataclass(frozen=True)
class Band:
    """One row of strips in its place, heights in mm from the page's lower edge."""

    strips: list[Strip]
    bottom: float
    baseline: int
    """A line of the grid."""
    top: float

    def names_at(self) -> float:
        """Height of the leads' names: above what stands where they go."""
        start = max(float(np.max(strip.y[strip.x < strip.x[0] + 10])) for strip in self.strips)
        return min(self.baseline + start + CLEARANCE_MM, self.top - LABEL_MM + 1)

    def trace(self, strip: Strip) -> NDArray[np.float64]:
        """Heights of a strip's trace, cut at the edges of the band."""
        return (self.baseline + strip.y).clip(self.bottom, self.top)

    def cuts(self, strip: Strip) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where along the page a trace is cut first, at the top and at the bottom."""
        y = self.baseline + strip.y
        above, below = (strip.x[cut & ~np.concatenate([[False], cut[:-1]])] for cut in (y > self.top, y < self.bottom))
        return above, below


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
    rows = cut_into_rows(signal_uv)
    figure = Figure(figsize=(PAGE_MM[0] / 25.4, PAGE_MM[1] / 25.4), dpi=DPI, facecolor=PAPER)
    page = figure.add_axes((0, 0, 1, 1), xlim=(0, PAGE_MM[0]), ylim=(0, PAGE_MM[1]))
    page.set_axis_off()
    _draw_grid(page)
    for band in stack(rows, BOTTOM, TOP):
        _draw_band(page, band)
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


def cut_into_rows(signal_uv: ArrayLike) -> list[list[Strip]]:
    """The strips of every row.

    Args:
        signal_uv: (8, 5000) in µV, leads in the order of `STORED_LEADS`.

    Raises:
        ValueError: the signal has another shape, or samples that are no number.
    """
    signal = np.asarray(signal_uv, dtype=np.float64)
    if signal.shape != (len(STORED_LEADS), SAMPLES) or not np.isfinite(signal).all():
        raise ValueError(f"signal of shape {signal.shape}; give ({len(STORED_LEADS)}, {SAMPLES}) finite values in µV")
    return [_strips(signal, row) for row in ROWS]


def stack(rows: list[list[Strip]], bottom: float, top: float) -> list[Band]:
    """Place the rows from the top, each in a band of the height that it needs or, failing that, its share."""
    needs = np.array([_need(strips) for strips in rows])
    spare = top - bottom - needs.sum()
    heights = needs + spare / needs.size if spare >= 0 else needs * (top - bottom) / needs.sum()
    bands = []
    for strips, (above, below) in zip(rows, heights, strict=True):
        bands.append(Band(strips, top - above - below, round(top - above), top))
        top = bands[-1].bottom
    return bands


def height_needed(rows: list[list[Strip]]) -> float:
    """Height that rows need so that no trace is cut, mm."""
    return sum(sum(_need(strips)) for strips in rows)


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


def _draw_band(page: Axes, band: Band) -> None:
    """One row: pulse, traces, names, and ticks where the lead changes."""
    page.plot(*pulse(band.baseline), color=INK, linewidth=_points(0.3), solid_joinstyle="miter", zorder=4)
    for strip in band.strips:
        _draw_trace(page, band, strip)
        _write(page, strip.x[0] + 1, band.names_at(), strip.lead, 10, weight="bold")
    for strip in band.strips[1:]:
        tick = [strip.x[0]] * 2, [band.baseline - TICK_MM, band.baseline + TICK_MM]
        page.plot(*tick, color=INK, linewidth=_points(0.2), zorder=3)


def _need(strips: list[Strip]) -> tuple[float, float]:
    """Height that a row needs above and below its baseline, mm."""
    highest = max(float(np.max(strip.y)) for strip in strips)
    lowest = min(float(np.min(strip.y)) for strip in strips)
    return max(highest, MM_PER_MV) + LABEL_MM, max(-lowest, 0) + CLEARANCE_MM


def pulse(baseline: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The corners of the calibration pulse: 1 mV, 0.2 s."""
    x = PULSE + np.array([0, 2.5, 2.5, 7.5, 7.5, 10])
    return x, baseline + np.array([0.0, 0, MM_PER_MV, MM_PER_MV, 0, 0])


def _draw_trace(page: Axes, band: Band, strip: Strip) -> None:
    """The trace; a triangle marks every place where it was cut."""
    trace = band.trace(strip)
    page.plot(strip.x, trace, color=INK, linewidth=_points(0.3), solid_joinstyle="round", zorder=4)
    for cuts, edge, marker in zip(band.cuts(strip), (band.top, band.bottom), "^v", strict=True):
        at = np.full(cuts.size, edge)
        page.plot(cuts, at, marker, color=MARK_INK, markersize=_points(2), zorder=5)


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
