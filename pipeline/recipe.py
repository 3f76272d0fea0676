"""The recipe: everything that a user chooses and that changes a dataset's bytes."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import RecipeError

PUBLISHED_CHECKPOINT_SHA256 = "676619cb3b81ed637e5ef93fabd591220d047bc4f5e199ffce930a3affb05cba"
"""`deepfakeecg/checkpoints/g_stat.pt` of deepfake-ecg 1.1.2: the paper's Pulse2Pulse at epoch 2500."""


MOST_RECORDS = 10**9


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
        RecipeError: one line that names every field at fault.
    """
    try:
        return Recipe.model_validate(dict(fields))
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'recipe'}: {fault['msg']}, got {fault['input']!r:.80}"
            for fault in error.errors()
        )
        known = ", ".join(Recipe.model_fields)
        raise RecipeError(f"the recipe cannot be used: {faults}. Its fields are {known}") from error


def read_recipe(text: str, source: str) -> dict[str, Any]:
    """The fields of a recipe file: a JSON object, or the `dataset.json` of a dataset to make again.

    Args:
        text: the file's content.
        source: its name, for messages.

    Raises:
        RecipeError: when the text is not such an object.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{source} is not a recipe: {error}. Give a JSON object of recipe fields") from error
    if isinstance(value, dict) and "recipe" in value and "format_version" in value:
        value = value["recipe"]
    if not isinstance(value, dict):
        raise RecipeError(f"{source} is not a recipe: it holds no JSON object. Give a JSON object of recipe fields")
    return value
