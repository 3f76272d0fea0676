"""Is a release what it says? Every file, every row, every signal, every count, and every standard's own validator."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.columns import (
    RECORD_ID,
    RELEASE_SCHEMA,
    SIGNAL_SHA256,
    SIGNALS_FILE,
    SIGNALS_ROW,
    SOURCE_RECORD_ID,
    STRAT_FOLD,
)
from pipeline.damage import Problem
from pipeline.digest import digests, signal_sha256
from pipeline.errors import DatasetError
from pipeline.progress import tracked
from pipeline.release.archives import SHARD_RECORDS, archive_fault
from pipeline.release.checksums import CHECKSUMS, read_checksums
from pipeline.release.manifest import ReleaseManifest
from pipeline.release.released import ReleasedDataset, read_release
from pipeline.release.rows import count_marks, released_places
from pipeline.release.splits import strat_folds
from pipeline.release.validate import invalid_metadata
from pipeline.shards import Shard, plan_shards
from pipeline.store.files import all_files, file_entry
from pipeline.store.outside import check_plain
from pipeline.store.tables import count_values
from pipeline.store.threads import in_threads

_BLOCK_RECORDS = 4 * SHARD_RECORDS
"""Read at once: 20 MB from the archive, whose table of contents is read each time."""

_MOST_TEXT_BYTES = 1 << 20


def verify_release(folder: Path) -> list[Problem]:
    """Check a release wholly.

    Args:
        folder: the release.

    Returns:
        What is wrong, with the records concerned; empty where nothing is.

    Raises:
        DatasetError: when it is no release, or its list of checksums is damaged.
        InputError: when the standards' validators are not installed.
    """
    release = read_release(folder)
    problems = list(_wrong_files(folder))
    everything, normal = (ReleasedDataset(folder, release, name) for name in ("all", "normal"))
    for dataset in (everything, normal):
        try:
            problems += _wrong_rows(dataset, release)
            problems += _wrong_archives(dataset)
            problems += _wrong_signals(dataset)
        except (DatasetError, KeyError, TypeError, ValueError) as error:  # hashes that are none
            problems.append(Problem(dataset.contents.table, f"cannot be checked: {error}"))
    if not problems:
        problems += _wrong_subset(everything, normal)
    problems += _wrong_counts(folder, release)
    named = {problem.thing for problem in problems}
    try:
        problems += [Problem(name, reason) for name, reason in invalid_metadata(folder) if name not in named]
    except DatasetError as error:  # what was found before is said as well
        problems.append(Problem("metadata", str(error)))
    return problems


def _wrong_files(folder: Path) -> Iterator[Problem]:
    """Files that are missing, altered, or unknown to the checksums."""
    sums = read_checksums(folder)
    present = {path.relative_to(folder).as_posix(): path for path in all_files(folder) if not _is_litter(path)}
    present.pop(CHECKSUMS, None)
    for name in sorted(sums.keys() - present.keys()):
        yield Problem(name, "is missing")
    for name in sorted(present.keys() - sums.keys()):
        yield Problem(name, f"is not in {CHECKSUMS}")
    known = sorted(present.keys() & sums.keys())

    def is_altered(name: str) -> bool:
        path = present[name]
        return not path.is_file() or path.is_symlink() or file_entry(path).sha256 != sums[name]

    for name, altered in zip(known, in_threads(is_altered, tracked(known, "checking files", "files")), strict=True):
        if altered:
            yield Problem(name, f"is altered: its SHA-256 is not that in {CHECKSUMS}")


def _is_litter(path: Path) -> bool:
    """Whether Python or a Mac left a file there when the release was looked at."""
    return path.parent.name == "__pycache__" or path.name == ".DS_Store"


def _wrong_rows(dataset: ReleasedDataset, release: ReleaseManifest) -> Iterator[Problem]:
    contents, table = dataset.contents, dataset.released_rows()
    if table.schema.names != RELEASE_SCHEMA.names:
        yield Problem(contents.table, "has other columns than its version has")
        return
    if not np.array_equal(table[RECORD_ID.name].to_numpy(), np.arange(len(dataset))):
        yield Problem(contents.table, f"its record_id is not 0 to {len(dataset) - 1} in order")
    if sum(part.records for part in contents.signals) != len(dataset):
        yield Problem(contents.table, "has not as many rows as its archives have records")
        return
    places = released_places(contents.signals)
    if not all(table[name].equals(pa.chunked_array([places[name]])) for name in (SIGNALS_FILE.name, SIGNALS_ROW.name)):
        yield Problem(contents.table, "its signals_file and signals_row do not lead to its records in order")
    if set(table["seed"].unique().to_pylist()) - {release.recipe.seed}:
        yield Problem(contents.table, "names another seed than release.json")
    for what, counted, given in (
        ("verdicts", count_values(table["verdict"]), contents.verdicts),
        ("statuses", count_values(table["status"]), contents.statuses),
        ("marks", count_marks(table), contents.marks),
    ):
        if counted != given:
            yield Problem(contents.table, f"its {what}, counted, are not those of release.json")
    found = digests(dataset.measurements())
    for what, now, said in (
        ("table digest", found.table, contents.table_digest),
        ("signals digest", found.signals, contents.signals_digest),
        ("content digest", found.content, contents.content_digest),
    ):
        if now != said:
            yield Problem(contents.table, f"its {what} {now[:12]}… is not release.json's {said[:12]}…")


def _wrong_archives(dataset: ReleasedDataset) -> Iterator[Problem]:
    """Archives that call something else what it is not: they are read by their own metadata, and not by ours."""
    start = 0
    for part in dataset.contents.signals:
        path = dataset.folder / part.file
        try:
            check_plain(dataset.folder, path)
            fault = archive_fault(path, np.arange(start, start + part.records))
        except (OSError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
            fault = f"cannot be read: {error}"
        if fault is not None:
            yield Problem(part.file, fault)
        start += part.records


def _wrong_signals(dataset: ReleasedDataset) -> Iterator[Problem]:
    """Signals that are not those their rows were measured on, by archive."""
    expected = dataset.measurements([SIGNAL_SHA256.name]).column(0).to_pylist()

    def check(block: Shard) -> tuple[list[int], str]:
        records = range(block.start, block.stop)
        try:
            found = signal_sha256(dataset.read(block.start, block.stop))
        except DatasetError as error:
            return list(records), str(error)
        return [record for record, now in zip(records, found, strict=True) if now != expected[record]], ""

    start = 0
    for part in dataset.contents.signals:
        blocks = [
            Shard(block.index, start + block.start, start + block.stop)
            for block in plan_shards(part.records, _BLOCK_RECORDS)
        ]
        checked = list(in_threads(check, tracked(blocks, f"checking {part.file}", "blocks")))
        wrong = [record for records, _ in checked for record in records]
        if wrong:
            reason = next((reason for _, reason in checked if reason), "")
            yield Problem(part.file, reason or "does not hold the signals that its rows were measured on", wrong)
        start += part.records


def _wrong_subset(everything: ReleasedDataset, normal: ReleasedDataset) -> Iterator[Problem]:
    """Rows of the normal records that are not those of the same records among all, and folds that are not dealt so."""
    rows, some = everything.released_rows(), normal.released_rows()
    for name, values in ((SOURCE_RECORD_ID.name, np.arange(len(everything))), (STRAT_FOLD.name, strat_folds(rows))):
        if not np.array_equal(rows[name].to_numpy(), values):
            yield Problem(everything.contents.table, f"its {name} is not what its rows give")
    same = [name for name in rows.column_names if name not in {RECORD_ID.name, SIGNALS_FILE.name, SIGNALS_ROW.name}]
    if not rows.filter(pc.equal(rows["verdict"], "Normal")).select(same).equals(some.select(same)):
        yield Problem(
            normal.contents.table, f"its rows are not those of the same records in {everything.contents.table}"
        )


def _wrong_counts(folder: Path, release: ReleaseManifest) -> Iterator[Problem]:
    """Counts that README.md does not give."""
    try:
        check_plain(folder, folder / "README.md")
        with (folder / "README.md").open("rb") as file:
            lines = file.read(_MOST_TEXT_BYTES).decode("utf-8").splitlines()
    except (DatasetError, OSError, UnicodeError):
        return  # it is named as missing or altered
    for name, contents in release.datasets.items():
        row = f"| `{name}/` | {contents.records:,} "
        if not any(line.startswith(row) for line in lines):
            yield Problem("README.md", f"does not give the {contents.records:,} records of {name}/")
    for verdict, count in release.datasets["all"].verdicts.items():
        if f"| {verdict} | {count:,} |" not in lines:
            yield Problem("README.md", f"does not give the {count:,} records with the verdict {verdict}")
