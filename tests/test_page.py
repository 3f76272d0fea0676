"""The report as a page: the table's own numbers, nothing to fetch, text that stays text, and the same bytes."""

import re
from collections import Counter
from html.parser import HTMLParser
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.dataset import Dataset, open_dataset
from pipeline.leads import SAMPLES, STORED_LEADS
from pipeline.quality.check import Check, Histogram
from pipeline.report.figures import draw_figures
from pipeline.report.page import ECGS, MEASURED, _example, drawn_records, report_page
from pipeline.report.paper import BOTTOM, MARK, TOP
from pipeline.report.records import read_records
from pipeline.report.statistics import Statistics, statistics
from pipeline.report.strip import UNITS, draw_strip
from pipeline.report.text import SHARES, number

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> {{ 7 * 7 }} $x^{"
TITLE = f"A title & {HOSTILE}"
FACTS = [("Licence", "CC-BY-4.0"), (HOSTILE, f"value {HOSTILE}")]
CHECKS = [
    Check(
        "coverage",
        "Coverage of the modes",
        "All 80 records.",
        [("modes", "12"), ("missing", "3 of 80")],
        {},
        [Histogram("Modes of records", "distance, 1", [0, 1, 2.5], [3, 77], "80 records, none missing.")],
    ),
    Check(HOSTILE, HOSTILE, HOSTILE, [(HOSTILE, HOSTILE)], {}, [Histogram(HOSTILE, HOSTILE, [0, 1], [0], HOSTILE)]),
]
VOID = {"meta", "link", "img", "br"}


class Element:
    """A tag with what is in it."""

    def __init__(self, tag: str, attributes: dict[str, str], parent: "Element | None") -> None:
        self.tag, self.attributes, self.parent = tag, attributes, parent
        self.parts: list[Element | str] = []

    def all(self, *tags: str) -> list["Element"]:
        """Every element below it of these tags, or of any, as they stand in the page."""
        found = []
        for part in self.parts:
            if isinstance(part, Element):
                found += [part] * (not tags or part.tag in tags) + part.all(*tags)
        return found

    @property
    def text(self) -> str:
        words = (part if isinstance(part, str) else f" {part.text} " for part in self.parts)
        return " ".join("".join(words).split())

    def inside(self, tag: str) -> "Element":
        """The element of a tag that it is in."""
        above = self.parent
        while above and above.tag != tag:
            above = above.parent
        assert above, f"{self.tag} {self.attributes} is in no {tag}"
        return above


class Page(HTMLParser):
    """A page as a tree; every tag must be closed by its own."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.root = self.open = Element("", {}, None)
        self.feed(html)
        assert self.open is self.root, f"{self.open.tag} is not closed"

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attributes]
        assert len(names) == len(set(names))
        element = Element(tag, {name: value or "" for name, value in attributes}, self.open)
        self.open.parts.append(element)
        if tag not in VOID:
            self.open = element

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.open.tag
        assert self.open.parent
        self.open = self.open.parent

    def handle_data(self, data: str) -> None:
        self.open.parts.append(data)


@pytest.fixture(scope="module")
def html(dataset: Dataset) -> str:
    return report_page(TITLE, FACTS, dataset, CHECKS, version="1.2.3")


@pytest.fixture(scope="module")
def page(html: str) -> Element:
    return Page(html).root


@pytest.fixture(scope="module")
def found(dataset: Dataset) -> Statistics:
    return statistics(read_records(dataset))


def rows_below(page: Element, section: str) -> list[list[str]]:
    """The rows of the first table below a heading, a merged first cell in each of its rows."""
    (heading,) = [each for each in page.all("h2") if each.attributes["id"] == section]
    rows: list[list[str]] = []
    spanned = 0
    for row in heading.inside("section").all("table")[0].all("tr"):
        cells = row.all("th", "td")
        first = [rows[-1][0]] if spanned else []
        rows.append(first + [cell.text for cell in cells])
        spanned = spanned - 1 if spanned else int(cells[0].attributes.get("rowspan", 1)) - 1
    return rows


def printed(value: float | None, decimals: int = 1, *, sign: bool = False) -> str:
    return number(value, decimals, sign=sign).replace("-", "\N{MINUS SIGN}")


# --- what it says -----------------------------------------------------------------------------------------


def test_all_of_table_2_is_there_with_what_is_missing(page: Element, found: Statistics) -> None:
    expected = [
        [
            f"{row.label}, {row.unit}",
            row.records,
            *(
                f"{printed(cell.ours)}{'' if cell.within else '*'} "
                f"{printed(cell.published, 0)} / {printed(cell.difference, sign=True)}"
                for cell in row.cells
            ),
            *(f"{count:,}" for count in (row.values, row.missing, row.in_doubt)),
        ]
        for row in found.table_2.rows
    ]
    head, *rows = rows_below(page, "table-2-of-the-paper")
    assert head == ["parameter", "records", "mean", "SD", "2.5 %", "97.5 %", "values", "missing", "in doubt"]
    assert rows == expected
    assert len(rows) == 16
    assert f"{found.table_2.within} of 64 cells are within tolerance." in page.text


def test_every_table_counts_what_is_missing(page: Element, found: Statistics) -> None:
    head, *rows = rows_below(page, "normals")
    assert head[-3:] == ["values", "missing", "in doubt"]
    assert [row[-3:] for row in rows] == [
        [str(row.values), str(row.missing), str(row.in_doubt)] for row in found.normals.rows
    ]
    head, *rows = rows_below(page, "counts")
    assert head[-1] == "unknown"
    assert [(row[0], row[-1]) for row in rows] == [
        (label, str(share.missing)) for name, label in SHARES.items() if (share := found.shares[name])
    ]
    normals = found.records - found.not_normal
    assert f"over the normal records that have both, {normals} of {normals}." in page.text
    assert [[row[0], row[1]] for row in rows_below(page, "reasons")[1:]] == [
        [reason.text, str(reason.code)] for reason in found.reasons
    ]


def test_the_checks_are_there(page: Element) -> None:
    assert ["modes", "12"] in rows_below(page, "quality")
    assert ["missing", "3 of 80"] in rows_below(page, "quality")
    assert "the rest is in quality/coverage.json." in page.text
    assert "Modes of records. 80 records, none missing." in page.text


def test_every_figure_has_a_picture_its_words_and_a_caption(page: Element, dataset: Dataset, found: Statistics) -> None:
    pictures = draw_figures(read_records(dataset), found)
    images = page.all("img")
    assert {image.attributes["alt"] for image in images} == {
        *(picture.title for picture in pictures),
        *(histogram.title for check in CHECKS for histogram in check.histograms),
    }
    captions = [image.inside("figure").all("figcaption")[0].text for image in images]
    for picture in pictures:
        assert any(f"{picture.title}. {picture.caption}" in caption for caption in captions)
    drawings = [drawing for drawing in page.all("svg") if drawing.attributes.get("role") == "img"]
    assert len(drawings) == ECGS
    for drawing in drawings:
        assert drawing.attributes["aria-label"]
        assert MARK in drawing.text
        assert drawing.inside("figure").all("figcaption")[0].text


def test_twenty_ecgs_stand_beside_their_own_rows(page: Element, dataset: Dataset) -> None:
    chosen = drawn_records(dataset.manifest.content_digest, len(dataset))
    figures = [figure for figure in page.all("figure") if figure.attributes["class"] == "ecg"]
    assert [figure.attributes["id"] for figure in figures] == [f"record-{record}" for record in chosen]
    for record, figure in zip(chosen, figures, strict=True):
        row = dataset.measurements().slice(record, 1).to_pylist()[0]
        terms = [term.text for term in figure.all("dt")]
        said = dict(zip(terms, (value.text for value in figure.all("dd")), strict=True))
        for column, (label, unit) in MEASURED.items():
            assert said[label] == f"{printed(row[column], 0)}{' ' if unit not in {'', '°'} else ''}{unit}"
        assert figure.all("h3")[0].text == f"Record {record}: {row['verdict']}"
        assert said.get("Quality flags", "") == ", ".join(row["quality_flags"])
        (path,) = [path.attributes["d"] for path in figure.all("path") if path.attributes["class"] == "ink"]
        assert path == draw_strip(dataset.signal(record)).ink


def test_what_was_not_measured_is_called_missing(dataset: Dataset) -> None:
    unmeasurable = dict.fromkeys([*MEASURED, "verdict"]) | {
        "statements": [1676, 123456],
        "quality_flags": ["flat_lead"],
        "status_reason": "<4 QRS",
    }
    example = _example(0, dataset, unmeasurable)
    assert {value for _, value in example.measurements} == {"missing"}
    assert example.verdict == "no verdict"
    assert dict(example.remarks)["Missing because"] == "<4 QRS"
    assert dict(example.remarks)["Statements"].endswith("no interpretation possible; 123456")


# --- what it is -------------------------------------------------------------------------------------------


def test_same_bytes_twice_and_whatever_the_users_style(html: str, dataset: Dataset) -> None:
    with mpl.rc_context({"font.family": "monospace", "savefig.dpi": 50, "axes.grid": True}):
        assert report_page(TITLE, FACTS, dataset, CHECKS, version="1.2.3") == html
    assert len(html.encode()) < 6_000_000


def test_it_asks_for_nothing(page: Element) -> None:
    elements = page.all()
    assert not {element.tag for element in elements} & {"script", "iframe", "object", "embed", "base", "audio", "video"}
    ids = Counter(element.attributes["id"] for element in elements if "id" in element.attributes)
    assert set(ids.values()) == {1}
    for element in elements:
        for name, value in element.attributes.items():
            assert not name.startswith("on")
            if name in {"src", "srcset", "href", "xlink:href", "data", "poster", "action"}:
                assert value.startswith("data:") or value.removeprefix("#") in ids, value[:80]
            if name == "aria-labelledby":
                assert value in ids
    (style,) = page.all("style")
    assert not re.search(r"url\(|@import|@font-face", style.text)


def test_hostile_text_stays_text(page: Element) -> None:
    said = " ".join(HOSTILE.split())
    assert page.all("h1")[0].text == f"A title & {said}"
    assert [term.text for term in page.all("header")[0].all("dt")] == ["Licence", said]
    assert [[said, said]] == [
        cells for row in page.all("tr") if (cells := [cell.text for cell in row.all("th", "td")])[0] == said
    ]


def test_people_who_listen_can_find_their_way(page: Element) -> None:
    (root,) = page.all("html")
    assert root.attributes["lang"] == "en"
    levels = [int(heading.tag[1]) for heading in page.all("h1", "h2", "h3", "h4", "h5", "h6")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert (np.diff(levels) <= 1).all()
    for table in page.all("table"):
        assert all(head.attributes["scope"] in {"col", "row", "rowgroup"} for head in table.all("th"))
        assert "Table" in table.inside("figure").all("figcaption")[0].text


def test_text_can_be_told_from_the_page(html: str) -> None:
    """WCAG 2.2 asks for a contrast of 4.5."""

    def luminance(color: str) -> float:
        parts = color[1:] if len(color) == 7 else "".join(2 * digit for digit in color[1:])
        channels = np.array([int(parts[at : at + 2], 16) for at in (0, 2, 4)]) / 255
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    schemes = [dict(re.findall(r"--(\w+): (#\w+)", scheme)) for scheme in re.findall(r":root \{.*?\}", html, re.DOTALL)]
    assert len(schemes) == 3  # light, dark, print
    for colors in schemes:
        for name in ("text", "soft", "mark", "link"):
            lighter, darker = sorted((luminance(colors[name]), luminance(colors["page"])), reverse=True)
            assert (lighter + 0.05) / (darker + 0.05) >= 4.5, name


# --- which ECGs, and how they are drawn -------------------------------------------------------------------


@given(st.text("0123456789abcdef", min_size=64, max_size=64), st.integers(0, 150_000))
def test_records_are_drawn_by_lot(digest: str, records: int) -> None:
    chosen = drawn_records(digest, records)
    assert len(set(chosen)) == min(ECGS, records)
    assert chosen == sorted(chosen)
    assert all(0 <= record < records for record in chosen)
    if records > 1000:
        assert chosen != drawn_records(digest[::-1] + "0", records)


def steps(path: str) -> list[tuple[NDArray[np.int_], NDArray[np.int_]]]:
    """Start (2,) and steps (n, 2) of every line of a path."""
    lines = []
    for line in path.split("M")[1:]:
        start, _, rest = line.partition("l")
        numbers = [np.array(re.findall(r"-?\d+", part), np.int_) for part in (start, rest)]
        lines.append((numbers[0], numbers[1].reshape(-1, 2)))
    return lines


def test_traces_are_to_scale(dataset: Dataset) -> None:
    signal = dataset.signal(0)
    drawing = draw_strip(signal)
    assert drawing.height_mm % 5 == 0
    assert not drawing.cuts
    lines = [line for line in steps(drawing.ink) if len(line[1]) == SAMPLES - 1]
    assert len(lines) == 1
    start, moves = lines[0]
    assert (moves[:, 0] == 25 * UNITS / 500).all()  # 25 mm/s
    lead = signal[STORED_LEADS.index("II")].astype(np.float64)
    heights_uv = -np.concatenate([[0], moves[:, 1].cumsum()]) / UNITS * 100  # 10 mm/mV, down is more
    np.testing.assert_allclose(heights_uv, lead - lead[0], atol=100 / UNITS)
    baseline = start[1] / UNITS + (lead[0] - np.median(lead)) / 100
    assert baseline == pytest.approx(round(baseline), abs=1 / UNITS)
    pulses = [line[1] for line in steps(drawing.ink) if len(line[1]) == 5]
    np.testing.assert_array_equal(pulses, [np.array([[2.5, 0], [0, -10], [5, 0], [0, 10], [2.5, 0]]) * UNITS] * 4)


def test_a_trace_that_does_not_fit_is_cut_and_marked(dataset: Dataset) -> None:
    drawing = draw_strip(dataset.signal(0) * 60.0)
    assert drawing.height_mm == TOP - BOTTOM
    assert drawing.cuts.startswith("M")
    for start, moves in steps(drawing.ink):
        heights = (start + np.vstack([[0, 0], moves.cumsum(axis=0)]))[:, 1] / UNITS
        assert heights.min() >= -1 / UNITS
        assert heights.max() <= drawing.height_mm + 1 / UNITS


@pytest.mark.parametrize("signal", [np.zeros((12, SAMPLES)), np.full((8, SAMPLES), np.nan)])
def test_what_cannot_be_drawn_is_refused(signal: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match=r"give \(8, 5000\) finite values"):
        draw_strip(signal)


def test_no_check_and_no_second_opinion_is_said(dataset: Dataset) -> None:
    normal = open_dataset(dataset.folder / "normal")
    text = Page(report_page("x", [], normal, [], version="1.0.0")).root.text
    assert "There was no second opinion on the heart rate" in text
    assert "Quality checks There were none." in text
