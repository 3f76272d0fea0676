"""The measurement on recordings of people: it agrees with 12SL's own values and with LUDB's readers.

The constants were chosen on these recordings, so that the figures are in-sample.
"""

import csv
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wfdb
from numpy.typing import NDArray

from pipeline.leads import LEADS, STORED_LEADS
from pipeline.measurement import measure
from pipeline.measurement.amplitudes import amplitudes
from pipeline.measurement.delineate import Fiducials, PWave, TEnd
from tests.conftest import RECORDINGS


@cache
def _ludb() -> tuple[list[str], NDArray[np.float32]]:
    folder = RECORDINGS / "ludb" / "data"
    if not folder.is_dir():
        pytest.skip("LUDB is not here")
    names = sorted((path.stem for path in folder.glob("*.hea")), key=int)
    return names, np.stack([_eight_leads(folder / name) for name in names])


@cache
def _muse() -> tuple[list[dict[str, Any]], NDArray[np.float32], NDArray[np.float32]]:
    """12SL's values, the rhythms and 12SL's own median beats."""
    paths = sorted((RECORDINGS / "muse").glob("*.json"))
    if not paths:
        pytest.skip("the MUSE exports are not here")
    arrays = [np.load(path.with_suffix(".npz")) for path in paths]
    rhythm = np.stack([each["rhythm_uV"] for each in arrays])
    median = np.stack([each["median_uV"] for each in arrays]).astype(np.float32)
    return [json.loads(path.read_text()) for path in paths], rhythm, median


def _eight_leads(path: Path) -> NDArray[np.float32]:
    record = wfdb.rdrecord(str(path))
    names = [name.lower() for name in record.sig_name]
    columns = [names.index(lead.lower()) for lead in STORED_LEADS]
    signals: NDArray[np.float32] = (record.p_signal[:, columns].T * 1000).astype(np.float32)
    return signals


def test_nothing_real_is_without_qrs() -> None:
    paths = sorted((RECORDINGS / "raw-12lead").glob("*/*.hea"))
    if not paths:
        pytest.skip("the raw 12-lead records are not here")
    table = measure(np.stack([_eight_leads(path.with_suffix("")) for path in paths]))
    assert set(table["status"].to_pylist()) <= {"measured", "partial"}
    assert min(table["beats"].to_pylist()) >= 6
    assert min(measure(_ludb()[1])["beats"].to_pylist()) >= 4


def test_conventions_are_12sl_s_own() -> None:
    """On 12SL's median beats with 12SL's boundaries, every amplitude is 12SL's to its step of 4.88 µV."""
    truth, _, median = _muse()
    header = {name: np.array([each["matrix_header"][name] for each in truth]) for name in truth[0]["matrix_header"]}
    nothing = np.zeros(len(truth), np.float32)
    fiducials = Fiducials(
        header["QOnset"],
        header["QOnset"],
        header["QOffset"],
        PWave(header["POnset"], header["POffset"], nothing),
        TEnd(header["TOffset"], header["TOffset"], nothing),
    )
    found = amplitudes(median, fiducials, header["AvgRRInterval"] / 2)
    names = {"p": "P_PeakAmpl", "q": "Q_PeakAmpl", "r": "R_PeakAmpl", "s": "S_PeakAmpl", "t": "T_PeakAmpl"}
    names |= {"stj": "STJ", "stm": "STM", "ste": "STE", "t2": "TP_PeakAmpl"}
    for wave, theirs in names.items():
        expected = np.array([[each["lead_matrix_12sl"][lead][theirs] for lead in LEADS] for each in truth])
        difference = np.abs(found.waves[wave] - expected)
        if wave == "s":  # 12SL passes over an S of 24 µV in aVL, the end of which is the J point
            difference = difference[:, np.array(LEADS) != "aVL"]
        assert difference.max() < 5, wave
    for wave, theirs in (("p", "PAxis"), ("qrs", "RAxis"), ("t", "TAxis")):
        expected = np.array([each["global_12sl_original"][theirs] for each in truth])
        assert np.abs(found.axes[wave][0] - expected).max() <= 1


def test_intervals_agree_with_12sl() -> None:
    truth, rhythm, _ = _muse()
    limits = {"PRInterval": 8, "QRSDuration": 8, "QTInterval": 12, "VentricularRate": 0}
    columns = dict(zip(limits, ("pr_interval_ms", "qrs_duration_ms", "qt_interval_ms", "heart_rate_bpm"), strict=True))
    for row, each in zip(measure(rhythm).to_pylist(), truth, strict=True):
        theirs = each["global_12sl_original"]
        for name, limit in limits.items():
            assert abs(row[columns[name]] - theirs[name]) <= limit
        assert abs(row["p_duration_ms"] - 2 * (theirs["POffset"] - theirs["POnset"])) <= 14


def test_intervals_agree_with_ludb_s_readers() -> None:
    """Scatter against the manual boundaries of lead II's neighbours, near-normal records."""
    names, signals = _ludb()
    near_normal = _near_normal(names)
    rows = measure(signals).to_pylist()
    errors: dict[str, list[float]] = {
        "p_duration_ms": [],
        "pr_interval_ms": [],
        "qrs_duration_ms": [],
        "qt_interval_ms": [],
    }
    for name, row, included in zip(names, rows, near_normal, strict=True):
        if not included:
            continue
        p_on, p_off, q_on, q_off, t_off = _readers_boundaries(name)
        manual = (p_off - p_on, q_on - p_on, q_off - q_on, t_off - q_on)
        for column, value in zip(errors, manual, strict=True):
            assert row[column] is not None, (name, column)
            errors[column].append(row[column] - 2 * value)
    limits = {"p_duration_ms": 9, "pr_interval_ms": 7, "qrs_duration_ms": 9, "qt_interval_ms": 13}
    for column, limit in limits.items():
        assert np.std(errors[column]) <= limit, column
        assert abs(np.mean(errors[column])) <= 16, column


def _near_normal(names: list[str]) -> list[bool]:
    excluded = ("block", "pac", "infarct", "stemi", "scar", "ischemia", "wpw", "fibrillation", "flutter")
    with (RECORDINGS / "ludb" / "ludb.csv").open(encoding="utf-8-sig", newline="") as handle:
        labels = {row["ID"].strip(): " ".join(row.values()).lower() for row in csv.DictReader(handle)}
    return ["sinus" in labels[name] and not any(word in labels[name] for word in excluded) for name in names]


def _readers_boundaries(name: str) -> list[float]:
    """P on, P off, QRS on, QRS off, T off in samples from lead II's QRS peak: second extreme over the leads."""
    waves = {lead: _annotated(name, lead) for lead in (lead.lower() for lead in LEADS)}
    peaks = np.array([peak for symbol, _, peak, _ in waves["ii"] if symbol == "N"])
    boundaries = []
    for symbol, edge, reach in (
        ("p", 1, (-200, 0)),
        ("p", 3, (-200, 0)),
        ("N", 1, (-60, 60)),
        ("N", 3, (-60, 60)),
        ("t", 3, (0, 350)),
    ):
        of_leads = []
        for found in waves.values():
            offsets = []
            for wave in found:
                distance = wave[2] - peaks
                near = np.flatnonzero((distance >= reach[0]) & (distance <= reach[1]))
                if wave[0] == symbol and len(near):
                    beat = peaks[near[np.abs(distance[near]).argmin()]]
                    offsets.append(wave[edge] - beat)
            if len(offsets) >= 2:
                of_leads.append(float(np.median(offsets)))
        of_leads.sort()
        boundaries.append(of_leads[1] if edge == 1 else of_leads[-2])
    return boundaries


def _annotated(name: str, lead: str) -> list[tuple[str, int, int, int]]:
    """Symbol, onset, peak and offset of every completely annotated wave of a lead."""
    annotation = wfdb.rdann(str(RECORDINGS / "ludb" / "data" / name), lead)
    marks = list(zip(annotation.symbol, map(int, annotation.sample), strict=True))
    triples = zip(marks, marks[1:], marks[2:], strict=False)
    return [(b[0], a[1], b[1], c[1]) for a, b, c in triples if a[0] == "(" and c[0] == ")"]
