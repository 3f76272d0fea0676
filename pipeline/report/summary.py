"""The summary of a dataset: Table 2 beside the paper's, the normal share, the reasons, sizes and how to load it."""

from pipeline.dataset import Dataset
from pipeline.report.records import read_records
from pipeline.report.statistics import Statistics, statistics
from pipeline.report.text import CAVEAT, doubts_text, identity, reasons_text, shares_text, table_2_text
from pipeline.store.files import bytes_on_disk


def summarise(dataset: Dataset, *, complete: bool = False, numbers: Statistics | None = None) -> str:
    """The summary as text, with the missing count beside every statistic.

    Args:
        dataset: what to summarise.
        complete: say first that a build found nothing left to do.
        numbers: of its records, where they are known already.
    """
    numbers = numbers or statistics(read_records(dataset))
    found = [f"{dataset.folder} is complete and undamaged: no record was left to make."] if complete else []
    parts = [
        *found,
        identity(dataset.manifest),
        shares_text(numbers.shares),
        table_2_text(numbers.table_2),
        CAVEAT,
        reasons_text(numbers.reasons, numbers.not_normal),
        doubts_text(numbers),
        _places(dataset),
        _loading(dataset),
    ]
    return "\n\n".join(parts) + "\n"


def record_title(dataset: Dataset, record: int) -> str:
    """One line on a record: its number, its measured rate and intervals, its verdict."""
    shown = {
        "heart_rate_bpm": "{} bpm",
        "pr_interval_ms": "PR {}",
        "qrs_duration_ms": "QRS {}",
        "qt_interval_ms": "QT {}",
        "qtc_fridericia_ms": "QTcF {} ms",
        "verdict": "{}",
    }
    row = dataset.measurements(list(shown)).slice(record, 1).to_pylist()[0]
    values = [text.format("–" if row[name] is None else row[name]) for name, text in shown.items()]
    return "  ".join([f"Record {record}", *values])


def _places(dataset: Dataset) -> str:
    rows = []
    for name in ("signals.zarr", "measurements.parquet", "normal", "ledger"):
        path = dataset.folder / name
        if path.exists():
            rows.append(f"{bytes_on_disk(path) / 1e6:>10.1f} MB  {path}")
    return "\n".join(rows)


def _loading(dataset: Dataset) -> str:
    return (
        "Load it:\n"
        "    import pyarrow.parquet, zarr\n"
        f'    signal = zarr.open_array("{dataset.folder}/signals.zarr/signal", mode="r")  '
        "# [record, lead, sample], int16, µV\n"
        f'    table = pyarrow.parquet.read_table("{dataset.folder}/measurements.parquet")  # row i measures record i'
    )
