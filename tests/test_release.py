"""A release is whole, the same every time, and opens where nothing of ours is installed."""

import json
import shutil
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.columns import SUBSET_SCHEMA
from pipeline.dataset import Dataset
from pipeline.store.files import all_files
from tests.conftest import build


@pytest.fixture
def release(dataset: Dataset) -> Path:
    return dataset.folder / "release"


def test_it_holds_what_a_stranger_needs(release: Path) -> None:
    names = {path.relative_to(release).as_posix() for path in all_files(release)}
    assert names == {
        "README.md",
        "LICENSE",
        "NOTICE",
        "CITATION.cff",
        "SHA256SUMS.txt",
        "columns.json",
        "all/signals.zarr.zip",
        "all/measurements.parquet",
        "normal/signals.zarr.zip",
        "normal/measurements.parquet",
    }
    assert (release / "LICENSE").read_text().startswith("Attribution 4.0 International")
    assert "10.1038/s41598-021-01295-2" in (release / "CITATION.cff").read_text()
    assert "not for clinical use" in (release / "README.md").read_text().lower()
    assert "$" not in (release / "README.md").read_text()


def test_the_checksums_hold(release: Path) -> None:
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS.txt"], cwd=release, check=True)
    assert len((release / "SHA256SUMS.txt").read_text().splitlines()) == len(all_files(release)) - 1


def test_counts_agree_across_readme_table_array_and_manifest(release: Path, dataset: Dataset) -> None:
    normal = pq.read_table(release / "normal" / "measurements.parquet")
    assert normal.schema.names == SUBSET_SCHEMA.names
    assert normal.num_rows == dataset.manifest.verdicts["Normal"]
    assert f"80 records, {normal.num_rows} of them normal" in (release / "README.md").read_text()
    with zipfile.ZipFile(release / "normal" / "signals.zarr.zip") as archive:
        assert json.loads(archive.read("signal/zarr.json"))["shape"][0] == normal.num_rows
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


def test_every_column_is_in_the_dictionary(release: Path) -> None:
    known = {column["name"] for column in json.loads((release / "columns.json").read_text())}
    assert known >= set(pq.read_schema(release / "normal" / "measurements.parquet").names)


def test_the_same_dataset_gives_the_same_bytes(tmp_path: Path, release: Path) -> None:
    again = build(tmp_path / "d", records=80, seed=7, shard_records=64).folder / "release"
    for path in all_files(release):
        assert path.read_bytes() == (again / path.relative_to(release)).read_bytes(), path.name


def test_its_readme_loads_it_without_our_code(release: Path, tmp_path: Path) -> None:
    """The README's own example, run from a copy of the release where our packages cannot be imported."""
    copy = tmp_path / "release"
    shutil.copytree(release, copy)
    example = (copy / "README.md").read_text().split("```python\n")[1].split("```")[0]
    guard = "import sys; sys.modules['pipeline'] = sys.modules['flows'] = None\n"
    done = subprocess.run(
        [sys.executable, "-I", "-c", guard + textwrap.dedent(example)],
        cwd=copy,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("[")
