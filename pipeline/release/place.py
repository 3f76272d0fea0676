"""Where a release goes: a folder of its own a version, never written over, complete or not there at all."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.dataset import check_outside
from pipeline.errors import DatasetError, InputError, RecipeError
from pipeline.folder import locked
from pipeline.release.manifest import VERSION
from pipeline.release.released import read_release
from pipeline.store.files import fsync, fsync_all, remove, writing

FIRST_VERSION = "1.0.0"


def default_place(dataset: Path) -> Path:
    """`DATASET-release` beside the dataset, in which every version has its folder.

    Args:
        dataset: its folder.
    """
    folder = Path(os.path.abspath(dataset))  # noqa: PTH100 - the name by which the user knows it, not a link's target
    return folder.with_name(f"{folder.name}-release")


def find_release(place: Path, content_digest: str) -> Path | None:
    """The newest release of a dataset among the versions in a folder.

    Args:
        place: the folder of versions, which need not be there.
        content_digest: of the dataset.

    Raises:
        DatasetError: when a release there is damaged.
    """
    for folder in reversed(_versions(place)):
        if read_release(folder).datasets["all"].content_digest == content_digest:
            return folder
    return None


def next_version(place: Path) -> str:
    """The version of a new release: the next minor one, for it has other content; the first is `FIRST_VERSION`.

    Args:
        place: the folder of versions, which need not be there.
    """
    versions = _versions(place)
    if not versions:
        return FIRST_VERSION
    major, minor, _ = _numbers(versions[-1])
    return f"{major}.{minor + 1}.0"


def _versions(place: Path) -> list[Path]:
    found = [path for path in place.iterdir() if re.fullmatch(VERSION, path.name)] if place.is_dir() else []
    return sorted(found, key=_numbers)


def _numbers(folder: Path) -> tuple[int, ...]:
    return tuple(map(int, folder.name.split(".")))


def check_version(version: str) -> None:
    """Refuse a version that is none.

    Raises:
        RecipeError: when it is not three numbers.
    """
    if not re.fullmatch(VERSION, version):
        raise RecipeError(f"version {version!r} is no semantic version of three numbers. Give one such as 1.0.0")


def check_place(out: Path) -> None:
    """Refuse a place where something is, or where a release would be damage.

    Raises:
        InputError: names what is in the way.
    """
    if os.path.lexists(out):
        raise InputError(
            f"{out} is there, and a release is never written over. Give another --version, or another --out"
        )
    check_outside(out)
    above = next(parent for parent in out.absolute().parents if os.path.lexists(parent))
    if not above.is_dir():
        raise InputError(f"{above} is no folder. Choose another place for the release")


def check_disk(out: Path, needed: int) -> None:
    """Refuse what would not fit.

    Args:
        out: where it goes.
        needed: bytes.

    Raises:
        DatasetError: says what is free and what is needed.
    """
    where = next(parent for parent in out.absolute().parents if parent.is_dir())
    free = shutil.disk_usage(where).free
    if needed > free:
        raise DatasetError(
            f"{where} has {free / 1e9:.1f} GB free, and the release needs {needed / 1e9:.1f} GB. "
            f"Free some space, ask for fewer exports, or choose another place with --out"
        )


@contextmanager
def unfinished(out: Path) -> Iterator[Path]:
    """Write a folder under a sibling name; it takes the final name, on the disk, when the block ends well.

    The sibling is locked meanwhile. What a kill leaves of it is removed by the next try.

    Raises:
        DatasetError: when another process is writing it, or it cannot be written.
    """
    temporary = out.absolute().with_name(f".{out.name}.unfinished")
    with writing(out):
        temporary.mkdir(parents=True, exist_ok=True)
        with locked(temporary):
            try:
                for left_over in temporary.iterdir():
                    remove(left_over)
                yield temporary
                fsync_all(temporary)
                temporary.rename(out)  # which fails where something has come to be there meanwhile
                fsync(out.absolute().parent)
            finally:
                remove(temporary)
