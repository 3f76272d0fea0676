"""What a publication has to do, which depends on what is there already."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pipeline.publish.inventory import Inventory
from pipeline.publish.target import PublishError, Target
from pipeline.release.checksums import CHECKSUMS


@dataclass(frozen=True)
class Step:
    """What becomes of one file."""

    file: str
    bytes: int
    action: Literal["upload", "new version", "skip"]


@dataclass(frozen=True)
class Plan:
    """What becomes of every file of a release."""

    where: str
    version: str
    steps: tuple[Step, ...]

    @property
    def to_send(self) -> list[Step]:
        """The files that are not there yet, or not whole; none where the release is published already."""
        return [step for step in self.steps if step.action != "skip"]

    @property
    def bytes_to_send(self) -> int:
        """Their size in all."""
        return sum(step.bytes for step in self.to_send)

    def lines(self) -> Iterator[str]:
        """A line a file, and one for all of them."""
        for step in self.steps:
            yield f"{step.action:11}  {step.bytes:>15,} bytes  {self.version}/{step.file}"
        yield (
            f"{self.where}: {len(self.to_send)} of {len(self.steps)} files to send, {self.bytes_to_send:,} bytes; "
            f"{len(self.steps) - len(self.to_send)} there already"
        )


def plan_upload(inventory: Inventory, found: Mapping[str, str], target: Target) -> Plan:
    """Decide about every file.

    `SHA256SUMS.txt` is sent last and seals a version: with it a version is published and never changes; without it the
    version is an unfinished upload, which goes on.

    Args:
        inventory: the release.
        found: SHA-256 of what is there, by path.
        target: where.

    Raises:
        PublishError: when another release of this version is there, or files that are not this release's.
    """
    place = f"{target.where} holds {inventory.version}/"
    for name in sorted(found.keys() - inventory.files.keys()):
        raise PublishError(f"{place}{name}, which this release does not have. Remove it there or choose a new version")
    differing = [name for name in sorted(found) if found[name] != inventory.files[name].sha256]
    if found.get(CHECKSUMS) == inventory.files[CHECKSUMS].sha256:
        for name in sorted((inventory.files.keys() - found.keys()) | set(differing)):
            # Where nothing is replaced, what is wrong has to go as well as the seal.
            wrong = [f"{inventory.version}/{each}" for each in [CHECKSUMS, *([] if target.replaces else differing)]]
            remove = " and ".join(wrong) if len(wrong) < 4 else f"all of {inventory.version}/"
            raise PublishError(
                f"{target.where} has {inventory.version} published, but {name} is missing there or another one. "
                f"Remove {remove} there and run the same command again to repair it"
            )
    # The list is sent once all else is there: only then is what there is of it our own, cut off.
    cut_off = (
        differing == [CHECKSUMS] and found.keys() == inventory.files.keys() and found[CHECKSUMS] in inventory.seals
    )
    if (CHECKSUMS in differing and not cut_off) or (differing and not target.replaces):
        raise PublishError(
            f"{place}{CHECKSUMS if CHECKSUMS in differing else differing[0]} with other content: another release of "
            f"that version. A version is never overwritten: give this release a new one"
        )
    return Plan(target.where, inventory.version, tuple(_steps(inventory, found)))


def _steps(inventory: Inventory, found: Mapping[str, str]) -> Iterator[Step]:
    for name, entry in inventory.files.items():
        if name not in found:
            yield Step(name, entry.bytes, "upload")
        else:
            yield Step(name, entry.bytes, "skip" if found[name] == entry.sha256 else "new version")
