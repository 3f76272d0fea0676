"""Notes on the shards that a build could not make.

They lie in the ledger until the next build begins, and count for nothing: no dataset is finished without its shards.
"""

from datetime import UTC, datetime

from pydantic import Field

from pipeline.logs import on_one_line
from pipeline.shards import Shard
from pipeline.store.documents import Document, Words, read_document, write_document
from pipeline.store.ledger import LEDGER
from pipeline.store.place import Place

SUFFIX = ".failed.json"
_MOST_CHARACTERS = 200  # of `Words`


class Failure(Document):
    """`ledger/shard-NNNNN.failed.json`: the shard failed every time that it was tried."""

    start: int = Field(ge=0, description="first record")
    stop: int = Field(ge=1, description="one past the last record")
    reason: Words = Field(description="of the last attempt")
    failed_at: datetime = Field(strict=False)


def failure_file(folder: Place, shard: Shard) -> Place:
    """Where the note on a shard is."""
    return folder / LEDGER / f"{shard.name}{SUFFIX}"


def note_failure(folder: Place, shard: Shard, error: Exception) -> None:
    """Write down that a shard failed for good."""
    reason = on_one_line(str(error))[:_MOST_CHARACTERS]
    note = Failure(start=shard.start, stop=shard.stop, reason=reason, failed_at=datetime.now(UTC))
    write_document(failure_file(folder, shard), note)


def read_failure(folder: Place, shard: Shard) -> Failure:
    """The note on a shard.

    Raises:
        DatasetError: when there is none that can be read.
    """
    return read_document(failure_file(folder, shard), Failure)
