"""The rhythm as the measurement sees it: medians, quartile and irregularity of RR, against numpy and plain lists."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.measurement.beats import Beats
from pipeline.measurement.median_beat import _median, early_rr, median_rr, rr_irregularity

UNHURRIED = settings(deadline=None)
Rhythm = list[int]
"""RR intervals in samples; of n of them there are n + 1 beats."""
RHYTHMS = st.lists(st.lists(st.integers(100, 900), max_size=12), min_size=1, max_size=5)


def beats_of(rhythms: list[Rhythm]) -> Beats:
    """The records of some rhythms; what is longest tells the number of slots."""
    slots = max(len(rhythm) for rhythm in rhythms) + 1
    counts = np.array([len(rhythm) + 1 for rhythm in rhythms])
    fiducials = np.zeros((len(rhythms), slots), np.intp)
    for row, rhythm in zip(fiducials, rhythms, strict=True):
        row[: len(rhythm) + 1] = 100 + np.cumsum([0, *rhythm])
    return Beats(counts, np.arange(slots) < counts[:, None], fiducials, np.zeros(fiducials.shape, np.float32))


def irregularity(*rr: int) -> float:
    return float(rr_irregularity(beats_of([list(rr)]))[0])


@UNHURRIED
@given(st.data(), st.integers(0, 8), st.integers(1, 5))
def test_median_is_numpy_s_and_0_of_nothing(data: st.DataObject, slots: int, n: int) -> None:
    values = np.array(data.draw(st.lists(st.integers(-900, 900), min_size=n * slots, max_size=n * slots)), np.intp)
    known = np.array(data.draw(st.lists(st.booleans(), min_size=n * slots, max_size=n * slots)), np.bool_)
    values, known = values.reshape(n, slots), known.reshape(n, slots)
    expected = [np.median(row[own]) if own.any() else 0 for row, own in zip(values, known, strict=True)]
    assert _median(values, known).tolist() == expected


@UNHURRIED
@given(RHYTHMS)
def test_median_rr_is_that_of_the_record_s_own_beats(rhythms: list[Rhythm]) -> None:
    assert median_rr(beats_of(rhythms)).tolist() == [np.median(rhythm) if rhythm else 0 for rhythm in rhythms]


@UNHURRIED
@given(RHYTHMS)
def test_irregularity_is_the_median_change_as_a_share_of_rr(rhythms: list[Rhythm]) -> None:
    expected = [
        np.median(np.abs(np.diff(rhythm))) / np.median(rhythm) if len(rhythm) >= 3 else 0.0 for rhythm in rhythms
    ]
    assert rr_irregularity(beats_of(rhythms)).tolist() == pytest.approx(expected)


def test_one_premature_beat_does_not_make_a_rhythm_irregular() -> None:
    assert irregularity(*[400] * 4, 250, 550, *[400] * 4) == 0
    assert irregularity(400, 404, 398, 250, 550, 402, 400, 404) <= 0.015


def test_alternation_makes_it_irregular() -> None:
    assert irregularity(*[350, 450] * 4) == pytest.approx(0.25)
    assert irregularity(*[250, 550] * 4) == pytest.approx(0.75)


def test_slow_respiration_hardly_does() -> None:
    breath = 400 + 60 * np.sin(2 * np.pi * np.arange(11) / 10)
    assert irregularity(*np.rint(breath).astype(int).tolist()) < 0.09


def test_two_intervals_are_too_few() -> None:
    assert irregularity() == irregularity(400) == irregularity(300, 600) == 0
    assert irregularity(300, 600, 300) == 1
    assert rr_irregularity(beats_of([[300, 600], [300, 600, 300, 600]])).tolist() == pytest.approx([0, 300 / 450])


@UNHURRIED
@given(RHYTHMS, st.randoms(use_true_random=False))
def test_early_rr_is_the_lower_quartile_after_used_beats(rhythms: list[Rhythm], random: Any) -> None:
    beats = beats_of(rhythms)
    used = np.array([[random.random() < 0.7 for _ in row] for row in beats.present]) & beats.present
    for rhythm, own, found in zip(rhythms, used, early_rr(beats, used), strict=True):
        follows = sorted(rr for rr, beat_used in zip(rhythm, own, strict=False) if beat_used)
        assert found == (follows[len(follows) // 4] if follows else np.inf)


def test_early_rr_sees_what_the_median_does_not() -> None:
    """Every third beat comes early: seldom enough not to move the median, often enough to be in a quarter."""
    beats = beats_of([[400, 250, 400] * 3, [400, 400, 400] * 3])
    used = np.ones(beats.present.shape, np.bool_)
    assert median_rr(beats).tolist() == [400, 400]
    assert early_rr(beats, used).tolist() == [250, 400]
    used[0, 1::3] = False  # the beats that an early one follows
    assert early_rr(beats, used).tolist() == [400, 400]
    assert early_rr(beats, np.zeros_like(used)).tolist() == [np.inf, np.inf]
