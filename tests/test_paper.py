"""ECG paper true to scale, and the same bytes every time."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.image import imread
from numpy.typing import NDArray

from pipeline.leads import SAMPLES
from pipeline.report.paper import BOTTOM, DPI, LEFT, PAGE_MM, RIGHT, START, TOP, draw_ecg

PIXELS_A_MM = 10


@pytest.fixture(scope="module")
def signal() -> NDArray[np.float64]:
    """A beat a second: 1 mV for 40 ms (1 mm) in every stored lead, from sample 250 + 500 k on."""
    return np.tile(np.where((np.arange(SAMPLES) - 250) % 500 < 20, 1000.0, 0.0), (8, 1))


def draw(signal: NDArray[np.float64], path: Path, title: str = "record 7") -> NDArray[np.float64]:
    draw_ecg(signal, title=title, path=path)
    pixels: NDArray[np.float64] = imread(path)[..., :3]
    return pixels


def lines(values: NDArray[np.float64]) -> NDArray[np.intp]:
    """First pixels of the grid's lines along a stretch that no trace crosses."""
    on_line = values < values.max() - 0.02
    return np.flatnonzero(on_line & ~np.concatenate([[False], on_line[:-1]]))


def dark(pixels: NDArray[np.float64]) -> NDArray[np.bool_]:
    flags: NDArray[np.bool_] = pixels.max(axis=-1) < 0.4
    return flags


def test_page_has_the_size_of_its_scale(signal: NDArray[np.float64], tmp_path: Path) -> None:
    pixels = draw(signal, tmp_path / "x.png")
    assert pixels.shape[:2] == (PAGE_MM[1] * PIXELS_A_MM, PAGE_MM[0] * PIXELS_A_MM)
    assert pytest.approx(25.4 * PIXELS_A_MM) == DPI
    content = (tmp_path / "x.png").read_bytes()
    at = content.index(b"pHYs") + 4
    assert int.from_bytes(content[at : at + 4], "big") == 1000 * PIXELS_A_MM  # pixels a metre: prints to scale
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


def test_grid_lines_are_one_millimetre_apart(signal: NDArray[np.float64], tmp_path: Path) -> None:
    green = draw(signal, tmp_path / "x.png")[..., 1]
    # Just below the top and just right of the left edge of the grid, between two lines, there is no trace.
    across = lines(green[(PAGE_MM[1] - TOP) * PIXELS_A_MM + 5, :])
    edges = slice((PAGE_MM[1] - TOP - 1) * PIXELS_A_MM, (PAGE_MM[1] - BOTTOM + 1) * PIXELS_A_MM)
    down = lines(green[edges, LEFT * PIXELS_A_MM + 5])
    assert len(across) == RIGHT - LEFT + 1
    assert len(down) == TOP - BOTTOM + 1
    for starts in (across, down):
        np.testing.assert_allclose(np.diff(starts), PIXELS_A_MM, atol=1)  # a bold line starts a pixel earlier
        np.testing.assert_array_equal(np.diff(starts[::5]), 5 * PIXELS_A_MM)


def test_traces_are_to_scale(signal: NDArray[np.float64], tmp_path: Path) -> None:
    ink = dark(draw(signal, tmp_path / "x.png"))
    ink[-BOTTOM * PIXELS_A_MM :] = False  # the text below the grid

    def lowest(mm: float) -> int:
        """The lowest ink above a place of the page: the rhythm strip, or the pulse before it."""
        return int(np.flatnonzero(ink[:, round(mm * PIXELS_A_MM)])[-1])

    baseline = lowest(LEFT + 6)
    assert baseline - lowest(LEFT + 10) == 10 * PIXELS_A_MM
    for edge in (7.5, 12.5):  # the calibration pulse, 5 mm wide
        assert ink[baseline - 50, round((LEFT + edge) * PIXELS_A_MM)]
    for second in range(10):
        beat = START + 25 * second + 12.5
        assert abs(baseline - lowest(beat + 0.5) - 10 * PIXELS_A_MM) <= 1
        assert abs(baseline - lowest(beat - 2)) <= 1
        assert abs(baseline - lowest(beat + 2)) <= 1


def test_same_bytes_twice_and_whatever_the_users_style(signal: NDArray[np.float64], tmp_path: Path) -> None:
    draw(signal, tmp_path / "a.png")
    with mpl.rc_context({"font.family": "monospace", "lines.linewidth": 5, "savefig.dpi": 50, "axes.grid": True}):
        draw(signal, tmp_path / "b.png")
    content = (tmp_path / "a.png").read_bytes()
    assert content == (tmp_path / "b.png").read_bytes()
    assert b"matplotlib" not in content
    assert b"Software" not in content


def test_every_title_is_taken_literally(signal: NDArray[np.float64], tmp_path: Path) -> None:
    plain = draw(signal, tmp_path / "a.png", title="a b")
    np.testing.assert_array_equal(plain, draw(signal, tmp_path / "b.png", title="a\n b "))
    draw(signal, tmp_path / "c.png", title=r"$\frac{1}{" + "x" * 500)


@pytest.mark.parametrize("scale", [0, 1.5, 30])
def test_traces_stay_in_the_grid(signal: NDArray[np.float64], tmp_path: Path, scale: float) -> None:
    page = draw(signal * scale * np.array([1, 1, -1, -1, 1, 1, 1, 1])[:, None], tmp_path / "x.png")
    ink = dark(page)
    ink[: (PAGE_MM[1] - TOP - 2) * PIXELS_A_MM] = False  # the title
    ink[-(BOTTOM - 2) * PIXELS_A_MM :] = False  # the scale
    rows, columns = np.nonzero(ink)
    assert rows.min() >= (PAGE_MM[1] - TOP) * PIXELS_A_MM - 2
    assert rows.max() <= (PAGE_MM[1] - BOTTOM) * PIXELS_A_MM + 2
    assert columns.min() >= LEFT * PIXELS_A_MM
    assert columns.max() <= RIGHT * PIXELS_A_MM
    grid = page[(PAGE_MM[1] - TOP) * PIXELS_A_MM : -BOTTOM * PIXELS_A_MM]
    red = (grid[..., 0] > 0.6) & (grid[..., 1] < 0.2)
    assert red.any() == (scale == 30)  # triangles where a trace was cut


@pytest.mark.parametrize("signal", [np.zeros((12, SAMPLES)), np.full((8, SAMPLES), np.nan)])
def test_what_cannot_be_drawn_leaves_no_file(signal: NDArray[np.float64], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"give \(8, 5000\) finite values"):
        draw_ecg(signal, title="", path=tmp_path / "x.png")
    assert not list(tmp_path.iterdir())
