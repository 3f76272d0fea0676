"""What several tests share: a small real dataset, and where recordings from outside are."""

import os
from pathlib import Path
from typing import Any

import pytest

from pipeline.build import build_dataset
from pipeline.dataset import Dataset
from pipeline.plan import plan_build
from pipeline.second_opinion import DEFAULT_SHARE
from pipeline.shards import DEFAULT_SHARD_RECORDS
from pipeline.store.ledger import Plan

RECORDINGS = Path(os.environ.get("ECG_FOUNDRY_RECORDINGS", Path(__file__).parents[2] / "shared" / "data"))
"""Where LUDB, MUSE exports and raw ECGs are; tests that need them skip where they are not."""


def build(
    out: Path,
    *,
    engine: str = "serial",
    workers: int | None = None,
    release: bool = True,
    second_opinion: float = DEFAULT_SHARE,
    **recipe_and_layout: Any,
) -> Dataset:
    """Build a dataset the way the command line does."""
    plan = planned(**recipe_and_layout)
    return build_dataset(
        out, plan, engine=engine, workers=workers, release=release, second_opinion=second_opinion
    ).dataset


def planned(shard_records: int = DEFAULT_SHARD_RECORDS, checkpoint: Path | None = None, **recipe: Any) -> Plan:
    """A plan from flat fields."""
    return plan_build(recipe, shard_records=shard_records, checkpoint=checkpoint)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Eighty real records in two shards; tests must not change it."""
    return build(tmp_path_factory.mktemp("shared") / "dataset", records=80, seed=7, shard_records=64)


@pytest.fixture
def recordings() -> Path:
    """The folder of real recordings; a user's clone has none."""
    if not RECORDINGS.is_dir():
        pytest.skip(f"no recordings at {RECORDINGS}")
    return RECORDINGS
