"""Small JSON documents that say what lies on disk, each sealed with its own hash so that damage to it is seen."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import DatasetError
from pipeline.recipe import canonical_sha256
from pipeline.store.files import fsync, replacing

FORMAT_VERSION = 1
"""Version of a dataset folder's layout; it changes when an older program could misread a newer folder."""


class Document(BaseModel):
    """A plan, a ledger entry or a manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format_version: int = Field(default=FORMAT_VERSION, ge=FORMAT_VERSION, le=FORMAT_VERSION)
    sealed_by: str = Field(default="", description="SHA-256 of the other fields' canonical JSON")

    def seal(self) -> str:
        """SHA-256 of the other fields' canonical JSON."""
        return canonical_sha256(self.model_dump(mode="json", exclude={"sealed_by"}))


_Kind = TypeVar("_Kind", bound=Document)


def write_document(path: Path, document: Document) -> None:
    """Seal a document and write it durably and in one step."""
    with replacing(path) as temporary:
        temporary.write_text(_text(document), encoding="utf-8")


def create_document(path: Path, document: Document) -> None:
    """Seal a document and write it durably where there is none; a crash may leave a part of it, which does not count.

    Raises:
        FileExistsError: when there is something, which stays.
    """
    with path.open("x", encoding="utf-8") as file:
        file.write(_text(document))
    fsync(path)
    fsync(path.parent)


def _text(document: Document) -> str:
    sealed = document.model_copy(update={"sealed_by": document.seal()})
    return sealed.model_dump_json(indent=1) + "\n"


def read_document(path: Path, kind: type[_Kind]) -> _Kind:
    """Read a document.

    Raises:
        DatasetError: when the file is missing, is no such document, is of another format version, or was altered.
    """
    try:
        document = kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}. Run the build of its dataset again") from error
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"])) or "content"
        raise DatasetError(
            f"{path} is damaged or of another version: {where}: {fault['msg']}. Run the build of its dataset again"
        ) from error
    if document.sealed_by != document.seal():
        raise DatasetError(f"{path} was altered: it is not what it says of itself. Run the build of its dataset again")
    return document
