"""A newcomer's path: from a release alone, with the tools that people have, and none of our code."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
import xarray as xr
import zarr

from pipeline.dataset import Dataset, open_dataset
from pipeline.release.metadata.sbom import requirements

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run_with_only(tmp_path: Path, release: Path) -> Run:
    """Run a program in the release where nothing is installed but what is named and what that needs."""

    def run(code: str, *distributions: str) -> "subprocess.CompletedProcess[str]":
        site = tmp_path / "-".join(("site", *distributions))
        if not site.exists():
            site.mkdir()
            for name in {name for each in distributions for name in requirements(each)}:
                found = distribution(name)
                for top in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
                    if not (site / top).exists():
                        (site / top).symlink_to(Path(str(found.locate_file(top))))
        alone = f"import sys; sys.dont_write_bytecode = True; sys.path.append({str(site)!r})\n"
        return subprocess.run(
            [sys.executable, "-I", "-S", "-c", alone + code], cwd=release, check=False, capture_output=True, text=True
        )

    return run


NEWCOMER = """
import sys

sys.path.insert(0, "code")
from load import Records, plot, read_rows, twelve_leads

long_qt = read_rows("all", ["record_id", "qt_interval_ms"], filters=[("qt_interval_ms", ">", 440)])
records = Records("all")
signal = records[{record}]
plot(signal, {drawing!r})
print(long_qt["record_id"].to_pylist())
print(signal.dtype, signal.shape, len(records), int(signal.astype("int64").sum()), twelve_leads(signal).shape)
"""


def test_a_newcomer_loads_plots_finds_and_verifies(run_with_only: Run, dataset: Dataset, tmp_path: Path) -> None:
    drawing = tmp_path / "ecg.svg"
    done = run_with_only(NEWCOMER.format(record=5, drawing=str(drawing)), "numpy", "zarr", "pyarrow")
    assert done.returncode == 0, done.stderr
    table = dataset.measurements(["record_id", "qt_interval_ms"]).to_pandas()
    long_qt = table.record_id[table.qt_interval_ms > 440].tolist()
    total = int(dataset.signal(5).astype(np.int64).sum())
    assert done.stdout.splitlines() == [str(long_qt), f"int16 (8, 5000) 80 {total} (12, 5000)"]
    assert long_qt
    assert drawing.read_text(encoding="utf-8").count("<polyline") == 12
    its_own = "sys.argv = ['verify.py']; import runpy; runpy.run_path('code/verify.py', run_name='__main__')"
    verified = run_with_only(its_own, "numpy", "zarr", "pyarrow")
    assert (verified.returncode, verified.stderr) == (0, "")


def test_what_is_not_installed_there_cannot_be_imported(run_with_only: Run) -> None:
    for module in ("torch", "pandas", "pipeline", "matplotlib", "scipy"):
        assert f"No module named '{module}'" in run_with_only(f"import {module}", "numpy", "zarr", "pyarrow").stderr


def test_the_readme_s_examples_run(run_with_only: Run, release: Path) -> None:
    readme = (release / "README.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    assert len(examples) == 2
    for example, more in zip(examples, ((), ("xarray",)), strict=True):
        done = run_with_only(example, "numpy", "zarr", "pyarrow", *more)
        assert done.returncode == 0, done.stderr
    (query,) = re.findall(r"```sql\n(.*?)```", readme, re.DOTALL)
    found = duckdb.sql(re.sub(r"'(\w+/)", rf"'{release}/\1", query))
    assert found is not None
    assert len(found.fetchall()) > 0


@pytest.mark.filterwarnings("error")
def test_xarray_by_lead_and_record_in_place(release: Path, dataset: Dataset) -> None:
    normal = open_dataset(dataset.folder / "normal")
    store = zarr.storage.ZipStore(release / "normal" / "signals-000.zarr.zip", mode="r")
    opened = xr.open_zarr(store, consolidated=False).set_xindex("record_id")
    assert opened.signal.dtype == np.int16
    assert np.array_equal(opened.signal.sel(lead="V5", record_id=3).values, normal.signal(3)[6])


def test_pandas_polars_and_duckdb_agree_and_join_by_name(release: Path) -> None:
    path = release / "normal" / "measurements.parquet"
    query = f"select source_record_id from '{path}' where qt_interval_ms > 420 and strat_fold <= 8 order by record_id"
    relation = duckdb.sql(query)
    assert relation is not None
    by_sql = [row[0] for row in relation.fetchall()]
    long_qt = (pl.col("qt_interval_ms") > 420) & (pl.col("strat_fold") <= 8)
    by_polars = pl.scan_parquet(path).filter(long_qt).collect()["source_record_id"].to_list()
    frame = pd.read_parquet(path)
    by_pandas = frame.source_record_id[(frame.qt_interval_ms > 420) & (frame.strat_fold <= 8)].tolist()
    assert by_sql == by_polars == by_pandas
    assert 0 < len(by_sql) < len(frame)


class Training(torch.utils.data.Dataset[Any]):
    """What a user would write: the table leads to the signals, and an archive is opened in the worker that reads it."""

    def __init__(self, folder: Path) -> None:
        rows = pd.read_parquet(folder / "measurements.parquet", columns=["signals_file", "signals_row", "strat_fold"])
        self.folder, self.rows = folder, rows[rows.strat_fold <= 8].reset_index(drop=True)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, at: int) -> torch.Tensor:
        row = self.rows.iloc[at]
        store = zarr.storage.ZipStore(self.folder / row.signals_file, mode="r")
        signal = zarr.open_array(store, path="signal", mode="r")[int(row.signals_row)]
        return torch.from_numpy(np.asarray(signal))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_torch_data_loader_over_the_training_folds(release: Path, dataset: Dataset, workers: int) -> None:
    training = Training(release / "normal")
    loader = torch.utils.data.DataLoader(
        training, batch_size=16, num_workers=workers, multiprocessing_context="spawn" if workers else None
    )
    batches = torch.cat(list(loader)).numpy()
    normal = open_dataset(dataset.folder / "normal")
    frame = pd.read_parquet(release / "normal" / "measurements.parquet", columns=["record_id", "strat_fold"])
    kept = frame.record_id[frame.strat_fold <= 8].tolist()
    assert 0 < len(kept) < len(normal)
    assert np.array_equal(batches, normal.read(0, len(normal))[kept])


def test_the_dictionary_speaks_of_every_column(release: Path) -> None:
    columns = json.loads((release / "columns.json").read_text(encoding="utf-8"))
    names = [column["name"] for column in columns]
    for name in ("all", "normal"):
        assert pl.read_parquet_schema(release / name / "measurements.parquet").keys() == set(names)
    assert pd.read_csv(release / "columns.csv", keep_default_na=False).to_dict("records") == columns
