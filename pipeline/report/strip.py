"""One ECG as the lines of a small vector drawing: the rows of the page of ECG paper, without its margins."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.report.paper import (
    BOTTOM,
    LEFT,
    RIGHT,
    TICK_MM,
    TOP,
    Band,
    cut_into_rows,
    height_needed,
    pulse,
    stack,
)

UNITS = 40
"""Units of a path in a millimetre: two for every sample across, 2.5 µV for one up or down."""

SQUARE_MM = 5
WIDTH_MM = RIGHT - LEFT
GRID = {
    spacing: "".join(f"M{x} 0V{TOP - BOTTOM}" for x in range(0, WIDTH_MM + 1, spacing))
    + "".join(f"M0 {y}H{WIDTH_MM}" for y in range(0, TOP - BOTTOM + 1, spacing))
    for spacing in (1, SQUARE_MM)
}
"""The grid of the highest drawing in mm, fine and bold: of a lower one what lies in it."""


@dataclass(frozen=True)
class Drawing:
    """What is drawn upon a grid of `WIDTH_MM` by `height_mm`, from its upper left corner, as SVG writes it."""

    height_mm: int
    """Whole squares."""
    ink: str
    """Path of traces, calibration pulses and ticks, in `UNITS`."""
    cuts: str
    """Path of triangles, in `UNITS`, where a trace does not fit."""
    names: tuple[tuple[str, float, float], ...]
    """Name of every lead, and where it stands, mm."""


def draw_strip(signal_uv: ArrayLike) -> Drawing:
    """Draw one record, as high as its traces need and at most as high as the page of paper.

    Args:
        signal_uv: (8, 5000) in µV, leads in the order of `STORED_LEADS`.

    Raises:
        ValueError: the signal has another shape, or samples that are no number.
    """
    rows = cut_into_rows(signal_uv)
    height = min(TOP - BOTTOM, SQUARE_MM * math.ceil(height_needed(rows) / SQUARE_MM))
    bands = stack(rows, 0, height)
    names = tuple(
        (strip.lead, round(strip.x[0] + 1 - LEFT, 2), round(height - band.names_at(), 2))
        for band in bands
        for strip in band.strips
    )
    ink = "".join(path for band in bands for path in _lines(band, height))
    return Drawing(height, ink, "".join(path for band in bands for path in _cuts(band, height)), names)


def _lines(band: Band, height: int) -> Iterator[str]:
    yield _path(*pulse(band.baseline), height)
    for strip in band.strips:
        yield _path(strip.x, band.trace(strip), height)
    for strip in band.strips[1:]:
        tick = np.array([band.baseline - TICK_MM, band.baseline + TICK_MM])
        yield _path(strip.x[[0, 0]], tick, height)


def _cuts(band: Band, height: int) -> Iterator[str]:
    """Triangles, 2 mm wide and high, that point out of the band."""
    side = 2 * UNITS
    for strip in band.strips:
        for places, edge, inwards in zip(band.cuts(strip), (band.top, band.bottom), (side, -side), strict=True):
            y = round((height - edge) * UNITS)
            yield from (f"M{round((x - LEFT) * UNITS)} {y}l{-side // 2} {inwards}h{side}z" for x in places.tolist())


def _path(x: NDArray[np.float64], y: NDArray[np.float64], height: int) -> str:
    """A line through points of the page, from the first by steps."""
    points = np.rint(np.column_stack([x - LEFT, height - y]) * UNITS).astype(np.int64)
    steps = " ".join(map(str, np.diff(points, axis=0).ravel().tolist()))
    return f"M{points[0, 0]} {points[0, 1]}l{steps}".replace(" -", "-")
