"""Small JSON documents that say what lies on disk, each sealed with its own hash so that damage to it is seen."""

from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from pipeline.errors import DatasetError
from pipeline.recipe import MOST_JSON_BYTES, canonical_sha256, named_faults, parse_json
from pipeline.shards import BLOCK, MOST_SHARD_RECORDS
from pipeline.store.files import creating, replacing
from pipeline.store.outside import check_plain
from pipeline.store.place import Place

FORMAT_VERSION = 1
"""Version of a dataset folder's layout; it changes when an older program could misread a newer folder."""


_MOST_CHARACTERS = 200
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
ShardRecords = Annotated[int, Field(ge=BLOCK, le=MOST_SHARD_RECORDS, multiple_of=BLOCK)]


def _one_line(text: str) -> str:
    """Texts are shown to people as they are: in one line of bounded length, with nothing that steers a terminal."""
    if not text.isprintable() or len(text) > _MOST_CHARACTERS:
        raise ValueError("it is not one short line")
    return text


Words = Annotated[str, AfterValidator(_one_line)]


class Document(BaseModel):
    """A plan, a ledger entry or a manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    format_version: int = Field(default=FORMAT_VERSION, ge=FORMAT_VERSION, le=FORMAT_VERSION)
    sealed_by: str = Field(default="", description="SHA-256 of the other fields' canonical JSON")

    @field_validator("*")
    @classmethod
    def _is_one_line(cls, value: object) -> object:
        return _one_line(value) if isinstance(value, str) else value

    def seal(self) -> str:
        """SHA-256 of the other fields' canonical JSON."""
        return canonical_sha256(self.model_dump(mode="json", exclude={"sealed_by"}))


_Kind = TypeVar("_Kind", bound=Document)


def write_document(path: Place, document: Document) -> None:
    """Seal a document and write it durably and in one step."""
    with replacing(path) as temporary:
        temporary.write_text(_text(document), encoding="utf-8")


def create_document(path: Place, document: Document) -> None:
    """Seal a document and write it durably and in one step where there is none.

    Raises:
        FileExistsError: when there is something, which stays.
    """
    with creating(path) as temporary:
        temporary.write_text(_text(document), encoding="utf-8")


def _text(document: Document) -> str:
    sealed = document.model_copy(update={"sealed_by": document.seal()})
    return sealed.model_dump_json(indent=1) + "\n"


def read_document(path: Place, kind: type[_Kind], *, remedy: str = "Run the build of its dataset again") -> _Kind:
    """Read a document.

    Args:
        path: its file.
        kind: what it has to be.
        remedy: what to do where it is not.

    Raises:
        DatasetError: when the file is missing, is no such document, is of another format version, or was altered.
    """
    check_plain(path.parent, path)
    try:
        with path.open("rb") as file:
            text = file.read(MOST_JSON_BYTES + 1).decode("utf-8")
        document = kind.model_validate(parse_json(text))
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}. {remedy}") from error
    except ValueError as error:
        reason = named_faults(error) if isinstance(error, ValidationError) else error
        raise DatasetError(f"{path} is damaged or of another version: {reason}. {remedy}") from error
    if text != _text(document):  # which seals it anew
        raise DatasetError(f"{path} was altered: it is not what it says of itself. {remedy}")
    return document
