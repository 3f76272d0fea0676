"""Measure recordings from outside, or a dataset, into one Parquet table, batch by batch."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.columns import INTERPRETED, MEASURED, QUALITY, RECORD_ID, RECORD_NAME, Column, schema
from pipeline.dataset import MANIFEST, check_output, open_dataset
from pipeline.inputs import BATCH, open_recordings
from pipeline.progress import progress_bar
from pipeline.rows import interpreted_rows
from pipeline.store.files import replacing, writing
from pipeline.store.signals import read_signals

_Batch = tuple[tuple[str, ...] | None, NDArray[np.generic]]


def measure_input(source: Path, out: Path, *, sampling_rate_hz: float | None = None, units: str | None = None) -> int:
    """Measure a WFDB folder or record, a `.npy` array or a dataset.

    Args:
        source: what to measure.
        out: the Parquet table to write; it appears whole or not at all.
        sampling_rate_hz: of a `.npy`.
        units: of a `.npy`, `uV` or `mV`.

    Returns:
        The number of records measured.

    Raises:
        InputError: when something cannot be read or measured; it names the record.
    """
    check_output(out, source)
    if (source / MANIFEST).is_file():
        dataset = open_dataset(source)
        total, named = len(dataset), False
        batches = _dataset_batches(source, total)
    else:
        recordings = open_recordings(source, sampling_rate_hz=sampling_rate_hz, units=units)
        total, named = recordings.total, bool(recordings.names)
        batches = iter(recordings.batches())
    columns = (RECORD_ID, *([RECORD_NAME] if named else []), *MEASURED, *QUALITY, *INTERPRETED)
    with writing(out), replacing(out.absolute()) as temporary:
        _write(temporary, columns, batches, total)
    return total


def _dataset_batches(folder: Path, total: int) -> Iterator[_Batch]:
    for start in range(0, total, BATCH):
        yield None, read_signals(folder, start, min(start + BATCH, total))


def _write(path: Path, columns: tuple[Column, ...], batches: Iterator[_Batch], total: int) -> None:
    table_schema = schema(*columns)
    first = 0
    with (
        pq.ParquetWriter(path, table_schema, compression="zstd") as writer,
        progress_bar(total, "measuring", "records") as bar,
    ):
        for names, signals in batches:
            table = _rows(names, signals, first)
            writer.write_table(pa.table([table[name] for name in table_schema.names], schema=table_schema))
            first += len(signals)
            bar.update(len(signals))


def _rows(names: tuple[str, ...] | None, signals: NDArray[np.generic], first: int) -> pa.Table:
    table = interpreted_rows(signals)
    table = table.append_column(RECORD_ID.name, pa.array(np.arange(first, first + len(signals))))
    return table if names is None else table.append_column(RECORD_NAME.name, pa.array(names))
