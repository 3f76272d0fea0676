"""The serial engine: shards one after another in this process."""

from typing import Self

from pipeline.engines import shard_error
from pipeline.errors import FoundryError
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
        """Make and commit one shard.

        Raises:
            WorkerError: when the shard itself failed.
            FoundryError: what would fail in the same way with any other.
        """
        try:
            return self._worker.run(shard)
        except FoundryError:
            raise
        except Exception as error:  # whatever one record can stumble over must not end the others
            raise shard_error(shard, error) from error

    def __enter__(self) -> Self:
        """Ready at once."""
        return self

    def stop(self) -> None:
        """Nothing to give up: a shard takes a second."""

    def __exit__(self, *exception: object) -> None:
        """Nothing to release."""
