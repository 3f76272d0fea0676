"""A folder that `datasets.load_dataset` opens: signals and measurements in Parquet files, by dataset and split."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.columns import STRAT_FOLD
from pipeline.leads import SAMPLES, SAMPLING_RATE_HZ, STORED_LEADS
from pipeline.release.exports.export import Export, rows_alone, write_readme
from pipeline.release.manifest import TITLE, ReleaseManifest
from pipeline.release.source import Source
from pipeline.shards import Shard

CONFIGURATIONS = {"all": "full", "normal": "normal"}
"""Of each dataset; `all` is a word of the library's own."""

SPLITS = np.array(["train"] * 8 + ["validation", "test"])
"""Of the folds 1 to 10, as in PTB-XL."""

FILE_BYTES = 450_000_000
"""Files below 500 MB are what the Hub asks for, and what a worker that reads them one by one can hold."""

_SIZES = {
    1_000: "n<1K",
    10_000: "1K<n<10K",
    100_000: "10K<n<100K",
    1_000_000: "100K<n<1M",
    10_000_000: "1M<n<10M",
    100_000_000: "10M<n<100M",
    1_000_000_000: "100M<n<1B",
}
_GROUP_RECORDS = 128
_SIGNAL = pa.field(
    "signal",
    pa.list_(pa.list_(pa.int16(), SAMPLES), len(STORED_LEADS)),
    metadata={"unit": "uV", "description": f"leads {' '.join(STORED_LEADS)}, {SAMPLING_RATE_HZ} samples a second"},
)
"""A fixed shape in Arrow's own types, which other readers know too, as they do not know `datasets.Array2D`."""

_HEAD = """---
license: cc-by-4.0
pretty_name: {title}
size_categories: [{size}]
tags: [ecg, electrocardiography, time-series, medical, synthetic]
configs:
{configurations}---
"""
_README = """
Synthetic ECGs with measurements, as the `datasets` library opens them, by itself and without a network.

    import datasets
    train = datasets.load_dataset("THIS_FOLDER", "normal", split="train")
    train.with_format("numpy", dtype="int16")[0]["signal"]  # (8, 5000), µV

`full` has all records, `normal` those with the verdict Normal. A row is a record: `signal`, int16, **microvolts**,
500 Hz, leads I II V1 V2 V3 V4 V5 V6, and every column of the table of measurements; null is what could not be
measured. The splits are `strat_fold` 1 to 8, 9 and 10, alike in verdicts and heart rates; a record has the same in
both. `record_id` counts the records of each configuration; `source_record_id` is the number among all. Without `dtype`
the library makes 64-bit integers of the signals.

| | train | validation | test |
|---|---|---|---|
{rows}
"""


def write(sources: Sequence[Source], facts: ReleaseManifest, folder: Path) -> None:
    """Write the files of each split of each dataset, and the card that names them."""
    with ExitStack() as stack, ThreadPoolExecutor(len(sources)) as pool:
        dealers = [Dealer(source, folder, stack) for source in sources]
        for blocks in zip_longest(*(source.blocks(f"huggingface, {source.name}") for source in sources)):
            dealt = [pool.submit(dealer.deal, *block) for dealer, block in zip(dealers, blocks, strict=True) if block]
            for each in dealt:
                each.result()
    configurations = "".join(dealer.configuration() for dealer in dealers)
    rows = "\n".join(
        f"| {dealer.name} | {' | '.join(f'{count:,}' for count in dealer.counts.values())} |" for dealer in dealers
    )
    head = _HEAD.format(title=TITLE, size=size_category(facts.datasets["all"].records), configurations=configurations)
    write_readme(folder, facts, _README.format(rows=rows), head)


def size_category(records: int) -> str:
    """Of so many records, in the Hub's words."""
    return next((words for most, words in _SIZES.items() if records < most), "1B<n<10B")


class Dealer:
    """Deals the records of one dataset out to the files of their splits."""

    def __init__(self, source: Source, folder: Path, stack: ExitStack) -> None:
        """Open a dataset's files.

        Args:
            source: the dataset.
            folder: of the export.
            stack: closes the files.
        """
        self.name = CONFIGURATIONS[source.name]
        self._table = rows_alone(source.table)
        self._splits = SPLITS[self._table[STRAT_FOLD.name].to_numpy() - 1]
        self.counts = {split: np.count_nonzero(self._splits == split) for split in dict.fromkeys(SPLITS.tolist())}
        (folder / self.name).mkdir()
        self._files = {
            split: stack.enter_context(closing(Files(folder / self.name / split, self._table.schema)))
            for split, records in self.counts.items()
            if records  # or the library looks for files in vain
        }

    def deal(self, shard: Shard, signals: NDArray[np.int16]) -> None:
        """Deal out the records of a block, (n, 8, 5000)."""
        rows = self._table.slice(shard.start, len(shard))
        for split, file in self._files.items():
            chosen = self._splits[shard.start : shard.stop] == split
            file.add(rows.filter(chosen), signals[chosen])

    def configuration(self) -> str:
        """The lines that name the files in the card; none where there are none."""
        files = "".join(f"  - split: {split}\n    path: {self.name}/{split}-*.parquet\n" for split in self._files)
        return f"- config_name: {self.name}\n  data_files:\n{files}" if files else ""


class Files:
    """The Parquet files of one split, filled by groups of so many records, however many come at once."""

    def __init__(self, stem: Path, schema: pa.Schema, most_bytes: int = FILE_BYTES) -> None:
        """Begin.

        Args:
            stem: path of the files without number and suffix.
            schema: of the rows without their signals.
            most_bytes: the most that a file has, unless a single group takes more.
        """
        self._stem = stem
        self._schema = schema.append(_SIGNAL)
        self._most_bytes = most_bytes
        self._pending = self._schema.empty_table()
        self._number = 0
        self._open = ExitStack()
        self._file: BinaryIO | None = None
        self._writer: pq.ParquetWriter = None

    def add(self, rows: pa.Table, signals: NDArray[np.int16]) -> None:
        """Take some records, (n,) and (n, 8, 5000)."""
        leads = pa.FixedSizeListArray.from_arrays(pa.array(signals.reshape(-1)), type=_SIGNAL.type.value_type)
        column = pa.FixedSizeListArray.from_arrays(leads, type=_SIGNAL.type)
        self._pending = pa.concat_tables([self._pending, rows.append_column(_SIGNAL, column)])
        while self._pending.num_rows >= _GROUP_RECORDS:
            self._write(self._pending.slice(0, _GROUP_RECORDS))
            self._pending = self._pending.slice(_GROUP_RECORDS)

    def close(self) -> None:
        """Write what is left."""
        if self._pending.num_rows:
            self._write(self._pending)
        self._open.close()

    def _write(self, group: pa.Table) -> None:
        if self._file is None or self._file.tell() + group.nbytes > self._most_bytes:
            self._next()
        self._writer.write_table(group.combine_chunks())

    def _next(self) -> None:
        """End one file and begin another."""
        self._open.close()
        path = self._stem.with_name(f"{self._stem.name}-{self._number:03}.parquet")
        self._number += 1
        self._file = self._open.enter_context(path.open("wb"))
        texts = [field.name for field in self._schema if pa.types.is_string(field.type)]
        self._writer = self._open.enter_context(
            pq.ParquetWriter(
                self._file,
                self._schema,
                compression="zstd",
                use_dictionary=texts,
                write_statistics=[field.name for field in self._schema if field.name != _SIGNAL.name],
                column_encoding={"signal.list.element.list.element": "DELTA_BINARY_PACKED"},
            )
        )


EXPORT = Export(
    name="huggingface",
    description="a folder that datasets.load_dataset opens, Parquet with signals, measurements and splits",
    bytes_per_record=42_000,
    write=write,
)
