"""What is done to waves along time, for a whole batch at once: slopes, levels, and searches within bounds."""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pipeline.measurement.filters import sum_of_squares

Index = NDArray[np.intp]
Signal = NDArray[np.float32]


def gaussian_weights(deviation: float) -> tuple[float, ...]:
    """Symmetric weights of a Gaussian of some standard deviation in samples, out to 3 of them."""
    half = int(3 * deviation) + 1
    return tuple(float(v) for v in np.exp(-0.5 * (np.arange(-half, half + 1) / deviation) ** 2))


def at(rows: NDArray[Any], index: Index) -> NDArray[Any]:
    """The value of each row at an index of its own: (n, length), (n,) to (n,)."""
    values: NDArray[Any] = rows[np.arange(len(rows)), index]
    return values


def within(length: int, start: Index, stop: Index) -> NDArray[np.bool_]:
    """(n, length) whether start <= sample < stop."""
    samples = np.arange(length, dtype=np.int16)  # such small numbers are compared several times as fast
    inside: NDArray[np.bool_] = samples >= start.astype(np.int16)[:, None]
    inside &= samples < stop.astype(np.int16)[:, None]
    return inside


def _encloses(length: int, start: Index, stop: Index) -> NDArray[np.bool_]:
    """(n,) whether there is any sample with start <= sample < stop."""
    enclosed: NDArray[np.bool_] = np.maximum(start, 0) < np.minimum(stop, length)
    return enclosed


def highest(signal: Signal, start: Index, stop: Index) -> Index:
    """Index of the first maximum in start <= sample < stop; start where the bounds enclose nothing."""
    length = signal.shape[1]
    found = np.where(within(length, start, stop), signal, np.float32(-np.inf)).argmax(axis=1)
    return np.where(_encloses(length, start, stop), found, start)


def lowest(signal: Signal, start: Index, stop: Index) -> Index:
    """Index of the first minimum in start <= sample < stop; start where the bounds enclose nothing."""
    length = signal.shape[1]
    found = np.where(within(length, start, stop), signal, np.float32(np.inf)).argmin(axis=1)
    return np.where(_encloses(length, start, stop), found, start)


def hump(signal: Signal, start: Index, stop: Index) -> tuple[Index, Signal]:
    """The point that rises highest above both of its sides within bounds.

    Returns:
        Its index, and its height above the higher of the lowest points on either side; 0 where there is none.
    """
    length = signal.shape[1]
    some = _encloses(length, start, stop)
    first = int(start[some].clip(0).min(initial=length - 1))
    last = int(stop[some].max(initial=first + 1))
    # Sample by sample, so that a step in time is taken by all rows at once; what lies within no bounds is left out.
    values = np.ascontiguousarray(signal[:, first:last].T)
    samples = np.arange(first, first + len(values), dtype=np.int16)[:, None]
    inside = (samples >= start.astype(np.int16)) & (samples < stop.astype(np.int16))
    fenced = np.where(inside, values, np.float32(np.inf))
    left, right = fenced.copy(), fenced
    for sample in range(1, len(values)):
        np.minimum(left[sample], left[sample - 1], out=left[sample])
    for sample in range(len(values) - 2, -1, -1):
        np.minimum(right[sample], right[sample + 1], out=right[sample])
    height = values - np.maximum(left, right, out=left)  # minus infinity out of bounds
    peak = height.argmax(axis=0)
    prominence = np.maximum(height[peak, np.arange(len(signal))], 0)
    return np.where(some, peak + first, 0), prominence


def upright(rows: Signal, start: Index, stop: Index) -> tuple[Signal, Index, Signal]:
    """Rows, turned over where their hump within bounds is a trough, and that hump's index and height."""
    places, heights = hump(np.concatenate([rows, -rows]), np.concatenate([start] * 2), np.concatenate([stop] * 2))
    (peak, trough), (height, depth) = np.split(places, 2), np.split(heights, 2)
    inverted = depth > height
    turned = np.where(inverted[:, None], -rows, rows)
    return turned, np.where(inverted, trough, peak), np.maximum(height, depth)


def latest(values: NDArray[Any], counts: NDArray[np.bool_], passed_over: int) -> NDArray[Any]:
    """(n,) the largest of each record's values, (n, leads), but for some, of the leads that count, (n, leads)."""
    ordered = np.sort(np.where(counts, values, -np.inf), axis=1)[:, ::-1]
    place = np.minimum(passed_over, counts.sum(axis=1) - 1)
    found: NDArray[Any] = ordered[np.arange(len(values)), place]
    return found


def last_below(signal: Signal, threshold: Signal, start: Index, stop: Index) -> Index:
    """Last index in start <= sample < stop at or below a threshold; start where there is none."""
    low = within(signal.shape[1], start, stop) & (signal <= threshold[:, None])
    found = signal.shape[1] - 1 - low[:, ::-1].argmax(axis=1)
    return np.where(at(low, found), found, start)


def first_below(signal: Signal, threshold: Signal, start: Index, stop: Index) -> Index:
    """First index in start <= sample < stop at or below a threshold; stop - 1 where there is none."""
    low = within(signal.shape[1], start, stop) & (signal <= threshold[:, None])
    found = low.argmax(axis=1)
    return np.where(at(low, found), found, np.maximum(stop - 1, start))


def crossing(signal: Signal, threshold: Signal, outer: Index, step: int) -> NDArray[np.float64]:
    """Where, between the samples outer and outer + step, a straight line meets the threshold."""
    low = at(signal, outer).astype(np.float64)
    inner = np.clip(outer + step, 0, signal.shape[1] - 1)
    rise = at(signal, inner) - low
    share = np.where(rise > 0, (threshold - low) / np.where(rise > 0, rise, 1), 0)
    place: NDArray[np.float64] = outer + step * np.clip(share, 0, 1)
    return place


def cut_out(waves: Signal, start: Index, width: int) -> Signal:
    """(n, leads, width) of each record's (n, leads, length) from a sample of its own on."""
    cut: Signal = sliding_window_view(waves, width, axis=-1)[np.arange(len(waves)), :, start]
    return cut


def running_max(signal: Signal, width: int) -> Signal:
    """Largest of each sample and those after it, `width` in all, along the last axis, which gets shorter."""
    reached, longest = 1, signal
    while reached < width:
        step = min(reached, width - reached)
        longest = np.maximum(longest[..., :-step], longest[..., step:])
        reached += step
    return longest


def slopes(waves: Signal) -> Signal:
    """Slope in µV a sample along the last axis; zero at the outermost samples."""
    found = np.empty_like(waves)
    found[..., :1] = found[..., -1:] = 0
    np.subtract(waves[..., 2:], waves[..., :-2], out=found[..., 1:-1])
    found *= np.float32(0.5)
    return found


def level(waves: Signal, index: Index, span: tuple[int, int]) -> Signal:
    """(n, leads, 1) mean of each lead over a span of samples relative to an index."""
    rows = np.arange(len(waves))
    total = np.zeros(waves.shape[:2], np.float32)
    for offset in range(*span):
        total += waves[rows, :, np.maximum(index + offset, 0)]
    return (total / np.float32(span[1] - span[0]))[..., None]


def magnitude(waves: Signal) -> Signal:
    """(n, length) length of the vector of all leads, (n, leads, length)."""
    return np.sqrt(sum_of_squares(waves))
