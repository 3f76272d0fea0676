"""Doubts at both tails: each begins at its threshold."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.leads import SAMPLES
from pipeline.measurement.quality import measurement_flags, signal_flags
from tests import synthetic
from tests.synthetic import QRS_ONSET, R_AT, RR, T_HALF

Drawn = Callable[[float], NDArray[np.float64]]


def _steady(**shape: Any) -> NDArray[np.float64]:
    """A record of beats of some shape with room for a long PR interval, at a rate of 50."""
    return synthetic.record(synthetic.beat(**shape, r=200), synthetic.jittering(600), r=200)


def _in_v2(added: NDArray[np.float64]) -> NDArray[np.float64]:
    """A sound record to one lead of which something is added."""
    signal = synthetic.record(synthetic.beat(), synthetic.jittering())
    signal[3] += added
    return signal


def _with_one_other_beat(t_share: float) -> NDArray[np.float64]:
    peaks = synthetic.jittering()
    signal = synthetic.record(synthetic.beat(), peaks)
    signal[:, peaks[5] - R_AT : peaks[5] + 500 - R_AT] += synthetic.beat(t_share=t_share) - synthetic.beat()
    return signal


def _alternating(samples: float) -> NDArray[np.float64]:
    return synthetic.record(synthetic.beat(), [170 + place * RR + int(samples) * (place % 2) for place in range(12)])


DRAWN: dict[str, Drawn] = {
    "height": lambda factor: synthetic.record(factor * synthetic.beat(), synthetic.jittering()),
    "variation": lambda uv: synthetic.record(synthetic.beat(), synthetic.jittering()) + synthetic.fibrillation(5, uv),
    "noise": lambda uv: synthetic.record(synthetic.beat(), synthetic.jittering(), uv),
    "noise in V2": lambda uv: _in_v2(np.random.default_rng(3).normal(0, uv, SAMPLES)),
    "wander in V2": lambda uv: _in_v2(uv * np.sin(2 * np.pi * 0.25 * np.arange(SAMPLES) / 500 + 1)),
    "alternating RR": _alternating,
    "ST": lambda uv: synthetic.record(synthetic.beat(st_uv=uv), synthetic.jittering()),
    "T of one beat": _with_one_other_beat,
    "P": lambda samples: _steady(p_samples=int(samples), p_onset=-50 - int(samples)),
    "PR": lambda samples: _steady(p_samples=34, p_onset=QRS_ONSET - int(samples)),
    "QRS": lambda factor: _steady(widen=factor, p_onset=-120),
    "T peak": lambda place: _steady(t_peak=int(place), t_half=35 if place < 100 else T_HALF),
    "RR": lambda samples: synthetic.record(synthetic.beat(), synthetic.jittering(int(samples))),
    "RR, short P": lambda samples: synthetic.record(
        synthetic.beat(p_samples=40, p_onset=-80), synthetic.jittering(int(samples))
    ),
}
"""Records that are sound but for one thing, by its measure."""


@pytest.mark.parametrize(
    ("flag", "drawn", "doubtful", "sound"),
    [
        ("above_5_mv", "height", 3.5, 3.4),
        ("above_5_mv", "height", -3.5, -3.4),
        ("varying_beats", "variation", 73, 69),
        ("template_beats", "noise", 2.0, 2.6),
        ("template_rhythm", "alternating RR", 2, 3),
        ("uncertain_p", "variation", 37, 34),
        ("p_upon_t", "RR", 288, 300),
        ("uncertain_t_end", "ST", 80, 70),
        ("noisy", "noise in V2", 28, 25),
        ("baseline_wander", "wander in V2", 362, 350),
        ("unlike_beats", "T of one beat", 4.0, 3.8),
        ("unlikely_p_duration", "P", 30, 32),
        ("unlikely_p_duration", "P", 120, 116),
        ("unlikely_pr_interval", "PR", 42, 44),
        ("unlikely_pr_interval", "PR", 158, 150),
        ("unlikely_qrs_duration", "QRS", 0.5, 0.55),
        ("unlikely_qrs_duration", "QRS", 1.7, 1.6),
        ("unlikely_qt_interval", "T peak", 78, 82),
        ("unlikely_qt_interval", "T peak", 182, 178),
        ("unlikely_qtc_bazett", "RR, short P", 900, 860),
        ("unlikely_qtc_bazett", "RR, short P", 350, 370),
    ],
)
def test_a_doubt_begins_at_its_threshold(flag: str, drawn: str, doubtful: float, sound: float) -> None:
    doubted, trusted = (synthetic.row(DRAWN[drawn](much))["quality_flags"] for much in (doubtful, sound))
    assert flag in doubted
    assert flag not in trusted


SOUND = {
    "noise_uv": 10.0,
    "baseline_wander_uv": 100.0,
    "beat_correlation": 0.95,
    "beat_residual_uv": 20.0,
    "rr_sd_ms": 40.0,
    "mean_rr_ms": 800.0,
    "p_correlation": 0.95,
    "t_end_spread_ms": 10.0,
    "p_duration_ms": 100.0,
    "pr_interval_ms": 160.0,
    "qrs_duration_ms": 90.0,
    "qt_interval_ms": 400.0,
    "qtc_bazett_ms": 420.0,
}


def _doubts(values: dict[str, float], unknown: str = "") -> set[str]:
    """The flags of a record that is sound but for some values, or one that is unknown."""
    found = measurement_flags(
        {name: (np.array([value], np.float32), np.array([name != unknown])) for name, value in (SOUND | values).items()}
    )
    return {flag for flag, raised in found.items() if raised[0]}


@pytest.mark.parametrize(
    ("flag", "column", "limit", "side"),
    [
        ("noisy", "noise_uv", 30, 1),
        ("baseline_wander", "baseline_wander_uv", 250, 1),
        ("unlike_beats", "beat_correlation", 0.8, -1),
        ("varying_beats", "beat_residual_uv", 70, 1),
        ("template_beats", "beat_residual_uv", 3, -1),
        ("template_rhythm", "rr_sd_ms", 4, -1),
        ("uncertain_p", "p_correlation", 0.75, -1),
        ("p_upon_t", "mean_rr_ms", 580, -1),
        ("uncertain_t_end", "t_end_spread_ms", 30, 1),
        ("unlikely_p_duration", "p_duration_ms", 60, -1),
        ("unlikely_p_duration", "p_duration_ms", 180, 1),
        ("unlikely_pr_interval", "pr_interval_ms", 80, -1),
        ("unlikely_pr_interval", "pr_interval_ms", 300, 1),
        ("unlikely_qrs_duration", "qrs_duration_ms", 60, -1),
        ("unlikely_qrs_duration", "qrs_duration_ms", 160, 1),
        ("unlikely_qt_interval", "qt_interval_ms", 280, -1),
        ("unlikely_qt_interval", "qt_interval_ms", 520, 1),
        ("unlikely_qtc_bazett", "qtc_bazett_ms", 330, -1),
        ("unlikely_qtc_bazett", "qtc_bazett_ms", 520, 1),
    ],
)
def test_the_next_number_beyond_a_limit_is_doubted(flag: str, column: str, limit: float, side: int) -> None:
    beyond = float(np.nextafter(np.float32(limit), np.float32(side * np.inf)))
    assert _doubts({column: limit}) == set()
    assert _doubts({column: beyond}) == {flag}
    assert _doubts({column: beyond}, unknown=column) == set()


def test_a_wave_that_is_not_there_is_not_doubted() -> None:
    assert _doubts({"p_correlation": 0.2}) == {"uncertain_p"}
    assert _doubts({"p_correlation": 0.2}, unknown="p_duration_ms") == set()
    assert _doubts({"mean_rr_ms": 500}) == {"p_upon_t"}
    assert _doubts({"mean_rr_ms": 500}, unknown="pr_interval_ms") == set()
    assert _doubts({"mean_rr_ms": 500}, unknown="qt_interval_ms") == set()


@pytest.mark.parametrize("side", [-1, 1])
def test_5_mv_are_seen_in_the_filtered_signal(side: int) -> None:
    filtered = np.random.default_rng(0).normal(0, 100, (3, 8, SAMPLES)).astype(np.float32)
    filtered[0, 6, 70] = side * 5000
    filtered[1, 6, 70] = np.nextafter(np.float32(side * 5000), np.float32(side * np.inf))
    flags, _ = signal_flags(filtered + 6000, filtered)
    assert flags["above_5_mv"].tolist() == [False, True, False]
