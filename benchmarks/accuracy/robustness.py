"""What becomes of ECGs without a reference: is anything refused, are beats found, is there a P where there can be none.

PTB-XL comes as a Parquet file in which every lead is divided by its own SD; its amplitudes are gone.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.accuracy.agreement import Row, measured_rows
from benchmarks.accuracy.ludb import DOUBTS
from pipeline.errors import InputError
from pipeline.inputs import open_recordings
from pipeline.leads import SAMPLES, STORED_LEADS
from pipeline.measurement import measure
from pipeline.measurement.constants import FEWEST_QRS

SIGNAL, LABEL = "signal_z1500", "label"
STORED_PER_SD = 1500
UV_PER_SD = 150
"""A lead's SD in a real ECG is 130 to 200 µV; one number for all leads is plain, and nothing is fitted to anything."""
BATCH = 256


@dataclass
class Counts:
    """Records of one kind and what became of them."""

    records: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    few_qrs: int = 0
    """Fewer than 4 QRS: not interpretable."""
    without_p: int = 0
    doubtful_p: int = 0
    """P measured, but with the flag that doubts it."""
    without_qt: int = 0

    def add(self, row: Row) -> None:
        """Count one record."""
        self.records += 1
        self.statuses[row["status"]] += 1
        self.few_qrs += row["beats"] < FEWEST_QRS
        self.without_p += row["p_duration_ms"] is None
        self.doubtful_p += DOUBTS["p_duration_ms"] in row["quality_flags"]
        self.without_qt += row["qt_interval_ms"] is None

    @property
    def with_p(self) -> int:
        """Records on which a P wave was measured."""
        return self.records - self.without_p


def ptbxl_counts(path: Path) -> dict[str, Counts]:
    """Measure PTB-XL at 150 µV an SD and count by label.

    Raises:
        InputError: when the file is not the Parquet file of normalised leads.
    """
    return _count(_ptbxl_rows(path))


def raw_counts(folder: Path) -> dict[str, Counts]:
    """Measure the WFDB records of a folder and count by the folders directly in it."""
    recordings = open_recordings(folder)
    return _count(
        (name.partition("/")[0] if "/" in name else folder.name, row) for name, row in measured_rows(recordings)
    )


def _count(rows: Iterable[tuple[str, Row]]) -> dict[str, Counts]:
    counts: dict[str, Counts] = {}
    for kind, row in rows:
        counts.setdefault(kind, Counts()).add(row)
    return dict(sorted(counts.items()))


def _ptbxl_rows(path: Path) -> Iterator[tuple[str, Row]]:
    for labels, signals_uv in _ptbxl_batches(path):
        yield from zip(labels, measure(signals_uv).to_pylist(), strict=True)


def _ptbxl_batches(path: Path) -> Iterator[tuple[list[str], NDArray[np.float64]]]:
    shape = (-1, len(STORED_LEADS), SAMPLES)
    try:
        for batch in pq.ParquetFile(path).iter_batches(BATCH, columns=[LABEL, SIGNAL]):
            stored = batch[SIGNAL].cast(pa.list_(pa.int16(), shape[1] * shape[2])).flatten()
            labels = [label or "no label" for label in batch[LABEL].to_pylist()]
            yield labels, stored.to_numpy().reshape(shape) * (UV_PER_SD / STORED_PER_SD)
    except (OSError, KeyError, ValueError, NotImplementedError) as error:  # pyarrow's own are of these kinds
        raise InputError(
            f"{path} is not PTB-XL with normalised leads ({' '.join(str(error).split())[:200]}). "
            f"Give a Parquet file with {LABEL} and {SIGNAL}, 8 x 5000 int16 a record, {STORED_PER_SD} an SD"
        ) from error
