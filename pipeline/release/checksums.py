"""`SHA256SUMS.txt`, as `sha256sum` writes and checks it."""

import re
from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import DatasetError
from pipeline.store.files import FileEntry
from pipeline.store.outside import check_plain

CHECKSUMS = "SHA256SUMS.txt"
_LINE = re.compile(r"([0-9a-f]{64})  ([\w./-]+)")
"""A hash and a path in the release; never out of it, for no part of it is empty or of dots alone."""
_MOST_BYTES = 1 << 26


def checksums_text(files: Mapping[str, FileEntry]) -> str:
    """A line a file, in the order of their names."""
    return "".join(f"{entry.sha256}  {name}\n" for name, entry in sorted(files.items()))


def read_checksums(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file of a release but this one, by its path there.

    Raises:
        DatasetError: when there is no such file, or it is none.
    """
    path = folder / CHECKSUMS
    check_plain(folder, path)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DatasetError(f"{path} is too large for a list of checksums. Get the release again")
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise DatasetError(f"{path} cannot be read: {error}. Give the folder of a release") from error
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line)
        if match is None or match[2] in found or not all(part.strip(".") for part in match[2].split("/")):
            raise DatasetError(f"{path} is damaged in line {number}. Get the release again")
        found[match[2]] = match[1]
    return found
