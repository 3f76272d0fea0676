"""What is done to waves along time, against plain loops over small arrays with ties, constant rows and empty bounds."""

from math import exp, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from pipeline.measurement import waves as w

UNHURRIED = settings(deadline=None)
Case = tuple[w.Signal, w.Index, w.Index]
SMALL = st.integers(-3, 3)
"""So few values that most rows have ties, and many are constant."""


def numbers(*shape: int) -> st.SearchStrategy[w.Signal]:
    return arrays(np.float32, shape, elements=SMALL.map(float))


def places(n: int, lowest: int, highest: int) -> st.SearchStrategy[w.Index]:
    return arrays(np.intp, n, elements=st.integers(lowest, highest))


@st.composite
def bounded(draw: st.DrawFn) -> Case:
    """Rows with bounds of their own, which may enclose nothing or reach beyond the row."""
    n, length = draw(st.integers(1, 4)), draw(st.integers(1, 9))
    return draw(numbers(n, length)), draw(places(n, -2, length + 1)), draw(places(n, -2, length + 2))


@st.composite
def leads(draw: st.DrawFn) -> w.Signal:
    """(n, leads, length) values."""
    return draw(numbers(draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 9))))


def inside(row: NDArray[Any], start: int, stop: int) -> list[int]:
    return [place for place in range(len(row)) if start <= place < stop]


def hump_of(row: list[float], within: list[int]) -> tuple[int, float]:
    """The first of the highest points above the higher of the lowest points on either side, and its height."""

    def height(place: int) -> float:
        left = min(row[other] for other in within if other <= place)
        right = min(row[other] for other in within if other >= place)
        return row[place] - max(left, right)

    return max(((place, height(place)) for place in within), key=lambda found: found[1], default=(0, 0.0))


@UNHURRIED
@given(bounded())
def test_within(case: Case) -> None:
    signal, start, stop = case
    found = w.within(signal.shape[1], start, stop)
    for row, *bounds, mask in zip(signal, start, stop, found, strict=True):
        assert np.flatnonzero(mask).tolist() == inside(row, *bounds)


@UNHURRIED
@given(bounded())
def test_highest_and_lowest_are_the_first_of_equals(case: Case) -> None:
    for row, first, last, high, low in zip(*case, w.highest(*case), w.lowest(*case), strict=True):
        candidates = inside(row, first, last)
        assert high == (max(candidates, key=lambda place: row[place]) if candidates else first)
        assert low == (min(candidates, key=lambda place: row[place]) if candidates else first)


@UNHURRIED
@given(bounded())
def test_hump(case: Case) -> None:
    for row, first, last, peak, height in zip(*case, *w.hump(*case), strict=True):
        within = inside(row, first, last)
        expected = hump_of(row.tolist(), within)
        assert height == expected[1]
        if within:
            assert peak == expected[0]


@UNHURRIED
@given(bounded())
def test_upright(case: Case) -> None:
    for row, first, last, turned, peak, height in zip(*case, *w.upright(*case), strict=True):
        within = inside(row, first, last)
        up, down = hump_of(row.tolist(), within), hump_of((-row).tolist(), within)
        assert turned.tolist() == ((-row).tolist() if down[1] > up[1] else row.tolist())
        assert height == max(up[1], down[1])
        if within:
            assert peak == (down[0] if down[1] > up[1] else up[0])


@UNHURRIED
@given(bounded(), st.data())
def test_last_below_and_first_below(case: Case, data: st.DataObject) -> None:
    signal, start, stop = case
    threshold = data.draw(numbers(len(signal)))
    last, first = w.last_below(signal, threshold, start, stop), w.first_below(signal, threshold, start, stop)
    for number, row in enumerate(signal):
        low = [place for place in inside(row, start[number], stop[number]) if row[place] <= threshold[number]]
        assert last[number] == (low[-1] if low else start[number])
        assert first[number] == (low[0] if low else max(stop[number] - 1, start[number]))


@UNHURRIED
@given(st.data())
def test_crossing_lies_on_the_line_between_two_samples(data: st.DataObject) -> None:
    signal = data.draw(numbers(data.draw(st.integers(1, 4)), data.draw(st.integers(1, 6))))
    n, length = signal.shape
    outer, threshold = data.draw(places(n, 0, length - 1)), data.draw(numbers(n))
    step = data.draw(st.sampled_from([-1, 1]))
    found = w.crossing(signal, threshold, outer, step)
    for number, (row, place) in enumerate(zip(signal.tolist(), outer.tolist(), strict=True)):
        inner = place + step if 0 <= place + step < length else place
        rise = row[inner] - row[place]
        share = min(max((threshold[number] - row[place]) / rise, 0), 1) if rise > 0 else 0
        assert found[number] == pytest.approx(place + step * share)


@UNHURRIED
@given(st.data())
def test_latest_passes_over_some_but_never_all(data: st.DataObject) -> None:
    values = data.draw(numbers(data.draw(st.integers(1, 4)), data.draw(st.integers(1, 6))))
    counts = data.draw(arrays(np.bool_, values.shape))
    counts[:, data.draw(st.integers(0, values.shape[1] - 1))] = True
    passed_over = data.draw(st.integers(0, 7))
    for row, own, found in zip(values, counts, w.latest(values, counts, passed_over), strict=True):
        ordered = sorted(row[own], reverse=True)
        assert found == ordered[min(passed_over, len(ordered) - 1)]


@UNHURRIED
@given(leads(), st.data())
def test_running_max(signal: w.Signal, data: st.DataObject) -> None:
    length = signal.shape[-1]
    width = data.draw(st.integers(1, length))
    expected = [[[max(row[at : at + width]) for at in range(length - width + 1)] for row in each] for each in signal]
    np.testing.assert_array_equal(w.running_max(signal, width), expected)


@UNHURRIED
@given(leads(), st.data())
def test_cut_out(signal: w.Signal, data: st.DataObject) -> None:
    n, _, length = signal.shape
    width = data.draw(st.integers(1, length))
    start = data.draw(places(n, 0, length - width))
    expected = [[row[at : at + width] for row in each] for each, at in zip(signal, start, strict=True)]
    np.testing.assert_array_equal(w.cut_out(signal, start, width), expected)


@UNHURRIED
@given(leads())
def test_slopes_are_zero_at_the_ends(signal: w.Signal) -> None:
    last = signal.shape[-1] - 1
    expected = [
        [[(row[at + 1] - row[at - 1]) / 2 if 0 < at < last else 0 for at in range(last + 1)] for row in each]
        for each in signal
    ]
    np.testing.assert_array_equal(w.slopes(signal), expected)


@UNHURRIED
@given(leads(), st.data())
def test_level_repeats_the_first_sample_before_it(signal: w.Signal, data: st.DataObject) -> None:
    n, _, length = signal.shape
    index = data.draw(places(n, -2, length - 1))
    first = data.draw(st.integers(-3, -1))
    span = first, data.draw(st.integers(first + 1, length - int(index.max())))
    places_of = [[max(at + offset, 0) for offset in range(*span)] for at in index]
    expected = [
        [[sum(row[place] for place in chosen) / len(chosen)] for row in each]
        for each, chosen in zip(signal.tolist(), places_of, strict=True)
    ]
    np.testing.assert_allclose(w.level(signal, index, span), expected, rtol=1e-6)


@UNHURRIED
@given(leads())
def test_magnitude(signal: w.Signal) -> None:
    expected = [[sqrt(sum(float(lead[at]) ** 2 for lead in each)) for at in range(len(each[0]))] for each in signal]
    np.testing.assert_allclose(w.magnitude(signal), expected, rtol=1e-6)


@UNHURRIED
@given(bounded(), st.data())
def test_at(case: Case, data: st.DataObject) -> None:
    signal, *_ = case
    index = data.draw(places(len(signal), 0, signal.shape[1] - 1))
    assert w.at(signal, index).tolist() == [row[place] for row, place in zip(signal, index, strict=True)]


@pytest.mark.parametrize("deviation", [0.3, 1.0, 2.2, 4.0])
def test_gaussian_weights_go_out_to_three_deviations(deviation: float) -> None:
    weights = w.gaussian_weights(deviation)
    half = len(weights) // 2
    assert weights == weights[::-1]
    assert half - 1 <= 3 * deviation < half
    assert weights == pytest.approx([exp(-0.5 * (at / deviation) ** 2) for at in range(-half, half + 1)])
