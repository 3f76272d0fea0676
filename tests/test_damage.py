"""Files of a dataset that are changed by chance: found, named with their records, and put right."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.damage import Problem
from pipeline.dataset import Dataset, open_dataset
from pipeline.digest import signal_sha256
from pipeline.errors import DatasetError, InputError
from pipeline.store.documents import write_document
from pipeline.store.files import all_files
from pipeline.verify import verify
from tests.conftest import build, planned

SHARD_RECORDS = 32
RECORDS = 160


def flip(path: Path, chance: Random) -> None:
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def truncate(path: Path, chance: Random) -> None:
    path.write_bytes(path.read_bytes()[: chance.randrange(path.stat().st_size)])


def delete(path: Path, _: Random) -> None:
    path.unlink()


def swap(path: Path, chance: Random) -> None:
    """With another file, of its kind if there is one."""
    top = next(parent for parent in path.parents if parent.name == "damaged")
    others = [other for other in all_files(top) if other.read_bytes() != path.read_bytes()]
    other = chance.choice([other for other in others if other.suffix == path.suffix] or others)
    ours, theirs = path.read_bytes(), other.read_bytes()
    path.write_bytes(theirs)
    other.write_bytes(ours)


def add(path: Path, chance: Random) -> None:
    """A file that nothing knows, beside it."""
    path.with_name(f"{path.name}.{chance.randrange(10**6)}").write_bytes(path.read_bytes())


DAMAGES: dict[str, Callable[[Path, Random], None]] = {
    "flip a bit": flip,
    "truncate": truncate,
    "delete": delete,
    "swap two files": swap,
    "add a file": add,
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Five shards."""
    return build(tmp_path_factory.mktemp("whole") / "dataset", records=RECORDS, seed=7, shard_records=SHARD_RECORDS)


def kind_of(name: str) -> str:
    """Files of one kind are as likely to be damaged as those of another, however many there are of it."""
    return "".join(character for character in name if not character.isdigit())


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """By which a file that was written again is told from one that was not."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns) for path in all_files(folder)
    }


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in all_files(folder)}


def may_be_rewritten(damaged: set[str]) -> set[str]:
    """The damaged files, and of damaged shards all three and the manifest, in which their new entry's hash is."""
    allowed = set(damaged)
    for name in damaged:
        parts = Path(name).parts
        if parts[0] == "ledger" and parts[1].startswith("shard-"):
            index = int(parts[1][len("shard-") :].split(".")[0])
        elif parts[:3] == ("signals.zarr", "signal", "c"):
            index = int(parts[3])
        else:
            continue
        files = (
            f"ledger/shard-{index:05d}.json",
            f"ledger/shard-{index:05d}.parquet",
            f"signals.zarr/signal/c/{index}/0/0",
        )
        allowed |= {*files, "dataset.json"}
    return allowed


def lost_signals(name: str, folder: Path, whole: Dataset) -> set[int]:
    """The records whose signal, read as anybody would, is not what it was."""
    place = "normal" if name.startswith("normal/") else "."
    damaged, hashes = open_dataset(folder / place), open_dataset(whole.folder / place).measurements(["signal_sha256"])
    lost = set()
    for record, expected in enumerate(hashes.column(0).to_pylist()):
        try:
            if signal_sha256(damaged.signal(record)[np.newaxis])[0] != expected:
                lost.add(record)
        except DatasetError:
            lost.add(record)
    return lost


def lost_rows(name: str, folder: Path, whole: Dataset) -> set[int]:
    """The rows that do not say what they did; all where the table cannot be read."""
    rows = pq.read_table(whole.folder / name).to_pylist()
    try:
        found = pq.read_table(folder / name).to_pylist()
    except (OSError, pa.ArrowException):
        found = []
    return {i for i in range(len(rows)) if len(found) != len(rows) or found[i] != rows[i]}


@pytest.mark.parametrize("number", [8, pytest.param(500, marks=(pytest.mark.bad_day, pytest.mark.timeout(1200)))])
@pytest.mark.usefixtures("one_generator")
def test_random_damage_is_found_named_and_put_right(
    tmp_path: Path, whole: Dataset, number: int, record_property: Callable[[str, object], None]
) -> None:
    chance = Random(number)
    folder = tmp_path / "damaged"
    shutil.copytree(whole.folder, folder)
    names = sorted(content(folder))
    kinds = sorted({kind_of(name) for name in names})
    outcomes: Counter[str] = Counter()
    for _ in range(number):
        kind = chance.choice(kinds)
        name = chance.choice([each for each in names if kind_of(each) == kind])
        how = chance.choice(list(DAMAGES))
        before = content(folder)
        DAMAGES[how](folder / name, chance)
        after = content(folder)
        damaged = {each for each in before.keys() | after.keys() if before.get(each) != after.get(each)}
        what = f"{how}: {', '.join(sorted(damaged))}"
        assert damaged, what
        outcomes[_find(folder, whole, damaged, what)] += 1
        _repair(folder, whole, damaged, what)
    assert sum(outcomes.values()) == number
    named = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
    figure = f"damage: {number} at random, among {len(names)} files of {len(kinds)} kinds: {number} found ({named})"
    record_property(
        "bad_day_figure", f"{figure}, {number} put right or rightly refused, 0 silent, nothing else rewritten"
    )


def _find(folder: Path, whole: Dataset, damaged: set[str], what: str) -> str:
    """Verify names every damaged file, and the records."""
    try:
        problems = verify(open_dataset(folder))
    except DatasetError as error:
        assert "dataset.json" in damaged, what
        assert "dataset.json" in str(error), what
        return "refused, the manifest being damaged"
    found = {problem.thing: problem for problem in problems}
    if "dataset.json" in damaged:  # by which alone all others are known
        assert "dataset.json" in found, what
        return "named, the manifest being another"
    assert damaged <= found.keys(), what
    for name in damaged & set(whole.manifest.files):
        _assert_records_named(found[name], folder, whole, what)
    return "named"


def _assert_records_named(problem: Problem, folder: Path, whole: Dataset, what: str) -> None:
    name, records = problem.thing, set(problem.records)
    if name.startswith("ledger/shard-"):
        first = SHARD_RECORDS * int(Path(name).stem.removeprefix("shard-"))
        assert records == set(range(first, first + SHARD_RECORDS)), what
    elif "signals.zarr/signal/c/" in name:
        first = SHARD_RECORDS * int(name.split("/c/")[1].split("/")[0])
        assert records == lost_signals(name, folder, whole) & set(range(first, first + SHARD_RECORDS)), what
    elif name.endswith("measurements.parquet"):
        assert records == lost_rows(name, folder, whole), what
    elif "signals.zarr" not in name:
        assert not records, what


def _repair(folder: Path, whole: Dataset, damaged: set[str], what: str) -> None:
    """A build makes what was damaged, byte for byte, and rewrites nothing else; a stray beside ours is refused."""
    before = state(folder)
    strays = {
        name for name in damaged if "/" not in name and name not in whole.manifest.files and name != "dataset.json"
    }
    if strays:
        with pytest.raises(DatasetError, match=r"is no part of the dataset\. Move it elsewhere"):
            build(folder, records=RECORDS, seed=7, shard_records=SHARD_RECORDS)
        assert state(folder) == before, what
        (folder / strays.pop()).unlink()
    build(folder, records=RECORDS, seed=7, shard_records=SHARD_RECORDS)
    after = state(folder)
    rewritten = {name for name in before.keys() & after.keys() if before[name] != after[name]}
    if "dataset.json" not in damaged:
        assert rewritten <= may_be_rewritten(damaged), what
    repaired = open_dataset(folder)
    assert not verify(repaired), what
    assert repaired.manifest.content_digest == whole.manifest.content_digest, what
    originals = content(Path(whole.folder))
    for name, bytes_now in content(folder).items():
        if name != "dataset.json" and not (
            name.startswith("ledger/shard") and name.endswith(".json")
        ):  # which tell the time
            assert bytes_now == originals[name], f"{what}: {name}"
    assert content(folder).keys() == originals.keys(), what


def test_the_manifest_of_the_subset_in_the_place_of_the_dataset_s(tmp_path: Path, whole: Dataset) -> None:
    """It knows of no ledger, and by it everything else would be foreign."""
    folder = tmp_path / "damaged"
    shutil.copytree(whole.folder, folder)
    before = content(folder)
    shutil.copy(folder / "normal" / "dataset.json", folder / "dataset.json")
    assert [problem.thing for problem in verify(open_dataset(folder))] == ["dataset.json"]
    build(folder, records=RECORDS, seed=7, shard_records=SHARD_RECORDS)
    assert not verify(open_dataset(folder))
    assert {name for name in before if content(folder)[name] != before[name]} == {"dataset.json"}


@pytest.mark.usefixtures("one_generator")
def test_a_link_among_the_signals_is_replaced_in_one_go(tmp_path: Path, whole: Dataset) -> None:
    """When the dataset is extended, so that there is no manifest to go by."""
    folder = Path(shutil.copytree(whole.folder, tmp_path / "damaged"))
    chunks, elsewhere = folder / "signals.zarr" / "signal" / "c", tmp_path / "elsewhere"
    chunks.rename(elsewhere)
    chunks.symlink_to(elsewhere)
    before = content(elsewhere)
    extended = build(folder, records=RECORDS + SHARD_RECORDS, seed=7, shard_records=SHARD_RECORDS)
    assert not verify(extended)
    assert not chunks.is_symlink()
    assert content(elsewhere) == before


def test_rows_that_are_lost_and_parts_that_cannot_be_read_are_named(
    tmp_path: Path, whole: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*_: object) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pipeline.damage.read_verified", unreadable)
    folder = Path(shutil.copytree(whole.folder, tmp_path / "damaged"))
    (folder / "measurements.parquet").write_bytes(b"")
    [problem] = verify(open_dataset(folder))
    assert (problem.thing, list(problem.records)) == ("measurements.parquet", list(range(RECORDS)))


@pytest.mark.parametrize("change", [lambda text: text.replace("T", "t"), lambda text: text[:-1]], ids=["T", "cut"])
def test_a_manifest_that_says_the_same_in_other_bytes_is_altered(
    tmp_path: Path, whole: Dataset, change: Callable[[str], str]
) -> None:
    folder = Path(shutil.copytree(whole.folder, tmp_path / "damaged"))
    manifest = folder / "dataset.json"
    head, name, rest = manifest.read_text(encoding="utf-8").partition('"finished_at"')
    manifest.write_text(head + name + change(rest), encoding="utf-8")
    with pytest.raises(DatasetError, match="was altered"):
        open_dataset(folder)


def test_another_dataset_s_plan_does_not_keep_a_dataset_from_being_repaired(tmp_path: Path, whole: Dataset) -> None:
    folder = Path(shutil.copytree(whole.folder, tmp_path / "damaged"))
    plan = planned(records=RECORDS + 32, seed=7, shard_records=SHARD_RECORDS)
    write_document(folder / "ledger" / "plan.json", plan)
    assert [problem.thing for problem in verify(open_dataset(folder))] == ["ledger/plan.json"]
    assert not verify(build(folder, records=RECORDS, seed=7, shard_records=SHARD_RECORDS))


@pytest.mark.parametrize("place", ["mine", "ledger/mine", "normal/mine/deeper"])
def test_no_dataset_is_built_inside_another(tmp_path: Path, whole: Dataset, place: str) -> None:
    folder = Path(shutil.copytree(whole.folder, tmp_path / "outer"))
    with pytest.raises(InputError, match=f"{folder}.* is a dataset, in which a foreign file is damage"):
        build(folder / place, records=32)
    assert content(folder) == content(Path(whole.folder))


def test_a_name_that_steers_a_terminal_is_shown_harmless(tmp_path: Path, whole: Dataset) -> None:
    folder = Path(shutil.copytree(whole.folder, tmp_path / "damaged"))
    (folder / "ledger" / "x\ny\x1b[31m").touch()
    [problem] = verify(open_dataset(folder))
    assert str(problem) == "ledger/x y\\x1b[31m: is not part of the dataset"
