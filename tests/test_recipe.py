"""The recipe refuses what it does not know, and its digest depends on nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import RecipeError
from pipeline.plan import plan_build
from pipeline.recipe import Recipe, make_recipe, read_recipe


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"recordz": 5}, "recordz"),
        ({"records": 0}, "records"),
        ({"records": -3}, "records"),
        ({"records": "many"}, "records"),
        ({"records": 2.5}, "records"),
        ({"records": True}, "records"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"generator": "wavegan"}, "generator"),
        ({"checkpoint_sha256": "abc"}, "checkpoint_sha256"),
    ],
)
def test_a_bad_field_is_named_in_one_line(fields: dict[str, object], named: str) -> None:
    with pytest.raises(RecipeError, match=named) as caught:
        make_recipe(fields)
    assert "\n" not in str(caught.value)


@given(st.integers(1, 10**9), st.integers(0, 2**63 - 1))
def test_lineage_ignores_the_number_of_records_and_nothing_else(records: int, seed: int) -> None:
    lineage = Recipe(records=records, seed=seed).lineage()
    assert lineage == Recipe(records=1, seed=seed).lineage()
    assert lineage != Recipe(records=records, seed=(seed + 1) % 2**63).lineage()


def test_a_recipe_file_may_be_a_manifest() -> None:
    fields = Recipe(seed=5).model_dump()
    assert read_recipe(Recipe(seed=5).model_dump_json(), "r.json") == fields
    assert read_recipe('{"format_version": 1, "recipe": {"seed": 5}}', "dataset.json") == {"seed": 5}


@pytest.mark.parametrize(
    "text",
    ['{"shard_records": 64}', '{"checkpoint": "x"}', '{"seed": null}', f'{{"seed": {"9" * 5000}}}', '{"a\\ud800": 1}'],
)
def test_a_recipe_file_holds_recipe_fields_alone(text: str) -> None:
    with pytest.raises(RecipeError, match="recipe"):
        plan_build(read_recipe(text, "r.json"))


@given(st.text())
def test_a_recipe_file_of_anything_is_read_or_refused(text: str) -> None:
    try:
        make_recipe(read_recipe(text, "r.json"))
    except RecipeError as error:
        assert str(error)


def test_more_shards_than_a_manifest_can_name_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"39063 shards, and a dataset has at most 30000\. Use larger shards"):
        plan_build({"records": 10_000_000})
    assert len(plan_build({"records": 10_000_000}, shard_records=512).shards()) == 19_532
