"""Files that appear whole under their final name, or not at all, and that survive a power cut once they appear."""

import errno
import filecmp
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import overload

from pydantic import BaseModel, ConfigDict, Field

from pipeline.errors import DatasetError
from pipeline.progress import tracked
from pipeline.store.place import BucketPath, Place
from pipeline.store.threads import in_threads

TEMPORARY = ".tmp"
"""Suffix of files and folders being written; what a crash leaves of them can go."""

_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
"""What file systems without hard links say."""


def is_temporary(name: str) -> bool:
    """Whether `replacing` gave a file this name."""
    return re.fullmatch(rf"\.[0-9a-f]{{16}}{re.escape(TEMPORARY)}", name) is not None


class FileEntry(BaseModel):
    """What a ledger entry or a manifest knows of a file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)


def content_entry(content: bytes) -> FileEntry:
    """Hash and size of a file's content in memory."""
    return FileEntry(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))


def file_entry(path: Place) -> FileEntry:
    """Hash and size of a file's content where it is."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return FileEntry(sha256=digest, bytes=file.tell())


def folder_entries(folder: Place, known: Mapping[Place, FileEntry]) -> dict[str, FileEntry]:
    """The entries of every file in a folder by its path there; those that are known are not read.

    A file that a late worker is writing, and is going to take away, is not counted.
    """
    files = [path for path in all_files(folder) if not is_temporary(path.name)]
    unknown = [path for path in files if path not in known]
    hashed = zip(unknown, in_threads(file_entry, tracked(unknown, "hashing files", "files")), strict=True)
    entries = {**known, **dict(hashed)}
    return {path.relative_to(folder).as_posix(): entries[path] for path in files}


def read_verified(path: Place, entry: FileEntry) -> bytes:
    """A file's content, which has to be what its entry says.

    Raises:
        DatasetError: when it is not.
    """
    content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
    if content_entry(content) != entry:
        raise DatasetError(
            f"{path} is missing or damaged: its SHA-256 is not the ledger's. Run the same build again to repair it"
        )
    return content


def fsync(path: Place) -> None:
    """Push a file's content, or a folder's list of names, to the disk; what is in a bucket is durable as it is."""
    if isinstance(path, BucketPath):
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: Place) -> Iterator[Path]:
    """Write a file, or a folder, elsewhere; it takes the final name only when the block ends well.

    On a disk that is a sibling's name. Into a bucket goes a file alone, from this machine, in one step.
    """
    if isinstance(path, BucketPath):
        with _here() as temporary:
            yield temporary
            path.put(temporary)
        return
    with _temporary(path.parent) as temporary:
        yield temporary
        fsync_all(temporary)
        if temporary.is_dir() or path.is_dir():
            remove(path)  # a folder cannot be replaced in one step; its reader waits for dataset.json, written last
        temporary.replace(path)
        fsync(path.parent)


@contextmanager
def creating(path: Place) -> Iterator[Path]:
    """Write a file elsewhere, as `replacing`; it takes the final name when the block ends well and nothing has it.

    Raises:
        FileExistsError: when something has; it stays.
    """
    if isinstance(path, BucketPath):
        with _here() as temporary:
            yield temporary
            path.put(temporary, only_if_absent=True)
        return
    with _temporary(path.parent) as temporary:
        yield temporary
        fsync_all(temporary)
        try:
            path.hardlink_to(temporary)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            temporary.replace(path)
        fsync(path.parent)


@contextmanager
def rewriting(folder: Place) -> Iterator[Place]:
    """Write a folder anew, whole; files that are there already and alike stay untouched.

    In a bucket it is emptied first and written in its place: it may be too large for this machine's disk, and no reader
    looks before the manifest is there.

    Args:
        folder: made where it is not there.
    """
    if isinstance(folder, BucketPath):
        remove(folder)
        yield folder
        return
    with updating(folder, whole=True) as temporary:
        yield temporary


@contextmanager
def updating(folder: Place, *, whole: bool = False) -> Iterator[Path]:
    """Write files under a temporary folder; they take their places in the given one when the block ends well.

    Files that are there already and alike stay untouched, in a bucket they are written again.

    Args:
        folder: made where it is not there.
        whole: whether other files in it go; not in a bucket.
    """
    if isinstance(folder, BucketPath):
        with _here() as temporary:
            yield temporary
            for file in all_files(temporary):
                (folder / file.relative_to(temporary).as_posix()).put(file)
        return
    if folder.is_symlink() or not folder.is_dir():
        with replacing(folder) as temporary:
            yield temporary
        return
    with _temporary(folder) as temporary:
        yield temporary
        fsync_all(temporary)
        if whole:
            ours = {folder / file.relative_to(temporary) for file in all_files(temporary)}
            remove_strays(folder, ours | set(all_files(temporary)))
        _install(temporary, folder)


@contextmanager
def _here() -> Iterator[Path]:
    """A name on this machine for what goes into a bucket."""
    with TemporaryDirectory() as folder:
        yield Path(folder) / "file"


@contextmanager
def _temporary(folder: Path) -> Iterator[Path]:
    # Random, because on two nodes two processes of one number may write the same file: a late one and its successor.
    temporary = folder / f".{secrets.token_hex(8)}{TEMPORARY}"
    try:
        yield temporary
    finally:
        remove(temporary)


def fsync_all(path: Path) -> None:
    """Push a file, or a folder with all that is in it, to the disk."""
    for written in [*path.rglob("*"), path]:
        fsync(written)


def _install(new: Path, folder: Path) -> None:
    """Move files into the same places of another folder, durably; those that are there and alike stay untouched."""
    for file in all_files(new):
        path = folder / file.relative_to(new)
        if _are_alike(file, path):
            continue
        make_folders(folder, path.parent)
        if path.is_dir():
            remove(path)
        file.replace(path)
        fsync(path.parent)


def _are_alike(file: Path, path: Path) -> bool:
    try:
        return path.is_file() and not path.is_symlink() and filecmp.cmp(file, path, shallow=False)
    except OSError:  # what cannot be read is best replaced
        return False


def remove_strays(folder: Place, known: Collection[Place]) -> list[Place]:
    """Remove every file and link below a folder but the known ones; returns what went."""
    strays = [path for path in all_files(folder) if path not in known]
    for path in strays:
        remove(path)
    return strays


def make_folders(top: Place, path: Place) -> None:
    """Make a folder, and those above it up to `top`, so that their names survive a power cut; a bucket needs none.

    Below `top` everything is ours: a file or a link in the place of a folder goes.
    """
    if path == top or isinstance(path, BucketPath):
        return
    make_folders(top, path.parent)
    if path.is_symlink() or path.is_file():
        path.unlink(missing_ok=True)
    if not path.is_dir():
        path.mkdir(exist_ok=True)  # another worker may have been faster
        fsync(path.parent)


@contextmanager
def writing(place: Place) -> Iterator[None]:
    """Turn a full disk, a lost mount or missing rights into one line.

    Raises:
        DatasetError: when the block cannot write.
    """
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOMEM:  # a worker's misfortune, not the disk's
            raise
        raise DatasetError(
            f"{place} cannot be written: {error.strerror or error}. "
            f"Free space or mend the permissions and run the same command again; what is finished is kept"
        ) from error


def remove(path: Place) -> None:
    """Remove a file, a link or a folder where there is one."""
    if isinstance(path, BucketPath):
        path.remove()
        return
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@overload
def all_files(folder: Path) -> list[Path]: ...
@overload
def all_files(folder: Place) -> Sequence[Place]: ...
def all_files(folder: Place) -> Sequence[Place]:
    """Every file and link below a folder, in the order of their names; none where there is no folder.

    Raises:
        OSError: when a folder cannot be looked into; its files would be missing.
    """
    if isinstance(folder, BucketPath):
        return folder.files()
    found = list[Path]()
    for place, folders, names in os.walk(folder, onerror=_unless_gone):
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        found += [Path(place) / name for name in names + links]
    return sorted(found)


def _unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def bytes_on_disk(path: Place) -> int:
    """Size of a file, or of every file below a folder; 0 where there is nothing, and for links."""
    if isinstance(path, BucketPath):
        return path.stat().st_size if path.is_file() else path.bytes_below()
    files = all_files(path) if path.is_dir() and not path.is_symlink() else [path] if path.exists() else []
    return sum(file.lstat().st_size for file in files)
