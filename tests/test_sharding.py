"""Shard files are those that zarr-python writes, and a subset copied from them is one encoded afresh."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

import google_crc32c
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.dataset import Dataset, plan_of
from pipeline.errors import DatasetError
from pipeline.finalise import finalise
from pipeline.shards import Shard, plan_shards
from pipeline.store.files import FileEntry, all_files, file_entry
from pipeline.store.sharding import encode_shard, join_chunks, read_index, split_shard
from pipeline.store.signals import create_signals, open_signals, read_signals, shard_file, write_shard
from pipeline.store.subset import write_subset
from pipeline.store.threads import THREADS, in_threads

SIZE = 96
"""Records a shard here; no power of two, in case that changes the order in which zarr-python writes."""


def made(records: int, kind: str) -> NDArray[np.int16]:
    random = np.random.default_rng(records)
    if kind == "zeros":
        return np.zeros((records, 8, 5000), np.int16)
    if kind == "noise":  # which does not compress
        return random.integers(-(2**15), 2**15, (records, 8, 5000)).astype(np.int16)
    return random.normal(0, 20, (records, 8, 5000)).cumsum(axis=-1).astype(np.int16)


def store_of(folder: Path, signals: NDArray[np.int16]) -> dict[Shard, FileEntry]:
    """A store of some signals, and the entries of its shards."""
    create_signals(folder, len(signals), SIZE)
    shards = plan_shards(len(signals), SIZE)
    return {
        shard: write_shard(folder, shard, encode_shard(signals[shard.start : shard.stop], SIZE)) for shard in shards
    }


@pytest.mark.parametrize("kind", ["zeros", "noise", "walk"])
@pytest.mark.parametrize("records", [SIZE, SIZE + 1, 2 * SIZE - 1])
def test_zarr_python_writes_the_same_bytes_and_reads_ours(tmp_path: Path, kind: str, records: int) -> None:
    signals = made(records, kind)
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    store_of(ours, signals)
    create_signals(theirs, records, SIZE)
    with zarr.config.set({"array.write_empty_chunks": True}):
        array = zarr.open_array(theirs / "signals.zarr" / "signal", mode="r+")
    for shard in plan_shards(records, SIZE):
        array[shard.start : shard.stop] = signals[shard.start : shard.stop]
    names = [path.relative_to(theirs) for path in all_files(theirs)]
    assert [path.relative_to(ours) for path in all_files(ours)] == names
    assert all((ours / name).read_bytes() == (theirs / name).read_bytes() for name in names)
    assert np.array_equal(open_signals(ours)[:], signals)


def test_the_bytes_do_not_depend_on_threads() -> None:
    shards = [made(8, kind) for kind in ("zeros", "noise", "walk")] * 8
    alone = [encode_shard(signals, 8) for signals in shards]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda signals: encode_shard(signals, 8), shards)) == alone


@pytest.mark.parametrize(
    "signals",
    [np.zeros((3, 8, 5000), np.int32), np.zeros((3, 8, 4999), np.int16), np.zeros((33, 8, 5000), np.int16)],
    ids=["type", "shape", "number"],
)
def test_what_is_no_shard_is_not_encoded(signals: NDArray[np.int16]) -> None:
    with pytest.raises(ValueError, match=r"not int16 \(records, 8, 5000\)|do not fit"):
        encode_shard(signals, 32)


CHUNKS = st.lists(st.binary(min_size=1, max_size=20), max_size=8)


@given(CHUNKS, st.integers(0, 3))
def test_chunks_come_back(chunks: list[bytes], missing: int) -> None:
    size = len(chunks) + missing
    content = join_chunks(chunks, size)
    assert list(map(bytes, split_shard(content, size))) == chunks
    assert len(content) == sum(map(len, chunks)) + 16 * size + 4


@given(CHUNKS, st.data())
def test_a_damaged_index_is_refused(chunks: list[bytes], data: st.DataObject) -> None:
    content = bytearray(join_chunks(chunks, 8))
    content[-data.draw(st.integers(1, 8 * 16 + 4))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError, match="damaged"):
        read_index(bytes(content), 8)
    with pytest.raises(ValueError, match="damaged"):
        read_index(bytes(content[-data.draw(st.integers(0, 8 * 16)) :]), 8)


@pytest.mark.parametrize(
    "index", [[[0, 2], [1, 2]], [[0, 2], [2, 9]], [[2, 2], [0, 2]], [[2**64 - 1, 2**64 - 1], [0, 4]]]
)
def test_chunks_that_do_not_lie_end_to_end_are_refused(index: list[list[int]]) -> None:
    pairs = np.array(index, "<u8").tobytes()
    with pytest.raises(ValueError, match="end to end"):
        split_shard(b"1234" + pairs + google_crc32c.value(pairs).to_bytes(4, "little"), 2)


@pytest.mark.parametrize(
    "records",
    [[], [0], [249], [95, 96], list(range(250)), list(range(0, 250, 2)), list(range(97, 190)), list(range(150, 250))],
    ids=len,
)
def test_a_subset_is_one_encoded_afresh(tmp_path: Path, records: list[int]) -> None:
    signals = made(250, "walk")
    entries = store_of(tmp_path / "source", signals)
    copied = write_subset(tmp_path / "source", entries, np.array(records, np.int64), tmp_path / "copied", SIZE)
    afresh = store_of(tmp_path / "afresh", signals[records])
    assert copied == {shard_file(tmp_path / "copied", shard): entry for shard, entry in afresh.items()}
    assert all(file_entry(path) == entry for path, entry in copied.items())
    names = [path.relative_to(tmp_path / "afresh") for path in all_files(tmp_path / "afresh")]
    assert [path.relative_to(tmp_path / "copied") for path in all_files(tmp_path / "copied")] == names
    if records:
        assert np.array_equal(read_signals(tmp_path / "copied", 0, len(records)), signals[records])


@pytest.mark.parametrize("where", ["chunk", "index", "gone"])
@pytest.mark.parametrize("index", [0, 2])
def test_damage_in_any_shard_stops_a_copy_even_of_records_elsewhere(tmp_path: Path, where: str, index: int) -> None:
    entries = store_of(tmp_path / "source", made(250, "walk"))
    path = shard_file(tmp_path / "source", list(entries)[index])
    content = bytearray(path.read_bytes())
    content[100 if where == "chunk" else -1] ^= 1
    path.write_bytes(bytes(content))
    if where == "gone":
        path.unlink()
    with pytest.raises(DatasetError, match=rf"c/{index}/0/0 is missing or damaged.*Run the same build again"):
        write_subset(tmp_path / "source", entries, np.array([100]), tmp_path / "copied", SIZE)


@pytest.mark.parametrize("name", ["signals.zarr/signal/c/1/0/0", "ledger/shard-00001.parquet"])
def test_finalise_finds_damage_where_it_reads_and_leaves_nothing_half_written(
    tmp_path: Path, dataset: Dataset, name: str
) -> None:
    folder = tmp_path / "d"
    shutil.copytree(
        dataset.folder,
        folder,
        ignore=shutil.ignore_patterns("normal", "dataset.json", "second_opinion.parquet"),
    )
    content = bytearray((folder / name).read_bytes())
    content[1000] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(DatasetError, match=f"{name} is missing or damaged"):
        finalise(folder, plan_of(dataset.manifest), second_opinion=0)
    assert {path.name for path in folder.iterdir()} == {"ledger", "signals.zarr", "measurements.parquet"}


def test_threads_keep_the_order_and_hold_few_items() -> None:
    taken, done, lock = 0, 0, Lock()

    def items() -> Iterator[int]:
        nonlocal taken
        for item in range(100):
            taken += 1
            yield item

    def work(item: int) -> int:
        nonlocal done
        with lock:
            done += 1
        return item * item

    for number, result in enumerate(in_threads(work, items())):
        assert result == number**2
        assert taken <= number + THREADS + 1
    assert done == 100
