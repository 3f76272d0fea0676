"""Where things are: in a folder of this machine, or in a bucket of S3 or of a store that speaks its protocol."""

import errno
import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import S3Store

from pipeline.errors import DatasetError, InputError
from pipeline.store.bucket import ANSWER_SECONDS, S3, answer, bucket_errors, first_line, open_bucket, split_address

if TYPE_CHECKING:
    from typing_extensions import Buffer

_READ_AHEAD_BYTES = 1 << 20
_AT_ONCE_BYTES = 64 << 20
"""A larger object is sent in parts, of which a kill leaves some that no listing shows; a shard is far smaller."""


class BucketPath(PurePosixPath):
    """An object's key, or a prefix of keys, with as much of `pathlib.Path` as the pipeline uses.

    What goes wrong is an `OSError`, as with a file. A prefix is a folder as long as there are objects below it; none
    has to be made. An object appears whole or not at all, and is there for everyone once it is written.
    """

    __slots__ = ()

    def __str__(self) -> str:
        """The address; of a relative one, its parts."""
        if not self.is_absolute():
            return super().__str__()
        return S3 + "/".join(self.parts[1:])

    def __fspath__(self) -> str:
        """Refuse to be taken for a file of this machine."""
        raise TypeError(f"{self} is no file of this machine")

    @property
    def key(self) -> str:
        """The name of the object in its bucket."""
        return "/".join(self.parts[2:])

    @property
    def bucket(self) -> S3Store:
        """The bucket."""
        settings = frozenset(item for item in os.environ.items() if item[0].startswith("AWS_"))
        return _bucket(self.parts[1], settings)

    def prefixed(self) -> S3Store:
        """A store of what is below it, for libraries that read from one."""
        return open_bucket(str(self))

    def absolute(self) -> "BucketPath":
        """Itself."""
        return self

    def check(self) -> None:
        """Refuse at once what can never work.

        Raises:
            DatasetError: when there is no such bucket, it does not answer, or it may not be read.
        """

        async def first_page() -> None:
            async for _ in obstore.list(self.bucket, self.key, chunk_size=1):
                return

        with bucket_errors(str(self), DatasetError):
            answer(first_page, ANSWER_SECONDS)

    def resolve(self) -> "BucketPath":
        """Itself: there are no links in a bucket."""
        return self

    def is_symlink(self) -> bool:
        """Never: there are no links in a bucket."""
        return False

    def is_file(self) -> bool:
        """Whether there is an object of that key."""
        try:
            self.stat()
        except FileNotFoundError:
            return False
        return True

    def is_dir(self) -> bool:
        """Whether there are objects below it."""
        return next(self._below(most=1), None) is not None

    def exists(self) -> bool:
        """Whether it is either."""
        return self.is_file() or self.is_dir()

    def stat(self) -> "Size":
        """The size of an object, and when it was written.

        Raises:
            FileNotFoundError: where there is none.
        """
        with _as_file(self):
            known = obstore.head(self.bucket, self.key)
        return Size(known["size"], known["last_modified"].timestamp())

    lstat = stat

    def read_bytes(self) -> bytes:
        """An object's content.

        Raises:
            FileNotFoundError: where there is none.
        """
        with _as_file(self):
            return obstore.get(self.bucket, self.key).bytes().to_bytes()

    def open(self, mode: str = "rb", buffering: int = _READ_AHEAD_BYTES) -> io.BufferedReader:
        """An object to be read from any place, so many bytes ahead.

        Raises:
            FileNotFoundError: where there is none.
            ValueError: for another mode than `rb`.
        """
        if mode != "rb":
            raise ValueError(f"{self} cannot be opened with mode {mode!r}")
        return io.BufferedReader(_Ranges(self), buffering)

    def write_bytes(self, content: bytes) -> None:
        """Make an object, over one that is there."""
        with _as_file(self):
            obstore.put(self.bucket, self.key, content, use_multipart=len(content) > _AT_ONCE_BYTES)

    def put(self, file: Path, *, only_if_absent: bool = False) -> None:
        """Make an object from a file of this machine.

        Args:
            file: which is sent at once, and in parts where it is large.
            only_if_absent: by S3's conditional write, `If-None-Match: *`; of a small file alone.

        Raises:
            FileExistsError: when it has to be absent and is not; what is there stays.
        """
        with _as_file(self):
            if only_if_absent:
                obstore.put(self.bucket, self.key, file.read_bytes(), mode="create")
            elif file.stat().st_size <= _AT_ONCE_BYTES:
                obstore.put(self.bucket, self.key, file, use_multipart=False)
            else:  # which takes so long that a signal has to be heard
                answer(lambda: obstore.put_async(self.bucket, self.key, file, use_multipart=True))

    def tag(self) -> str:
        """What changes with an object's content.

        Raises:
            FileNotFoundError: where there is none.
        """
        with _as_file(self):
            return str(obstore.head(self.bucket, self.key)["e_tag"])

    def write_if(self, content: bytes, tag: str) -> str:
        """Make an object if it still has a tag, or is absent where the tag is empty; returns the new tag.

        Raises:
            FileExistsError: when it is another by now, which stays.
        """
        try:
            with _as_file(self):
                return str(
                    obstore.put(self.bucket, self.key, content, mode={"e_tag": tag} if tag else "create")["e_tag"]
                )
        except FileExistsError:
            if self.read_bytes() != content:  # else it was written, and the answer to that was lost
                raise
            return self.tag()

    def unlink(self, *, missing_ok: bool = False) -> None:
        """Remove an object.

        Raises:
            FileNotFoundError: where there is none, unless that is as well.
        """
        if not missing_ok:
            self.stat()
        with _as_file(self):
            obstore.delete(self.bucket, self.key)

    def mkdir(self, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Nothing: there are no folders to be made."""

    def iterdir(self) -> "Iterator[BucketPath]":
        """What is directly below it, in the order of the names."""
        with _as_file(self):
            found = obstore.list_with_delimiter(self.bucket, self.key)
        names = [item["path"] for item in found["objects"]] + list(found["common_prefixes"])
        return (self / name.rstrip("/").rpartition("/")[2] for name in sorted(names))

    def files(self) -> "list[BucketPath]":
        """Every object below it, in the order of the keys."""
        return sorted(path for path, _ in self._below())

    def bytes_below(self) -> int:
        """Size of every object below it together, by one listing."""
        return sum(size.st_size for _, size in self._below())

    def remove(self) -> None:
        """Remove it and every object below it, a thousand at a time."""
        keys = [self.key, *(path.key for path, _ in self._below())]
        with _as_file(self):
            obstore.delete(self.bucket, keys)

    def _below(self, most: int | None = None) -> "Iterator[tuple[BucketPath, Size]]":
        root = BucketPath("/", self.parts[1])
        with _as_file(self):
            for batch in obstore.list(self.bucket, self.key or None, chunk_size=most or 1000):
                for item in batch:
                    yield root / item["path"], Size(item["size"], item["last_modified"].timestamp())


class Size(NamedTuple):
    """What is known of an object."""

    st_size: int
    st_mtime: float


Place = Path | BucketPath
"""A file or a folder, here or in a bucket."""


def place_of(given: str | os.PathLike[str] | BucketPath) -> Place:
    """The place that somebody gives by its path or its address.

    Args:
        given: a path, or `s3://bucket/prefix`; credentials and endpoint come from AWS's own variables.

    Raises:
        InputError: when it is an address of another kind, or an odd one.
    """
    if isinstance(given, Path | BucketPath):
        return given
    text = os.fspath(given)
    if not re.match(r"\w+:/", text):
        return Path(text)
    bucket, prefix = split_address(text) or ("", "")
    if not prefix or not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket):
        shown = re.sub(r"//.*@", "//…@", text)  # which may be a password
        raise InputError(f"{shown!r} is no place. Give a folder, or s3://bucket/prefix in plain letters")
    return BucketPath("/", bucket, prefix)


def is_there(place: Place) -> bool:
    """Whether there is anything: a link that leads nowhere is something too."""
    return place.exists() if isinstance(place, BucketPath) else os.path.lexists(place)


@lru_cache(maxsize=8)
def _bucket(name: str, _settings: frozenset[tuple[str, str]]) -> S3Store:
    """A pool of connections, as long as AWS's variables are what they were."""
    return open_bucket(f"{S3}{name}")


@contextmanager
def _as_file(path: BucketPath) -> Iterator[None]:
    """Turn what a bucket says into what a file would."""
    try:
        yield
    except (NotFoundError, FileNotFoundError) as error:  # which of them depends on the version
        raise FileNotFoundError(errno.ENOENT, first_line(error), str(path)) from None
    except (AlreadyExistsError, PreconditionError) as error:
        raise FileExistsError(errno.EEXIST, first_line(error), str(path)) from None
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise PermissionError(errno.EACCES, first_line(error), str(path)) from None
    except BaseError as error:
        raise OSError(errno.EIO, first_line(error), str(path)) from None


class _Ranges(io.RawIOBase):
    """An object's bytes, asked for as they are read."""

    def __init__(self, path: BucketPath) -> None:
        self._path, self._size, self._at = path, path.stat().st_size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: "Buffer") -> int:
        view = memoryview(buffer).cast("B")
        length = max(0, min(len(view), self._size - self._at))
        if length:
            with _as_file(self._path):
                view[:length] = obstore.get_range(self._path.bucket, self._path.key, start=self._at, length=length)
            self._at += length
        return length
