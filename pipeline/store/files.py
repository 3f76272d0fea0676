"""Files that appear whole under their final name, or not at all, and that survive a power cut once they appear."""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from pipeline.errors import DatasetError
from pipeline.progress import tracked
from pipeline.store.threads import in_threads

TEMPORARY = ".tmp"
"""Suffix of files and folders being written; what a crash leaves of them can go."""


def is_temporary(name: str) -> bool:
    """Whether `replacing` gave a file this name."""
    return re.fullmatch(rf"\..+\.\d+{re.escape(TEMPORARY)}", name) is not None


class FileEntry(BaseModel):
    """What a ledger entry or a manifest knows of a file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)


def content_entry(content: bytes) -> FileEntry:
    """Hash and size of a file's content in memory."""
    return FileEntry(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))


def file_entry(path: Path) -> FileEntry:
    """Hash and size of a file's content on disk."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return FileEntry(sha256=digest, bytes=file.tell())


def folder_entries(folder: Path, known: Mapping[Path, FileEntry]) -> dict[str, FileEntry]:
    """The entries of every file in a folder by its path there; those that are known are not read."""
    files = all_files(folder)
    unknown = [path for path in files if path not in known]
    hashed = zip(unknown, in_threads(file_entry, tracked(unknown, "hashing files", "files")), strict=True)
    entries = {**known, **dict(hashed)}
    return {path.relative_to(folder).as_posix(): entries[path] for path in files}


def read_verified(path: Path, entry: FileEntry) -> bytes:
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


def fsync(path: Path) -> None:
    """Push a file's content, or a folder's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file, or a folder, under a sibling name; it takes the final name only when the block ends well."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    remove(temporary)
    try:
        yield temporary
        for written in [*temporary.rglob("*"), temporary]:
            fsync(written)
        if temporary.is_dir() or path.is_dir():
            remove(path)  # a folder cannot be replaced in one step; its reader waits for dataset.json, written last
        temporary.replace(path)
        fsync(path.parent)
    finally:
        remove(temporary)


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Turn a full disk, a lost mount or missing rights into one line.

    Raises:
        DatasetError: when the block cannot write.
    """
    try:
        yield
    except OSError as error:
        raise DatasetError(
            f"{place} cannot be written: {error.strerror or error}. "
            f"Free space or mend the permissions and run the same command again; what is finished is kept"
        ) from error


def remove(path: Path) -> None:
    """Remove a file or a folder where there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def all_files(folder: Path) -> list[Path]:
    """Every file below a folder, in the order of their names."""
    return sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())


def bytes_on_disk(path: Path) -> int:
    """Size of a file, or of every file below a folder; 0 where there is nothing."""
    files = all_files(path) if path.is_dir() else [path] if path.is_file() else []
    return sum(file.stat().st_size for file in files)
