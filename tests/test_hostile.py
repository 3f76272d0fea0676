"""Files made to harm are refused in one line that names them; nothing in them runs, memory and time stay bounded."""

import json
import os
import pickle
import re
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from pipeline.cli import main
from pipeline.columns import TABLE_SCHEMA
from pipeline.dataset import Dataset, check_output, open_dataset
from pipeline.errors import DatasetError, FoundryError, InputError, RecipeError
from pipeline.folder import check_folder
from pipeline.generators import load_generator
from pipeline.generators.checkpoint import checkpoint_sha256, load_weights, published_checkpoint
from pipeline.inputs import open_recordings
from pipeline.recipe import Recipe, canonical_sha256, make_recipe, read_recipe_file
from pipeline.store.files import file_entry
from pipeline.store.sharding import join_chunks, split_shard
from pipeline.store.tables import parse_table, read_table
from pipeline.verify import verify
from tests.conftest import build, planned
from tests.test_fuzz import read_all
from tests.test_inputs import GIVEN, edit, refused, write_record

MOST_MIB = 700
"""More than any refusal takes; the bombs would take gigabytes, or an hour."""
ZARR = "signals.zarr/signal/zarr.json"
SHARD = "signals.zarr/signal/c/0/0/0"


@contextmanager
def bounded() -> Iterator[None]:
    """Whatever happens inside takes no more memory at its peak than a refusal may."""
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak is now what is in use
    before = _peak_mib()
    yield
    assert _peak_mib() - before < MOST_MIB


def _peak_mib() -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    assert found
    return int(found[1]) / 1024


@contextmanager
def one_line(kind: type[FoundryError], *named: str) -> Iterator[None]:
    """A refusal of this kind, in one line of printable characters that names something."""
    with bounded(), pytest.raises(kind) as caught:
        yield
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 1000
    for name in named:
        assert name in message


@pytest.fixture
def folder(tmp_path: Path, dataset: Dataset) -> Path:
    """A dataset that can be spoiled."""
    ignored = shutil.ignore_patterns("normal", "second_opinion.parquet")
    return Path(shutil.copytree(dataset.folder, tmp_path / "d", ignore=ignored))


def seal(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a document and seal it again, as anybody can."""
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    others = {name: value for name, value in document.items() if name != "sealed_by"}
    path.write_text(json.dumps(document | {"sealed_by": canonical_sha256(others)}, indent=1) + "\n", encoding="utf-8")


ENTRY = {"sha256": "0" * 64, "bytes": 1}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("records", -1),
        ("records", 10**9 + 1),
        ("records", 10**4000),
        ("records", "80"),
        ("shard_records", 0),
        ("shard_records", 33),
        ("shard_records", 8224),
        ("content_digest", "x" * 64),
        ("lineage_digest", "../" * 20),
        ("rule_set", "2026\x1b[2J"),
        ("generation_version", "2.0.0\n"),
        ("measurement_version", "\u202egnp.exe"),
        ("rule_set", "\U0001f600" * 300),
        ("verdicts", {"Normal": -1}),
        ("verdicts", {"\n": 80}),
        ("statuses", {"measured": 10**100}),
        *(("files", {name: ENTRY}) for name in ("/etc/passwd", "../x", "a/../../x", "a//b", ".", "a\nb", "a\\b", "")),
        ("files", {"x": {"sha256": "0" * 63, "bytes": 1}}),
        ("files", {"x": {"sha256": "0" * 64, "bytes": -1}}),
        ("files", dict.fromkeys(map(str, range(100_000)))),
        ("\x1b]0;owned\x07", 1),
    ],
)
def test_a_manifest_sealed_again_cannot_claim_what_no_dataset_has(folder: Path, field: str, value: object) -> None:
    seal(folder / "dataset.json", lambda document: document.update({field: value}))
    with one_line(DatasetError, "dataset.json", "damaged"):
        open_dataset(folder)


@pytest.mark.parametrize("field", ["generation_version", "measurement_version", "rule_set"])
def test_a_plan_cannot_write_to_a_terminal(folder: Path, field: str) -> None:
    (folder / "dataset.json").unlink()
    seal(folder / "ledger" / "plan.json", lambda document: document.update({field: "\x1b[2J\n" * 1000}))
    with one_line(DatasetError, "plan.json", "not one short line"):
        check_folder(folder, planned(records=80, seed=8, shard_records=64))  # of which no shard is


JSON_BOMBS = {
    "depth": '{"recipe":' + "[" * 10**6,
    "lists": "[" + ",".join(["[]"] * 2_000_000) + "]",
    "fields": "{" + ",".join(f'"{number:x}":1' for number in range(500_000)) + "}",
    "digits": '{"records":' + "9" * 10**7 + "}",
    "size": " " * (17 << 20),
    "a name twice": '{"kind": "dataset", "kind": "subset"}',
    "NaN": '{"records": NaN}',
    "half a character": '{"rule_set": "\\ud800"}',
    "no UTF-8": "\udcff",
}


@pytest.mark.parametrize("bomb", JSON_BOMBS)
def test_a_document_that_is_a_bomb_is_one_line(folder: Path, bomb: str) -> None:
    for name in ("dataset.json", "recipe.json"):
        (folder / name).write_bytes(JSON_BOMBS[bomb].encode("utf-8", "surrogateescape"))
    with one_line(DatasetError, "dataset.json"):
        open_dataset(folder)
    with one_line(RecipeError):
        make_recipe(read_recipe_file(folder / "recipe.json"))


def test_a_recipe_without_end_is_read_no_further_than_a_recipe_goes() -> None:
    with one_line(RecipeError, "/dev/zero", "larger than"):
        read_recipe_file(Path("/dev/zero"))


@pytest.mark.parametrize(
    "seed", [10**5000, -(10**5000), [[[[[[[[]]]]]]]] * 1000, "x" * 10**6], ids=["more", "less", "lists", "text"]
)
def test_an_absurd_field_is_told_in_few_words(seed: object) -> None:
    with one_line(RecipeError, "seed"):
        make_recipe({"seed": seed})


def use(folder: Path) -> None:
    """Look at everything that a dataset has."""
    dataset = open_dataset(folder)
    assert dataset.signals.shape == (80, 8, 5000)
    dataset.signal(0)
    dataset.measurements()


@pytest.mark.parametrize("name", [ZARR, SHARD, "measurements.parquet", "dataset.json"])
@pytest.mark.parametrize("kind", ["FIFO", "device", "folder", "link out", "link inside", "loop"])
def test_only_a_file_of_the_folder_itself_is_read(folder: Path, tmp_path: Path, name: str, kind: str) -> None:
    path, elsewhere = folder / name, tmp_path / "elsewhere"
    path.rename(elsewhere)
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link inside":
        elsewhere.rename(folder / "inside")
        path.symlink_to(folder / "inside")
    else:
        path.symlink_to({"device": Path("/dev/zero"), "link out": elsewhere, "loop": path}[kind])
    with one_line(DatasetError, str(folder)):
        use(folder)


@pytest.mark.parametrize("name", ["signals.zarr", "signals.zarr/signal", "signals.zarr/signal/c/0"])
def test_a_folder_behind_a_link_is_none_of_the_datasets(folder: Path, tmp_path: Path, name: str) -> None:
    (folder / name).rename(tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    with one_line(DatasetError, "symbolic link"):
        use(folder)


def test_the_folder_itself_may_be_given_by_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    use(tmp_path / "link")


def codec(document: dict[str, Any]) -> dict[str, Any]:
    configuration: dict[str, Any] = document["codecs"][0]["configuration"]
    return configuration


GZIP = {"name": "gzip", "configuration": {"level": 9}}
TRANSPOSED = {"name": "transpose", "configuration": {"order": [0, 2, 1]}}
ZARR_CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "records": lambda document: document.update(shape=[10**9, 8, 5000]),
    "leads": lambda document: document.update(shape=[80, 12, 5000]),
    "type": lambda document: document.update(data_type="float64"),
    "shard": lambda document: document["chunk_grid"]["configuration"].update(chunk_shape=[10**9, 8, 5000]),
    "shard of leads": lambda document: document["chunk_grid"]["configuration"].update(chunk_shape=[64, 4, 5000]),
    "chunk": lambda document: codec(document).update(chunk_shape=[64, 8, 5000]),
    "fill value": lambda document: document.update(fill_value=7),
    "keys": lambda document: document.update(chunk_key_encoding={"name": "v2", "configuration": {"separator": "."}}),
    "no shards": lambda document: document.update(codecs=codec(document)["codecs"]),
    "gzip": lambda document: codec(document)["codecs"].__setitem__(1, GZIP),
    "gzip besides": lambda document: codec(document)["codecs"].append(GZIP),
    "gzip around": lambda document: document["codecs"].append(GZIP),
    "transposed": lambda document: codec(document)["codecs"].insert(0, TRANSPOSED),
    "big endian": lambda document: codec(document)["codecs"][0]["configuration"].update(endian="big"),
    "index first": lambda document: codec(document).update(index_location="start"),
    "index unchecked": lambda document: codec(document)["index_codecs"].pop(),
    "unknown codec": lambda document: codec(document)["codecs"].append({"name": "os.system", "configuration": {}}),
    "transformer": lambda document: document.update(storage_transformers=[{"name": "x", "configuration": {}}]),
    "size": lambda document: document.update(attributes={"x": "x" * 10**5}),
    "no codecs": lambda document: document.update(codecs=[]),
}


@pytest.mark.parametrize("change", ZARR_CHANGES)
def test_signals_in_another_layout_are_not_decoded(folder: Path, change: str) -> None:
    document = json.loads((folder / ZARR).read_text())
    ZARR_CHANGES[change](document)
    (folder / ZARR).write_text(json.dumps(document))
    with one_line(DatasetError, str(folder)):
        use(folder)


@pytest.mark.parametrize(
    ("place", "value"), [(4, 2**31 - 100), (4, 0), (12, 10**6), (12, 16), (8, 0), (8, 2**31), (0, 0xFFFF_FFFF)]
)
def test_a_record_that_unpacks_to_more_than_a_record_is_not_unpacked(folder: Path, place: int, value: int) -> None:
    """Blosc's header: at 0 versions and flags, at 4 what it unpacks to, at 8 its blocks, at 12 what it has."""
    chunks = list(map(bytes, split_shard((folder / SHARD).read_bytes(), 64)))
    chunks[3] = chunks[3][:place] + struct.pack("<I", value) + chunks[3][place + 4 :]
    (folder / SHARD).write_bytes(join_chunks(chunks, 64))
    with one_line(DatasetError, "c/0/0/0 cannot be read", "place 3"):
        open_dataset(folder).signal(3)
    assert open_dataset(folder).signal(4).any()


def test_a_subset_leads_back_to_a_record_of_its_source(tmp_path: Path, dataset: Dataset) -> None:
    folder = Path(shutil.copytree(dataset.folder / "normal", tmp_path / "normal"))
    table = pq.read_table(folder / "measurements.parquet")
    for number in (-1, 80, None):
        wrong = pa.array([number] * table.num_rows, pa.int64())
        pq.write_table(table.set_column(1, "source_record_id", wrong), folder / "measurements.parquet")
        with one_line(DatasetError, "as the source of record 2"):
            open_dataset(folder).source_record(2)


def nested(depth: int) -> pa.DataType:
    return pa.list_(nested(depth - 1)) if depth else pa.int16()


def replaced(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)


def lists(values: pa.Array, rows: int) -> pa.Array:
    """The same list in every row."""
    every = pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), values)
    return every.take(pa.array([0] * rows))


def long_text(times: int) -> pa.Array:
    """A text of 20 MB, stored once and meant so many times."""
    return pa.DictionaryArray.from_arrays(pa.array([0] * times, pa.int32()), pa.array(["x" * (20 << 20)]))


def no_utf8(rows: int) -> pa.Array:
    return pa.Array.from_buffers(pa.string(), rows, pa.array([b"\xff"] * rows).buffers())


TABLES: dict[str, Callable[[pa.Table], pa.Table]] = {
    "too few rows": lambda table: table.slice(1),
    "too many rows": lambda table: pa.concat_tables([table, table]),
    "ten million rows": lambda _: pa.table({"record_id": pa.nulls(10**7, pa.int64())}),
    "no rows": lambda table: table.slice(0, 0),
    "a column missing": lambda table: table.drop_columns(["verdict"]),
    "numbers as text": lambda table: replaced(table, "record_id", table["record_id"].cast(pa.string())),
    "text as numbers": lambda table: replaced(table, "verdict", table["record_id"]),
    "lists as numbers": lambda table: replaced(table, "r_peaks", table["record_id"]),
    "a tree": lambda table: replaced(table, "status", pa.nulls(len(table), nested(30))),
    "text nobody knows": lambda table: table.append_column("note", table["verdict"]),
    "a text in every row": lambda table: replaced(table, "verdict", long_text(len(table))),
    "a text in every list": lambda table: replaced(table, "quality_flags", lists(long_text(10), len(table))),
    "no UTF-8": lambda table: replaced(table, "verdict", no_utf8(len(table))),
}


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_of_another_kind_is_not_read(folder: Path, kind: str) -> None:
    path = folder / "measurements.parquet"
    pq.write_table(TABLES[kind](pq.read_table(path)), path, store_schema=False)
    with one_line(DatasetError, "measurements.parquet cannot be read"):
        dataset = open_dataset(folder)
        dataset.measurements()
        dataset.measurements(["verdict"])


def test_a_table_that_unpacks_to_gigabytes_is_refused_by_its_footer(tmp_path: Path) -> None:
    table = pa.table({"record_id": [1] * 100, "verdict": [f"{number}" + "x" * 10**6 for number in range(100)]})
    path = tmp_path / "t.parquet"
    pq.write_table(table, path, compression="zstd", use_dictionary=False)
    assert path.stat().st_size < 10**6
    with one_line(DatasetError, "t.parquet", "unpacks to"):
        read_table(path, ["record_id"])


def test_a_shards_rows_of_another_kind_are_one_line() -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"record_id": ["x"]}), sink)
    for content in (b"", b"PAR1", sink.getvalue().to_pybytes()):
        with one_line(DatasetError, "shard's Parquet part"):
            parse_table(content)


def test_a_part_is_read_as_it_was_written(dataset: Dataset) -> None:
    part = parse_table((dataset.folder / "ledger" / "shard-00000.parquet").read_bytes())
    assert part.cast(TABLE_SCHEMA).equals(dataset.measurements().slice(0, 64).cast(TABLE_SCHEMA))


class Malicious:
    """A pickle that would write a file when loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (open, (str(self.path), "w"))


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_weights(path, checkpoint_sha256(path))


@pytest.mark.parametrize("archive", [True, False])
@pytest.mark.parametrize("where", ["alone", "as a name", "beside tensors", "deep"])
def test_code_in_a_checkpoint_of_either_format_does_not_run(tmp_path: Path, where: str, archive: bool) -> None:
    path, trace = tmp_path / "evil.pt", tmp_path / "trace"
    malicious = Malicious(trace)
    content: dict[str, object] = {
        "alone": malicious,
        "as a name": {malicious: torch.zeros(2)},
        "beside tensors": {"state_dict": {"conv_1.weight": torch.zeros(2), "x": malicious}},
        "deep": [[[[(malicious,)]]]],
    }
    torch.save(content[where], path, _use_new_zipfile_serialization=archive)
    with one_line(RecipeError, "evil.pt", "does not load as plain tensors"):
        weights(path)
    assert not trace.exists()
    assert list(tmp_path.iterdir()) == [path]


def zipped(path: Path, name: str, content: bytes) -> None:
    """Put a deflated member into an archive, as PyTorch never does."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, content, zipfile.ZIP_DEFLATED, compresslevel=1)


def save_claiming_more(path: Path) -> None:
    """A storage of 8 GB by what its pickle says, of 4 MB in the file."""
    torch.save({"x": torch.zeros(1 << 20)}, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes().replace(struct.pack("<i", 1 << 20), struct.pack("<i", 2**31 - 1)))


def save_and_zip(path: Path) -> None:
    torch.save({"x": torch.zeros(2)}, path)
    zipped(path, "x/data/1", bytes(1 << 30))


def save_tensor(make: Callable[[], torch.Tensor], path: Path) -> None:
    torch.save({"x": make()}, path)


def save_content(make: Callable[[], bytes], path: Path) -> None:
    path.write_bytes(make())


TENSORS: dict[str, Callable[[], torch.Tensor]] = {
    "expanded": lambda: torch.zeros(1).expand(10**6, 10**6),
    "NaN": lambda: torch.tensor([1.0, float("nan")]),
    "infinite": lambda: torch.tensor([1.0, float("-inf")]),
    "sparse": lambda: torch.zeros(10**6, 10**6, layout=torch.sparse_coo),
    "meta": lambda: torch.zeros(10**9, 10**3, device="meta"),
    "complex": lambda: torch.zeros(2, dtype=torch.complex64),
}
CONTENTS: dict[str, Callable[[], bytes]] = {
    "nested without end": lambda: b"\x80\x02" + b"]" * 10**6 + b"a" * (10**6 - 1) + b".",
    "64 GB of zeros": lambda: b"\x80\x02cbuiltins\nbytearray\n\x8a\x05" + (2**36).to_bytes(5, "little") + b"\x85R.",
    "cut short": lambda: published_checkpoint().read_bytes()[:100_000],
    "empty": lambda: b"",
    "text": lambda: b"hello",
    "protocol 5": lambda: pickle.dumps({}, 5),
    "archive of nothing": lambda: b"PK\x05\x06" + bytes(18),
}
CHECKPOINTS: dict[str, Callable[[Path], object]] = {
    "archive bomb": save_and_zip,
    "absurd claim": save_claiming_more,
    **{kind: partial(save_tensor, make) for kind, make in TENSORS.items()},
    **{kind: partial(save_content, make) for kind, make in CONTENTS.items()},
}


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_a_checkpoint_that_is_no_plain_state_dictionary_is_one_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "odd.pt"
    CHECKPOINTS[kind](path)
    with one_line(RecipeError, "odd.pt"):
        load_generator(Recipe(checkpoint_sha256=checkpoint_sha256(path)), path)


def test_a_checkpoint_without_end_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.pt")
    with (tmp_path / "large.pt").open("wb") as file:
        file.truncate((1 << 29) + 1)
    for path in (Path("/dev/zero"), tmp_path / "fifo.pt", tmp_path):
        with one_line(RecipeError, str(path), "no regular file"):
            checkpoint_sha256(path)
    with one_line(RecipeError, "large.pt is larger than 512 MiB"):
        checkpoint_sha256(tmp_path / "large.pt")


@pytest.mark.parametrize("suffix", [".dat", ".hea"])
def test_a_link_out_of_a_records_folder_is_not_followed(tmp_path: Path, suffix: str) -> None:
    path = write_record(tmp_path / "w").with_suffix(suffix)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    refused(tmp_path / "w" / "100.hea", f"'100{suffix}' is a symbolic link out")
    path.unlink()
    (tmp_path / "elsewhere").rename(path.with_name("beside"))
    path.symlink_to(path.with_name("beside"))
    assert open_recordings(tmp_path / "w" / "100.hea").read(0).signal.any()


def test_a_signal_file_of_a_name_too_long_is_refused(tmp_path: Path) -> None:
    refused(edit(write_record(tmp_path), "100.dat", "x" * 300), "its signal file cannot be read: File name too long")
    refused(edit(write_record(tmp_path), "100.dat", "."), "signal file '.' is not beside it")


def test_a_path_too_long_is_refused_in_python_too(tmp_path: Path) -> None:
    place = tmp_path / ("x" * 300)
    with one_line(DatasetError, "File name too long"):
        open_dataset(place)
    with one_line(InputError, "File name too long"):
        open_recordings(place)
    with one_line(InputError, "File name too long"):
        check_output(place, tmp_path / "input")


@pytest.mark.parametrize("kind", ["zip of zeros", "npz", "npy that is a zip", "npy of terabytes"])
def test_an_archive_is_not_unpacked_and_a_claim_not_believed(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("x.npy" if "npy" in kind else "x.zip")
    if kind == "npy of terabytes":
        np.save(path, np.zeros((1, 8, 5000), np.int16))
        path.write_bytes(path.read_bytes().replace(b"(1, 8, 5000)", b"(99999999, 8, 5000)"[:12].ljust(12)))
    else:
        zipped(path, "signals.zarr/zarr.json", bytes(1 << 28))
    with one_line(InputError, path.name):
        read_all(path, **GIVEN if path.suffix == ".npy" else {})
    with one_line(DatasetError, path.name, "holds no dataset"):
        open_dataset(path)


def test_an_output_that_is_a_loop_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop.png").symlink_to("loop.png")
    with one_line(InputError, "loop.png"):
        check_output(tmp_path / "loop.png", tmp_path / "input")


@pytest.mark.parametrize("name", ["é\U0001f600 \u202e", "a\nb", "x" * 240], ids=["emoji", "line break", "long"])
def test_names_of_all_kinds_work(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / name
    build = ["build", "--records", "2", "--engine", "serial", "--no-release", "--second-opinion", "0"]
    assert main([*build, "--out", str(place)]) == 0
    assert main(["show", str(place), "--record", "1", "--out", f"{place}.png"]) == 0
    assert main(["measure", str(place), "--out", f"{place}.parquet"]) == 0
    assert main(["verify", str(place)]) == 0
    header = write_record(tmp_path / "w" / name, "100")
    assert main(["measure", str(header), "--out", str(tmp_path / "t.parquet")]) == 0
    assert "Traceback" not in capsys.readouterr().err


def test_a_dataset_may_lie_in_a_folder_whose_name_is_no_text(tmp_path: Path) -> None:
    made = build(tmp_path / os.fsdecode(b"\xff\xfe"), records=2, second_opinion=1)
    assert not verify(open_dataset(made.folder))
    assert open_dataset(made.folder / "normal").measurements().num_rows <= 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["build", "--records", "2", "--engine", "serial", "--out", "{}"],
        ["show", "DATASET", "--record", "1", "--out", "{}.png"],
        ["measure", "DATASET", "--out", "{}.parquet"],
        ["measure", "{}", "--out", "t.parquet"],
        ["build", "--recipe", "{}", "--out", "d"],
        ["verify", "{}"],
    ],
    ids=" ".join,
)
def test_a_name_that_is_too_long_is_one_line_and_nothing_is_written(
    tmp_path: Path,
    dataset: Dataset,
    arguments: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [each.replace("{}", "x" * 256).replace("DATASET", str(dataset.folder)) for each in arguments]
    assert main(given) in {1, 2, 3, 4}
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("ecg-foundry: error: ")
    assert list(tmp_path.iterdir()) == []


def test_a_record_whose_name_no_table_can_hold_is_named(tmp_path: Path) -> None:
    header = write_record(tmp_path)
    header.rename(tmp_path / os.fsdecode(b"\xff.hea"))
    with one_line(InputError, r"\udcff.hea"):
        open_recordings(tmp_path)


@pytest.mark.parametrize("table", ["without a column", "no Parquet"])
def test_damage_is_named_where_a_foreign_table_tells_nothing(tmp_path: Path, dataset: Dataset, table: str) -> None:
    """The manifest vouches for it, having been sealed again."""
    folder = Path(shutil.copytree(dataset.folder, tmp_path / "d"))
    path = folder / "measurements.parquet"
    if table == "no Parquet":
        path.write_text("PAR?")
    else:
        pq.write_table(pq.read_table(path).drop_columns(["verdict"]), path)
    seal(folder / "dataset.json", lambda document: document["files"].update({path.name: file_entry(path).model_dump()}))
    for name in ("normal/signals.zarr/signal/c/0/0/0", "second_opinion.parquet"):
        (folder / name).write_bytes(b"?" + (folder / name).read_bytes()[1:])
    found = {problem.thing for problem in verify(open_dataset(folder))}
    assert found >= {"normal/signals.zarr/signal/c/0/0/0", "second_opinion.parquet"}


def test_a_claim_of_many_records_costs_nothing(folder: Path) -> None:
    seal(folder / "dataset.json", lambda document: document.update(records=10**8, verdicts={"Normal": 10**8}))
    with one_line(DatasetError, "dataset.json", "too many"):
        open_dataset(folder)


def test_a_folder_of_recordings_that_cannot_be_looked_into_is_named(
    tmp_path: Path, lock: Callable[[Path], None]
) -> None:
    write_record(tmp_path)
    (tmp_path / "locked").mkdir()
    lock(tmp_path / "locked")
    with one_line(InputError, f"{tmp_path}/locked: Permission denied"):
        open_recordings(tmp_path)
