"""From what a user asked for to a plan that can be built, or one clear line."""

from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import RecipeError
from pipeline.generators import GENERATION_VERSION, load_generator
from pipeline.generators.checkpoint import checkpoint_sha256, published_checkpoint
from pipeline.interpret.rules import RULE_SET
from pipeline.measurement import MEASUREMENT_VERSION
from pipeline.recipe import PUBLISHED_CHECKPOINT_SHA256, Recipe, make_recipe
from pipeline.shards import DEFAULT_SHARD_RECORDS, MOST_SHARD_RECORDS, MOST_SHARDS, check_shard_records
from pipeline.store.ledger import Plan


def plan_build(
    recipe: Mapping[str, object],
    *,
    shard_records: int = DEFAULT_SHARD_RECORDS,
    checkpoint: Path | None = None,
) -> Plan:
    """Validate what a user asked for, before anything is touched.

    Args:
        recipe: fields of the recipe; those left out take their defaults.
        shard_records: records a shard.
        checkpoint: a checkpoint file other than the published one; its SHA-256 goes into the recipe.

    Raises:
        RecipeError: one line that names every fault.
    """
    fields = dict(recipe)
    if checkpoint is not None:
        found = checkpoint_sha256(checkpoint)
        if fields.setdefault("checkpoint_sha256", found) != found:
            raise RecipeError(
                f"checkpoint {checkpoint} is not the one of the recipe: its SHA-256 is {found}. Give the right file"
            )
    checked = make_recipe(fields)
    if checkpoint is None:
        _check_published(checked)
    else:
        load_generator(checked, checkpoint)  # a checkpoint that does not load is best refused here
    check_shard_records(shard_records)
    shards = -(-checked.records // shard_records)
    if shards > MOST_SHARDS:
        raise RecipeError(
            f"{checked.records} records in shards of {shard_records} are {shards} shards, and a dataset has at most "
            f"{MOST_SHARDS}. Use larger shards, up to {MOST_SHARD_RECORDS}, or several datasets of other seeds"
        )
    return Plan(
        recipe=checked,
        generation_version=GENERATION_VERSION,
        measurement_version=MEASUREMENT_VERSION,
        rule_set=RULE_SET,
        shard_records=shard_records,
    )


def _check_published(recipe: Recipe) -> None:
    path = published_checkpoint()
    if recipe.checkpoint_sha256 != PUBLISHED_CHECKPOINT_SHA256:
        raise RecipeError(
            f"the recipe's checkpoint {recipe.checkpoint_sha256[:12]}… is not the published one. "
            f"Give its file with --checkpoint"
        )
    if checkpoint_sha256(path) != PUBLISHED_CHECKPOINT_SHA256:
        raise RecipeError(
            f"checkpoint {path} was altered: its SHA-256 is not the published one. "
            f"Reinstall it: pip install --force-reinstall deepfake-ecg==1.1.2"
        )
