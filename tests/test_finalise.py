"""Finalise takes nothing but the plan's own shards, all of them, and can be interrupted anywhere."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.build import open_build
from pipeline.dataset import Dataset, open_dataset
from pipeline.errors import DatasetError
from pipeline.finalise import finalise
from pipeline.recipe import canonical_sha256
from pipeline.verify import verify
from tests.conftest import build, planned

PLAN: dict[str, Any] = {"records": 80, "seed": 7, "shard_records": 32}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of three shards."""
    return Path(build(tmp_path_factory.mktemp("finished") / "dataset", **PLAN, second_opinion=0).folder)


@pytest.fixture
def committed(tmp_path: Path, finished: Path) -> Path:
    """Its shards, not finalised."""
    folder = tmp_path / "dataset"
    shutil.copytree(finished, folder, ignore=shutil.ignore_patterns("dataset.json", "measurements.parquet", "normal"))
    return folder


def altered(path: Path, **fields: object) -> None:
    """Another document in a document's place, sealed as it should be."""
    document = json.loads(path.read_text(encoding="utf-8")) | fields
    document["sealed_by"] = canonical_sha256({name: value for name, value in document.items() if name != "sealed_by"})
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def gap(ledger: Path) -> None:
    (ledger / "shard-00001.json").unlink()


def overlap(ledger: Path) -> None:
    altered(ledger / "shard-00001.json", start=16, stop=48)


def wrong_place(ledger: Path) -> None:
    (ledger / "shard-00001.json").write_bytes((ledger / "shard-00000.json").read_bytes())


def other_format(ledger: Path) -> None:
    altered(ledger / "shard-00001.json", format_version=2)


def other_lineage(**recipe: Any) -> Callable[[Path], None]:
    def put(ledger: Path) -> None:
        altered(ledger / "shard-00001.json", lineage_digest=planned().model_copy(update=recipe).lineage_digest())

    return put


def other_shard(ledger: Path) -> None:
    for suffix in ("json", "parquet"):
        (ledger / f"shard-00003.{suffix}").write_bytes((ledger / f"shard-00002.{suffix}").read_bytes())


def other_signals(ledger: Path) -> None:
    stray = ledger.parent / "signals.zarr" / "signal" / "c" / "7" / "0"
    stray.mkdir(parents=True)
    shutil.copy(ledger.parent / "signals.zarr" / "signal" / "c" / "0" / "0" / "0", stray / "0")


def lost_part(ledger: Path) -> None:
    (ledger / "shard-00001.parquet").unlink()


def altered_part(ledger: Path) -> None:
    content = bytearray((ledger / "shard-00001.parquet").read_bytes())
    content[100] ^= 1
    (ledger / "shard-00001.parquet").write_bytes(content)


def altered_signals(ledger: Path) -> None:
    path = ledger.parent / "signals.zarr" / "signal" / "c" / "1" / "0" / "0"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)


FOREIGN = "is of another recipe, checkpoint or version of the program"


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (gap, r"lacks 1 of 3 shards: shard-00001; .*shard-00001\.json is missing"),
        (overlap, "shard-00001.json is of shard 1, records 16 to 47, in the place of records 32 to 63"),
        (wrong_place, "shard-00001.json is of shard 0, records 0 to 31, in the place of records 32 to 63"),
        (other_format, r"shard-00001\.json is damaged or of another version: format_version"),
        (other_lineage(recipe=planned(seed=8).recipe), FOREIGN),
        (other_lineage(recipe=planned().recipe.model_copy(update={"checkpoint_sha256": "0" * 64})), FOREIGN),
        (other_lineage(generation_version="1.0.0"), FOREIGN),
        (other_lineage(measurement_version="1.0.0"), FOREIGN),
        (other_lineage(rule_set="2020.01-1"), FOREIGN),
        (other_shard, r"shard-00003\.(json|parquet) is no part of the dataset"),
        (other_signals, "signal/c/7/0/0 is no part of the dataset"),
        (lost_part, r"shard-00001\.parquet is missing"),
        (altered_part, r"shard-00001\.parquet is missing or damaged"),
        (altered_signals, "c/1/0/0 is missing or damaged"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
@pytest.mark.usefixtures("one_generator")
def test_what_is_not_the_plans_is_refused_by_name_and_put_right_by_the_build(
    committed: Path, dataset: Dataset, spoil: Callable[[Path], None], reason: str
) -> None:
    spoil(committed / "ledger")
    with pytest.raises(DatasetError, match=reason) as caught:
        finalise(committed, planned(**PLAN), second_opinion=0)
    assert "\n" not in str(caught.value)
    assert not (committed / "dataset.json").exists()
    built = build(committed, **PLAN, second_opinion=0)
    assert built.manifest.content_digest == dataset.manifest.content_digest
    assert not verify(built)


def test_it_can_be_run_again_on_what_it_has_finished(committed: Path, dataset: Dataset) -> None:
    for _ in range(2):
        manifest = finalise(committed, planned(**PLAN), second_opinion=1)
        assert manifest.content_digest == dataset.manifest.content_digest
        assert not verify(open_dataset(committed))


def test_a_worker_that_comes_too_late_changes_nothing(tmp_path: Path, finished: Path, dataset: Dataset) -> None:
    """It has computed its shard, was given up as lost, and comes back when another one has committed it."""
    from pipeline.worker import Job, Worker  # noqa: PLC0415

    folder = tmp_path / "dataset"
    shutil.copytree(finished, folder)
    before = {path: (path.stat().st_ino, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}
    plan = planned(**PLAN)
    entry = Worker(Job(folder, plan)).run(plan.shards()[1])
    assert entry.finished_at < open_dataset(folder).manifest.provenance.finished_at  # type: ignore[union-attr]
    assert {path: (path.stat().st_ino, path.read_bytes()) for path in folder.rglob("*") if path.is_file()} == before
    assert open_dataset(folder).manifest.content_digest == dataset.manifest.content_digest


def test_of_two_workers_at_one_shard_the_first_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second had found no entry when it began to write."""
    from pipeline.worker import Job, Worker  # noqa: PLC0415

    plan = planned(**PLAN)
    with open_build(tmp_path / "dataset", plan):
        job = Job(tmp_path / "dataset", plan)
        first = Worker(job).run(plan.shards()[0])
        monkeypatch.setattr("pipeline.worker.known_entry", lambda *_: None)
        second = Worker(job).run(plan.shards()[0])
    assert second.finished_at == first.finished_at
