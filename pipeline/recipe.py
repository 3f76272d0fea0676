"""The recipe: everything that a user chooses and that changes a dataset's bytes."""

import hashlib
import json
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Never

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import RecipeError

PUBLISHED_CHECKPOINT_SHA256 = "676619cb3b81ed637e5ef93fabd591220d047bc4f5e199ffce930a3affb05cba"
"""`deepfakeecg/checkpoints/g_stat.pt` of deepfake-ecg 1.1.2: the paper's Pulse2Pulse at epoch 2500."""


MOST_RECORDS = 10**9

MOST_JSON_BYTES = 1 << 24
"""Of a file: the manifest of 8 million records in shards of 256, of 250 million in the largest. What is parsed takes up
to 30 times as much memory, and a hostile file has no other bound."""

_MOST_FAULTS = 1000
"""That are looked at one by one: each takes a kilobyte."""


class Recipe(BaseModel):
    """What fixes every byte of a dataset. Paths and worker counts do not, and are not here."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    generator: Literal["pulse2pulse"] = Field(default="pulse2pulse", description="name of the generator network")
    checkpoint_sha256: str = Field(
        default=PUBLISHED_CHECKPOINT_SHA256,
        pattern="^[0-9a-f]{64}$",
        description="SHA-256 of the generator's checkpoint file",
    )
    seed: int = Field(default=0, ge=0, lt=2**63, description="key of the noise, together with the record's number")
    records: int = Field(default=2000, ge=1, le=MOST_RECORDS, description="number of ECGs to generate")

    def lineage(self) -> dict[str, Any]:
        """The fields that fix one record's bytes, whatever the number of records."""
        return self.model_dump(exclude={"records"})


def canonical_sha256(value: object) -> str:
    """SHA-256 of a value's JSON with sorted keys and no spaces."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def make_recipe(fields: Mapping[str, object]) -> Recipe:
    """Validate fields given by a user.

    Raises:
        RecipeError: one line that names the fields at fault.
    """
    try:
        return Recipe.model_validate(dict(fields))
    except ValidationError as error:
        known = ", ".join(Recipe.model_fields)
        raise RecipeError(f"the recipe cannot be used: {named_faults(error)}. Its fields are {known}") from error


def named_faults(error: ValidationError) -> str:
    """What is wrong with something from outside, in one line of bounded length: the first faults, each by its field."""
    count = error.error_count()
    if count > _MOST_FAULTS:
        return f"{count} faults"
    named = [
        f"{printable('.'.join(map(str, fault['loc'])))}: {fault['msg']}, got {_shown(fault['input'])}"
        if fault["loc"]
        else fault["msg"]
        for fault in error.errors(include_url=False)[:5]
    ]
    return "; ".join([*named, *([f"and {count - 5} more"] if count > 5 else [])])


def printable(text: str) -> str:
    """A name from outside for a message: nothing that steers a terminal, breaks the line or fills the screen."""
    return text[:100] if text[:100].isprintable() else ascii(text[:100])


def _shown(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > 10_000:  # which Python refuses to print
        return f"an integer of {value.bit_length()} bits"
    return reprlib.repr(value)  # of bounded length and depth


def parse_json(text: str) -> Any:  # noqa: ANN401 - whatever it holds
    """Parse JSON without what its readers understand differently: a name given twice, NaN and Infinity.

    Raises:
        ValueError: when it is too long, no JSON, or holds such a thing.
    """
    if len(text) > MOST_JSON_BYTES:
        raise ValueError(f"it is larger than {MOST_JSON_BYTES >> 20} MiB")
    try:
        return json.loads(text, object_pairs_hook=_fields, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a name is given twice in one object")
    return fields


def _refuse_constant(constant: str) -> Never:
    raise ValueError(f"{constant} is no JSON")


def read_recipe(text: str, source: str) -> dict[str, Any]:
    """The fields of a recipe file: a JSON object, or the `dataset.json` of a dataset to make again.

    Args:
        text: the file's content.
        source: its name, for messages.

    Raises:
        RecipeError: when the text is not such an object.
    """
    try:
        value = parse_json(text)
    except ValueError as error:
        raise RecipeError(f"{source} is not a recipe: {error}. Give a JSON object of recipe fields") from error
    if isinstance(value, dict) and "recipe" in value and "format_version" in value:
        value = value["recipe"]
    if not isinstance(value, dict):
        raise RecipeError(f"{source} is not a recipe: it holds no JSON object. Give a JSON object of recipe fields")
    return value


def read_recipe_file(path: Path) -> dict[str, Any]:
    """The fields of a recipe file, of which no more is read than a recipe can have.

    Raises:
        RecipeError: when it cannot be read or is no such object.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MOST_JSON_BYTES + 1).decode("utf-8")
    except (OSError, ValueError) as error:
        raise RecipeError(f"recipe {path} cannot be read: {error}. Give a JSON file of recipe fields") from error
    return read_recipe(text, str(path))
