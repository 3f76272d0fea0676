"""The files of `schemas/`, generated from the code: `python -m pipeline.schemas schemas` writes them again."""

import json
import sys
from pathlib import Path

from pydantic import BaseModel

from pipeline.columns import RECORD_NAME, RELEASE_COLUMNS
from pipeline.dataset import Manifest
from pipeline.dictionary import dictionary
from pipeline.recipe import Recipe
from pipeline.release.manifest import ReleaseManifest
from pipeline.store.ledger import LedgerEntry, Plan


def schema_files() -> dict[str, str]:
    """Content of every schema file, by its name."""
    models: dict[str, type[BaseModel]] = {
        "recipe": Recipe,
        "plan": Plan,
        "ledger-entry": LedgerEntry,
        "dataset": Manifest,
        "release": ReleaseManifest,
    }
    contents: dict[str, object] = {f"{name}.schema.json": model.model_json_schema() for name, model in models.items()}
    contents["measurements.columns.json"] = dictionary([RECORD_NAME, *RELEASE_COLUMNS])
    return {name: json.dumps(content, indent=1, ensure_ascii=False) + "\n" for name, content in contents.items()}


def main() -> None:
    """Write the files into the folder given."""
    for name, text in schema_files().items():
        (Path(sys.argv[1]) / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
