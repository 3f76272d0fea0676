"""A folder: another disk, or a mounted share."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import InputError
from pipeline.publish.body import Body
from pipeline.publish.inventory import Inventory
from pipeline.publish.target import PublishError
from pipeline.store.files import all_files, creating, file_entry, is_temporary, make_folders, remove, writing


class FolderTarget:
    """Publishes into a folder, where a file appears whole or not at all.

    Args:
        folder: into which the version's folder goes; made where it is not there.
        release: what is going to be published, which must lie elsewhere.

    Raises:
        InputError: when one of them is inside the other.
    """

    replaces = False

    def __init__(self, folder: Path, release: Path) -> None:
        inner, outer = (Path(os.path.realpath(path)) for path in (folder, release))  # `resolve` fails on a link's loop
        if inner.is_relative_to(outer) or outer.is_relative_to(inner):
            raise InputError(f"{folder} and the release {release} are inside each other. Choose another folder")
        self._folder = folder

    @property
    def where(self) -> str:
        """The folder."""
        return f"{self._folder}"

    def find(self, inventory: Inventory) -> Mapping[str, str]:
        """As `Target` says; every file is read."""
        top = self._folder / inventory.version
        try:
            for place in (self._folder, top):
                if os.path.lexists(place) and (not place.is_dir() or (place == top and place.is_symlink())):
                    raise PublishError(f"{place} is a file or a link. Remove it or choose another folder")
            files = [path for path in all_files(top) if not is_temporary(path.name)]
            for path in files:
                if path.is_symlink() or not path.is_file():
                    raise PublishError(f"{path} is a link or no regular file. Remove it and run the same command again")
            for path in (top / name for name in inventory.files):
                if path.is_dir():
                    raise PublishError(
                        f"{path} is a folder in a file's place. Remove it and run the same command again"
                    )
            return {path.relative_to(top).as_posix(): file_entry(path).sha256 for path in files}
        except OSError as error:
            raise PublishError(
                f"{error.filename or top} cannot be read: {error.strerror}. Mend it there or choose another folder"
            ) from error

    def check_room(self, inventory: Inventory, names: Sequence[str]) -> None:
        """As `Target` says."""
        place = self._folder.absolute()
        while not place.is_dir():
            place = place.parent
        free, coming = shutil.disk_usage(place).free, sum(inventory.files[name].bytes for name in names)
        if coming > free:
            raise PublishError(f"{self._folder} has {free:,} bytes free and needs {coming:,}. Free space there")

    def send(self, inventory: Inventory, names: Sequence[str], sent: Callable[[int], object]) -> None:
        """As `Target` says; what an earlier attempt left half written goes, even if there is nothing to send."""
        top = self._folder / inventory.version
        with writing(top):
            top.mkdir(parents=True, exist_ok=True)
            with _alone_in(top):
                for path in all_files(top):
                    if is_temporary(path.name):
                        remove(path)
                for name in names:
                    make_folders(top, (top / name).parent)
                    self._copy(inventory, name, sent)

    def _copy(self, inventory: Inventory, name: str, sent: Callable[[int], object]) -> None:
        path = self._folder / inventory.version / name
        try:
            with creating(path) as temporary:
                with temporary.open("wb") as file:
                    file.writelines(Body(inventory.path(name), inventory.files[name], sent))
                if file_entry(temporary) != inventory.files[name]:
                    raise PublishError(f"{path} is not what was written. Check the disk and run the same command again")
        except FileExistsError:
            raise PublishError(f"{path} has appeared meanwhile. Let one publication end before the next") from None


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep another publication out, whose half-written files would be taken for left over."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # let go by the kernel when the process ends
        yield
    except BlockingIOError:
        raise PublishError(f"{folder} is being published into. Let one publication end before the next") from None
    finally:
        os.close(descriptor)
