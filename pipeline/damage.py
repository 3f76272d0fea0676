"""Files that are not what the manifest says, and the records whose signals or rows they hold."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.columns import RECORD_ID, SIGNAL_SHA256, SOURCE_RECORD_ID, TABLE_SCHEMA
from pipeline.dataset import MANIFEST, Dataset, Manifest
from pipeline.digest import signal_sha256
from pipeline.errors import DatasetError
from pipeline.logs import on_one_line
from pipeline.normal import NORMAL
from pipeline.progress import tracked
from pipeline.shards import Shard, plan_shards
from pipeline.store.files import all_files, content_entry, file_entry, read_verified
from pipeline.store.ledger import part_file, shard_files
from pipeline.store.place import Place
from pipeline.store.signals import metadata_files, read_signals, shard_file
from pipeline.store.tables import MEASUREMENTS, parse_table, read_table
from pipeline.store.threads import in_threads

_COPIES = ("", NORMAL)
"""Where a dataset's folder holds signals and rows: of everything, and of the normal records."""


@dataclass(frozen=True)
class Problem:
    """Something that is not as the manifest says."""

    thing: str
    reason: str
    records: Sequence[int] = ()
    """Those whose signals or rows are concerned, by their numbers in the table or store beside them."""

    def __str__(self) -> str:
        """One line."""
        return on_one_line(f"{self.thing}: {self.reason}{named_records(self.records)}")


def named_records(records: Sequence[int]) -> str:
    """` (records 3, 7 to 9)`, the first ten runs of them; empty for none."""
    if not len(records):
        return ""
    ends = [0, *(i for i, (a, b) in enumerate(pairwise(records), 1) if b != a + 1), len(records)]
    runs = [(records[start], records[stop - 1]) for start, stop in pairwise(ends)]
    named = ", ".join(f"{first}" if first == last else f"{first} to {last}" for first, last in runs[:10])
    more = f" and more, {len(records)} in all" if len(runs) > 10 else ""
    return f" (record{'' if len(records) == 1 else 's'} {named}{more})"


def damaged_files(folder: Place, manifest: Manifest) -> Iterator[Problem]:
    """Files that are missing, altered, or unknown to the manifest."""
    present = {path.relative_to(folder).as_posix(): path for path in all_files(folder)}
    present.pop(MANIFEST, None)
    for name in sorted(manifest.files.keys() - present.keys()):
        yield Problem(name, "is missing")
    for name in sorted(present.keys() - manifest.files.keys()):
        yield Problem(name, "is not part of the dataset")
    known = sorted(present.keys() & manifest.files.keys())

    def fault(name: str) -> str | None:
        path = present[name]
        try:
            altered = not path.is_file() or path.is_symlink() or file_entry(path) != manifest.files[name]
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        return "is altered: its SHA-256 is not the manifest's" if altered else None

    for name, reason in zip(known, in_threads(fault, tracked(known, "checking files", "files")), strict=True):
        if reason:
            yield Problem(name, reason)


class Damage:
    """Which records the damaged files of a dataset concern.

    Args:
        dataset: a dataset or a subset.
        names: of its damaged files, as in its manifest.
    """

    def __init__(self, dataset: Dataset, names: Collection[str]) -> None:
        self._folder, self._manifest, self._names = dataset.folder, dataset.manifest, names
        self._copies = list(_COPIES) if self._manifest.kind == "dataset" else [""]
        self._rows_of = {file: shard for shard in self._shards("") for file in shard_files(self._folder, shard)[1:]}
        self._signals_of = {
            shard_file(self._folder / copy, shard): (copy, shard)
            for copy in self._copies
            for shard in self._shards(copy)
        }

    def records(self, name: str) -> Sequence[int]:
        """The records whose signals or rows a damaged file does not hold as it should; empty for other files.

        They are told exactly where there is something left to compare with, and otherwise are all that it holds.
        """
        path = self._folder / name
        if path in self._rows_of:
            return _range(self._rows_of[path])
        if path in self._signals_of:
            return self._damaged_signals(*self._signals_of[path])
        for copy in self._copies:
            place = self._folder / copy
            if path in metadata_files(place):
                return range(self._count(copy))
            if path == place / MEASUREMENTS:
                return self._damaged_rows(path, copy)
        return ()

    def _count(self, copy: str) -> int:
        manifest = self._manifest
        return manifest.verdicts.get("Normal", 0) if copy == NORMAL else manifest.records

    def _shards(self, copy: str) -> list[Shard]:
        return plan_shards(self._count(copy), self._manifest.shard_records)

    def _damaged_rows(self, path: Place, copy: str) -> Sequence[int]:
        rows = self._rows(copy)
        return range(self._count(copy)) if rows is None else _differing_rows(path, rows)

    def _rows(self, copy: str) -> pa.Table | None:
        """What a copy's rows should say; None where that is lost as well."""
        rows = self._whole_rows
        if rows is not None and copy == NORMAL:
            rows = rows.filter(pc.equal(rows["verdict"], "Normal"))
            rows = rows.append_column(SOURCE_RECORD_ID.name, rows[RECORD_ID.name])
        return rows if rows is not None and rows.num_rows == self._count(copy) else None

    @cached_property
    def _whole_rows(self) -> pa.Table | None:
        """The rows of the dataset from its table if that is whole, else from the ledger's parts if all of them are."""
        whole = MEASUREMENTS not in self._names
        try:
            rows = read_table(self._folder / MEASUREMENTS) if whole else self._joined_parts()
        except (DatasetError, OSError, ValueError):
            return None
        return rows if set(rows.column_names) >= set(TABLE_SCHEMA.names) else None

    def _joined_parts(self) -> pa.Table:
        parts = [part_file(self._folder, shard) for shard in self._shards("")]
        files = {path: self._manifest.files.get(path.relative_to(self._folder).as_posix()) for path in parts}
        content = [read_verified(path, entry or content_entry(b"")) for path, entry in files.items()]
        return pa.concat_tables(map(parse_table, content))

    def _damaged_signals(self, copy: str, shard: Shard) -> list[int]:
        rows = self._rows(copy)
        if rows is None:
            return list(_range(shard))
        hashes = rows[SIGNAL_SHA256.name]
        return [i for i in _range(shard) if _signal_hash(self._folder / copy, i) != hashes[i].as_py()]


def _range(shard: Shard) -> range:
    return range(shard.start, shard.stop)


def _signal_hash(folder: Place, record: int) -> str | None:
    try:
        return signal_sha256(read_signals(folder, record, record + 1))[0]
    except DatasetError:
        return None


def _differing_rows(path: Place, expected: pa.Table) -> Sequence[int]:
    """Rows of a table that do not say what they should, by place; all where it cannot be read."""
    everything = range(expected.num_rows)
    try:
        found = read_table(path)
    except DatasetError:
        return everything
    names = [name for name in expected.column_names if name != RECORD_ID.name]  # a subset numbers its own
    if found.num_rows != len(everything) or any(name not in found.column_names for name in names):
        return everything
    differing = np.zeros(found.num_rows, dtype=bool)
    for name in names:
        if not found[name].equals(expected[name]):
            pairs = zip(found[name].to_pylist(), expected[name].to_pylist(), strict=True)
            differing |= [ours != theirs for ours, theirs in pairs]
    return np.flatnonzero(differing).tolist()
