"""The figures of a report, each with a caption that says what is missing from it and what in it is in doubt."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.style import context
from matplotlib.ticker import StrMethodFormatter

from pipeline.report import published
from pipeline.report.comparison import Row, pearson
from pipeline.report.paper import png
from pipeline.report.records import Records, Values
from pipeline.report.statistics import Statistics

BLUE, ORANGE, GREY, INK = "#0072b2", "#d55e00", "#b9b9b9", "#16161d"
"""Okabe and Ito's blue and vermilion, which the colour-blind tell apart, and two that need no colour."""

BINS = dict.fromkeys(published.TABLE_2, 4.0) | {
    "heart_rate_bpm": 1.0,
    "qrs_duration_ms": 2.0,
    "stj_amplitude_v5_uv": 10.0,
    "r_amplitude_v5_uv": 50.0,
    "t_amplitude_v5_uv": 25.0,
}
"""Widths of a histogram's bins in the column's unit: whole numbers of the steps that the column has."""

RR_BIN_MS, QT_BIN_MS = 10.0, 4.0
MOST_REASONS = 15
DPI = 110

_STYLE = {
    "font.family": "DejaVu Sans",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": "medium",
}


@dataclass(frozen=True)
class Picture:
    """One figure: its file's name without suffix, title, caption and PNG."""

    name: str
    title: str
    caption: str
    png: bytes


def draw_figures(records: Records, statistics: Statistics) -> list[Picture]:
    """Every figure of a report, the same bytes for the same records.

    Args:
        records: with `COLUMNS`.
        statistics: of these records.
    """
    normal = records.normal()
    # A user's own matplotlibrc must not show.
    with context(["default", _STYLE]):
        return [
            _heart_rate(records, statistics),
            _qt_rr(normal, statistics),
            _distributions(records, normal, statistics),
            _reasons(statistics),
        ]


def _heart_rate(records: Records, statistics: Statistics) -> Picture:
    """The paper's Figure 2."""
    rate = records["heart_rate_bpm"]
    figure, axes = _axes(8, 4.2)
    counts, edges = _histogram(rate, 1)
    inside = (edges[:-1] >= 59.5) & (edges[1:] <= 100.5)
    normal = int(counts[inside].sum())
    for where, color, label in ((inside, BLUE, "60 to 100"), (~inside, ORANGE, "outside")):
        n = int(counts[where].sum())
        axes.bar(edges[:-1][where] + 0.5, counts[where], width=1, color=color, label=f"{label}: {n:,} records")
    missing = _counts(_row(statistics, "heart_rate_bpm", "all"))
    axes.set(xlabel="heart rate, bpm", ylabel="records")
    axes.legend(frameon=False)
    return _picture(
        figure,
        "heart-rate",
        "Heart rates of all records (the paper's Figure 2)",
        f"{normal:,} of {int(counts.sum()):,} rates are from 60 to 100 bpm. {missing}",
        missing,
    )


def _qt_rr(normal: Records, statistics: Statistics) -> Picture:
    """The paper's Figure 4, as a density: beyond some thousand records points hide each other."""
    rr, qt = normal["mean_rr_ms"], normal["qt_interval_ms"]
    both = ~np.isnan(rr) & ~np.isnan(qt)
    figure, axes = _axes(7, 5)
    if both.any():
        bins = [_edges(rr[both], RR_BIN_MS), _edges(qt[both], QT_BIN_MS)]
        density, x, y = np.histogram2d(rr[both], qt[both], bins=bins)
        shown = np.ma.masked_equal(density.T, 0)
        mesh = axes.pcolormesh(x, y, shown, cmap="cividis", norm=LogNorm(1, max(2, density.max())), rasterized=True)
        figure.colorbar(mesh, label="records", format=StrMethodFormatter("{x:,.0f}"))
    n, r = pearson(rr, qt)
    squared = "–" if r is None else f"{r * r:.3f}"
    axes.set(xlabel="mean RR, ms", ylabel="QT, ms")
    theirs = published.CORRELATIONS["qt_interval_ms", "mean_rr_ms"]
    return _picture(
        figure,
        "qt-rr",
        "QT over RR of the normal records (the paper's Figure 4)",
        f"r² = {squared} over {n:,} records; on the paper's {published.NORMAL:,} normals 12SL's is {theirs**2:.3f}. "
        + " ".join(_counts(row) for row in statistics.normals.rows if row.column in {"qt_interval_ms", "mean_rr_ms"}),
        f"r² = {squared}, n = {n:,}; QT or RR missing in {both.size - n:,}",
    )


def _distributions(records: Records, normal: Records, statistics: Statistics) -> Picture:
    """The eight parameters of the paper's Table 2."""
    figure = Figure(figsize=(9, 12), dpi=DPI, layout="constrained")
    panels = figure.subplots(4, 2).ravel()
    for axes, (column, parameter) in zip(panels, published.TABLE_2.items(), strict=True):
        top = _overlay(axes, records[column], normal[column], BINS[column])
        for level, name, color in ((1.16, "all", INK), (1.06, "normal", BLUE)):
            theirs = getattr(parameter, name)
            reach = [[theirs.mean - theirs.p2_5], [theirs.p97_5 - theirs.mean]]
            style = {"fmt": "o", "color": color, "capsize": 4, "markersize": 5}
            axes.errorbar(theirs.mean, level * top, xerr=reach, label=f"12SL, {name}", **style)
        rows = [_row(statistics, column, name) for name in ("all", "normal")]
        missing, doubted = (" / ".join(f"{getattr(row, key):,}" for row in rows) for key in ("missing", "in_doubt"))
        axes.set(
            xlabel=f"{parameter.label}, {parameter.unit}",
            title=f"all / normal: missing {missing}, in doubt {doubted}",
        )
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    panels[0].legend(frameon=False, loc="center right")
    return _picture(
        figure,
        "distributions",
        "The eight parameters of the paper's Table 2",
        "Grey: all records; blue line: the normal ones. Above, 12SL's mean and 2.5 to 97.5 % of all (black) and of the "
        "normal records (blue), from the paper. What is missing and in doubt stands above each panel; 0.1 % of all "
        "records at either end may lie outside its axis. R is the first positive deflection however small, as 12SL "
        "names it, which puts some records near 0; of a biphasic T the first wave counts, which puts some below 0.",
    )


def _overlay(axes: Axes, every: Values, normal: Values, width: float) -> float:
    """All records filled, the normal ones as a line, less 0.1 % of all at either end; returns the highest count."""
    there = np.sort(every[~np.isnan(every)])
    cut = there.size // 1000
    _, edges = _histogram(there[cut : there.size - cut], width)
    counts = np.histogram(there, edges)[0]
    outside = there.size - int(counts.sum())
    axes.text(0.98, 0.7, f"{outside:,} outside", transform=axes.transAxes, ha="right")
    axes.stairs(counts, edges, fill=True, color=GREY, label="all")
    axes.stairs(np.histogram(normal, edges)[0], edges, color=BLUE, linewidth=1.5, label="normal")
    return float(max(counts.max(initial=0), 1))


def _reasons(statistics: Statistics) -> Picture:
    """Why records are not normal."""
    shown = statistics.reasons[:MOST_REASONS]
    figure, axes = _axes(10, 1.6 + 0.36 * max(1, len(shown)))
    labels = [f"{reason.text} ({reason.code})" for reason in shown]
    places = np.arange(len(shown))
    axes.barh(places, [reason.records for reason in shown], color=GREY, label="carry it")
    axes.barh(places, [reason.only for reason in shown], color=BLUE, height=0.45, label="carry it as their only reason")
    missing = (
        f"Not normal: {statistics.not_normal:,} records, {statistics.verdicts.get('none', 0):,} of them without a "
        f"verdict. In doubt by a quality flag: {statistics.flagged:,} of all."
    )
    axes.set(xlabel="records that are not normal")
    axes.set_yticks(places, labels)
    axes.invert_yaxis()
    if shown:
        axes.legend(frameon=False, loc="lower right")
    axes.yaxis.set_tick_params(length=0)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    rest = len(statistics.reasons) - len(shown)
    return _picture(
        figure,
        "reasons",
        "Statements that cost records their normality",
        f"The {len(shown)} commonest{f' of {len(statistics.reasons)}' if rest else ''}; a record may carry several. "
        + missing,
        missing,
    )


def _row(statistics: Statistics, column: str, name: str) -> Row:
    return next(row for row in statistics.table_2.rows if (row.column, row.records) == (column, name))


def _counts(row: Row) -> str:
    return f"{row.label}: missing in {row.missing:,} records, in doubt in {row.in_doubt:,}."


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    return figure, axes


def _edges(values: Values, width: float) -> Values:
    """Edges half a unit off the multiples of a width, so that no whole number falls on one."""
    first = np.floor((values.min() + 0.5) / width) * width - 0.5
    return np.asarray(np.arange(first, values.max() + width, width), np.float64)


def _histogram(values: Values, width: float) -> tuple[Values, Values]:
    """Counts (k,) and edges (k + 1,) of what is there; one empty bin where nothing is."""
    there = values[~np.isnan(values)]
    if not there.size:
        return np.zeros(1), np.array([0.0, width])
    edges = _edges(there, width)
    return np.histogram(there, edges)[0].astype(np.float64), edges


def _picture(figure: Figure, name: str, title: str, caption: str, note: str = "") -> Picture:
    """A figure with its title and a note on what is missing inside it, so that it can be seen alone."""
    figure.suptitle(f"{title}\n{note}".rstrip(), fontsize="medium")
    return Picture(name, title, caption, png(figure))
