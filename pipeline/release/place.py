"""Where a release goes: a folder of its own a version, never written over, complete or not there at all."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from pipeline.dataset import check_outside
from pipeline.errors import DatasetError, InputError, RecipeError
from pipeline.progress import tracked
from pipeline.release.checksums import CHECKSUMS
from pipeline.release.manifest import VERSION
from pipeline.release.released import read_release
from pipeline.store.files import all_files, file_entry, fsync, fsync_all, remove, writing
from pipeline.store.lease import locked
from pipeline.store.place import BucketPath, Place, is_there

FIRST_VERSION = "1.0.0"
_COPIED_BYTES = 16 << 20
"""Of a file at a time."""


def default_place(dataset: Place) -> Place:
    """`DATASET-release` beside the dataset, in which every version has its folder.

    Args:
        dataset: its folder.
    """
    # Made absolute by its name, by which the user knows it, not by a link's target.
    folder = dataset if isinstance(dataset, BucketPath) else Path(os.path.abspath(dataset))  # noqa: PTH100
    return folder.with_name(f"{folder.name}-release")


def find_release(place: Place, content_digest: str) -> Place | None:
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


def next_version(place: Place) -> str:
    """The version of a new release: the next minor one, for it has other content; the first is `FIRST_VERSION`.

    Args:
        place: the folder of versions, which need not be there.
    """
    versions = _versions(place)
    if not versions:
        return FIRST_VERSION
    major, minor, _ = _numbers(versions[-1])
    return f"{major}.{minor + 1}.0"


def _versions(place: Place) -> list[Place]:
    there: list[Place] = list(place.iterdir()) if place.is_dir() else []
    whole = [path for path in there if re.fullmatch(VERSION, path.name) and _is_whole(path)]
    return sorted(whole, key=_numbers)


def _is_whole(folder: Place) -> bool:
    """Whether a release is complete: a folder always is, in a bucket it is sealed last."""
    return not isinstance(folder, BucketPath) or (folder / CHECKSUMS).is_file()


def _numbers(folder: Place) -> tuple[int, ...]:
    return tuple(map(int, folder.name.split(".")))


def check_version(version: str) -> None:
    """Refuse a version that is none.

    Raises:
        RecipeError: when it is not three numbers.
    """
    if not re.fullmatch(VERSION, version):
        raise RecipeError(f"version {version!r} is no semantic version of three numbers. Give one such as 1.0.0")


def check_place(out: Place) -> None:
    """Refuse a place where something is, or where a release would be damage.

    Raises:
        InputError: names what is in the way.
    """
    if is_there(out) and _is_whole(out):
        raise InputError(
            f"{out} is there, and a release is never written over. Give another --version, or another --out"
        )
    check_outside(out)
    if isinstance(out, BucketPath):
        return
    above = next(parent for parent in out.absolute().parents if os.path.lexists(parent))
    if not above.is_dir():
        raise InputError(f"{above} is no folder. Choose another place for the release")


def check_disk(out: Place, needed: int) -> None:
    """Refuse what would not fit.

    Args:
        out: where it goes; what goes into a bucket is made among this machine's temporary files first.
        needed: bytes.

    Raises:
        DatasetError: says what is free and what is needed.
    """
    here = Path(gettempdir()) / out.name if isinstance(out, BucketPath) else out.absolute()
    where = next(parent for parent in here.parents if parent.is_dir())
    free = shutil.disk_usage(where).free
    if needed > free:
        raise DatasetError(
            f"{where} has {free / 1e9:.1f} GB free, and the release needs {needed / 1e9:.1f} GB. "
            f"Free some space, ask for fewer exports, or choose another place with --out"
        )


@contextmanager
def unfinished(out: Place) -> Iterator[Path]:
    """Write a folder under a sibling name; it takes the final name, on the disk, when the block ends well.

    The sibling is locked meanwhile. What a kill leaves of it is removed by the next try.

    Into a bucket it is copied when the block ends well, its checksums last: without them no release is there.

    Raises:
        DatasetError: when another process is writing it, or it cannot be written.
    """
    if isinstance(out, BucketPath):
        with writing(out), locked(out), TemporaryDirectory() as folder:
            yield Path(folder)
            _copy_into(out, Path(folder))
        return
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


def _copy_into(out: BucketPath, folder: Path) -> None:
    """Copy a release into a bucket, each file read back, and last its checksums."""
    remove(out)
    files = sorted(all_files(folder), key=lambda file: (file == folder / CHECKSUMS, file))
    for file in tracked(files, "copying into the bucket", "files"):
        copy = out / file.relative_to(folder).as_posix()
        copy.put(file)
        if file_entry(copy) != file_entry(file):
            copy.unlink()
            raise DatasetError(f"{copy} came back with other content. Run the same command again")


@contextmanager
def on_disk(release: Place) -> Iterator[Path]:
    """A release on this machine's disk: itself, or a copy of one in a bucket that goes when the block ends.

    Raises:
        DatasetError: when it does not fit among the temporary files.
    """
    if not isinstance(release, BucketPath):
        yield release
        return
    files = release.files()
    check_disk(release, sum(file.stat().st_size for file in files))
    with TemporaryDirectory() as folder:
        for file in tracked(files, "copying from the bucket", "files"):
            copy = Path(folder) / file.relative_to(release).as_posix()
            copy.parent.mkdir(parents=True, exist_ok=True)
            with file.open("rb", _COPIED_BYTES) as there, copy.open("wb") as here:
                shutil.copyfileobj(there, here, _COPIED_BYTES)
        yield Path(folder)
