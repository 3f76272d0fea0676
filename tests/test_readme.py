"""The README's examples run as they stand, and its map of the code is true."""

import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from pipeline.cli import main
from pipeline.dataset import Dataset

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def beside_dataset(tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a dataset named as in the README."""
    (tmp_path / "dataset").symlink_to(dataset.folder)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_python_examples_run(beside_dataset: Path, example: str) -> None:
    subprocess.run([sys.executable, "-c", example], cwd=beside_dataset, check=True, timeout=120)


def test_the_query_runs(beside_dataset: Path) -> None:
    (query,) = re.findall(r"```sql\n(.*?)```", README, re.DOTALL)
    assert beside_dataset
    assert duckdb.sql(query) is not None


def test_commands_run(beside_dataset: Path, dataset: Dataset) -> None:
    """Every `ecg-foundry` line but the build, which has tests of its own; RECORDINGS is the dataset here."""
    commands = re.findall(r"^ecg-foundry ([^#\n]*)", README, re.MULTILINE)
    assert len(commands) == 12
    (beside_dataset / "FOLDER").mkdir()
    for command in commands:
        if not command.startswith("build"):
            words = command.replace("RECORDINGS", str(dataset.folder)).replace("1234", "12").split()
            assert main(words) == 0, command
    assert (beside_dataset / "ecg.png").is_file()
    assert (beside_dataset / "FOLDER" / "1.0.0" / "SHA256SUMS.txt").is_file()


def test_the_map_of_the_code_is_true() -> None:
    (code_map,) = re.findall(r"## The code in 12 lines\n\n```\n(.*?)```", README, re.DOTALL)
    lines = code_map.splitlines()
    assert len(lines) == 12
    for line in lines:
        assert (ROOT / re.split(r"[ ,]", line)[0]).exists(), line


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\((?!http)([^)]*)\)", README):
        assert (ROOT / link).exists(), link


def test_the_two_commands_are_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert f"\n{target}:" in makefile
