"""Pacing spikes: what a pacemaker, not a heart, puts into the recording is found and taken out."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.measurement import constants as c
from pipeline.measurement.waves import Index, Signal


def without_spikes(raw: NDArray[Any]) -> tuple[Signal, NDArray[np.bool_]]:
    """Samples for the measurement, from which pacing spikes have been taken out.

    A spike leaves a quiet line within 4 ms and is back within 8 ms, in two leads or more at once. A record with
    4 of them is paced; only there a second look also takes spikes that filters have made lower and wider, which
    would be mistaken for waves elsewhere. All are replaced, in all leads, by straight lines.

    Args:
        raw: (n, 8, 5000) µV.

    Returns:
        The samples, and (n,) whether the record has pacing spikes.
    """
    signals = raw.astype(np.float32, order="C")
    found = _spikes(signals, c.NARROW_SPIKE)
    paced: NDArray[np.bool_] = np.bincount(found[0], minlength=len(signals)) >= c.FEWEST_SPIKES
    for row in np.flatnonzero(paced):
        record = signals[row : row + 1]
        mine = found[0] == row
        _bridge(record[0], found[1][mine], found[2][mine] + c.SPIKE_AFTER)
        _, first, last = _spikes(record, c.WIDE_SPIKE)
        _bridge(record[0], first, last + c.WIDE_SPIKE.back)
    return signals, paced


def _bridge(record: Signal, first: Index, stop: Index) -> None:
    """Replace what lies between the tops' beginnings and some samples in all leads, (8, 5000), by straight lines."""
    for left, right in zip(first - c.SPIKE_BEFORE, stop, strict=True):
        share = np.linspace(0, 1, right - left + 1, dtype=np.float32)
        start, end = record[:, left, None], record[:, right, None]
        record[:, left : right + 1] = start + (end - start) * share


def _spikes(signals: Signal, kind: c.Spike) -> tuple[Index, Index, Index]:
    """Record, first and last top of the moments at which one kind of spike is found in enough leads at once."""
    record, lead, sample = _from_a_quiet_line(signals, _out_and_back(signals, kind), kind)
    order = np.lexsort((lead, sample, record))
    record, lead, sample = record[order], lead[order], sample[order]
    new = np.ones(len(record), np.bool_)
    new[1:] = (np.diff(record) != 0) | (np.diff(sample) > c.SPIKE_TOGETHER)
    moment = np.cumsum(new) - 1
    starts = np.flatnonzero(new)
    leads = np.bincount(np.unique(moment * signals.shape[1] + lead) // signals.shape[1], minlength=len(starts))
    several = leads >= kind.leads
    ends = np.append(starts[1:], len(record))[several] - 1
    return record[starts[several]], sample[starts[several]], sample[ends]


def _out_and_back(signals: Signal, kind: c.Spike) -> Index:
    """Where, of all samples in a row, one stands out by a spike's height from those before and after it."""
    samples, length = signals.reshape(-1), signals.shape[-1]
    step = samples[2 : -kind.back] - samples[: -2 - kind.back]
    tops: Index = np.flatnonzero(np.abs(step, out=step) > kind.height_uv) + 2
    top = samples[tops]
    out, back = top - samples[tops - 2], top - samples[tops + kind.back]
    tops = tops[(np.abs(back) > kind.height_uv) & ((out > 0) == (back > 0))]
    sample: Index = tops % length
    inside: Index = tops[(sample >= c.SPIKE_REACH) & (sample < length - 2 * c.SPIKE_REACH)]
    return inside


def _from_a_quiet_line(signals: Signal, tops: Index, kind: c.Spike) -> tuple[Index, Index, Index]:
    """Record, lead and sample of the tops before which the lead is quiet and after which it is back near there."""
    samples = signals.reshape(-1)
    tops = tops[np.abs(samples[tops - 4] - samples[tops - 2]) <= kind.before_share * _height(samples, tops, kind)]
    before = samples[tops[:, None] + np.arange(-c.SPIKE_REACH, -1)]  # few are left: R waves are gone
    height = _height(samples, tops, kind)
    quiet = before.max(axis=1, initial=-np.inf) - before.min(axis=1, initial=np.inf) <= kind.before_share * height
    back = np.abs(samples[tops + kind.back] - samples[tops - 2]) <= kind.after_share * height
    row, sample = np.divmod(tops[quiet & back], signals.shape[-1])
    return row // signals.shape[1], row % signals.shape[1], sample


def _height(samples: Signal, tops: Index, kind: c.Spike) -> Signal:
    """By how much a top stands out at least."""
    top = samples[tops]
    height: Signal = np.minimum(np.abs(top - samples[tops - 2]), np.abs(top - samples[tops + kind.back]))
    return height
