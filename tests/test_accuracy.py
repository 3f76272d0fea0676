"""The measurement on recordings of people: it agrees with 12SL's own values and with LUDB's readers.

The constants were chosen on these recordings, so that the figures are in-sample.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy import ludb, muse
from benchmarks.accuracy.agreement import measured_rows
from pipeline.inputs import open_recordings
from pipeline.leads import LEADS
from pipeline.measurement.amplitudes import amplitudes
from pipeline.measurement.delineate import Fiducials
from pipeline.measurement.p_wave import PWave
from pipeline.measurement.rows import measure_rows
from pipeline.measurement.t_end import TEnd
from tests.conftest import RECORDINGS

# Limits in ms of measured minus reference, for LUDB's near-normal records and for all.
LUDB_SD = {"p_duration_ms": (8, 9), "pr_interval_ms": (5.5, 7.5), "qrs_duration_ms": (6.5, 12)} | {
    "qt_interval_ms": (12, 22)
}
LUDB_BIAS = 16
LUDB_SLOPE = (0.75, 1.15)
LUDB_FALSE_P = 2
LUDB_FALSE_QRS = 0
MUSE_DIFFERENCE = {"heart_rate_bpm": 0, "pr_interval_ms": 8, "qrs_duration_ms": 8, "qt_interval_ms": 12} | {
    "p_duration_ms": 14
}
MUSE_WITHIN_TOLERANCE = 0.95


def _folder(name: str, pattern: str) -> Path:
    folder = RECORDINGS / name
    if not any(folder.glob(pattern)):
        pytest.skip(f"no {name} at {folder}")
    return folder


@pytest.fixture(scope="module")
def readers() -> list[ludb.Case]:
    return ludb.measured_cases(_folder("ludb", "data/*.hea"))


@pytest.fixture(scope="module")
def exports() -> list[muse.Export]:
    return muse.measured_exports(_folder("muse", "*.json"))


def test_nothing_raw_is_without_qrs() -> None:
    rows = dict(measured_rows(open_recordings(_folder("raw-12lead", "*/*.hea"))))
    assert {row["status"] for row in rows.values()} <= {"measured", "partial"}
    assert min(row["beats"] for row in rows.values()) >= 6


def test_every_qrs_that_readers_marked_is_found(readers: list[ludb.Case]) -> None:
    detection = ludb.detection(readers)
    assert detection.found == detection.marked
    assert detection.false <= LUDB_FALSE_QRS


def test_intervals_agree_with_ludb_s_readers(readers: list[ludb.Case]) -> None:
    near_normal = [case for case in readers if case.near_normal]
    for group, cases in enumerate((near_normal, readers)):
        for name, interval in ludb.intervals(cases).items():
            assert not interval.missing, name
            assert interval.agreement is not None
            assert interval.agreement.sd <= LUDB_SD[name][group], name
            assert abs(interval.agreement.bias) <= LUDB_BIAS, name
            assert LUDB_SLOPE[0] <= interval.agreement.slope <= LUDB_SLOPE[1], name


def test_p_is_rarely_seen_where_readers_saw_none(readers: list[ludb.Case]) -> None:
    assert len(ludb.false_p(readers)[1]) <= LUDB_FALSE_P


def test_the_flags_of_doubt_are_the_measurement_s() -> None:
    nothing = np.zeros((1, 8, 5000), np.float32)
    assert set(measure_rows(nothing).flags) >= set(ludb.DOUBTS.values())


def test_intervals_agree_with_12sl(exports: list[muse.Export]) -> None:
    for export in exports:
        for name, difference in muse.interval_differences(export).items():
            assert difference is not None, name
            assert abs(difference) <= MUSE_DIFFERENCE[name], name


def test_amplitudes_agree_with_12sl(exports: list[muse.Export]) -> None:
    for wave, errors in muse.amplitude_errors(exports).items():
        assert errors.missing == 0, wave
        assert errors.within >= MUSE_WITHIN_TOLERANCE, wave


def test_conventions_are_12sl_s_own(exports: list[muse.Export]) -> None:
    """On 12SL's median beats with 12SL's boundaries, every amplitude is 12SL's to its step of 4.88 µV."""
    folder = _folder("muse", "*.npz")
    headers = [json.loads((folder / f"{each.name}.json").read_text())["matrix_header"] for each in exports]
    header = {name: np.array([each[name] for each in headers]) for name in headers[0]}
    median = np.stack([np.load(folder / f"{each.name}.npz")["median_uV"] for each in exports]).astype(np.float32)
    nothing = np.zeros(len(exports), np.float32)
    fiducials = Fiducials(
        header["QOnset"],
        header["QOnset"],
        header["QOffset"],
        PWave(header["POnset"], header["POffset"], nothing),
        TEnd(header["TOffset"], header["TOffset"], nothing),
    )
    found = amplitudes(median, fiducials, header["AvgRRInterval"] / 2)
    for wave, theirs in muse.AMPLITUDES.items():
        expected = np.array([[each.leads[lead][theirs] for lead in LEADS] for each in exports])
        difference = np.abs(found.waves[wave] - expected)
        if wave == "s":  # 12SL passes over an S of 24 µV in aVL, the end of which is the J point
            difference = difference[:, np.array(LEADS) != "aVL"]
        assert difference.max() < 5, wave
    for axis, theirs in muse.AXES.items():
        expected = np.array([each.values[theirs] for each in exports])
        assert np.abs(found.axes[axis.removesuffix("_axis_deg")][0] - expected).max() <= 1
