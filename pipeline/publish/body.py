"""A file's bytes on their way out."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.errors import DatasetError
from pipeline.store.files import FileEntry

CHUNK_BYTES = 1 << 20


class Body:
    """A file that is read, hashed and counted as it is sent, and that never leaves whole if it has changed."""

    def __init__(self, path: Path, entry: FileEntry, sent: Callable[[int], object]) -> None:
        self._path = path
        self._entry = entry
        self._sent = sent
        self.bytes = 0
        """Sent so far."""

    @property
    def size(self) -> int:
        """Bytes in all."""
        return self._entry.bytes

    @property
    def sha256(self) -> str:
        """Of all of them."""
        return self._entry.sha256

    def __iter__(self) -> Iterator[bytes]:
        """Its chunks; the last one only once all of them are known to be right.

        Raises:
            DatasetError: when the file is not what its entry says, or cannot be read.
        """
        for chunk in self._chunks():
            yield chunk
            self._sent(len(chunk))
            self.bytes += len(chunk)

    def _chunks(self) -> Iterator[bytes]:
        digest = hashlib.sha256()
        left = self._entry.bytes
        try:
            with open(self._path, "rb", opener=_without_waiting) as file:
                while left:
                    chunk = file.read(min(CHUNK_BYTES, left)) or b""
                    digest.update(chunk)
                    left -= len(chunk)
                    if not chunk or (left == 0 and digest.hexdigest() != self._entry.sha256):
                        raise DatasetError(f"{self._path} changed while it was sent. Make the release again")
                    yield chunk
        except OSError as error:  # of the release, and not of the place that it goes to
            raise DatasetError(f"{self._path} cannot be read: {error.strerror}. Make the release again") from error

    def take_back(self) -> None:
        """Count as not sent: it has to be sent again."""
        self._sent(-self.bytes)
        self.bytes = 0


def _without_waiting(path: str, flags: int) -> int:
    """Open what may have become a FIFO, which would wait for a writer."""
    return os.open(path, flags | os.O_NONBLOCK)
