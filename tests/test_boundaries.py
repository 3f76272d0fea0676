"""Where one wave could be taken for another: equal maxima, the T before a P, leads without a QRS."""

import numpy as np
import pytest
from numpy.typing import NDArray

import pipeline
from pipeline.dataset import Dataset
from pipeline.measurement import constants as c
from pipeline.measurement.beats import _detect
from pipeline.measurement.p_wave import p_wave

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
