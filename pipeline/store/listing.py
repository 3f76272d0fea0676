"""When the files of a folder were written, by one listing: nothing is opened."""

import os
from contextlib import suppress

import obstore

from pipeline.errors import DatasetError
from pipeline.store.bucket import answer, bucket_errors
from pipeline.store.place import BucketPath, Place

_LIST_SECONDS = 120.0
"""A page of 1,000 names takes some 0.1 s, and the largest ledger has 60."""


def written_at(folder: Place) -> dict[str, float]:
    """The names of the files in a folder, each with the time at which it was written; empty where there is no folder.

    The times are by one clock, the store's own, whatever those of the machines say that wrote.

    Returns:
        Seconds since 1970 by name.

    Raises:
        DatasetError: when the folder cannot be listed.
    """
    try:
        return _in_bucket(folder) if isinstance(folder, BucketPath) else _on_disk(os.fspath(folder))
    except OSError as error:
        raise DatasetError(f"{folder} cannot be listed: {error.strerror}. See to its permissions") from error


def _on_disk(folder: str) -> dict[str, float]:
    times: dict[str, float] = {}
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # a worker has just taken it away
                times[entry.name] = entry.stat(follow_symlinks=False).st_mtime
    return times


def _in_bucket(folder: BucketPath) -> dict[str, float]:
    async def listed() -> dict[str, float]:
        times: dict[str, float] = {}
        async for batch in obstore.list(folder.bucket, folder.key):
            times |= {item["path"].rpartition("/")[2]: item["last_modified"].timestamp() for item in batch}
        return times

    with bucket_errors(str(folder), DatasetError):
        return answer(listed, _LIST_SECONDS)
