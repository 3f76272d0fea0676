"""A release that is not what it says is found out, by our `verify` and by the script that it carries."""

import json
import os
import shutil
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.cli import main
from pipeline.dataset import Dataset
from pipeline.errors import DatasetError
from pipeline.recipe import canonical_sha256
from pipeline.regenerate import Regenerator, draw_sample
from pipeline.release.checksums import CHECKSUMS, checksums_text, read_checksums
from pipeline.release.manifest import SignalsPart
from pipeline.release.released import ReleasedDataset, open_release, read_release
from pipeline.release.verify import verify_release
from pipeline.store.files import all_files, file_entry
from pipeline.store.sharding import index_bytes

ARCHIVE = Path("all/signals-000.zarr.zip")
TABLE = Path("normal/measurements.parquet")


@pytest.fixture
def folder(tmp_path: Path, release: Path) -> Path:
    """A release that can be spoiled."""
    return Path(shutil.copytree(release, tmp_path / "release"))


@pytest.fixture
def no_validators(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take ten seconds, and are tested with the metadata that they read."""
    monkeypatch.setattr("pipeline.release.verify.invalid_metadata", lambda _: ())


def sum_again(folder: Path) -> None:
    """Make the checksums right, as whoever means harm would."""
    entries = {path.relative_to(folder).as_posix(): file_entry(path) for path in all_files(folder)}
    entries.pop(CHECKSUMS)
    (folder / CHECKSUMS).write_text(checksums_text(entries), encoding="utf-8")


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0x10
    path.write_bytes(content)


def rewrite_table(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(path)), path)


def rewrite_archive(path: Path, change: Callable[[str, bytes], bytes], compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, change(name, content))


def exchange_two_records(name: str, content: bytes) -> bytes:
    if name != "signal/c/0/0/0":
        return content
    import google_crc32c  # noqa: PLC0415

    index = np.frombuffer(content[: index_bytes(128) - 4], "<u8").reshape(128, 2).copy()
    index[[3, 4]] = index[[4, 3]]
    pairs = index.tobytes()
    checksum = int(google_crc32c.value(pairs))
    return pairs + checksum.to_bytes(4, "little") + content[index_bytes(128) :]


def exchange_two_leads(name: str, content: bytes) -> bytes:
    if name != "lead/c/0":
        return content
    from numcodecs import zstd  # noqa: PLC0415

    swapped: bytes = zstd.compress(zstd.decompress(content).replace(b"V1", b"V9").replace(b"V2", b"V1"))
    return swapped


def add_member(path: Path, name: str) -> None:
    with zipfile.ZipFile(path, "a") as archive, warnings.catch_warnings(action="ignore"):
        archive.writestr(name, b"{}")


def forge(folder: Path, change: Callable[[Any], object]) -> None:
    """Change what a release says of itself, and seal it anew."""
    path = folder / "release.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    sealed = {name: value for name, value in document.items() if name != "sealed_by"}
    path.write_text(json.dumps(document | {"sealed_by": canonical_sha256(sealed)}, indent=1) + "\n", encoding="utf-8")


def set_column(name: str, values: Callable[[list[Any]], list[Any]]) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        at = table.column_names.index(name)
        new = pa.array(values(table[name].to_pylist()), table.schema.field(name).type)
        return table.set_column(at, table.schema.field(name), new)

    return change


def every_fold_the_first(folder: Path) -> None:
    for name in ("all", "normal"):
        rewrite_table(folder / name / "measurements.parquet", set_column("strat_fold", lambda v: [1] * len(v)))


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "a row is changed": (
        lambda folder: rewrite_table(folder / TABLE, set_column("qt_interval_ms", lambda v: [v[0] + 2, *v[1:]])),
        "normal/measurements.parquet: its table digest",
    ),
    "a row leads elsewhere": (
        lambda folder: rewrite_table(folder / TABLE, set_column("signals_row", lambda v: [v[1], v[0], *v[2:]])),
        "signals_file and signals_row do not lead",
    ),
    "another fold": (
        lambda folder: rewrite_table(folder / TABLE, set_column("strat_fold", lambda v: [v[0] % 10 + 1, *v[1:]])),
        "its rows are not those of the same records",
    ),
    "another seed": (
        lambda folder: rewrite_table(folder / TABLE, set_column("seed", lambda v: [v[0] + 1, *v[1:]])),
        "names another seed",
    ),
    "a row is missing": (
        lambda folder: rewrite_table(folder / TABLE, lambda table: table.slice(1)),
        "normal/measurements.parquet: cannot be checked",
    ),
    "a column is missing": (
        lambda folder: rewrite_table(folder / TABLE, lambda table: table.drop_columns(["noise_uv"])),
        "has other columns",
    ),
    "two signals are exchanged": (
        lambda folder: rewrite_archive(folder / ARCHIVE, exchange_two_records),
        "does not hold the signals that its rows were measured on (records 3 to 4)",
    ),
    "an archive is compressed": (
        lambda folder: rewrite_archive(folder / ARCHIVE, lambda _, content: content, zipfile.ZIP_DEFLATED),
        "is no shard of 128 records",
    ),
    "its unit is another": (
        lambda folder: rewrite_archive(folder / ARCHIVE, lambda _, content: content.replace(b'"uV"', b'"mV"')),
        "all/signals-000.zarr.zip: has another signal/zarr.json",
    ),
    "its leads are others": (
        lambda folder: rewrite_archive(folder / ARCHIVE, exchange_two_leads),
        "all/signals-000.zarr.zip: has another lead/c/0",
    ),
    "a member is there twice": (
        lambda folder: add_member(folder / ARCHIVE, "signal/zarr.json"),
        "has other members than an archive of 80 records",
    ),
    "a member leads out of it": (
        lambda folder: add_member(folder / ARCHIVE, "../../evil"),
        "has other members than an archive of 80 records",
    ),
    "every fold": (
        every_fold_the_first,
        "its strat_fold is not what its rows give",
    ),
    "a source": (
        lambda folder: rewrite_table(
            folder / "all" / "measurements.parquet", set_column("source_record_id", lambda v: [*v[:-1], None])
        ),
        "its source_record_id is not what its rows give",
    ),
    "a list is endless": (
        lambda folder: rewrite_table(
            folder / TABLE, set_column("r_peaks", lambda v: [np.full(3_000_000, 7, np.int16), *v[1:]])
        ),
        "it unpacks to more than",
    ),
    "README gives another verdict": (
        lambda folder: (folder / "README.md").write_text(
            (folder / "README.md").read_text(encoding="utf-8").replace("| Normal | ", "| Normal | 1"), encoding="utf-8"
        ),
        "records with the verdict Normal",
    ),
    "marks are others": (
        lambda folder: forge(folder, lambda it: it["datasets"]["all"]["marks"].update(quality_flags=79)),
        "its marks, counted, are not those of release.json",
    ),
    "an archive is none": (lambda folder: (folder / ARCHIVE).write_bytes(b"PK?"), "File is not a zip file"),
    "README gives other counts": (
        lambda folder: (folder / "README.md").write_text("80 records", encoding="utf-8"),
        "README.md: does not give",
    ),
}


@pytest.mark.usefixtures("no_validators")
@pytest.mark.parametrize("spoil", SPOILT, ids=lambda name: name.replace(" ", "-"))
def test_what_does_not_fit_together_is_found_though_every_checksum_holds(folder: Path, spoil: str) -> None:
    change, reason = SPOILT[spoil]
    change(folder)
    sum_again(folder)
    found = [str(problem) for problem in verify_release(folder)]
    assert any(reason in each for each in found), found


@pytest.mark.usefixtures("no_validators")
def test_a_release_that_was_used_as_it_says_is_still_whole(folder: Path, tmp_path: Path) -> None:
    """With the modules that Python compiled, and a drawing."""
    environment = {"PATH": "/usr/bin", "TMPDIR": str(tmp_path)}
    for command in (["code/load.py", "normal", "0"], ["-c", "import sys; sys.path.insert(0, 'code'); import load"]):
        subprocess.run([sys.executable, *command], cwd=folder, env=environment, check=True, capture_output=True)
    assert list(folder.rglob("*.pyc"))
    assert (tmp_path / "normal-0.svg").is_file()
    assert verify_release(folder) == []
    assert run_its_own(folder).returncode == 0


@pytest.mark.usefixtures("no_validators")
def test_files_that_are_missing_altered_or_more_are_named(folder: Path) -> None:
    (folder / "LICENSE").unlink()
    (folder / "all" / "mine").touch()
    flip(folder / "DATASHEET.md", 100)
    flip(folder / ARCHIVE, (folder / ARCHIVE).stat().st_size // 2)
    found = {problem.thing: problem for problem in verify_release(folder)}
    assert found["LICENSE"].reason == "is missing"
    assert found["all/mine"].reason == "is not in SHA256SUMS.txt"
    assert "is altered" in found["DATASHEET.md"].reason
    said = [problem for problem in verify_release(folder) if problem.thing == str(ARCHIVE)]
    assert any(problem.records for problem in said), said


def test_a_whole_release_is_whole_and_so_are_its_records_made_again(
    release: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With every standard's own validator."""
    assert main(["verify", str(release), "--regenerate", "3"]) == 0
    said = capsys.readouterr().out
    assert "80 records, every file, row and signal as it says" in said
    assert "made again: identical to the last bit" in said


def test_metadata_that_is_not_valid_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "datacite.json").write_text("{}", encoding="utf-8")
    sum_again(folder)
    assert main(["verify", str(folder)]) == 4
    assert "datacite.json: " in capsys.readouterr().out


@pytest.mark.usefixtures("no_validators")
def test_a_signal_of_another_seed_is_found_by_making_it_again(folder: Path) -> None:
    """A forger has sealed everything anew, and says that it is of a seed of which it is not."""
    forge(folder, lambda it: it["recipe"].update(seed=8))
    for name in ("all", "normal"):
        rewrite_table(folder / name / "measurements.parquet", set_column("seed", lambda values: [8] * len(values)))
    sum_again(folder)
    assert not verify_release(folder)
    dataset = open_release(folder)
    sample, _ = draw_sample(dataset, 2)
    with pytest.raises(DatasetError, match="is not what is stored"):
        Regenerator(dataset).compare(sample).outcome()


def test_a_release_reads_as_the_dataset_that_it_was_made_from(release: Path, dataset: Dataset) -> None:
    released = open_release(release)
    assert np.array_equal(released.read(60, 70), dataset.read(60, 70))
    assert released.read(80, 80).shape == (0, 8, 5000)
    assert released.measurements().equals(dataset.measurements())
    normal = ReleasedDataset(release, read_release(release), "normal")
    assert np.array_equal(normal.signal(0), dataset.signal(normal.source_record(0)))


CONTRADICTIONS: dict[str, tuple[Callable[[Any], object], str]] = {
    "one dataset": (lambda it: it["datasets"].pop("normal"), "does not describe all/ and normal/"),
    "a file elsewhere": (lambda it: it["datasets"]["all"].update(table="/etc/passwd"), "names other files for all/"),
    "an archive twenty times": (
        lambda it: it["datasets"]["all"].update(signals=20 * it["datasets"]["all"]["signals"]),
        "names other files for all/",
    ),
    "a huge archive": (
        lambda it: it["datasets"]["all"]["signals"][0].update(records=10**9),
        "has archives of 1000000000 records in all/, not 80",
    ),
    "a verdict too many": (lambda it: it["datasets"]["all"]["verdicts"].update(Normal=80), "has verdicts of"),
    "no status": (lambda it: it["datasets"]["normal"].update(statuses={}), "has statuses of 0 records in normal/"),
    "another recipe": (lambda it: it["recipe"].update(records=150_000), "has 80 records by a recipe of 150000"),
    "fewer normal ones": (
        lambda it: it["datasets"]["normal"].update(
            records=1, verdicts={"Normal": 1}, statuses={"partial": 1}, signals=[{**part(it), "records": 1}]
        ),
        "other records in normal/ than those with the verdict Normal",
    ),
}


def part(document: Any) -> dict[str, object]:
    return dict(document["datasets"]["normal"]["signals"][0])


@pytest.mark.parametrize(("change", "reason"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_release_that_contradicts_itself_is_one_line(
    folder: Path, change: Callable[[Any], object], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    forge(folder, change)
    assert main(["verify", str(folder)]) == 4
    said = capsys.readouterr().err
    assert reason in said
    assert said.count("\n") == 1


def test_more_records_than_a_dataset_has_in_shards_of_128_are_read(release: Path) -> None:
    """A release's shards are smaller than a dataset's may be."""
    many = 4_000_000
    whole = read_release(release)
    contents = whole.datasets["all"].model_copy(
        update={
            "records": many,
            "verdicts": {"Abnormal": many},
            "statuses": {"ok": many},
            "signals": [SignalsPart(file="all/signals-000.zarr.zip", records=many)],
        }
    )
    normal = whole.datasets["normal"].model_copy(update={"records": 0, "verdicts": {}, "statuses": {}, "signals": []})
    large = whole.model_copy(
        update={
            "recipe": whole.recipe.model_copy(update={"records": many}),
            "datasets": {"all": contents, "normal": normal},
        }
    )
    assert len(ReleasedDataset(release, large, "all")) == many


@pytest.mark.usefixtures("no_validators")
def test_a_pipe_in_the_place_of_a_text_is_not_waited_for(folder: Path) -> None:
    (folder / "README.md").unlink()
    os.mkfifo(folder / "README.md")
    assert [problem.thing for problem in verify_release(folder)] == ["README.md"]


@pytest.mark.parametrize(
    "line",
    ["0" * 64 + "  " + "a" * 300_000 + "!", "0" * 64 + "  ../x", "0" * 64 + "  /x", "x  y", "0" * 64 + "  a/./b"],
)
def test_checksums_that_lead_out_of_the_release_are_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / CHECKSUMS).write_text(line + "\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="is damaged in line 1"):
        read_checksums(tmp_path)


def run_its_own(folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-I", "-B", "code/verify.py"], cwd=folder, check=False, capture_output=True, text=True
    )


def test_the_script_that_it_carries_finds_nothing_wrong_with_it(release: Path) -> None:
    done = run_its_own(release)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        ("two signals are exchanged", "record 3 does not have the hash"),
        ("a row leads elsewhere", "rows of the table name it"),
        ("a row is missing", "release.json says"),
        ("README gives other counts", "README.md does not say"),
    ],
)
def test_the_script_that_it_carries_finds_what_is_wrong(folder: Path, spoil: str, reason: str) -> None:
    SPOILT[spoil][0](folder)
    assert f"{CHECKSUMS}" not in run_its_own(folder).stdout
    assert "is altered" in run_its_own(folder).stdout
    sum_again(folder)
    done = run_its_own(folder)
    assert done.returncode == 1
    assert reason in done.stdout
    assert "is altered" not in done.stdout


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: os.truncate(folder / ARCHIVE, 1000), "all: cannot be read: File is not a zip file"),
        (lambda folder: flip(folder / ARCHIVE, 100_000), "all: cannot be read: Bad CRC-32"),
        (lambda folder: (folder / CHECKSUMS).unlink(), f"{CHECKSUMS} is missing"),
        (lambda folder: (folder / "release.json").write_text("[]", encoding="utf-8"), "all: cannot be read"),
    ],
    ids=["cut short", "flipped", "no checksums", "another document"],
)
def test_the_script_that_it_carries_says_what_it_cannot_read_in_a_line(
    folder: Path, damage: Callable[[Path], object], reason: str
) -> None:
    damage(folder)
    done = run_its_own(folder)
    assert (done.returncode, done.stderr) == (1, "")
    assert reason in done.stdout


def test_the_script_that_it_carries_waits_for_no_pipe(folder: Path) -> None:
    (folder / "README.md").unlink()
    os.mkfifo(folder / "README.md")
    assert "README.md is missing" in run_its_own(folder).stdout
