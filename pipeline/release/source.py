"""One of the two datasets that go into a release, opened for reading."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.dataset import Dataset
from pipeline.progress import tracked
from pipeline.shards import Shard, plan_shards
from pipeline.store.threads import in_threads


@dataclass(frozen=True)
class Source:
    """A dataset, or its normal subset, with the rows that the release gives it."""

    name: Literal["all", "normal"]
    """Folder in the release."""
    dataset: Dataset
    table: pa.Table
    """(records,) of `RELEASE_SCHEMA`."""

    def blocks(self, what: str) -> Iterator[tuple[Shard, NDArray[np.int16]]]:
        """Every record's signals in order, a shard of the dataset at a time, decoded in threads, under a bar.

        Args:
            what: the bar's text.

        Yields:
            The records `start` to `stop`, and their signals, (n, 8, 5000) int16, µV.

        Raises:
            DatasetError: when a shard cannot be read.
        """

        def read(shard: Shard) -> tuple[Shard, NDArray[np.int16]]:
            return shard, self.dataset.read(shard.start, shard.stop)

        shards = plan_shards(len(self.dataset), self.dataset.manifest.shard_records)
        yield from in_threads(read, tracked(shards, what, "shards"))
