"""The command line: what it prints, and one clear line with a non-zero exit for everything bad."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline.cli import main
from pipeline.dataset import Dataset
from pipeline.errors import DatasetError, WorkerError
from pipeline.store.files import all_files

COMMANDS = ("build", "measure", "verify", "regenerate", "show", "report")


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Exit status and the one line of a command that must fail."""
    status = main([str(argument) for argument in arguments])
    error = capsys.readouterr().err
    lines = [line for line in error.splitlines() if line.startswith("ecg-foundry: error: ")]
    assert status != 0
    assert len(lines) == 1
    assert "Traceback" not in error
    return status, lines[0]


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
def test_help(capsys: pytest.CaptureFixture[str], command: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([*command, "--help"])
    assert "usage: ecg-foundry" in capsys.readouterr().out


def test_build_prints_a_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "--records", "32", "--engine", "serial", "--out", str(tmp_path / "d"), "--no-release"]) == 0
    out = capsys.readouterr().out
    for expected in ("32 synthetic ECGs, not for clinical use", "paper, normal", "QT interval", "missing", "Load it"):
        assert expected in out


def test_a_dataset_is_made_again_from_its_manifest(tmp_path: Path, dataset: Dataset) -> None:
    recipe = str(dataset.folder / "dataset.json")
    assert main(["build", "--recipe", recipe, "--engine", "serial", "--out", str(tmp_path / "d"), "--no-release"]) == 0
    again = pipeline.open_dataset(tmp_path / "d")
    assert again.manifest.content_digest == dataset.manifest.content_digest


def test_verify_regenerate_and_report(tmp_path: Path, dataset: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(dataset.folder)
    assert main(["verify", folder]) == 0
    assert main(["regenerate", folder, "--record", "66"]) == 0
    assert main(["report", folder, "--out", str(tmp_path / "report")]) == 0
    out = capsys.readouterr().out
    assert "every file, row and signal" in out
    assert "identical to the last bit" in out
    assert "Commonest reasons" in out
    assert (tmp_path / "report" / "report.md").is_file()


def test_verify_names_the_damage(tmp_path: Path, dataset: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "d"
    shutil.copytree(dataset.folder, folder)
    path = folder / "signals.zarr" / "signal" / "c" / "1" / "0" / "0"
    path.write_bytes(path.read_bytes()[:-100])
    assert main(["verify", str(folder)]) == 4
    assert "signals.zarr/signal/c/1/0/0: is altered" in capsys.readouterr().out


def test_show_draws_a_record(tmp_path: Path, dataset: Dataset) -> None:
    picture = tmp_path / "ecg.png"
    assert main(["show", str(dataset.folder), "--record", "3", "--out", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_measure_agrees_on_array_dataset_and_python(tmp_path: Path, dataset: Dataset) -> None:
    array, from_array, from_dataset = tmp_path / "a.npy", tmp_path / "a.parquet", tmp_path / "d.parquet"
    np.save(array, dataset.signals[:])
    assert main(["measure", str(array), "--fs", "500", "--units", "uV", "--out", str(from_array)]) == 0
    assert main(["measure", str(dataset.folder), "--out", str(from_dataset)]) == 0
    assert pq.read_table(from_array).equals(pq.read_table(from_dataset))
    stored = dataset.measurements().drop_columns(["signal_sha256"])
    assert pq.read_table(from_array).equals(stored.cast(pq.read_schema(from_array)))


@pytest.mark.parametrize(
    ("folder", "records", "first"),
    [("ludb/data", 100, "1"), ("muse", 3, "easyrecg1"), ("raw-12lead", 40, "georgia/E07500")],
)
def test_measure_reads_real_recordings_whole(
    tmp_path: Path, recordings: Path, folder: str, records: int, first: str
) -> None:
    out = tmp_path / "t.parquet"
    assert main(["measure", str(recordings / folder), "--out", str(out)]) == 0
    table = pq.read_table(out)
    assert table.num_rows == records
    assert table["record_name"][0].as_py() == first
    assert table["qrs_duration_ms"].null_count == 0


def test_bad_input_is_one_line_each(tmp_path: Path, dataset: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    good, nan, out = np.zeros((2, 8, 5000)), np.zeros((2, 8, 5000)), tmp_path / "t.parquet"
    nan[1, 3, 7] = np.nan
    for name, signals in (("nan", nan), ("seven", good[:, :7]), ("short", good[:, :, :4000])):
        np.save(tmp_path / f"{name}.npy", signals)
    (tmp_path / "bad.json").write_text(json.dumps({"recordz": 3}))
    (tmp_path / "empty").mkdir()
    array = ("--fs", 500, "--units", "uV", "--out", out)
    cases: list[tuple[tuple[object, ...], int, str]] = [
        (("build", "--records", 0), 2, "records"),
        (("build", "--records", -5), 2, "records"),
        (("build", "--seed", -1), 2, "seed"),
        (("build", "--shard-records", 100), 2, "shard_records 100"),
        (("build", "--workers", 0), 2, "workers 0"),
        (("build", "--recipe", tmp_path / "bad.json"), 2, "recordz"),
        (("build", "--recipe", tmp_path / "none.json"), 2, "none.json"),
        (("build", "--checkpoint", tmp_path / "none.pt"), 2, "none.pt"),
        (("build", "--out", dataset.folder), 4, "another recipe"),
        (("verify", tmp_path / "none"), 4, "holds no dataset"),
        (("report", tmp_path), 4, "holds no dataset"),
        (("report", dataset.folder, "--out", dataset.folder / "r"), 3, "is a dataset"),
        (("regenerate", dataset.folder, "--record", 80), 4, "0 to 79"),
        (("show", dataset.folder, "--record", -1, "--out", tmp_path / "x.png"), 4, "0 to 79"),
        (("show", dataset.folder, "--record", 1, "--out", tmp_path / "no" / "x.png"), 3, "is no folder"),
        (("measure", tmp_path / "nan.npy", *array), 3, "NaN"),
        (("measure", tmp_path / "seven.npy", *array), 3, "seven.npy"),
        (("measure", tmp_path / "short.npy", *array), 3, "short.npy"),
        (("measure", tmp_path / "nan.npy", "--fs", 250, "--units", "uV", "--out", out), 3, "250"),
        (("measure", tmp_path / "nan.npy", *array[:-1], tmp_path / "nan.npy"), 3, "part of the input"),
        (("measure", tmp_path / "nan.npy", *array[:-1], tmp_path), 3, "is no file"),
        (("measure", tmp_path / "nan.npy", *array[:-1], tmp_path / "nan.hea"), 3, "Let it end in .parquet"),
        (("measure", dataset.folder, "--out", dataset.folder / "x.parquet"), 3, "is a dataset"),
        (("show", dataset.folder, "--record", 1, "--out", dataset.folder / "dataset.json"), 3, "part of the input"),
        (("verify", tmp_path / ("x" * 300)), 4, "too long"),
        (("build", "--shard-records", 10**9), 2, "shard_records"),
        (("measure", tmp_path / "none.npy", *array), 3, "none.npy"),
        (("measure", tmp_path / "empty", "--out", out), 3, "empty"),
        (
            ("measure", tmp_path / "seven.npy", "--fs", 500, "--units", "uV", "--out", tmp_path / "no" / "t"),
            3,
            "no folder",
        ),
    ]
    for arguments, status, named in cases:
        inside = ("--out", tmp_path / "out") if arguments[0] == "build" and "--out" not in arguments else ()
        found, line = fails(capsys, *arguments, *inside)
        assert found == status, line
        assert named in line
    assert not out.exists()
    assert not [path for path in all_files(tmp_path) if path.suffix in {".tmp", ".parquet", ".png"}]


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    with pytest.raises(DatasetError):
        main(["--debug", "verify", str(tmp_path)])


@pytest.mark.parametrize(("error", "status"), [(WorkerError("lost"), 5), (KeyboardInterrupt(), 130)])
def test_a_lost_worker_and_an_interrupt_have_their_status(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    status: int,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("pipeline.engines.serial.SerialEngine.run", fail)
    arguments = ["build", "--records", "32", "--engine", "serial", "--out", str(tmp_path / "d")]
    assert main(arguments) == status
    assert capsys.readouterr().err.splitlines()[-1].startswith("ecg-foundry: ")
