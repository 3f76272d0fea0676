"""Scores against LUDB: 12 leads, 10 s, 500 Hz, with the boundaries of P, QRS and T marked by hand in every lead.

The reference of a record: in each lead the median over beats of every boundary relative to the beat's QRS peak in
lead II; over the leads the second-earliest onset and the second-latest offset, so that one stray lead does not count
(the convention of the CSE project). A boundary needs 2 beats in a lead and 3 such leads. That reference is wide: an
electrocardiograph, which sees all leads at once, sets QRS narrower.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import wfdb
from numpy.typing import NDArray

from benchmarks.accuracy.agreement import Agreement, Row, agree, measured_rows
from pipeline.errors import InputError
from pipeline.inputs import open_recordings
from pipeline.leads import LEADS
from pipeline.measurement.constants import MS_PER_SAMPLE

INTERVALS = {
    "p_duration_ms": ("p_onset_ms", "p_offset_ms"),
    "pr_interval_ms": ("p_onset_ms", "qrs_onset_ms"),
    "qrs_duration_ms": ("qrs_onset_ms", "qrs_offset_ms"),
    "qt_interval_ms": ("qrs_onset_ms", "t_offset_ms"),
}
"""Every interval's first and last boundary, all by the names of the measurement's columns."""
BOUNDARIES = ("p_onset_ms", "p_offset_ms", "qrs_onset_ms", "qrs_offset_ms", "t_offset_ms")
DOUBTS = {"p_duration_ms": "uncertain_p", "pr_interval_ms": "uncertain_p", "qt_interval_ms": "uncertain_t_end"}
"""The quality flag that says that an interval is of low confidence."""
EXCLUDED = ("block", "pac", "infarct", "stemi", "scar", "ischemia", "wpw", "fibrillation", "flutter")
"""A record whose labels contain one of these, or do not name a sinus rhythm, is not near-normal; "pac" stands for
pacemakers, pacing and premature atrial complexes."""

# How far a wave's peak may lie from the QRS peak that it belongs to, in samples of 2 ms.
QRS_REACH = 60
P_REACH = 200
T_REACH = 350
FEWEST_BEATS = 2
FEWEST_LEADS = 3


class Wave(NamedTuple):
    """One marked wave of a lead: its letter (p, N for QRS, t) and sample indices; None where a boundary is not."""

    letter: str
    onset: int | None
    peak: int
    offset: int | None


@dataclass(frozen=True)
class Reference:
    """What the readers marked on a record."""

    boundaries: Mapping[str, float]
    """In ms from lead II's QRS peak, by column name; a boundary marked too seldom is not there."""
    has_p: bool
    """Whether any lead has a P wave at all."""
    r_peaks: NDArray[np.intp]
    """Sample indices of lead II's QRS peaks."""

    def interval(self, name: str) -> float | None:
        """An interval in ms, or None where a boundary is not there."""
        start, end = (self.boundaries.get(boundary) for boundary in INTERVALS[name])
        return None if start is None or end is None else end - start


@dataclass(frozen=True)
class Case:
    """A record, what its readers say and what was measured."""

    name: str
    labels: str
    reference: Reference
    row: Row

    @property
    def near_normal(self) -> bool:
        """Sinus rhythm with none of the labels of `EXCLUDED`."""
        labels = self.labels.lower()
        return "sinus" in labels and not any(word in labels for word in EXCLUDED)


@dataclass(frozen=True)
class Interval:
    """One interval over some records."""

    pairs: Mapping[str, tuple[float, float]]
    """Measured and reference in ms, by record name."""
    missing: tuple[str, ...]
    """Records on which the reference has it and the measurement does not."""
    agreement: Agreement | None

    def worst(self, count: int) -> list[str]:
        """Names of the records that lie furthest from the bias, the furthest first."""
        bias = self.agreement.bias if self.agreement else 0.0
        return sorted(self.pairs, key=lambda name: -abs(self.pairs[name][0] - self.pairs[name][1] - bias))[:count]


def measured_cases(folder: Path) -> list[Case]:
    """Measure every record of LUDB.

    Args:
        folder: holds `ludb.csv` and `data/`.

    Raises:
        InputError: when it does not, or when a record or its marks cannot be read.
    """
    labels = _labels(folder)
    return cases(folder, dict(measured_rows(open_recordings(folder / "data"))), labels)


def cases(folder: Path, rows: Mapping[str, Row], labels: Mapping[str, str] | None = None) -> list[Case]:
    """Put measured rows beside the readers' marks, in the order of the records' numbers.

    Args:
        folder: holds `ludb.csv` and `data/`.
        rows: measured, by record name.
        labels: of the records, where they have been read.
    """
    labels = labels or _labels(folder)
    unlabelled = sorted(set(rows) - set(labels))
    if unlabelled:
        raise InputError(f"{folder / 'ludb.csv'} has no record {unlabelled[0]}; get LUDB again, whole")
    order = sorted(rows, key=lambda name: (len(name), name))
    return [Case(name, labels[name], reference(folder / "data" / name), rows[name]) for name in order]


def intervals(of: Sequence[Case]) -> dict[str, Interval]:
    """Compare every interval; the resamples of all come from one sequence of random numbers."""
    random = np.random.default_rng(0)
    result = {}
    for name in INTERVALS:
        pairs, missing = {}, []
        for case in of:
            expected, value = case.reference.interval(name), case.row[name]
            if expected is not None and value is None:
                missing.append(case.name)
            elif expected is not None:
                pairs[case.name] = (float(value), expected)
        agreement = agree([m for m, _ in pairs.values()], [r for _, r in pairs.values()], random)
        result[name] = Interval(pairs, tuple(missing), agreement)
    return result


def boundaries(of: Sequence[Case]) -> dict[str, Agreement | None]:
    """Compare single boundaries.

    Ours are relative to our R peak: they are moved by its median distance from lead II's.
    """
    pairs: dict[str, list[tuple[float, float]]] = {name: [] for name in BOUNDARIES}
    for case in of:
        distances = _to_nearest(case.reference.r_peaks, np.asarray(case.row["r_peaks"], np.intp))
        near = distances[np.abs(distances) <= QRS_REACH]
        if not len(near):
            continue
        shift = float(np.median(near)) * MS_PER_SAMPLE
        for name, found in pairs.items():
            if name in case.reference.boundaries and case.row[name] is not None:
                found.append((case.row[name] + shift, case.reference.boundaries[name]))
    return {name: agree([m for m, _ in found], [r for _, r in found]) for name, found in pairs.items()}


@dataclass(frozen=True)
class Detection:
    """QRS complexes marked in lead II, how many of them were found, and what was found between them besides."""

    marked: int
    found: int
    false: int


def detection(of: Sequence[Case]) -> Detection:
    """Count QRS complexes; before the first and after the last one marked, LUDB does not say what is there."""
    marked = found = false = 0
    for case in of:
        theirs, ours = case.reference.r_peaks, np.asarray(case.row["r_peaks"], np.intp)
        if len(theirs):
            marked += len(theirs)
            found += int((np.abs(_to_nearest(theirs, ours)) <= QRS_REACH).sum())
            between = ours[(ours > theirs[0]) & (ours < theirs[-1])]
            false += int((np.abs(_to_nearest(between, theirs)) > QRS_REACH).sum())
    return Detection(marked, found, false)


def false_p(of: Sequence[Case]) -> tuple[int, list[str]]:
    """How many records have no P wave marked in any lead, and on which of them a P was measured."""
    without = [case for case in of if not case.reference.has_p]
    return len(without), [case.name for case in without if case.row["p_duration_ms"] is not None]


def reference(record: Path) -> Reference:
    """Read the marks of a record and join them over beats and leads.

    Args:
        record: its path without suffix.
    """
    leads = {lead: _waves(record, lead.lower()) for lead in LEADS}
    r_peaks = np.array([wave.peak for wave in leads["II"] if wave.letter == "N"], np.intp)
    of_leads: dict[str, list[float]] = {name: [] for name in BOUNDARIES}
    for waves in leads.values():
        for name, distances in _lead_boundaries(waves, r_peaks).items():
            if len(distances) >= FEWEST_BEATS:
                of_leads[name].append(float(np.median(distances)) * MS_PER_SAMPLE)
    joined = {
        name: sorted(values)[1 if name.endswith("onset_ms") else -2]
        for name, values in of_leads.items()
        if len(values) >= FEWEST_LEADS
    }
    return Reference(joined, any(wave.letter == "p" for waves in leads.values() for wave in waves), r_peaks)


def _lead_boundaries(waves: Sequence[Wave], r_peaks: NDArray[np.intp]) -> dict[str, list[int]]:
    """Every boundary of one lead in samples from the R peak of its beat; what belongs to no beat is left out."""
    found: dict[str, list[int]] = {name: [] for name in BOUNDARIES}
    for wave in waves:
        ahead = r_peaks - wave.peak
        if wave.letter == "N":
            own, column = np.abs(ahead) <= QRS_REACH, "qrs"
        elif wave.letter == "p":
            own, column = (ahead > 0) & (ahead <= P_REACH), "p"
        else:
            own, column = (ahead < 0) & (ahead >= -T_REACH), "t"
        if not own.any():
            continue
        beat = int(r_peaks[np.argmin(np.where(own, np.abs(ahead), T_REACH + 1))])
        for edge, sample in (("onset", wave.onset), ("offset", wave.offset)):
            if sample is not None and f"{column}_{edge}_ms" in found:
                found[f"{column}_{edge}_ms"].append(sample - beat)
    return found


def _waves(record: Path, lead: str) -> list[Wave]:
    """Every marked wave of a lead: a letter, with a bracket directly before and after it where it has bounds."""
    try:
        marks = wfdb.rdann(str(record.absolute()), lead)
    # wfdb meets a damaged file with whatever its parser trips over.
    except Exception as error:
        raise InputError(f"{record}.{lead}: the marks of lead {lead} cannot be read; get LUDB again, whole") from error
    before = [(None, ""), *zip(marks.sample, marks.symbol, strict=True)]
    after = [*before[2:], (None, "")]
    return [
        Wave(letter, int(onset) if opens == "(" else None, int(peak), int(offset) if closes == ")" else None)
        for (onset, opens), (peak, letter), (offset, closes) in zip(before, before[1:], after, strict=False)
        if letter not in "()"
    ]


def _to_nearest(points: NDArray[np.intp], others: NDArray[np.intp]) -> NDArray[np.intp]:
    """Samples from every point to the nearest of the others; beyond any reach where there are none."""
    if not len(others):
        return np.full(len(points), np.iinfo(np.intp).max)
    every = others[None, :] - points[:, None]
    nearest: NDArray[np.intp] = every[np.arange(len(points)), np.abs(every).argmin(axis=1)]
    return nearest


def _labels(folder: Path) -> dict[str, str]:
    """What LUDB says of every record, in one line each."""
    try:
        with (folder / "ludb.csv").open(encoding="utf-8-sig", newline="") as file:
            return {row["ID"].strip(): _one_line(row) for row in csv.DictReader(file)}
    except (OSError, ValueError, KeyError, AttributeError, csv.Error) as error:
        raise InputError(
            f"{folder} is not LUDB: its ludb.csv is not there or not readable. "
            "Give the folder that holds ludb.csv and data/, as LUDB 1.0.1 unpacks"
        ) from error


def _one_line(row: Mapping[str, str | None]) -> str:
    """The diagnoses without number, sex and age; the columns' own lines become one."""
    texts = (text for column, text in row.items() if text and column not in {"ID", "Sex", "Age"})
    lines = (line.strip().removeprefix("Electric axis of the heart: ") for text in texts for line in text.splitlines())
    return ", ".join(line for line in lines if line)
