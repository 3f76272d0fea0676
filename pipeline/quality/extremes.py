"""One pass over all signals: how far every lead goes."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.dataset import Dataset
from pipeline.progress import tracked
from pipeline.shards import Shard, plan_shards
from pipeline.store.signals import read_signals
from pipeline.store.threads import in_threads


class Extremes(NamedTuple):
    """Every lead's highest and lowest sample."""

    highest: NDArray[np.int16]
    """(n, 8) µV."""
    lowest: NDArray[np.int16]
    """(n, 8) µV."""


def extremes(dataset: Dataset) -> Extremes:
    """The highest and lowest sample of every lead of every record; few shards are in memory at once.

    Raises:
        DatasetError: when a shard cannot be read.
    """

    def of_shard(shard: Shard) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
        signals = read_signals(dataset.folder, shard.start, shard.stop)
        return signals.max(axis=-1), signals.min(axis=-1)

    shards = plan_shards(len(dataset), dataset.manifest.shard_records)
    found = list(in_threads(of_shard, tracked(shards, "reading signals", "shards")))
    return Extremes(*(np.concatenate(side) for side in zip(*found, strict=True)))
