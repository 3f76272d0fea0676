"""People load a dataset with the tools they have, without our code."""

from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow.dataset
import pytest
import torch
import xarray as xr
import zarr

from pipeline.dataset import Dataset


def test_zarr(dataset: Dataset) -> None:
    signal = zarr.open_array(dataset.folder / "signals.zarr" / "signal", mode="r")
    assert (signal.shape, signal.chunks) == ((80, 8, 5000), (1, 8, 5000))
    assert signal.dtype == np.dtype("int16")
    assert np.array_equal(np.asarray(signal[70]), dataset.signal(70))
    assert "scale_factor" not in signal.attrs
    assert signal.attrs["units"] == "uV"


@pytest.mark.filterwarnings("error")
def test_xarray_by_lead_name_and_still_int16(dataset: Dataset) -> None:
    opened = xr.open_zarr(dataset.folder / "signals.zarr", consolidated=False)
    assert opened.signal.dims == ("record", "lead", "sample")
    assert opened.signal.dtype == np.int16
    assert np.array_equal(opened.signal.sel(lead="V5").isel(record=3).values, dataset.signal(3)[6])


def test_pyarrow_duckdb_and_polars_agree(dataset: Dataset) -> None:
    path = str(dataset.folder / "measurements.parquet")
    long_qt = pyarrow.dataset.field("qt_interval_ms") > 400
    rows = pyarrow.dataset.dataset(path).to_table(columns=["record_id"], filter=long_qt)["record_id"].to_pylist()
    by_sql = sql(f"select record_id from '{path}' where qt_interval_ms > 400 order by record_id")
    by_polars = pl.scan_parquet(path).filter(pl.col("qt_interval_ms") > 400).collect()["record_id"].to_list()
    assert rows == by_sql == by_polars
    assert 0 < len(rows) < 80
    normal = sql(f"select count(*) from '{path}' where list_contains(statements, 1684)")
    assert normal == [dataset.manifest.verdicts["Normal"]]


def sql(query: str) -> list[Any]:
    relation = duckdb.sql(query)
    assert relation is not None
    return [row[0] for row in relation.fetchall()]


class Records(torch.utils.data.Dataset[Any]):
    """What a user would write: opens the array lazily, in the worker."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __len__(self) -> int:
        return 80

    def __getitem__(self, record: int) -> torch.Tensor:
        return torch.from_numpy(np.asarray(zarr.open_array(self.path, mode="r")[record]))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_torch_data_loader(dataset: Dataset, workers: int) -> None:
    records = Records(str(dataset.folder / "signals.zarr" / "signal"))
    loader = torch.utils.data.DataLoader(
        records, batch_size=16, num_workers=workers, multiprocessing_context="spawn" if workers else None
    )
    batches = torch.cat(list(loader))
    assert np.array_equal(batches.numpy(), dataset.signals[:])
