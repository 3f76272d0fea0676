"""The flow in one process, and the literal commands of the README against a real Prefect server and worker."""

import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from prefect.blocks.system import Secret
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings

from flows import build_dataset as flow_module
from flows.publish_release import publish_release
from pipeline.dataset import Dataset, open_dataset
from pipeline.engines.serial import SerialEngine
from pipeline.errors import DatasetError, EngineError, InputError, WorkerError
from pipeline.shards import Shard
from pipeline.store.ledger import LedgerEntry
from pipeline.worker import Job, Worker
from tests.fake_osf import Node, fake_osf, make_release
from tests.processes import PREFECT, ROOT, PrefectSite, Processes

RECIPE = ["-p", "records=80", "-p", "seed=7", "-p", "shard_records=32", "-p", "workers=1"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectSite]:
    """A Prefect server, a process pool and a worker, started as the README says."""
    with PrefectSite(tmp_path_factory.mktemp("prefect")) as site:
        site.start_server()
        site.deploy()
        site.start_worker()
        yield site


def run_deployment(site: PrefectSite, name: str, *parameters: str) -> None:
    """The literal command, waited for."""
    done = site.run(
        PREFECT, "deployment", "run", name, *(word for each in parameters for word in ("-p", each)), "--watch"
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_literal_command_builds_a_dataset_and_its_release(
    site: PrefectSite, tmp_path: Path, dataset: Dataset
) -> None:
    out = tmp_path / "dataset"
    run_deployment(site, "build-dataset", *RECIPE[1::2], f"out={out}")
    assert open_dataset(out).manifest.content_digest == dataset.manifest.content_digest
    assert (tmp_path / "dataset-release" / "1.0.0" / "SHA256SUMS.txt").exists()


@pytest.mark.parametrize(
    ("name", "parameter"),
    [("build-dataset/local", "records=32"), ("release-dataset", "dataset=x"), ("publish-release", "release=x")],
)
def test_every_deployment_is_there_under_its_name(site: PrefectSite, name: str, parameter: str) -> None:
    done = site.run(PREFECT, "deployment", "run", name, "-p", parameter, "--start-in", "9 hours")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_dataset_is_released_by_its_deployment(
    site: PrefectSite, tmp_path: Path, dataset: Dataset, release: Path
) -> None:
    out = tmp_path / "release"
    run_deployment(site, "release-dataset", f"dataset={dataset.folder}", f"out={out}", 'exports=["csv"]')
    assert (out / "all" / "signals-000.zarr.zip").read_bytes() == (
        release / "all" / "signals-000.zarr.zip"
    ).read_bytes()
    assert (out / "exports" / "csv").is_dir()


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        (["-p", "records=0"], "records"),
        (["-p", "color=red"], "color"),
        (["-p", "engine=dask"], "engine"),
        (["-p", "second_opinion=2"], "second_opinion"),
    ],
)
def test_parameters_that_cannot_work_are_refused_by_the_deployment(
    site: PrefectSite, tmp_path: Path, parameters: list[str], named: str
) -> None:
    out = tmp_path / "dataset"
    done = site.run(PREFECT, "deployment", "run", "build-dataset", *parameters, "-p", f"out={out}")
    assert done.returncode != 0
    assert named in done.stdout + done.stderr
    assert not out.exists()


def test_a_release_goes_to_osf_with_the_token_of_a_secret_block(
    site: PrefectSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("OSF_TOKEN", raising=False)
    finished = make_release(tmp_path / "release", {"README.md": b"small"})
    with (
        fake_osf("the-token-itself") as osf,
        temporary_settings({PREFECT_API_URL: site.url, PREFECT_LOGGING_TO_API_ENABLED: True}),
    ):
        osf.nodes["abc12"] = Node()
        Secret(value="the-token-itself").save("osf-token")
        with pytest.raises(InputError, match="there is no OSF token"):
            publish_release(str(finished), to=osf.api, node="abc12")
        summary = publish_release(str(finished), to=osf.api, node="abc12", token_block="osf-token")
        assert osf.nodes["abc12"].files()["1.0.0/README.md"] == b"small"
    assert "3 of 3 files to send" in summary
    assert "the-token-itself" not in caplog.text + summary


def test_in_one_process_without_a_server(tmp_path: Path, dataset: Dataset) -> None:
    out = tmp_path / "dataset"
    command = [
        sys.executable,
        "-m",
        "flows.build_dataset",
        "--records",
        "80",
        "--seed",
        "7",
        "--no-release",
        "--out",
        str(out),
    ]
    with Processes(PREFECT_HOME=str(tmp_path / "prefect")) as surroundings:
        done = surroundings.run(*command, "--engine", "serial")
        assert done.returncode == 0, done.stderr
        assert dataset.manifest.content_digest in done.stdout
        assert "Load it:" in done.stdout
        assert "80/80" in done.stderr
        refused = surroundings.run(*command, "--shard-records", "100")
        assert refused.returncode == 2
        assert refused.stderr.strip().count("\n") == 0, refused.stderr
        assert "shard_records 100" in refused.stderr


class Cursed(Worker):
    """Cannot make the shard that is cursed."""

    curse: BaseException | None = None

    def run(self, shard: Shard) -> LedgerEntry:
        """As the worker, but for the curse."""
        if shard.index == 1 and self.curse:
            raise self.curse
        return super().run(shard)


class Faulty(SerialEngine):
    """Loses its worker at the first try of every shard."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._tried: set[int] = set()

    def run(self, shard: Shard) -> LedgerEntry:
        """As the engine, but for the loss."""
        if shard.index not in self._tried:
            self._tried.add(shard.index)
            raise WorkerError("lost")
        return super().run(shard)


@pytest.mark.parametrize(
    ("curse", "error", "message"),
    [
        (None, None, ""),
        (WorkerError("gone"), WorkerError, r"1 shard\(s\) could not be made: shard-00001 \(records 32 to 63\): gone"),
        (DatasetError("disk full"), DatasetError, "^disk full$"),
        (TypeError("a bug"), WorkerError, r"shard-00001 \(records 32 to 63\): shard-00001 ended in TypeError: a bug"),
        (EngineError("no worker is left"), EngineError, "^no worker is left$"),
    ],
)
def test_the_flow_tries_lost_workers_again_and_hides_nothing(
    site: PrefectSite,
    tmp_path: Path,
    dataset: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    curse: BaseException | None,
    error: type[BaseException] | None,
    message: str,
) -> None:
    monkeypatch.setattr("pipeline.build.make_engine", lambda _name, job, _workers: Faulty(job))
    monkeypatch.setattr("pipeline.engines.serial.Worker", Cursed)
    monkeypatch.setattr(Cursed, "curse", curse)
    monkeypatch.setattr(flow_module.make_shard, "retry_delay_seconds", [0, 0, 0])
    out = str(tmp_path / "d")
    with temporary_settings({PREFECT_API_URL: site.url, PREFECT_LOGGING_TO_API_ENABLED: False}):
        if error is None:
            flow_module.build_dataset(records=80, seed=7, out=out, shard_records=32, release=False)
            assert open_dataset(out).manifest.content_digest == dataset.manifest.content_digest
        else:
            with pytest.raises(error, match=message):
                flow_module.build_dataset(records=80, seed=7, out=out, shard_records=32, release=False)
            assert not (tmp_path / "d" / "dataset.json").exists()


def test_prefect_is_what_the_plugin_was_tested_with() -> None:
    pinned = version("prefect")
    assert f"prefect=={pinned}" in (ROOT / "constraints.txt").read_text().splitlines()
    assert f"prefect-version: {pinned}\n" in (ROOT / "prefect.yaml").read_text()
