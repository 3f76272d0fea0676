"""Boundaries: where one wave could be taken for another, and which leads decide them."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

import pipeline
from pipeline.dataset import Dataset
from pipeline.leads import SAMPLES
from pipeline.measurement import constants as c
from pipeline.measurement.beats import _detect
from pipeline.measurement.delineate import delineate
from pipeline.measurement.p_wave import p_wave
from tests import synthetic
from tests.synthetic import QRS_ONSET, RR

Signal = NDArray[np.float32]


def bump(centre: float, deviation: float, height: float) -> Signal:
    """(600,) a Gaussian wave on the median beat."""
    wave: Signal = (height * np.exp(-0.5 * ((np.arange(600) - centre) / deviation) ** 2)).astype(np.float32)
    return wave


@pytest.mark.parametrize("apart", [1, 2, c.REFRACTORY])
def test_equal_maxima_are_one_beat(apart: int) -> None:
    detection = np.zeros((2, 1250), np.float32)
    detection[:, 60::125] = 5000
    detection[0, 60 + apart :: 125] = 5000
    fiducials, present = _detect(detection)
    assert (present.sum(axis=1) == 10).all()
    assert (fiducials[0] == fiducials[1]).all()


def test_p_is_not_sought_where_t_has_not_ended() -> None:
    """The T before it is four times as high; only with room for it is that the highest hump."""
    qrs_onset = np.array([220, 220])
    beat = bump(160, 12, 100) + bump(80, 15, 400)
    waves = np.repeat(np.stack([beat, beat])[:, None], 8, axis=1)
    found = p_wave(waves, waves, waves, np.ones((2, 8, 1), np.float32), qrs_onset, np.array([100.0, 170.0]))
    assert found.onset[0] >= 120
    assert found.onset[0] < 160 < found.offset[0]
    assert found.onset[1] < 80 < found.offset[1] < 160


def test_p_to_t_fits_into_a_beat(dataset: Dataset) -> None:
    rows = dataset.measurements(["pr_interval_ms", "qt_interval_ms", "mean_rr_ms", "rr_sd_ms"]).to_pylist()
    for row in rows:
        if row["pr_interval_ms"] is not None and row["qt_interval_ms"] is not None:
            assert row["pr_interval_ms"] + row["qt_interval_ms"] <= row["mean_rr_ms"] + 3 * row["rr_sd_ms"]


@pytest.mark.parametrize("alive", [[6], [6, 7], [0, 1]])
def test_leads_without_signal_are_not_asked_for_the_qrs(dataset: Dataset, alive: list[int]) -> None:
    signals = np.stack([dataset.signal(record) for record in range(20)])
    signals[:, [lead for lead in range(8) if lead not in alive]] = 0
    assert (pipeline.measure(signals)["qrs_duration_ms"].to_numpy() > 40).all()


def test_one_lead_of_far_too_high_gain_leaves_a_qrs(dataset: Dataset) -> None:
    signals = np.stack([dataset.signal(record) for record in range(20)]).astype(np.float64)
    signals[:, 4] *= 10
    assert (pipeline.measure(signals)["qrs_duration_ms"].to_numpy() > 0).all()


@dataclass(frozen=True)
class _Bounds:
    """Boundaries of a beat in samples after its R."""

    p: tuple[int, int]
    qrs: tuple[int, int]
    t_end: int
    t_spread: int


def _bounds(beat: NDArray[np.float64], early_rr: float = RR) -> _Bounds:
    """Delineate one beat, R at sample 150, without noise."""
    waves = np.zeros((1, 8, 600), np.float32)
    waves[0, :, 90 : 90 + beat.shape[1]] = beat
    found = delineate(waves, np.array([float(RR)]), np.array([early_rr]))
    at = (found.p.onset, found.p.offset, found.qrs_onset, found.qrs_offset, found.t.offset)
    p_onset, p_offset, onset, offset, t_end = (int(place[0]) - 240 for place in at)
    return _Bounds((p_onset, p_offset), (onset, offset), t_end, int(found.t.spread[0]))


def _with_fault(leads: tuple[int, ...]) -> NDArray[np.float64]:
    """A beat about whose QRS some leads oscillate, from 90 ms before R to 100 ms after it."""
    beat = synthetic.beat()
    beat[list(leads), 105:200] += 300 * np.sin(np.arange(95) * np.pi / 6)
    return beat


@pytest.mark.parametrize("leads", [*((lead,) for lead in range(2, 8)), (2, 3), (4, 7), (6, 7)])
def test_faults_in_two_chest_leads_do_not_move_the_qrs(leads: tuple[int, ...]) -> None:
    sound, faulty = _bounds(synthetic.beat()).qrs, _bounds(_with_fault(leads)).qrs
    assert faulty == pytest.approx(sound, abs=1)


@pytest.mark.parametrize("leads", [(2, 3, 4), (5, 6, 7), (2, 4, 6)])
def test_what_three_leads_show_is_qrs(leads: tuple[int, ...]) -> None:
    sound, longer = _bounds(synthetic.beat()).qrs, _bounds(_with_fault(leads)).qrs
    assert longer[0] < sound[0] - 15
    assert longer[1] > sound[1] + 15


@pytest.mark.parametrize("lead", range(2, 8))
def test_a_chest_lead_of_noise_or_nothing_does_not_move_the_qrs(lead: int) -> None:
    sound = _bounds(synthetic.beat()).qrs
    for instead in (0.0, np.random.default_rng(lead).normal(0, 30, 500)):
        beat = synthetic.beat()
        beat[lead] = instead
        assert _bounds(beat).qrs == pytest.approx(sound, abs=2)


def _p_shifted(early: tuple[int, ...], late: tuple[int, ...], samples: int) -> _Bounds:
    """The bounds of a beat whose P comes earlier in some leads and later in others."""
    p = synthetic.beat() - synthetic.beat(p_share=0.0)
    p[list(early)] = np.roll(p[list(early)], -samples, axis=1)
    p[list(late)] = np.roll(p[list(late)], samples, axis=1)
    return _bounds(synthetic.beat(p_share=0.0) + p)


def test_p_begins_in_its_early_leads_and_ends_in_its_late_ones() -> None:
    onset, offset = _bounds(synthetic.beat()).p
    for early, late in (((0, 2, 3, 4), (1, 5, 6, 7)), ((0, 1, 5), (2, 3, 4, 6, 7))):
        assert _p_shifted(early, late, 8).p == pytest.approx((onset - 8, offset + 8), abs=2)
    assert _p_shifted((2, 3, 4, 5), (), 15).p == pytest.approx((onset - 15, offset), abs=2)
    assert _p_shifted((), (2, 3, 4, 5), 15).p == pytest.approx((onset, offset + 13), abs=3)


@pytest.mark.parametrize("lead", range(2, 8))
def test_one_lead_alone_does_not_decide_where_p_is(lead: int) -> None:
    sound = _bounds(synthetic.beat()).p
    assert _p_shifted((lead,), (), 15).p == pytest.approx(sound, abs=3)
    assert _p_shifted((), (lead,), 15).p == pytest.approx(sound, abs=3)


@pytest.mark.parametrize("lead", range(8))
@pytest.mark.parametrize("share", [0.0, 0.05, -1.0])
def test_a_flat_or_inverted_t_in_one_lead_does_not_move_its_end(lead: int, share: float) -> None:
    beat = synthetic.beat()
    beat[lead] = share * beat[lead] + (1 - share) * synthetic.beat(t_share=0.0)[lead]
    assert _bounds(beat).t_end == pytest.approx(_bounds(synthetic.beat()).t_end, abs=2)


def _drifting(leads: tuple[int, ...], uv: float) -> _Bounds:
    """The bounds of a beat that has, in some leads, no T but a slow fall to long after it."""
    drift = np.interp(np.arange(500), [190, 230, 480], [0.0, 1.0, 0.0])
    beat = synthetic.beat()
    beat[list(leads)] = synthetic.beat(t_share=0.0)[list(leads)] + uv * drift
    return _bounds(beat)


def test_the_end_of_t_follows_four_leads_but_not_three() -> None:
    sound = _bounds(synthetic.beat())
    for leads in ((4,), (2, 3, 4)):
        found = _drifting(leads, 200)
        assert found.t_end == pytest.approx(sound.t_end, abs=2)
        assert found.t_spread <= 20
    assert _drifting((2, 3, 4, 5), 200).t_end > sound.t_end + 30


def test_leads_without_t_to_speak_of_are_not_asked() -> None:
    found, sound = _drifting((2, 3, 4, 5, 6), 30), _bounds(synthetic.beat())
    assert found.t_end == pytest.approx(sound.t_end, abs=2)
    assert found.t_spread == pytest.approx(sound.t_spread, abs=2)


@pytest.mark.parametrize("next_r", [250, 270, 290])
def test_an_early_next_qrs_is_not_t(next_r: int) -> None:
    beat = np.zeros((8, 510))
    beat[:, :500] = synthetic.beat()
    beat[:, next_r:] += synthetic.beat(p_share=0.0, t_share=0.0)[:, : 510 - next_r]
    assert _bounds(beat, early_rr=next_r).t_end == pytest.approx(_bounds(synthetic.beat()).t_end, abs=3)
    assert _bounds(beat, early_rr=np.inf).t_end > next_r - 20


@pytest.mark.parametrize("next_r", [225, 230, 235])
def test_t_ends_50_ms_before_the_next_qrs(next_r: int) -> None:
    assert _bounds(synthetic.beat(), early_rr=next_r).t_end <= next_r + QRS_ONSET - 25


@pytest.mark.parametrize(("long", "short"), [(450, 260), (440, 270)])
def test_qt_where_every_second_beat_comes_early(long: int, short: int) -> None:
    peaks = [peak for first in range(100, SAMPLES - 400, long + short) for peak in (first, first + long)]
    row = synthetic.row(synthetic.record(synthetic.beat(p_share=0.0), peaks))
    assert row["qt_interval_ms"] == pytest.approx(synthetic.regular(synthetic.beat())["qt_interval_ms"], abs=8)
