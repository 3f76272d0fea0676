"""Streams that are closed, folders that are gone, other locales, no memory: one line, or work that needs none."""

import errno
import io
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Never

import pytest

from pipeline.cli import main
from pipeline.dataset import Dataset
from tests.bad_day import Fault, Surroundings


class _FullDisk(io.StringIO):
    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_dataset_is_verified_though_standard_error_is_closed(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["verify", str(dataset.folder)]) == 0
    assert "every file, row and signal" in capsys.readouterr().out


@pytest.mark.parametrize("closed", ["1", "2"])
def test_the_status_is_the_error_s_whatever_stream_is_closed(tmp_path: Path, closed: str) -> None:
    command = [sys.executable, "-m", "pipeline.cli", "verify", str(tmp_path)]
    shell = ["sh", "-c", f'exec "$@" {closed}>&-', "sh", *command]
    ended = subprocess.run(shell, check=False, capture_output=True, text=True)
    assert ended.returncode == 4
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == (1 if closed == "1" else 0)


def test_output_that_cannot_be_written_is_named(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", _FullDisk())
    assert main(["verify", str(dataset.folder)]) == 1
    said = capsys.readouterr().err
    assert "error: standard output cannot be written: No space left on device" in said
    assert said.count("\n") == 1


def test_a_current_folder_that_is_gone_is_named(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert main(["verify", str(dataset.folder)]) == 1
    assert capsys.readouterr().err == "ecg-foundry: error: the current folder is gone. Change to one that exists\n"


def test_no_memory_is_no_fault_of_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none_left(*_: object, **__: object) -> Never:
        raise MemoryError

    monkeypatch.setattr("pipeline.plan.plan_build", none_left)
    assert main(["build", "--out", str(tmp_path / "d")]) == 1
    assert "not enough memory" in capsys.readouterr().err


@pytest.fixture
def hangup() -> Iterator[Callable[[signal.Handlers], object]]:
    """What a process started by a test does when its terminal is closed."""
    before = signal.getsignal(signal.SIGHUP)
    yield lambda handler: signal.signal(signal.SIGHUP, handler)
    signal.signal(signal.SIGHUP, before)


def test_the_terminal_is_closed(tmp_path: Path, hangup: Callable[[signal.Handlers], object]) -> None:
    hangup(signal.SIG_DFL)
    here = Surroundings(tmp_path)
    process = here.build(fault=Fault("SIGHUP", "pipeline.worker.measure"))
    said = process.communicate()[1]
    assert process.returncode == 128 + signal.SIGHUP
    assert said.endswith("stopped; run the same command again to go on\n")


def test_what_nohup_has_ignored_stays_ignored(dataset: Dataset, hangup: Callable[[signal.Handlers], object]) -> None:
    hangup(signal.SIG_IGN)
    assert main(["verify", str(dataset.folder)]) == 0
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
