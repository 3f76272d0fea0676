"""The three Python verbs meet the arrays that people have."""

from typing import Any

import numpy as np
import pytest

import pipeline
from pipeline.dataset import Dataset
from pipeline.errors import InputError
from pipeline.leads import to_twelve_leads


def test_no_ids_no_records() -> None:
    assert pipeline.generate([]).shape == (0, 8, 5000)
    assert pipeline.measure(np.zeros((0, 8, 5000))).num_rows == 0


def test_the_same_ecgs_in_other_clothes_measure_the_same(dataset: Dataset) -> None:
    signals = dataset.signals[:4]
    twelve = to_twelve_leads(signals.astype(np.float64))
    strided = np.asfortranarray(signals)
    strided.setflags(write=False)
    expected = pipeline.measure(signals)
    for other, units in ((twelve, "uV"), (twelve / 1000, "mV"), (strided, "uv"), (signals.astype(np.float32), "uV")):
        assert pipeline.measure(other, units=units).equals(expected)


@pytest.mark.parametrize(
    ("signals", "options", "hint"),
    [
        (np.ones((2, 12, 4000)), {}, r"\(2, 12, 4000\).*give 10 s at 500 Hz"),
        (np.ones((2, 5000, 12)), {}, r"give signals.transpose\(0, 2, 1\)"),
        (np.ones((8, 5000)), {}, r"signals\[numpy.newaxis\]"),
        (np.ones((1, 8, 5000)), {"units": "V"}, "'V' are unknown"),
        (np.ones((1, 8, 5000)), {"sampling_rate_hz": 250}, "give 10 s at 250 Hz"),
        (np.ones((1, 8, 1000)), {"sampling_rate_hz": 100}, "sampled at 100 Hz"),
        (np.full((1, 8, 5000), np.nan), {}, "NaN"),
        (np.full((1, 8, 5000), np.inf, np.float16), {}, "infinite"),
        (np.full((1, 8, 5000), -(2**63)), {}, "beyond 1 V"),
        (np.full((1, 8, 5000), "x"), {}, "real numbers"),
        (["I", "II"], {}, "type <U2 is not one of real numbers"),
        (np.ones((1, 9, 5000)), {}, r"give 8 leads \(I, II, V1 to V6\) or 12"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_a_hint(signals: Any, options: dict[str, Any], hint: str) -> None:
    with pytest.raises(InputError, match=hint) as caught:
        pipeline.measure(signals, **options)
    assert "\n" not in str(caught.value)
