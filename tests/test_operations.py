"""The commands of docs/operations.md are real, and what it says of statuses is true."""

import re
from pathlib import Path
from typing import get_args

import prefect.settings
import pytest
from prefect.cli._app import _app as prefect_commands

from pipeline.cli import main
from pipeline.dataset import Dataset
from pipeline.doctor import services
from pipeline.errors import DatasetError, WorkerError
from pipeline.status import State

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
OURS = re.findall(r"^ecg-foundry ([^#\n]*)", PAGE, re.MULTILINE)
PREFECTS = sorted({words.strip() for words in re.findall(r"`prefect (?:--no-prompt )?((?:[a-z-]+ ?)+)", PAGE)})


@pytest.mark.parametrize("command", OURS)
def test_our_commands_run(command: str, tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dataset").symlink_to(dataset.folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(services, "prefect_server", list)
    assert main(command.split()) == 0


@pytest.mark.parametrize("words", PREFECTS)
def test_prefects_commands_are_there(words: str) -> None:
    command = prefect_commands
    for word in words.split():
        if word not in command:  # an argument, such as `local-process`
            break
        command = command[word]
    assert command is not prefect_commands
    assert command.default_command is not None


def test_prefects_settings_are_there() -> None:
    names = re.findall(r"`(PREFECT_SERVER_SERVICES_\w+)", PAGE)
    assert names
    for name in names:
        assert getattr(prefect.settings, name).value() is not None


def test_states_and_exit_statuses_are_told() -> None:
    for state in get_args(State):
        assert f"| `{state}` |" in PAGE
    for kind in (DatasetError, WorkerError):
        assert f"| {kind.exit_code} |" in PAGE


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\((?!http)([^)#]*)", PAGE):
        assert (ROOT / "docs" / link).exists(), link
