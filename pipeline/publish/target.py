"""What every place has to be able to do that a release is published to."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from pipeline.errors import FoundryError
from pipeline.publish.inventory import Inventory

UNKNOWN = ""
"""In place of the hash of a file whose content there is not ours."""


class PublishError(FoundryError):
    """A place that cannot take a release, or that holds another one."""


class Target(Protocol):
    """A place outside; the files of a release go into a folder there that has the name of its version."""

    replaces: bool
    """Whether a file may lie there in part, because its upload was cut off, and can be sent anew."""

    @property
    def where(self) -> str:
        """What a user calls the place."""
        ...

    def find(self, inventory: Inventory) -> Mapping[str, str]:
        """SHA-256 of every file that lies there under the release's version, by its path in the release.

        Only asks, and changes nothing there.

        Raises:
            PublishError: when the place cannot be reached, does not exist or is not ours to write to.
        """
        ...

    def check_room(self, inventory: Inventory, names: Sequence[str]) -> None:
        """Refuse files that are too large for the place, one by one or together, before anything is sent.

        Raises:
            PublishError: says how much too large.
        """
        ...

    def send(self, inventory: Inventory, names: Sequence[str], sent: Callable[[int], object]) -> None:
        """Send files of the release, each verified by its SHA-256 once it is there.

        Args:
            inventory: the release, found before.
            names: of the files.
            sent: told the number of bytes whenever some have left; a negative one where they have to leave again.

        Raises:
            PublishError: when a file does not arrive.
            DatasetError: when a file changes while it is sent.
        """
        ...
