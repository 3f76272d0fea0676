"""What a release holds: every file with its size and hash, checked before the first byte of it leaves."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipeline.errors import DatasetError
from pipeline.progress import tracked
from pipeline.release.checksums import CHECKSUMS, read_checksums
from pipeline.release.manifest import RELEASE_MANIFEST, ReleaseManifest
from pipeline.store.documents import read_document
from pipeline.store.files import FileEntry, all_files, file_entry
from pipeline.store.outside import check_plain
from pipeline.store.threads import in_threads


@dataclass(frozen=True)
class Inventory:
    """The files of a release, in the order in which they are sent: the list of checksums last."""

    folder: Path
    version: str
    files: dict[str, FileEntry]

    def path(self, name: str) -> Path:
        """Where a file of the release lies here."""
        return self.folder / name

    @cached_property
    def seals(self) -> frozenset[str]:
        """SHA-256 that our list of checksums can have elsewhere: whole, or cut off anywhere while it was sent.

        A list with any other hash is another release's.
        """
        digest = hashlib.sha256()
        hashes = [digest.hexdigest()]
        for byte in self.path(CHECKSUMS).read_bytes():
            digest.update(bytes([byte]))
            hashes.append(digest.hexdigest())
        return frozenset(hashes)


def read_inventory(folder: Path) -> Inventory:
    """The files that a release says it has, all of which are there, and no others. Nothing is hashed yet.

    Raises:
        DatasetError: when the folder is no finished release, or holds more or less than its list of checksums.
    """
    if not (folder / CHECKSUMS).is_file():
        raise DatasetError(f"{folder} is no finished release: it has no {CHECKSUMS}. Make one with ecg-foundry release")
    listed = read_checksums(folder)
    present = {path.relative_to(folder).as_posix(): path for path in all_files(folder)}
    for name in sorted((present.keys() ^ listed.keys()) - {CHECKSUMS}):
        reason = "is not listed in" if name in present else "is missing, and listed in"
        raise DatasetError(f"{folder / name} {reason} {CHECKSUMS}. Make the release again")
    for path in present.values():
        check_plain(folder, path)
    version = read_document(folder / RELEASE_MANIFEST, ReleaseManifest).version
    files = {name: FileEntry(sha256=listed[name], bytes=present[name].stat().st_size) for name in sorted(listed)}
    return Inventory(folder, version, files | {CHECKSUMS: file_entry(present[CHECKSUMS])})


def check_inventory(inventory: Inventory) -> None:
    """Hash every file of a release.

    Raises:
        DatasetError: names the first one that is not what its list of checksums says.
    """
    paths = tracked([inventory.path(name) for name in inventory.files], "checking the release", "files")
    for (name, entry), found in zip(inventory.files.items(), in_threads(file_entry, paths), strict=True):
        if found != entry:
            raise DatasetError(
                f"{inventory.path(name)} was altered: its SHA-256 is not the one in {CHECKSUMS}. Make the release again"
            )
