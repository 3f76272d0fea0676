"""Whatever comes in from outside is read, or refused in one line of the program's own; nothing else ever happens.

A third of the inputs are bytes spoiled anywhere, which mostly fail at the first parser. The others are spoiled inside
their structure, sealed again, and get past it. A failure prints seed, number and input.
"""

import importlib
import json
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.damage import damaged_files
from pipeline.dataset import MANIFEST, Manifest, open_dataset, plan_of
from pipeline.errors import FoundryError
from pipeline.folder import check_folder
from pipeline.inputs import open_recordings
from pipeline.leads import LEADS, to_twelve_leads
from pipeline.recipe import Recipe, make_recipe, read_recipe
from pipeline.store.ledger import LedgerEntry, Plan, entry_file, known_entry, plan_file
from tests.conftest import build
from tests.fuzzing import Json, Names, Target, Wfdb, spoiled
from tests.test_inputs import GIVEN, leads_mv, write_record

SLOW_S = 5.0
"""No input may take longer: what is read is bounded, and so is what is done with it."""
LONGEST_MESSAGE = 4000
INPUTS = {"recipe": 27_000, "ledger entry": 25_000, "plan": 20_000, "manifest": 13_000, "WFDB": 10_000, "path": 5_000}
"""Of the long run, by target."""


def fuzz(target: Target, seed: str, count: int) -> int:
    """Give a target so many inputs; returns how many of them got past the first parser."""
    parsed = 0
    for number in range(count):
        rng = random.Random(f"{seed}/{number}")
        example = rng.choice(target.examples)
        data = spoiled(rng, example) if number % 3 == 0 else target.reshape(rng, example)
        parsed += target.parses(data)
        began = time.perf_counter()
        try:
            target.run(data)
        except FoundryError as error:
            told = str(error)
            fault = "a message of several lines" if "\n" in told and b"\n" not in data else ""
            fault = "a message without end" if len(told) > LONGEST_MESSAGE + len(data) else fault
        except BaseException as error:
            raise AssertionError(f"{error!r}\n{_shown(seed, number, data)}") from error
        else:
            fault = ""
        if time.perf_counter() - began > SLOW_S:
            fault = f"{time.perf_counter() - began:.1f} s"
        assert not fault, f"{fault}\n{_shown(seed, number, data)}"
    return parsed


def _shown(seed: str, number: int, data: bytes) -> str:
    return f"input {number} of seed {seed!r}, {len(data)} bytes: {data[:20_000]!r}"


def all_of(*calls: Callable[[], object]) -> None:
    """Make every call; the last refusal is raised in the end, so that its message is looked at."""
    refusals = []
    for call in calls:
        try:
            call()
        except FoundryError as error:
            refusals.append(error)
    if refusals:
        raise refusals[-1]


def recipe_target() -> Json:
    def run(data: bytes) -> None:
        make_recipe(read_recipe(data.decode("utf-8", "replace"), "recipe.json"))

    recipe = Recipe(seed=5, records=80).model_dump()
    examples = [{}, recipe, {"seed": 2**63 - 1}, {"format_version": 1, "recipe": recipe}]
    return Json([json.dumps(each).encode() for each in examples], run)


def ledger_target(folder: Path, plan: Plan) -> Json:
    (shard,) = plan.shards()
    path = entry_file(folder, shard)

    def run(data: bytes) -> None:
        path.write_bytes(data)
        known_entry(folder, plan, shard)

    return Json([path.read_bytes()], run, LedgerEntry)


def plan_target(folder: Path, plan: Plan) -> Json:
    def run(data: bytes) -> None:
        plan_file(folder).write_bytes(data)
        check_folder(folder, plan)

    return Json([plan_file(folder).read_bytes()], run, Plan)


def manifest_target(folder: Path) -> Json:
    def run(data: bytes) -> None:
        (folder / MANIFEST).write_bytes(data)
        dataset = open_dataset(folder)
        assert len(dataset) >= 0
        all_of(
            lambda: dataset.signal(0),
            lambda: dataset.signals,
            lambda: dataset.measurements(["record_id"]),
            lambda: dataset.source_record(0),
            lambda: plan_of(dataset.manifest).lineage_digest(),
            lambda: list(map(str, damaged_files(folder, dataset.manifest))),
        )

    return Json([(folder / MANIFEST).read_bytes(), (folder / "normal" / MANIFEST).read_bytes()], run, Manifest)


def wfdb_target(folder: Path) -> Wfdb:
    signal = leads_mv(8)
    write_record(folder, "sound", signal=signal)
    write_record(folder, "twelve", leads=LEADS, signal=to_twelve_leads(signal.T).T)
    (folder / "short.dat").write_bytes((folder / "sound.dat").read_bytes()[:-1])
    (folder / "empty.dat").write_bytes(b"")
    (folder / "noise.dat").write_bytes(np.random.default_rng(0).bytes(240_000))
    write_flac(folder / "flac.dat", (signal * 1000).astype(np.int16))
    (folder / "folder.dat").mkdir()
    (folder / "link.dat").symlink_to("/dev/zero")
    os.mkfifo(folder / "fifo.dat")
    header = folder / "r.hea"

    def run(data: bytes) -> None:
        header.write_bytes(data)
        read_all(header)

    return Wfdb([(folder / f"{name}.hea").read_bytes() for name in ("sound", "twelve")], run)


def write_flac(path: Path, samples: Any) -> None:
    importlib.import_module("soundfile").write(path, samples, 500, format="FLAC", subtype="PCM_16")


def read_all(source: Path, **stated: Any) -> None:
    for batch in open_recordings(source, **stated).read_batches():
        assert np.isfinite(batch.signals).all()


def path_target(folder: Path) -> Names:
    below = folder.joinpath(*"abcdefg")  # out of which no input has enough ".." to come
    write_record(below / "w", "r")
    write_record(below, "r")
    (below / "deep").mkdir()
    (below / "folder.hea").mkdir()
    (below / "loop").symlink_to("loop")
    (below / "out").symlink_to(folder)
    (below / "link.hea").symlink_to("/etc/passwd")
    np.save(below / "x.npy", np.zeros((1, 8, 5000), np.int16))
    np.savez(below / "x.npz", np.zeros(3))
    (below / "x.npz").rename(below / "zip.npy")
    np.save(below / "pickle.npy", np.array([{}], dtype=object), allow_pickle=True)
    for name in ("fifo.hea", "fifo.npy"):
        os.mkfifo(below / name)

    def run(data: bytes) -> None:
        source = Path(f"{below}/{os.fsdecode(data)}")
        if source.parts.count("..") <= 6:
            read_all(source, **GIVEN if b".npy" in data else {})

    return Names([b"w/r.hea", b"w", b"x.npy", b"out", b"link.hea"], run)


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Target]:
    folder = tmp_path_factory.mktemp("fuzz")
    dataset = build(folder / "dataset", records=1, shard_records=32, seed=7, second_opinion=0)
    plan = plan_of(dataset.manifest)
    shutil.copytree(dataset.folder, folder / "committed")
    shutil.copytree(dataset.folder / "ledger", folder / "planned" / "ledger")
    return {
        "recipe": recipe_target(),
        "ledger entry": ledger_target(folder / "committed", plan),
        "plan": plan_target(folder / "planned", plan),
        "manifest": manifest_target(Path(dataset.folder)),
        "WFDB": wfdb_target(folder / "wfdb"),
        "path": path_target(folder / "paths"),
    }


@pytest.mark.parametrize("name", INPUTS)
def test_spoiled_input_is_read_or_refused(targets: dict[str, Target], name: str) -> None:
    count = INPUTS[name] // 33
    assert fuzz(targets[name], f"{name} 0", count) >= count / 2


@pytest.mark.bad_day
@pytest.mark.timeout(1200)
def test_a_hundred_thousand_spoiled_inputs_are_read_or_refused(
    targets: dict[str, Target], record_property: Callable[[str, object], None]
) -> None:
    seed = os.environ.get("ECG_FOUNDRY_FUZZ_SEED", "1")
    parsed = {}
    for name, count in INPUTS.items():
        began = time.perf_counter()
        parsed[name] = fuzz(targets[name], f"{name} {seed}", count)
        share, seconds = 100 * parsed[name] / count, time.perf_counter() - began
        record_property("bad_day_figure", f"fuzz, {name}: {count:,} inputs, {share:.0f} % parsed, {seconds:.0f} s")
    total = sum(INPUTS.values())
    record_property(
        "bad_day_figure",
        f"fuzz: {total:,} inputs, {100 * sum(parsed.values()) / total:.0f} % passed the first parse, "
        f"0 exceptions other than the project's own",
    )
    assert total >= 100_000
    assert all(parsed[name] >= count / 2 for name, count in INPUTS.items())
