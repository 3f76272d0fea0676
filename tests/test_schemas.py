"""The files of `schemas/` are what the code says, and what the code writes obeys them."""

import json
from pathlib import Path

import jsonschema
import pytest

from pipeline.dataset import Dataset
from pipeline.schemas import schema_files

SCHEMAS = Path(__file__).parents[1] / "schemas"


@pytest.mark.parametrize("name", sorted(schema_files()))
def test_schema_and_code_agree(name: str) -> None:
    assert (SCHEMAS / name).read_text() == schema_files()[name], "run `make schemas` and look at the difference"


def test_there_is_no_other_schema() -> None:
    assert {path.name for path in SCHEMAS.iterdir()} == schema_files().keys()


@pytest.mark.parametrize(
    ("file", "schema"),
    [
        ("dataset.json", "dataset"),
        ("normal/dataset.json", "dataset"),
        ("ledger/plan.json", "plan"),
        ("ledger/shard-00000.json", "ledger-entry"),
    ],
)
def test_what_is_written_obeys_its_schema(dataset: Dataset, file: str, schema: str) -> None:
    content = json.loads(Path(dataset.folder / file).read_text(encoding="utf-8"))
    jsonschema.validate(content, json.loads((SCHEMAS / f"{schema}.schema.json").read_text()))
