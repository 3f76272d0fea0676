"""Each export, read back by the tool that its users read it with, is the signals and the table again."""

import hashlib
import io
import socket
import tarfile
from collections.abc import Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import datasets
import ecgbench.config
import h5py
import huggingface_hub.constants
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import wfdb
from ecgbench.cli.splits import run_splits
from ecgbench.dataset import ECGDataset
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from pipeline.dataset import Dataset, open_dataset
from pipeline.errors import DatasetError, InputError, RecipeError
from pipeline.leads import LEADS, STORED_LEADS, to_twelve_leads
from pipeline.normal import NORMAL
from pipeline.release import exports
from pipeline.release.exports import EXPORTS, asc, chosen_exports, hdf5, huggingface
from pipeline.release.exports import wfdb as wfdb_export
from pipeline.release.manifest import Contents, ReleaseManifest, SignalsPart
from pipeline.release.rows import count_marks, release_rows
from pipeline.release.source import Source
from pipeline.shards import Shard
from pipeline.store.files import all_files

Signals = NDArray[np.int16]


@dataclass(frozen=True)
class Exported:
    """A release's datasets, what it is, and every export of it."""

    sources: list[Source]
    facts: ReleaseManifest
    folder: Path

    @property
    def signals(self) -> Signals:
        return np.asarray(self.sources[0].dataset.signals[:])

    @property
    def normal(self) -> NDArray[np.int64]:
        """Numbers of the normal records."""
        numbers: NDArray[np.int64] = self.sources[1].table["source_record_id"].to_numpy()
        return numbers


def write_all(sources: list[Source], facts: ReleaseManifest, folder: Path) -> None:
    for name in chosen_exports(EXPORTS):
        (folder / name).mkdir(parents=True)
        EXPORTS[name].write(sources, facts, folder / name)


@pytest.fixture(scope="module")
def exported(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    sources, contents = list[Source](), dict[Any, Contents]()
    folds = (np.arange(len(dataset)) % 10 + 1).astype(np.int8)
    for name, each in (("all", dataset), ("normal", open_dataset(dataset.folder / NORMAL))):
        parts = [SignalsPart(file=f"{name}/signals-000.zarr.zip", records=len(each))]
        sources.append(Source(name, each, release_rows(each.measurements(), 7, folds, parts)))  # type: ignore[arg-type]
        of_records = each.manifest.model_dump(include=set(Contents.model_fields) - {"table", "signals", "marks"})
        marks = count_marks(each.measurements())
        contents[name] = Contents(table=f"{name}/measurements.parquet", signals=parts, marks=marks, **of_records)
    manifest = dataset.manifest
    assert manifest.provenance is not None
    shared = set(ReleaseManifest.model_fields) - {"kind", "provenance", "recipe", "sealed_by"}
    facts = ReleaseManifest(
        version="1.0.0",
        issued=manifest.provenance.finished_at,
        recipe=manifest.recipe,
        provenance=manifest.provenance,
        datasets=contents,
        **manifest.model_dump(include=shared),
    )
    folder = tmp_path_factory.mktemp("exports")
    write_all(sources, facts, folder)
    return Exported(sources, facts, folder)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No socket, and the Hub's libraries know it."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError("there is no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


@pytest.fixture
def configurations(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ours in the place of those in ecgbench's package."""
    monkeypatch.setattr(ecgbench.config, "_CONFIGS_DIR", exported.folder / "ecgbench")
    return exported.folder / "ecgbench"


def unpacked(folder: Path, pattern: str, place: Path) -> list[str]:
    """The paths in some archives, in order, once they are unpacked as from a stream that cannot be wound back."""
    names = list[str]()
    for archive in sorted(folder.glob(pattern)):
        with tarfile.open(archive, "r|gz") as tar:
            for member in tar:
                names.append(member.name)
                content = tar.extractfile(member)  # by itself, for the safe `extract` came with 3.11.4
                assert content
                (place / member.name).parent.mkdir(parents=True, exist_ok=True)
                (place / member.name).write_bytes(content.read())
    return names


@given(arrays(np.int16, array_shapes(min_dims=2, max_dims=2, max_side=20)))
def test_text_is_what_numpy_writes(signal: Signals) -> None:
    expected = io.BytesIO()
    np.savetxt(expected, signal.T, fmt="%i")
    assert asc.asc(signal) == expected.getvalue()


def test_asc_loads_by_the_original_paths(exported: Exported, tmp_path: Path) -> None:
    unpacked(exported.folder / "asc", "pulse2pulse_150k-*.tar.gz", tmp_path)
    unpacked(exported.folder / "asc", "filtered_all_normals_121977-*.tar.gz", tmp_path)
    everything = sorted((tmp_path / "pulse2pulse_150k" / "from_006_chkp_2500_150k").iterdir())
    normal = sorted((tmp_path / "from_006_chck_2500_150k_filtered_all_normals_121977").iterdir())
    assert {path.name for path in everything} == {f"{number}.asc" for number in range(80)}
    assert {path.name for path in normal} == {f"{number}.asc" for number in exported.normal}
    for path in [*everything[::5], *normal[::5]]:
        assert np.array_equal(np.loadtxt(path).T, exported.signals[int(path.stem)])
    for path in normal:
        assert path.read_bytes() == (everything[0].parent / path.name).read_bytes()


def test_the_csvs_have_our_values_under_muse_names(exported: Exported) -> None:
    files = ("pulse2pulse_150k_ground_truth.csv", "filtered_all_normals_121977_ground_truth.csv")
    for source, name in zip(exported.sources, files, strict=True):
        ours = source.table.to_pandas()
        theirs = pd.read_csv(exported.folder / "csv" / name, float_precision="round_trip")
        pairs = {"patid": "source_record_id", "VentRate": "heart_rate_bpm", "qt": "qt_interval_ms"}
        pairs |= {
            "R_PeakAmpl_v5": "r_amplitude_v5_uv",
            "STJ_avf": "stj_amplitude_avf_uv",
            "avgrrinterval": "mean_rr_ms",
        }
        for muse, column in pairs.items():
            assert np.array_equal(theirs[muse].astype(float), ours[column].astype(float), equal_nan=True), muse
        flags = theirs.filter(regex=r"^sl_\d+$")
        assert set(flags.dtypes) == {np.dtype(bool)}
        for row, statements in enumerate(ours["statements"]):
            assert [name for name in flags if flags[name][row]] == [f"sl_{code}" for code in statements]
        assert (theirs["numcodes"] == ours["statements"].map(len)).all()
        assert theirs["ecgcategory"].fillna("").tolist() == [f"{each} ECG" if each else "" for each in ours["verdict"]]
        assert "qtc_bazett_ms" not in theirs
        assert theirs.filter(like="P_PeakAmpl").empty


def test_wfdb_reads_twelve_exact_leads(exported: Exported, tmp_path: Path) -> None:
    unpacked(exported.folder / "wfdb", "records-*.tar.gz", tmp_path)
    names = (exported.folder / "wfdb" / "RECORDS").read_text(encoding="utf-8").split()
    normal = (exported.folder / "wfdb" / "RECORDS-normal").read_text(encoding="utf-8").split()
    assert [int(name.rpartition("/")[2]) for name in names] == list(range(80))
    assert [int(name.rpartition("/")[2]) for name in normal] == exported.normal.tolist()
    verdicts = exported.sources[0].table["verdict"].to_pylist()
    for name, stored, verdict in zip(names, exported.signals, verdicts, strict=True):
        record = wfdb.rdrecord(str(tmp_path / name))
        assert record.sig_name == list(LEADS)
        assert (record.fs, set(record.units)) == (500, {"mV"})
        assert np.array_equal(record.p_signal.T, to_twelve_leads(2 * stored.astype(float)) / 2000)
        assert f"verdict: {verdict or 'none'}" in record.comments
        i, ii, iii, avr, avl, avf = wfdb.rdrecord(str(tmp_path / name), physical=False).d_signal.T[:6].astype(int)
        assert np.array_equal(iii, ii - i)
        assert np.array_equal(-2 * avr, i + ii)
        assert np.array_equal(2 * avl, 2 * i - ii)
        assert np.array_equal(2 * avf, 2 * ii - i)


def test_wfdb_itself_writes_the_same_bytes(exported: Exported, tmp_path: Path) -> None:
    unpacked(exported.folder / "wfdb", "records-*.tar.gz", tmp_path)
    again = tmp_path / "again"
    again.mkdir()
    for number in (0, 17, 79):
        wfdb.wrsamp(
            f"{number:06}",
            fs=500,
            units=["mV"] * 12,
            sig_name=list(LEADS),
            d_signal=(2 * to_twelve_leads(exported.signals[number].astype(float))).T.astype(np.int16),
            fmt=["16"] * 12,
            adc_gain=[2000] * 12,
            baseline=[0] * 12,
            write_dir=str(again),
        )
        ours, theirs = (
            (each / f"{number:06}.hea").read_text(encoding="utf-8") for each in (tmp_path / "000000", again)
        )
        assert ours.partition("#")[0] == theirs
        assert (tmp_path / f"000000/{number:06}.dat").read_bytes() == (again / f"{number:06}.dat").read_bytes()


@pytest.mark.parametrize(("two", "fits"), [(8191, True), (8192, False)])
def test_a_voltage_beyond_wfdb_is_refused(exported: Exported, tmp_path: Path, two: int, *, fits: bool) -> None:
    """III = II - I is beyond the range before any stored lead is."""

    class High(Source):
        def blocks(self, what: str) -> Iterator[tuple[Shard, Signals]]:
            for shard, signals in super().blocks(what):
                signals[3, :2, 100] = -8192, two
                yield shard, signals

    source = exported.sources[0]
    high = High(source.name, source.dataset, source.table)
    refused = pytest.raises(DatasetError, match=r"record 3 reaches 16\.384 mV in lead III, .*without the export wfdb")
    with nullcontext() if fits else refused:
        wfdb_export.write([high], exported.facts, tmp_path)


def test_hdf5_has_signals_and_every_measurement(exported: Exported) -> None:
    table = exported.sources[0].table
    with h5py.File(exported.folder / "hdf5" / "all-000.h5") as file:
        assert np.array_equal(file["signal"][:], exported.signals)
        assert np.array_equal(file["tracings"][:], exported.signals.transpose(0, 2, 1))
        assert (file["signal"].chunks, file["signal"].attrs["unit"]) == ((1, 8, 5000), "uV")
        assert file["lead"].asstr()[:].tolist() == list(STORED_LEADS)
        assert np.array_equal(file["record_id"][:], table["source_record_id"].to_numpy())
        rows = file["measurements"]
        assert set(rows) == set(table.column_names) - {"signals_file", "signals_row"}
        assert rows["qt_interval_ms"].attrs["unit"] == "ms"
        for field in table.drop_columns(["signals_file", "signals_row"]).schema:
            values = table[field.name].to_pylist()
            if pa.types.is_string(field.type):
                assert rows[field.name].asstr()[:].tolist() == [value or "" for value in values]
            elif pa.types.is_list(field.type):
                texts = [" ".join(map(str, value)) for value in values]
                assert rows[field.name].asstr()[:].tolist() == texts
            else:
                expected = np.array([np.nan if value is None else value for value in values])
                assert np.array_equal(rows[field.name][:], expected, equal_nan=True), field.name


@pytest.mark.parametrize("name", ["all", "normal"])
def test_ecgbench_loads_it(exported: Exported, configurations: Path, name: str) -> None:
    source = exported.sources[name == "normal"]
    rows = {row["source_record_id"]: row for row in source.table.to_pylist()}
    seen = list[int]()
    for split, folds in (("train", range(1, 9)), ("val", [9]), ("test", [10])):
        loaded = ECGDataset(
            f"ecg_foundry_{name}", split, data_path=configurations / name, metadata_source="local", labels=True
        )
        seen += loaded.metadata_df["source_record_id"].tolist()
        for sample in (loaded[place] for place in range(0, len(loaded), 4)):
            row = rows[int(sample["record_id"])]
            assert sample["fold"] == row["strat_fold"]
            assert row["strat_fold"] in folds
            millivolts = exported.signals[row["source_record_id"]].astype(np.float32) * np.float32(0.001)
            assert np.array_equal(sample["signal"].numpy(), millivolts)
            assert sample["labels"]["heart_rate_bpm"] == row["heart_rate_bpm"]
            assert "record_id" not in sample["labels"]
        one = ECGDataset(
            f"ecg_foundry_{name}", split, data_path=configurations / name, metadata_source="local", leads=["V5"]
        )
        assert np.array_equal(one[0]["signal"][0], loaded[0]["signal"][6])
    assert sorted(seen) == sorted(rows)


def test_ecgbench_finds_nothing_wrong_and_the_same_folds(configurations: Path, tmp_path: Path) -> None:
    done = run_splits("ecg_foundry_all", configurations / "all", tmp_path, max_workers=1, skip_croissant=True)
    assert (done["clean"]["total"], done["excluded"]) == (80, 0)
    theirs = pd.read_csv(tmp_path / "clean" / "folds.csv")
    assert theirs.equals(pd.read_csv(configurations / "all" / "folds.csv"))


@pytest.mark.usefixtures("offline")
def test_hugging_face_loads_it_offline(exported: Exported, tmp_path: Path) -> None:
    folder = str(exported.folder / "huggingface")
    assert datasets.get_dataset_config_names(folder) == ["full", "normal"]
    for source, name in zip(exported.sources, ("full", "normal"), strict=True):
        loaded = datasets.load_dataset(folder, name, cache_dir=str(tmp_path))
        table = source.table.drop_columns(["signals_file", "signals_row"])
        for split, folds in (("train", range(1, 9)), ("validation", [9]), ("test", [10])):
            part = loaded[split]
            expected = table.filter(np.isin(table["strat_fold"].to_numpy(), folds))
            assert part.select_columns(expected.column_names).to_list() == expected.to_pylist()
            signals = part.with_format("numpy", columns=["signal"], dtype="int16")[:]["signal"]
            assert signals.dtype == np.int16
            assert np.array_equal(signals, exported.signals[expected["source_record_id"].to_numpy()])


@pytest.mark.usefixtures("offline")
def test_torch_batches_it(exported: Exported, tmp_path: Path) -> None:
    folder = str(exported.folder / "huggingface")
    stream = datasets.load_dataset(folder, "full", split="train", streaming=True, cache_dir=str(tmp_path))
    stored = datasets.load_dataset(folder, "full", split="train", cache_dir=str(tmp_path))
    for part in (stream, stored):
        columns = part.select_columns(["source_record_id", "signal"]).with_format("torch")
        batches = list(torch.utils.data.DataLoader(columns, batch_size=16))
        signals = torch.concatenate([batch["signal"] for batch in batches])
        numbers = torch.concatenate([batch["source_record_id"] for batch in batches])
        assert np.array_equal(signals.numpy(), exported.signals[numbers.numpy()])
        assert len(numbers) == len(stored) == 64


def test_shard_size_and_time_change_no_byte(exported: Exported, tmp_path: Path) -> None:
    class Resharded(Source):
        def blocks(self, what: str) -> Iterator[tuple[Shard, Signals]]:
            for shard, signals in super().blocks(what):
                for start in range(shard.start, shard.stop, 32):
                    stop = min(start + 32, shard.stop)
                    yield replace(shard, start=start, stop=stop), signals[start - shard.start : stop - shard.start]

    write_all([Resharded(each.name, each.dataset, each.table) for each in exported.sources], exported.facts, tmp_path)
    first, second = (
        {path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest() for path in all_files(folder)}
        for folder in (exported.folder, tmp_path)
    )
    assert first == second


@pytest.mark.parametrize(("name", "first"), [("asc", "pulse2pulse_150k"), ("wfdb", "records")])
def test_archives_end_below_their_limit(exported: Exported, tmp_path: Path, name: str, first: str) -> None:
    whole = exported.folder / name / f"{first}-000.tar.gz"
    limit = whole.stat().st_size * 9 // 10
    module = asc if name == "asc" else wfdb_export
    module.write(exported.sources, exported.facts, tmp_path, part_bytes=limit)
    parts = sorted(tmp_path.glob(f"{first}-*.tar.gz"))
    assert len(parts) == 2
    assert all(part.stat().st_size <= limit for part in parts)
    there = unpacked(whole.parent, whole.name, tmp_path / "one")
    assert unpacked(tmp_path, f"{first}-*.tar.gz", tmp_path / "two") == there
    for path in there:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes()


def test_hdf5_goes_on_in_the_next_file(exported: Exported, tmp_path: Path) -> None:
    hdf5.write(exported.sources, exported.facts, tmp_path, part_records=32)
    signals, numbers = list[Signals](), list[NDArray[np.int64]]()
    for path in sorted(tmp_path.glob("*.h5")):
        with h5py.File(path) as file:
            signals.append(file["signal"][:])
            numbers.append(file["measurements/source_record_id"][:])
    assert [len(part) for part in signals] == [32, 32, 16]
    assert np.array_equal(np.concatenate(signals), exported.signals)
    assert np.concatenate(numbers).tolist() == list(range(80))


def test_parquet_goes_on_in_the_next_file(tmp_path: Path) -> None:
    signals = np.arange(300, dtype=np.int16)[:, None, None] * np.ones((8, 5000), np.int16)
    table = pa.table({"record_id": np.arange(300)})
    with closing(huggingface.Files(tmp_path / "train", table.schema, 128 * 80_000)) as files:
        for start in range(0, 300, 100):
            files.add(table.slice(start, 100), signals[start : start + 100])
    parts = [pq.read_table(path) for path in sorted(tmp_path.iterdir())]
    assert [part.num_rows for part in parts] == [128, 172]
    whole = pa.concat_tables(parts).combine_chunks()
    samples = whole["signal"].combine_chunks().flatten().flatten().to_numpy().reshape(300, -1)
    assert np.array_equal(samples, signals.reshape(300, -1))
    assert whole["record_id"].to_pylist() == list(range(300))


@pytest.mark.usefixtures("offline")
def test_without_normal_records_the_others_are_there(exported: Exported, tmp_path: Path) -> None:
    class Empty(Source):
        def blocks(self, _: str) -> Iterator[tuple[Shard, Signals]]:
            yield from ()

    everything, normal = exported.sources
    write_all([everything, Empty("normal", normal.dataset, normal.table.slice(0, 0))], exported.facts, tmp_path)
    assert sorted(path.name for path in (tmp_path / "asc").iterdir()) == ["README.md", "pulse2pulse_150k-000.tar.gz"]
    assert len(pd.read_csv(tmp_path / "csv" / "filtered_all_normals_121977_ground_truth.csv")) == 0
    assert (tmp_path / "wfdb" / "RECORDS-normal").read_text(encoding="utf-8") == ""
    assert datasets.get_dataset_config_names(str(tmp_path / "huggingface")) == ["full"]
    loaded = datasets.load_dataset(str(tmp_path / "huggingface"), "full", cache_dir=str(tmp_path / "cache"))
    assert loaded.num_rows == {"train": 64, "validation": 8, "test": 8}


def test_what_an_export_needs_comes_before_it() -> None:
    assert chosen_exports(["ecgbench", "asc"]) == ["asc", "hdf5", "ecgbench"]
    assert chosen_exports([]) == []
    assert all(export.name == name and set(export.needs) < set(EXPORTS) for name, export in EXPORTS.items())
    with pytest.raises(
        RecipeError, match=r"no export edf, mat\. Choose from asc, csv, wfdb, hdf5, ecgbench, huggingface"
    ):
        chosen_exports(["mat", "asc", "edf"])


def test_a_missing_library_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"needs h5py, .*pip install 'ecg-foundry\[hdf5\]'"):
        chosen_exports(["ecgbench"])


@pytest.mark.parametrize("export", EXPORTS.values(), ids=list(EXPORTS))
def test_it_takes_no_more_room_than_is_asked_for(exported: Exported, export: Any) -> None:
    there = sum(path.stat().st_size for path in all_files(exported.folder / export.name) if path.name != "README.md")
    assert 0.6 < there / export.bytes(80, len(exported.normal)) < 1


@pytest.mark.parametrize("name", EXPORTS)
def test_a_reader_is_told_what_it_is(exported: Exported, name: str) -> None:
    text = (exported.folder / name / "README.md").read_text(encoding="utf-8")
    assert "**Synthetic. Not for clinical use.**" in text
    assert "{" not in text.replace("{name: column[:] for name, column in", "")
    alone = ("CC BY 4.0", "CITATION.cff", *(each.content_digest for each in exported.facts.datasets.values()))
    assert [each for each in alone if each not in text] == []


@pytest.mark.parametrize(
    ("records", "size"), [(80, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (150_000, "100K<n<1M"), (10**9, "1B<n<10B")]
)
def test_the_card_says_how_large_it_is(records: int, size: str) -> None:
    assert huggingface.size_category(records) == size
