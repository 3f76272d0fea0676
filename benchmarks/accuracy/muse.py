"""Scores against what 12SL itself measured, from exports of GE's MUSE: a WFDB record and a JSON file each.

The JSON has `global_12sl_original` (intervals in ms, boundaries in samples of 2 ms, axes in degrees) and
`lead_matrix_12sl` (µV by lead).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.accuracy.agreement import Row, measured_rows
from pipeline.errors import InputError
from pipeline.inputs import open_recordings
from pipeline.leads import LEADS
from pipeline.measurement.constants import MS_PER_SAMPLE

INTERVALS = {
    "heart_rate_bpm": "VentricularRate",
    "pr_interval_ms": "PRInterval",
    "qrs_duration_ms": "QRSDuration",
    "qt_interval_ms": "QTInterval",
}
"""12SL's names of what it has one value of; it gives P's duration by its bounds alone."""
P_DURATION = "p_duration_ms"
AXES = {"p_axis_deg": "PAxis", "qrs_axis_deg": "RAxis", "t_axis_deg": "TAxis"}
AMPLITUDES = {"r": "R_PeakAmpl", "s": "S_PeakAmpl", "stj": "STJ", "t": "T_PeakAmpl"} | {
    "p": "P_PeakAmpl",
    "q": "Q_PeakAmpl",
    "stm": "STM",
    "ste": "STE",
    "t2": "TP_PeakAmpl",
}
"""12SL's names of the amplitudes, of which it has one a lead."""


@dataclass(frozen=True)
class Export:
    """One export: what 12SL says of it and what was measured."""

    name: str
    values: Mapping[str, float]
    """12SL's intervals in ms, P's bounds in samples and axes in degrees; those of P only where it found one."""
    leads: Mapping[str, Mapping[str, float]]
    """12SL's amplitudes in µV, by lead and 12SL's name."""
    row: Row


@dataclass(frozen=True)
class AmplitudeErrors:
    """|Measured minus 12SL| of one amplitude over exports and leads, in µV."""

    n: int
    missing: int
    median: float
    p95: float
    worst: float
    within: float
    """Share within IEC 60601-2-25's tolerance."""


def tolerance_uv(size_uv: float) -> float:
    """What IEC 60601-2-25 allows an amplitude of some size: 25 µV up to 500 µV, then the larger of 5 % and 40 µV."""
    return 25.0 if size_uv <= 500 else max(0.05 * size_uv, 40.0)


def measured_exports(folder: Path) -> list[Export]:
    """Measure every export of a folder.

    Raises:
        InputError: when there is none, when one has no WFDB record, or when its JSON cannot be used.
    """
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise InputError(f"{folder} has no MUSE export (*.json). Give the folder that holds them with their recordings")
    rows = dict(measured_rows(open_recordings(folder)))
    return [export(path, rows) for path in paths]


def export(path: Path, rows: Mapping[str, Row]) -> Export:
    """Read 12SL's values of one export and put the measured row beside them."""
    if path.stem not in rows:
        raise InputError(f"{path} has no recording {path.stem}.hea beside it; put it there")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        values, leads = document["global_12sl_original"], document["lead_matrix_12sl"]
        always = ("VentricularRate", "QRSDuration", "QTInterval", *AXES.values())
        of_p = [name for name in ("PRInterval", "POnset", "POffset") if values.get(name) is not None]
        values = {name: float(values[name]) for name in (*always, *of_p)}
        leads = {lead: {name: float(leads[lead][name]) for name in AMPLITUDES.values()} for lead in LEADS}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is not a MUSE export with 12SL's values ({type(error).__name__}: {error}). "
            "Remove it or get it again"
        ) from error
    return Export(path.stem, values, leads, rows[path.stem])


def interval_differences(of: Export) -> dict[str, float | None]:
    """Measured minus 12SL, of what 12SL measured; None where we did not."""
    theirs = {column: of.values[name] for column, name in INTERVALS.items() if name in of.values}
    if "POnset" in of.values and "POffset" in of.values:
        theirs[P_DURATION] = MS_PER_SAMPLE * (of.values["POffset"] - of.values["POnset"])
    return {column: _difference(of.row[column], value) for column, value in theirs.items()}


def axis_differences(of: Export) -> dict[str, float | None]:
    """Measured minus 12SL in degrees, the short way round."""
    differences = {column: _difference(of.row[column], of.values[name]) for column, name in AXES.items()}
    return {column: None if d is None else (d + 180) % 360 - 180 for column, d in differences.items()}


def amplitude_errors(of: Sequence[Export]) -> dict[str, AmplitudeErrors]:
    """Compare every amplitude in 12 leads; one that no export has is left out."""
    result = {}
    for wave, name in AMPLITUDES.items():
        theirs = [each.leads[lead][name] for each in of for lead in LEADS]
        ours = [each.row[f"{wave}_amplitude_{lead.lower()}_uv"] for each in of for lead in LEADS]
        pairs = [(abs(m - t), abs(t)) for m, t in zip(ours, theirs, strict=True) if m is not None]
        if pairs:
            errors = np.array([error for error, _ in pairs])
            within = np.array([error <= tolerance_uv(size) for error, size in pairs])
            result[wave] = AmplitudeErrors(
                n=len(pairs),
                missing=len(ours) - len(pairs),
                median=float(np.median(errors)),
                p95=float(np.percentile(errors, 95)),
                worst=float(errors.max()),
                within=float(within.mean()),
            )
    return result


def _difference(measured: float | None, theirs: float) -> float | None:
    return None if measured is None else measured - theirs
