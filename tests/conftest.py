"""What several tests share: a small real dataset, and where recordings from outside are."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from pipeline import worker
from pipeline.build import build_dataset
from pipeline.dataset import Dataset
from pipeline.engines import Crew
from pipeline.generators import Generator, load_generator
from pipeline.plan import plan_build
from pipeline.publish import client
from pipeline.recipe import Recipe
from pipeline.release.package import Request, make_release
from pipeline.second_opinion import DEFAULT_SHARE
from pipeline.shards import DEFAULT_SHARD_RECORDS
from pipeline.store.ledger import Plan
from tests.fake_osf import FakeOsf, Node, fake_osf
from tests.publishing import NODE, TOKEN

RECORDINGS = Path(os.environ.get("ECG_FOUNDRY_RECORDINGS", Path(__file__).parents[2] / "shared" / "data"))
"""Where LUDB, MUSE exports and raw ECGs are; tests that need them skip where they are not."""


def build(
    out: Path,
    *,
    engine: Literal["ray", "serial"] = "serial",
    workers: int | None = None,
    second_opinion: float = DEFAULT_SHARE,
    **recipe_and_layout: Any,
) -> Dataset:
    """Build a dataset the way the command line does, without a release."""
    plan = planned(**recipe_and_layout)
    return build_dataset(out, plan, crew=Crew(engine, workers), second_opinion=second_opinion).dataset


def planned(shard_records: int = DEFAULT_SHARD_RECORDS, checkpoint: Path | None = None, **recipe: Any) -> Plan:
    """A plan from flat fields."""
    return plan_build(recipe, shard_records=shard_records, checkpoint=checkpoint)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Eighty real records in two shards; tests must not change it."""
    return build(tmp_path_factory.mktemp("shared") / "dataset", records=80, seed=7, shard_records=64)


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory, dataset: Dataset) -> Path:
    """The release of the shared dataset; tests must not change it."""
    folder = tmp_path_factory.mktemp("shared") / "release"
    make_release(dataset, Request(folder, "1.0.0"))
    return folder


@pytest.fixture(scope="session")
def published_generator() -> Generator:
    """Loaded once: it takes as long as to make 200 records."""
    return load_generator(Recipe())


@pytest.fixture
def one_generator(monkeypatch: pytest.MonkeyPatch, published_generator: Generator) -> None:
    """Every worker in this process has the same."""
    monkeypatch.setattr(worker, "load_generator", lambda *_: published_generator)


@pytest.fixture
def lock(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Let nobody look into a folder; root could, whatever its permissions."""
    scandir = os.scandir

    def forbid(folder: Path) -> None:
        def look(path: str) -> object:
            if Path(path) == folder:
                raise PermissionError(errno.EACCES, "Permission denied", path)
            return scandir(path)

        monkeypatch.setattr("os.scandir", look)

    return forbid


@pytest.fixture
def osf_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our token, and a pause before a request is sent again that nobody notices."""
    monkeypatch.setattr(client, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setenv("OSF_TOKEN", TOKEN)


@pytest.fixture
def osf(osf_token: None) -> Iterator[FakeOsf]:  # noqa: ARG001 - pytest's way to want another one
    """An OSF with a node of ours."""
    with fake_osf(TOKEN) as server:
        server.nodes[NODE] = Node()
        yield server


@pytest.fixture
def recordings() -> Path:
    """The folder of real recordings; a user's clone has none."""
    if not RECORDINGS.is_dir():
        pytest.skip(f"no recordings at {RECORDINGS}")
    return RECORDINGS


@pytest.fixture
def root() -> None:
    """For tests that mount file systems or make networks."""
    missing = [f"no {tool}" for tool in ("ip", "mount") if shutil.which(tool) is None]
    need_tools(*missing, *([] if os.geteuid() == 0 else ["not root"]))


def need_tools(*missing: str) -> None:
    """Skip a test for which something is missing; where everything is promised to be there, that is a failure."""
    if missing and os.environ.get("ECG_FOUNDRY_ROOT_TESTS") == "required":
        pytest.fail(f"cannot be run here: {', '.join(missing)}")
    if missing:
        pytest.skip(f"cannot be run here: {', '.join(missing)}")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The report of the bad day."""
    parser.addoption("--bad-day-report", metavar="FILE.md", help="write the table of faults and figures to this file")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print what was recorded: `bad_day` is `fault | stage | outcome`, `bad_day_figure` a sentence with a number."""
    passed = terminalreporter.stats.get("passed", [])
    recorded = [entry for report in passed for entry in report.user_properties]
    rows = [value for name, value in recorded if name == "bad_day"]
    figures = [value for name, value in recorded if name == "bad_day_figure"]
    if not rows and not figures:
        return
    lost = sum(len(terminalreporter.stats.get(kind, [])) for kind in ("failed", "error", "skipped"))
    lines = [f"- {figure}" for figure in figures]
    if rows:
        table = ["", "| fault | where | outcome |", "|---|---|---|", *(f"| {row} |" for row in rows)]
        lines = [f"- faults: {len(rows)} with their outcome shown, {lost} failed or skipped", *lines, *table]
    terminalreporter.section("bad day")
    terminalreporter.write_line("\n".join(lines))
    file = config.getoption("--bad-day-report")
    if file:
        head = "<!-- written by `make bad-day` -->\n# The bad day, as it was last run\n\n"
        Path(file).write_text(head + "\n".join(lines) + "\n", encoding="utf-8")
