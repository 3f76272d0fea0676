"""The serial engine: shards one after another in this process."""

from typing import Self

from pipeline.shards import Shard
from pipeline.store.ledger import LedgerEntry
from pipeline.worker import Job, Worker


class SerialEngine:
    """One worker in this process; needs neither Ray nor a second core."""

    def __init__(self, job: Job) -> None:
        self.workers = 1
        self.slots = 2
        self._worker = Worker(job)

    def run(self, shard: Shard) -> LedgerEntry:
        """Make and commit one shard."""
        return self._worker.run(shard)

    def __enter__(self) -> Self:
        """Ready at once."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing to release."""
