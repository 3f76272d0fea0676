"""Time every export of a release beside the way in which one would first write it oneself.

    python -m benchmarks.exports DATASET [--records 256] [--rounds 5]

Prints a table in Markdown of milliseconds, processor time and kilobytes a record. The other way has its records in
memory and writes them one by one in one thread; ours reads and decodes the dataset and ends with archives, as in a
release. The two take turns.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import datasets
import h5py
import numpy as np
import pandas as pd
import wfdb
from numpy.typing import NDArray

from benchmarks.arguments import count
from benchmarks.markdown import table
from benchmarks.performance.markdown import number
from pipeline.boundary import one_line
from pipeline.dataset import Dataset, open_dataset
from pipeline.leads import LEADS, to_twelve_leads
from pipeline.normal import NORMAL
from pipeline.release.exports import EXPORTS
from pipeline.release.exports.export import lists_as_text
from pipeline.release.exports.muse_csv import ground_truth
from pipeline.release.manifest import Contents, ReleaseManifest, SignalsPart
from pipeline.release.package import describe_release
from pipeline.release.rows import count_marks, release_rows
from pipeline.release.source import Source
from pipeline.release.splits import strat_folds
from pipeline.shards import Shard
from pipeline.store.files import bytes_on_disk

Signals = NDArray[np.int16]


class FirstRecords(Source):
    """As many records of a dataset as its table has rows, in whole shards."""

    def blocks(self, what: str) -> Iterator[tuple[Shard, Signals]]:
        """See `Source.blocks`."""
        for shard, signals in super().blocks(what):
            if shard.start >= self.table.num_rows:
                return
            yield shard, signals


@dataclass(frozen=True)
class Records:
    """What the other ways write: it is in memory, as they want it."""

    signals: Signals
    leads_mv: NDArray[np.float64]
    rows: list[dict[str, Any]]
    muse: pd.DataFrame
    flat: pd.DataFrame


def asc(records: Records, folder: Path) -> None:
    """A file a record."""
    for row, signal in enumerate(records.signals):
        np.savetxt(folder / f"{row}.asc", signal.T, fmt="%i")


def csv(records: Records, folder: Path) -> None:
    """By pandas."""
    records.muse.to_csv(folder / "ground_truth.csv", index=False)


def wfdb_records(records: Records, folder: Path) -> None:
    """By the library of the format."""
    for row, leads in enumerate(records.leads_mv):
        wfdb.wrsamp(
            f"{row:06}",
            fs=500,
            units=["mV"] * len(LEADS),
            sig_name=list(LEADS),
            p_signal=leads,
            fmt=["16"] * len(LEADS),
            adc_gain=[2000] * len(LEADS),
            baseline=[0] * len(LEADS),
            write_dir=str(folder),
        )


def hdf5(records: Records, folder: Path) -> None:
    """Signals alone, appended record by record, compressed as `gzip` does by itself."""
    with h5py.File(folder / "signals.h5", "w") as file:
        shape = records.signals.shape[1:]
        signal = file.create_dataset("signal", (0, *shape), "i2", maxshape=(None, *shape), compression="gzip")
        for record in records.signals:
            signal.resize(len(signal) + 1, axis=0)
            signal[-1] = record


def ecgbench(records: Records, folder: Path) -> None:
    """The table and the folds, by pandas."""
    records.flat.to_csv(folder / "metadata.csv", index=False)
    records.flat[["source_record_id", "strat_fold"]].to_csv(folder / "folds.csv", index=False)


def huggingface(records: Records, folder: Path) -> None:
    """By the library of the format."""

    def rows() -> Iterator[dict[str, Any]]:
        for row, signal in zip(records.rows, records.signals, strict=True):
            yield {**row, "signal": signal}

    with tempfile.TemporaryDirectory() as cache:
        datasets.Dataset.from_generator(rows, cache_dir=cache).to_parquet(folder / "train.parquet")


WAYS: dict[str, tuple[str, Callable[[Records, Path], None]]] = {
    "asc": ("`numpy.savetxt`, a file a record", asc),
    "csv": ("`pandas.to_csv`", csv),
    "wfdb": ("`wfdb.wrsamp`, record by record", wfdb_records),
    "hdf5": ('`h5py`, appended record by record, `compression="gzip"`', hdf5),
    "ecgbench": ("`pandas.to_csv` of table and folds", ecgbench),
    "huggingface": ("`datasets.Dataset.from_generator`, `to_parquet`", huggingface),
}


MORE = 32
"""Times as many records for ours, so that what a file costs weighs little, as in a release."""

HEAD = ("export", "the other way", "its ms", "our ms", "times as fast", "our processor ms", "times", "its kB", "our kB")


@dataclass(frozen=True)
class Timed:
    """The fastest round, a record."""

    ms: float
    processor_ms: float
    kb: float


def main() -> int:
    """Time them and print the table; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument(
        "--records",
        type=count,
        default=256,
        help=f"for the other way (default %(default)s); {MORE} times as many for ours",
    )
    parser.add_argument("--rounds", type=count, default=5)
    options = parser.parse_args()
    return one_line("exports", lambda: _run(options), goes_on=False)


def _run(options: argparse.Namespace) -> int:
    dataset = open_dataset(options.dataset)
    (few, _), _ = _sources(dataset, options.records)
    sources, facts = _sources(dataset, MORE * options.records)
    records, lines = _records(few), []
    for name, (way, write) in WAYS.items():
        export, theirs, ours = EXPORTS[name], list[Timed](), list[Timed]()
        written = export.records(*(source.table.num_rows for source in sources))
        for _ in range(options.rounds):
            theirs.append(_timed(partial(write, records), few.table.num_rows))
            ours.append(_timed(partial(export.write, sources, facts), written))
        lines.append((name, way, *_figures(_fastest(theirs), _fastest(ours))))
    print(table(HEAD, lines, align="--:"))
    print(
        f"\nA record. The other way: {few.table.num_rows:,} records, from memory, in one thread. Ours: "
        f"{sources[0].table.num_rows:,}, from the dataset, on {os.cpu_count()} cores. "
        f"The fastest of {options.rounds} rounds."
    )
    return 0


def _figures(theirs: Timed, ours: Timed) -> list[str]:
    times = (theirs.ms, ours.ms, theirs.ms / ours.ms, ours.processor_ms, theirs.processor_ms / ours.processor_ms)
    return [number(value) for value in (*times, theirs.kb, ours.kb)]


def _sources(dataset: Dataset, wanted: int) -> tuple[list[Source], ReleaseManifest]:
    """The first records of a dataset and of its normal subset, in whole shards, as a release has them."""
    manifest = dataset.manifest
    shard, folds = manifest.shard_records, strat_folds(dataset.measurements())
    sources, contents = list[Source](), dict[Literal["all", "normal"], Contents]()
    opened: dict[Literal["all", "normal"], Path] = {
        "all": Path(dataset.folder),
        "normal": Path(dataset.folder) / NORMAL,
    }
    for name, folder in opened.items():
        each = open_dataset(folder)
        table = each.measurements().slice(0, -(-wanted // shard) * shard)
        parts = [SignalsPart(file=f"{name}/signals-000.zarr.zip", records=table.num_rows)]
        sources.append(FirstRecords(name, each, release_rows(table, manifest.recipe.seed, folds, parts)))
        of_records = each.manifest.model_dump(include=set(Contents.model_fields) - {"table", "signals", "marks"})
        contents[name] = Contents(
            table=f"{name}/measurements.parquet", signals=parts, marks=count_marks(table), **of_records
        )
    return sources, describe_release(manifest, "1.0.0", contents)


def _records(source: Source) -> Records:
    signals = np.concatenate([signals for _, signals in source.blocks("reading")])
    return Records(
        signals=signals,
        leads_mv=to_twelve_leads(signals.astype(np.float64)).transpose(0, 2, 1) / 1000,
        rows=source.table.to_pylist(),
        muse=ground_truth(source.table).to_pandas(),
        flat=lists_as_text(source.table).to_pandas(),
    )


def _timed(write: Callable[[Path], object], records: int) -> Timed:
    """Write once, into a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        started, worked = time.perf_counter(), time.process_time()
        write(Path(folder))
        ms = 1000 * (time.perf_counter() - started) / records
        processor_ms = 1000 * (time.process_time() - worked) / records
        return Timed(ms, processor_ms, bytes_on_disk(Path(folder)) / 1000 / records)


def _fastest(rounds: list[Timed]) -> Timed:
    """Other work on the machine only ever adds to a time."""
    return Timed(min(each.ms for each in rounds), min(each.processor_ms for each in rounds), rounds[0].kb)


if __name__ == "__main__":
    sys.exit(main())
