"""Copies: records with the same signal, and pairs so alike that one must be taken for a copy of the other."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.columns import RECORD_ID, SIGNAL_SHA256
from pipeline.dataset import Dataset
from pipeline.progress import tracked
from pipeline.quality.check import Check, Histogram
from pipeline.quality.features import FEATURES, features
from pipeline.quality.likeness import likeness, self_likeness
from pipeline.quality.neighbours import nearest_neighbours, principal_space
from pipeline.quality.wording import histogram, percentiles, share
from pipeline.store.threads import in_threads

ALIKE = 0.99
ALIKE_REASON = (
    "At this correlation 98 % of the energy of one signal is in the other. Two stretches of one heart seldom come to "
    "it. In a trial on the two halves of a record, the largest correlation was 0.986 in the 100 records of LUDB 1.0.1 "
    "with odd numbers, 0.975 in 20 of PTB-XL and 20 of Georgia, and 0.979 in 500 generated ones. Only three MUSE "
    "exports of one person, with identical beats, had 0.999: such records cannot be told from copies."
)
# In a trial on 150,000 records, these held of 200 planted copies each: 87 % of those that begin 0.2 s later, 62 % of
# those that begin 1.2 s later, 64 % with 10 µV of noise, 8 % with 20 µV, and 75 % at nine tenths of the height.
PAIRS = 1000
"""Pairs whose signals are compared: the closest in the measurements."""

LIMITS = (
    "Only the pairs that are measured most alike are compared on their signals: a copy that begins later, has noise, "
    "another height or exchanged leads can be missed. None of this says how near records are to the recordings that "
    "the generator was trained on."
)

_LISTED = 20
_HALVED = 200


class Pair(NamedTuple):
    """Two records that are measured alike."""

    records: tuple[int, int]
    distance_sd: float
    """In the space of measurements."""
    correlation: float
    """Of the signals, at the shift where it is largest."""
    shift_samples: int


def check_copies(dataset: Dataset, table: pa.Table) -> Check:
    """Exact and near-duplicates among all records of a dataset.

    Args:
        dataset: whose signals are compared.
        table: its measurement table, (n,).
    """
    copied, first = _exact_copies(table)
    found = features(table.take(pa.array(first)))
    records = first[found.rows]
    space = principal_space(found)
    neighbours = nearest_neighbours(space.points)
    pairs = _compared(dataset, records, neighbours.place, neighbours.distance)
    halves = _halves(dataset)
    near = sum(pair.correlation >= ALIKE for pair in pairs)
    count = f"at least {near:,}" if near and near == len(pairs) else f"{near:,}"
    largest = f"{max(pair.correlation for pair in pairs):.3f}" if pairs else "none"
    return Check(
        name="copies",
        title="Exact and near-duplicates",
        summary=(
            f"{share(len(copied), table.num_rows)} records have the signal of an earlier one. Of the {len(pairs):,} "
            f"pairs that are measured most alike, {count} have signals that correlate by {ALIKE} or more; the largest "
            f"correlation is {largest}. {LIMITS}"
        ),
        rows=(
            ("records with the signal of an earlier one", f"{len(copied):,}"),
            ("pairs compared on their signals", f"{len(pairs):,}"),
            (f"of them near-duplicates, correlation of {ALIKE} or more", count),
            ("largest correlation of two records", largest),
            ("largest correlation of a record's halves", f"{halves.max(initial=0):.3f} of {len(halves):,} records"),
            ("distance to the nearest record, median", f"{_median(neighbours.distance)} SD"),
            ("records left out: less than half of the values measured", f"{found.left_out:,}"),
        ),
        document={
            "exact": {
                "records": table.num_rows,
                "copies": len(copied),
                "records_listed": table[RECORD_ID.name].to_numpy()[copied[:_LISTED]].tolist(),
            },
            "nearest_neighbour": {
                "records": len(records),
                "left_out": found.left_out,
                "values_missing": found.missing,
                "missing_rule": "a missing value counts as the mean",
                "features": list(FEATURES),
                "constant_features": list(found.constant),
                "dimensions": space.points.shape[1],
                "variance_kept": space.explained,
                "distance_sd": percentiles(neighbours.distance),
            },
            "near_duplicates": {
                "pairs_compared": len(pairs),
                "farthest_compared_sd": max((pair.distance_sd for pair in pairs), default=None),
                "threshold": ALIKE,
                "threshold_reason": ALIKE_REASON,
                "found": near,
                "correlation": percentiles(np.array([pair.correlation for pair in pairs])),
                "most_alike": [
                    pair._asdict() for pair in sorted(pairs, key=lambda pair: (-round(pair.correlation, 6), pair))
                ][:_LISTED],
                "halves_of_one_record": {"records": len(halves), "correlation": percentiles(halves)},
            },
            "limits": LIMITS,
        },
        histograms=_histograms(neighbours.distance, pairs),
    )


def _exact_copies(table: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows whose signal an earlier one has, and all others."""
    digests = table[SIGNAL_SHA256.name].combine_chunks().dictionary_encode().indices.to_numpy()
    first = np.unique(digests, return_index=True)[1]  # a dictionary counts in the order of first appearance
    return np.setdiff1d(np.arange(table.num_rows), first), np.sort(first)


def _compared(
    dataset: Dataset, records: NDArray[np.int64], index: NDArray[np.int64], distance: NDArray[np.float64]
) -> list[Pair]:
    """The closest pairs in the space of measurements, and how alike their signals are."""
    pairs = np.sort(np.column_stack([np.arange(len(index)), index]), axis=1)
    order = np.lexsort((pairs[:, 1], pairs[:, 0], distance))
    order = order[np.sort(np.unique(pairs[order], axis=0, return_index=True)[1])][:PAIRS]

    def compare(place: int) -> Pair:
        one, other = records[pairs[place]].tolist()
        found = likeness(dataset.signal(one), dataset.signal(other))
        return Pair((one, other), float(distance[place]), found.correlation, found.shift)

    return list(in_threads(compare, tracked(order.tolist(), "comparing signals", "pairs")))


def _halves(dataset: Dataset) -> NDArray[np.float64]:
    """(up to 200,) how alike the halves of records are, evenly spread over the dataset."""
    count = min(_HALVED, len(dataset))
    records = (np.arange(count) * len(dataset) // max(count, 1)).tolist()
    return np.array(list(in_threads(lambda record: self_likeness(dataset.signal(record)), records)))


def _histograms(distance: NDArray[np.float64], pairs: list[Pair]) -> tuple[Histogram, Histogram]:
    farthest = np.ceil(distance.max()) if distance.size else 1.0
    return (
        histogram(
            distance,
            np.linspace(0, farthest, 41),
            title="Distance to the nearest other record",
            quantity="distance in the space of measurements, SD",
            caption=(
                "Every record's distance to the nearest of all others. Copies would stand at 0. It is descriptive: "
                "a large distance is no evidence of privacy."
            ),
        ),
        histogram(
            np.array([pair.correlation for pair in pairs]),
            np.linspace(0, 1, 41),
            title="How alike the closest pairs are",
            quantity="largest normalised cross-correlation of two records",
            caption=f"The {len(pairs):,} pairs that are measured most alike. Near-duplicates stand above {ALIKE}.",
        ),
    )


def _median(values: NDArray[np.float64]) -> str:
    return f"{np.median(values):.2f}" if values.size else "none"
