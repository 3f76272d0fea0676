"""A histogram of a quality check as a picture."""

from textwrap import fill

from matplotlib.figure import Figure
from matplotlib.style import context
from matplotlib.ticker import StrMethodFormatter

from pipeline.quality.check import Histogram
from pipeline.report.figures import BLUE
from pipeline.report.paper import png

DPI = 160
_LINE = 55
"""Characters that fit below the axis."""


def draw_histogram(histogram: Histogram) -> bytes:
    """Draw counts over their bins as a PNG, the same bytes for the same counts."""
    # A user's own matplotlibrc must not show.
    with context("default"):
        figure = Figure(figsize=(5, 2.7), dpi=DPI, layout="constrained")
        axes = figure.add_subplot()
        axes.stairs(histogram.counts, histogram.edges, fill=True, color=BLUE)
        axes.set_xlabel(fill(histogram.quantity, _LINE), parse_math=False)
        axes.set_ylabel("count")
        axes.spines[["top", "right"]].set_visible(False)
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        return png(figure)
