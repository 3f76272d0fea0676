"""A release is whole, the same every time, never written over, and not made of what is damaged."""

import json
import shutil
import signal
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import zarr

from pipeline.cli import main
from pipeline.columns import RELEASE_SCHEMA
from pipeline.dataset import Dataset, open_dataset
from pipeline.errors import DatasetError, FoundryError, InputError, RecipeError
from pipeline.release.archives import PART_RECORDS, SHARD_RECORDS, write_archives
from pipeline.release.package import Request, keep_released, make_release
from pipeline.release.place import default_place
from pipeline.store.files import all_files
from pipeline.store.place import Place
from pipeline.store.sharding import split_shard
from pipeline.store.signals import shard_file
from tests.bad_day import Fault, Surroundings
from tests.conftest import build

FILES = {
    "README.md",
    "DATASHEET.md",
    "CHANGELOG.md",
    "LICENSE",
    "NOTICE",
    "CITATION.cff",
    "SHA256SUMS.txt",
    "release.json",
    "columns.csv",
    "statements.csv",
    "flags.csv",
    "columns.json",
    "croissant.json",
    "ro-crate-metadata.json",
    "datapackage.json",
    "datacite.json",
    "sbom.cdx.json",
    "provenance.jsonld",
    "report.html",
    "quality/bounds.json",
    "quality/copies.json",
    "quality/coverage.json",
    "quality/identities.json",
    "quality/membership_inference.py",
    "quality/privacy.json",
    "quality/second_opinion.parquet",
    "code/load.py",
    "code/verify.py",
    "all/signals-000.zarr.zip",
    "all/measurements.parquet",
    "normal/signals-000.zarr.zip",
    "normal/measurements.parquet",
}


def content(folder: Place) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in all_files(folder)}


def test_it_holds_what_a_stranger_needs(release: Path) -> None:
    assert content(release).keys() == FILES
    assert (release / "LICENSE").read_text(encoding="utf-8").startswith("Attribution 4.0 International")
    assert "10.1038/s41598-021-01295-2" in (release / "CITATION.cff").read_text(encoding="utf-8")
    assert "not for clinical use" in (release / "README.md").read_text(encoding="utf-8").lower()


def test_the_checksums_hold(release: Path) -> None:
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS.txt"], cwd=release, check=True)
    assert len((release / "SHA256SUMS.txt").read_text(encoding="utf-8").splitlines()) == len(FILES) - 1


def test_counts_agree_across_readme_release_table_and_array(release: Path, dataset: Dataset) -> None:
    said = json.loads((release / "release.json").read_text(encoding="utf-8"))
    readme = (release / "README.md").read_text(encoding="utf-8")
    for name, count in (("all", 80), ("normal", dataset.manifest.verdicts["Normal"])):
        table = pq.read_table(release / name / "measurements.parquet")
        assert [(field.name, field.metadata) for field in table.schema] == [
            (field.name, field.metadata) for field in RELEASE_SCHEMA
        ]
        with zipfile.ZipFile(release / name / "signals-000.zarr.zip") as archive:
            shape = json.loads(archive.read("signal/zarr.json"))["shape"]
            assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert table.num_rows == said["datasets"][name]["records"] == shape[0] == count
        assert f"| `{name}/` | {count} |" in readme or f"| `{name}/` | {count} (" in readme


def test_a_record_has_its_fold_in_both_datasets_and_leads_back_to_its_seed(release: Path) -> None:
    everything, normal = (pq.read_table(release / name / "measurements.parquet") for name in ("all", "normal"))
    source = normal["source_record_id"].to_numpy()
    for name in ("strat_fold", "seed", "signal_sha256", "source_record_id"):
        assert everything[name].take(source).equals(normal[name]), name
    assert set(everything["seed"].to_pylist()) == {7}
    assert np.array_equal(everything["source_record_id"].to_numpy(), np.arange(80))


@pytest.mark.parametrize("part_records", [PART_RECORDS, SHARD_RECORDS])
def test_compressed_records_are_copied_into_archives_as_they_are(tmp_path: Path, part_records: int) -> None:
    """In more than one shard and more than one archive, the last of which is not full."""
    dataset = build(tmp_path / "d", records=160, seed=3, shard_records=96, second_opinion=0)
    (tmp_path / "all").mkdir()
    parts = write_archives(dataset, tmp_path / "all", part_records=part_records)
    assert [part.records for part in parts] == ([160] if part_records > 160 else [128, 32])
    kept = [bytes(chunk) for shard in (0, 1) for chunk in split_shard(_shard(dataset, shard), 96)]
    copied = list[bytes]()
    for part, stop in zip(parts, accumulate(part.records for part in parts), strict=True):
        store = zarr.storage.ZipStore(tmp_path / part.file, mode="r")
        array = zarr.open_array(store, path="signal", mode="r")
        assert (array.shards, array.chunks) == ((SHARD_RECORDS, 8, 5000), (1, 8, 5000))
        assert np.array_equal(np.asarray(array[:]), dataset.read(stop - part.records, stop))
        ids = np.asarray(zarr.open_array(store, path="record_id", mode="r")[:])
        assert np.array_equal(ids, np.arange(stop - part.records, stop))
        with zipfile.ZipFile(tmp_path / part.file) as archive:
            shards = [archive.read(name) for name in archive.namelist() if name.startswith("signal/c/")]
        index_bytes = 16 * SHARD_RECORDS + 4
        for shard, records in zip(shards, [min(128, part.records), part.records - 128], strict=False):
            index = np.frombuffer(shard[: index_bytes - 4], "<u8").reshape(-1, 2)[:records].tolist()
            copied += [shard[offset : offset + nbytes] for offset, nbytes in index]
    assert copied == kept


def _shard(dataset: Dataset, index: int) -> bytes:
    from pipeline.shards import Shard  # noqa: PLC0415

    return shard_file(dataset.folder, Shard(index, 96 * index, min(160, 96 * index + 96))).read_bytes()


def test_no_archive_can_be_larger_than_osf_takes() -> None:
    assert PART_RECORDS * (2 * 8 * 5000 + 16 + 16) < 5e9  # incompressible, with blosc's header and the index


def test_the_same_dataset_gives_the_same_bytes_and_a_rebuilt_one_too(
    tmp_path: Path, dataset: Dataset, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rebuilt one was finished at another time, which SOURCE_DATE_EPOCH takes out."""
    assert content(make_release(dataset, Request(tmp_path / "again", "1.0.0")).folder) == content(release)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    rebuilt = build(tmp_path / "d", records=80, seed=7, shard_records=32)
    one, other = (
        content(make_release(each, Request(tmp_path / name, "1.0.0")).folder)
        for each, name in ((dataset, "one"), (rebuilt, "other"))
    )
    assert {name for name in FILES if one[name] != other[name]} == set()
    assert b"2023-11-14T22:13:20Z" in one["release.json"]
    assert b"2023-11-14T22:13:20Z" not in (release / "release.json").read_bytes()


def unfinished(folder: Path) -> None:
    (folder / "dataset.json").unlink()


def altered(folder: Path) -> None:
    path = folder / "signals.zarr" / "signal" / "c" / "1" / "0" / "0"
    path.write_bytes(path.read_bytes()[:-9] + b"damage in")


def foreign(folder: Path) -> None:
    (folder / "mine").touch()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (unfinished, "is not finished"),
        (altered, "damaged in 1 places and is not released"),
        (foreign, "mine: is not part"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_not_whole_is_not_released(
    tmp_path: Path, dataset: Dataset, spoil: Callable[[Path], None], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(dataset.folder, tmp_path / "d"))
    spoil(folder)
    assert main(["release", str(folder), "--out", str(tmp_path / "r" / "x"), "--version", "1.0.0"]) == 4
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert reason in said
    assert not (tmp_path / "r").exists()


def test_a_subset_is_not_released_alone(tmp_path: Path, dataset: Dataset) -> None:
    with pytest.raises(DatasetError, match="is a subset, and a release has both"):
        make_release(open_dataset(dataset.folder / "normal"), Request(tmp_path / "x", "1.0.0"))


@pytest.mark.parametrize(
    ("request_", "kind", "reason"),
    [
        ({"version": "1.0"}, RecipeError, "no semantic version"),
        ({"version": "01.0.0"}, RecipeError, "no semantic version"),
        ({"exports": ["asc", "dicom"]}, RecipeError, "there is no export dicom"),
        ({"out": "{there}"}, InputError, "is there, and a release is never written over"),
        ({"out": "{file}/x"}, InputError, "is no folder"),
        ({"out": "{dataset}/x"}, InputError, "is a dataset"),
        ({"reference": Path("/nonexistent")}, InputError, "reference /nonexistent cannot be read"),
    ],
    ids=str,
)
def test_what_cannot_be_released_is_refused_at_once(
    tmp_path: Path, dataset: Dataset, request_: dict[str, object], kind: type[FoundryError], reason: str
) -> None:
    there, file = tmp_path / "there", tmp_path / "file"
    there.mkdir()
    file.touch()
    out = str(request_.pop("out", "{there}/new")).format(there=there, file=file, dataset=dataset.folder)
    with pytest.raises(kind, match=reason) as caught:
        make_release(dataset, Request(Path(out), **({"version": "1.0.0"} | request_)))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == [file, there]


def test_a_source_date_that_is_none_is_refused(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(RecipeError, match="SOURCE_DATE_EPOCH 'yesterday' is no number of seconds"):
        make_release(dataset, Request(tmp_path / "x", "1.0.0"))
    assert not list(tmp_path.iterdir())


def test_too_little_disk_is_refused_before_the_start(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10**7)
    monkeypatch.setattr("pipeline.release.place.shutil.disk_usage", lambda _: usage)
    with pytest.raises(DatasetError, match=r"has 0\.0 GB free, and the release needs 0\.1 GB"):
        make_release(dataset, Request(tmp_path / "x", "1.0.0"))
    assert not list(tmp_path.iterdir())


@pytest.fixture
def here(tmp_path: Path, dataset: Dataset) -> Iterator[Surroundings]:
    surroundings = Surroundings(tmp_path)
    surroundings.out.symlink_to(dataset.folder)
    yield surroundings
    surroundings.kill_everything()


def test_killed_it_leaves_nothing_under_its_name_and_goes_another_time(here: Surroundings, release: Path) -> None:
    out = here.folder / "rel"
    command = ["pipeline.cli", "release", str(here.out), "--out", str(out), "--version", "1.0.0"]
    held = here.start(*command, fault=Fault("wait", "pipeline.release.package.write_archives", "after", nth=2))
    here.wait_until_reached()
    status, said = _ended(here.start(*command))
    assert (status, said.count("\n")) == (4, 1)
    assert "is being built by another process" in said
    held.kill()
    held.communicate()
    assert not out.exists()
    process = here.start(*command, fault=Fault("SIGTERM", "pipeline.release.package.assess", nth=3))
    status, said = _ended(process)
    assert (status, out.exists(), (here.folder / ".rel.unfinished").exists()) == (128 + signal.SIGTERM, False, False)
    locale: dict[str, Any] = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}  # which changes no byte
    assert _ended(here.start(*command, **locale))[0] == 0
    assert content(out) == content(release)
    assert not (here.folder / ".rel.unfinished").exists()


def _ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    _, said = process.communicate(timeout=120)
    assert "Traceback" not in said
    return process.returncode, said


def test_a_build_keeps_its_dataset_released(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Once; and what is extended is the next version, beside the one that is there."""
    command = ["build", "--seed", "7", "--engine", "serial", "--out", str(tmp_path / "d"), "--records"]
    assert main([*command, "32"]) == 0
    first = content(default_place(tmp_path / "d") / "1.0.0")
    assert main([*command, "32"]) == 0
    assert "is released already as version 1.0.0, 32 records" in capsys.readouterr().out
    assert main([*command, "64"]) == 0
    assert "released as version 1.1.0, 64 records" in capsys.readouterr().out
    assert content(default_place(tmp_path / "d") / "1.0.0") == first
    assert sorted(path.name for path in default_place(tmp_path / "d").iterdir()) == ["1.0.0", "1.1.0"]
    assert keep_released(open_dataset(tmp_path / "d")).folder.name == "1.1.0"
