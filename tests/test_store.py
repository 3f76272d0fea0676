"""Stores take whole shards only, files appear whole, and every field says what it is."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.columns import TABLE_COLUMNS, TABLE_SCHEMA
from pipeline.dataset import Dataset
from pipeline.errors import DatasetError
from pipeline.shards import Shard
from pipeline.store.documents import read_document
from pipeline.store.files import all_files, file_entry, replacing
from pipeline.store.ledger import LedgerEntry, Plan
from pipeline.store.sharding import encode_shard
from pipeline.store.signals import (
    create_signals,
    open_signals,
    read_signals,
    remove_unfinished,
    shard_file,
    write_shard,
)
from pipeline.store.tables import read_table


@pytest.fixture
def store(tmp_path: Path) -> Path:
    create_signals(tmp_path, 100, 64)
    return tmp_path


@pytest.mark.parametrize(
    ("shard", "records"),
    [
        (Shard(0, 0, 32), 32),
        (Shard(0, 32, 64), 32),
        (Shard(1, 64, 96), 32),
        (Shard(0, 0, 64), 63),
        (Shard(2, 128, 130), 2),
    ],
)
def test_anything_but_one_whole_shard_is_refused(store: Path, shard: Shard, records: int) -> None:
    with pytest.raises(ValueError, match="whole, aligned shards only"):
        write_shard(store, shard, encode_shard(np.ones((records, 8, 5000), np.int16), 64))
    assert not shard_file(store, shard).exists()


def test_whole_shards_come_back_and_stay_when_the_store_grows(store: Path) -> None:
    signals = np.random.default_rng(0).integers(-2000, 2000, (100, 8, 5000)).astype(np.int16)
    write_shard(store, Shard(1, 64, 100), encode_shard(signals[64:], 64))
    write_shard(store, Shard(0, 0, 64), encode_shard(signals[:64], 64))
    create_signals(store, 300, 64)
    assert open_signals(store).shape == (300, 8, 5000)
    assert np.array_equal(read_signals(store, 0, 100), signals)


def test_the_entry_of_a_shard_is_that_of_its_file_whatever_was_in_its_place(store: Path) -> None:
    path = shard_file(store, Shard(0, 0, 64))
    path.mkdir(parents=True)
    entry = write_shard(store, Shard(0, 0, 64), encode_shard(np.zeros((64, 8, 5000), np.int16), 64))
    assert entry == file_entry(path)
    assert all_files(path.parent) == [path]


def test_a_writer_that_fails_leaves_the_shard_as_it_was(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shard = Shard(0, 0, 64)
    entry = write_shard(store, shard, encode_shard(np.zeros((64, 8, 5000), np.int16), 64))
    monkeypatch.setattr(Path, "replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_shard(store, shard, encode_shard(np.ones((64, 8, 5000), np.int16), 64))
    assert file_entry(shard_file(store, shard)) == entry
    assert len(all_files(shard_file(store, shard).parent)) == 1


def test_leftovers_of_a_killed_writer_go(store: Path) -> None:
    before = all_files(store)
    shard = shard_file(store, Shard(0, 0, 64))
    shard.parent.mkdir(parents=True)
    (shard.parent / ".0123456789abcdef.tmp").write_bytes(b"half")
    (store / ".fedcba9876543210.tmp").mkdir()
    (store / ".fedcba9876543210.tmp" / "normal").write_bytes(b"half")
    remove_unfinished(store)
    assert all_files(store) == before


def test_a_file_keeps_its_content_when_its_successor_fails(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")

    def fail_midway() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_midway()
    assert path.read_text() == "old"
    assert all_files(tmp_path) == [path]


def test_every_column_has_a_description_and_its_name_ends_in_its_unit(dataset: Dataset) -> None:
    suffixes = {"ms": "_ms", "uV": "_uv", "deg": "_deg", "1/min": "_bpm", "%": "_percent"}
    for column in TABLE_COLUMNS:
        assert len(column.description) > 10, column.name
        if column.unit in suffixes:
            assert column.name.endswith(suffixes[column.unit]), column.name
    stored = pq.read_schema(dataset.folder / "measurements.parquet")
    assert stored.names == TABLE_SCHEMA.names
    assert stored.field("qt_interval_ms").metadata[b"unit"] == b"ms"
    for field in TABLE_SCHEMA:  # Parquet names the items of a list `element`
        assert stored.field(field.name).metadata.items() >= field.metadata.items()
        assert str(stored.field(field.name).type).replace("element", "item") == str(field.type)


def test_a_damaged_table_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "measurements.parquet"
    path.write_bytes(b"PAR1 no")
    with pytest.raises(DatasetError, match=r"measurements\.parquet cannot be read"):
        read_table(path)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"index": "x"}', "\x00", '{"format_version": 2}'])
def test_a_damaged_entry_is_one_clear_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "entry.json"
    path.write_text(text)
    for kind in (LedgerEntry, Plan):
        with pytest.raises(DatasetError, match="damaged or of another version"):
            read_document(path, kind)


def test_the_table_is_in_the_order_of_its_records(dataset: Dataset) -> None:
    table = dataset.measurements()
    assert table["record_id"].to_pylist() == list(range(80))
    assert isinstance(table, pa.Table)


def test_a_folder_that_cannot_be_looked_into_is_not_taken_for_empty(
    tmp_path: Path, lock: Callable[[Path], None]
) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "file").touch()
    assert all_files(tmp_path) == [tmp_path / "a" / "file"]
    lock(tmp_path / "a" / "b")
    with pytest.raises(PermissionError):
        all_files(tmp_path)
