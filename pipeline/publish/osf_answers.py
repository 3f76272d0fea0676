"""What OSF answers, as its API (version 2) and its file service WaterButler (version 1) do it: the parts used here."""

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.publish.client import Answer
from pipeline.publish.target import UNKNOWN, PublishError


class _Answered(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class NodeAttributes(_Answered):
    """Of a project or component."""

    public: bool
    current_user_permissions: list[str]


class Node(_Answered):
    """A project or component."""

    attributes: NodeAttributes


class StorageAttributes(_Answered):
    """What lies in a node's storage, all versions of its files together."""

    storage_usage: int | None = Field(
        default=None, ge=0, le=1 << 60, description="bytes; sent as text, null while OSF still counts"
    )


class Storage(_Answered):
    """A node's storage."""

    attributes: StorageAttributes


class _Hashes(_Answered):
    sha256: str | None = None


class _Extra(_Answered):
    hashes: _Hashes = _Hashes()


class _EntityAttributes(_Answered):
    name: str
    kind: Literal["file", "folder"]
    path: str
    extra: _Extra = _Extra()


class _Links(_Answered):
    upload: str


class Entity(_Answered):
    """A file or folder, or a whole storage: the same from the API's listings and from WaterButler's answers."""

    attributes: _EntityAttributes
    links: _Links
    relationships: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """Its own, without those of the folders above."""
        return self.attributes.name

    @property
    def is_folder(self) -> bool:
        """Or else a file."""
        return self.attributes.kind == "folder"

    @property
    def sha256(self) -> str:
        """Of the newest version of a file, in small letters."""
        return (self.attributes.extra.hashes.sha256 or UNKNOWN).lower()

    def listing(self, storage_listing: str) -> str:
        """Address of what is in a folder; WaterButler does not give it.

        Args:
            storage_listing: that of the whole storage, below which the API has them all.
        """
        try:
            return str(self.relationships["files"]["links"]["related"]["href"])
        except (KeyError, TypeError):
            return f"{storage_listing.rstrip('/')}/{self.attributes.path.strip('/')}/"


_Kind = TypeVar("_Kind", bound=BaseModel)


def read_answer(answer: Answer, kind: type[_Kind]) -> _Kind:
    """What an answer is about.

    Raises:
        PublishError: when it is not what OSF sends.
    """
    return _read(answer.document.get("data"), kind)


def read_listing(answer: Answer) -> list[Entity]:
    """What a page of a listing holds.

    Raises:
        PublishError: as `read_answer`.
    """
    data = answer.document.get("data")
    return [_read(item, Entity) for item in (data if isinstance(data, list) else [None])]


def _read(data: object, kind: type[_Kind]) -> _Kind:
    reason = "it names no such thing"
    if isinstance(data, Mapping):
        try:
            return kind.model_validate(data)
        except ValidationError as error:
            faults = error.errors(include_input=False)  # what it sent is not repeated
            reason = ", ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults[:3])
    raise PublishError(f"OSF's answer about a {kind.__name__.lower()} is none: {reason}. Try again later")
