"""Measure recordings from outside, or a dataset, into one Parquet table, batch by batch."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.columns import INTERPRETED, MEASURED, QUALITY, RECORD_ID, RECORD_NAME, Column, schema
from pipeline.dataset import MANIFEST, check_output, open_dataset
from pipeline.errors import InputError
from pipeline.inputs import BATCH, Batch, Recordings, check_nothing_stated, open_recordings
from pipeline.progress import progress_bar
from pipeline.rows import interpreted_rows
from pipeline.store.files import replacing, writing
from pipeline.store.signals import read_signals


@dataclass(frozen=True)
class Measured:
    """What came of an input.

    Attributes:
        records: how many were measured.
        remarks: what was done with some of them or is odd about them, and with how many.
        refused: what is wrong with those that were left out, a line each.
    """

    records: int
    remarks: Counter[str]
    refused: list[str]


def measure_input(
    source: Path,
    out: Path,
    *,
    sampling_rate_hz: float | None = None,
    units: str | None = None,
    skip_bad: bool = False,
) -> Measured:
    """Measure a WFDB folder or record, a `.npy` array or a dataset.

    Args:
        source: what to measure.
        out: the Parquet table to write; it appears whole or not at all.
        sampling_rate_hz: of a `.npy`.
        units: of a `.npy`, `uV` or `mV`.
        skip_bad: leave out recordings that cannot be measured; the others keep their places as `record_id`.

    Returns:
        What was measured, and what was not.

    Raises:
        InputError: when something cannot be read or measured, or nothing can; it names the record.
    """
    check_output(out, source)
    if out.suffix != ".parquet":  # or a slip of the pen replaces a file of the record that is measured
        raise InputError(f"{out} is no name for a Parquet table. Let it end in .parquet")
    remarks: Counter[str] = Counter()
    refused: list[str] = []
    if (source / MANIFEST).is_file():
        check_nothing_stated(source, sampling_rate_hz, units)
        dataset = open_dataset(source)
        total, named = len(dataset), False
        batches = _dataset_batches(source, total)
    else:
        recordings = open_recordings(source, sampling_rate_hz=sampling_rate_hz, units=units)
        total, named = recordings.total, bool(recordings.names)
        batches = _usable_batches(recordings, remarks, refused, skip_bad=skip_bad)
    columns = (RECORD_ID, *([RECORD_NAME] if named else []), *MEASURED, *QUALITY, *INTERPRETED)
    with writing(out), replacing(out.absolute()) as temporary:
        _write(temporary, columns, batches, total)
        if refused and len(refused) == total:
            raise InputError(f"{source}: none of its {total:,} records can be measured; the first: {refused[0]}")
    return Measured(total - len(refused), remarks, refused)


def _dataset_batches(folder: Path, total: int) -> Iterator[Batch]:
    for start in range(0, total, BATCH):
        stop = min(start + BATCH, total)
        yield Batch(np.arange(start, stop), (), read_signals(folder, start, stop), Counter())


def _usable_batches(
    recordings: Recordings, remarks: Counter[str], refused: list[str], *, skip_bad: bool
) -> Iterator[Batch]:
    """The batches of an input without what cannot be measured; remarks and refusals are collected."""
    try:
        for batch in recordings.read_batches(refused=refused if skip_bad else None):
            remarks.update(batch.remarks)
            yield batch
    except InputError as error:
        if recordings.total == 1:
            raise
        raise InputError(f"{error}; with --skip-bad the others are measured") from error


def _write(path: Path, columns: tuple[Column, ...], batches: Iterator[Batch], total: int) -> None:
    table_schema = schema(*columns)
    done = 0
    with (
        pq.ParquetWriter(path, table_schema, compression="zstd") as writer,
        progress_bar(total, "measuring", "records") as bar,
    ):
        for batch in batches:
            table = _rows(batch)
            writer.write_table(pa.table([table[name] for name in table_schema.names], schema=table_schema))
            bar.update(int(batch.numbers[-1]) + 1 - done)
            done = int(batch.numbers[-1]) + 1


def _rows(batch: Batch) -> pa.Table:
    table = interpreted_rows(batch.signals)
    table = table.append_column(RECORD_ID.name, pa.array(batch.numbers))
    return table.append_column(RECORD_NAME.name, pa.array(batch.names)) if batch.names else table
