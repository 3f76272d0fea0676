"""The flow in one process, and the literal commands of the README against a real Prefect server and worker."""

import json
import os
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import pytest
from prefect.blocks.system import Secret
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings

from flows import build_dataset as flow_module
from flows.artifacts import artifact_key
from flows.blocks import credentials
from flows.publish_release import publish_release
from flows.regenerate_sample import regenerate_sample
from pipeline.dataset import Dataset, open_dataset
from pipeline.engines.serial import SerialEngine
from pipeline.errors import DatasetError, EngineError, InputError, WorkerError
from pipeline.generators import generate_block
from pipeline.shards import Shard
from pipeline.store.files import all_files
from pipeline.store.lease import locked
from pipeline.store.ledger import LedgerEntry
from pipeline.store.place import Place, place_of
from pipeline.worker import Job, Worker
from tests.fake_osf import Node, fake_osf, make_release
from tests.processes import PREFECT, ROOT, PrefectSite, Processes, entries, entry_files, wait_until
from tests.s3_server import BUCKET, s3_server

CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
RECIPE = ["-p", "records=80", "-p", "seed=7", "-p", "shard_records=32", "-p", "workers=1"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectSite]:
    """A Prefect server, a process pool and a worker, started as the README says."""
    with PrefectSite(tmp_path_factory.mktemp("prefect")) as site:
        site.start_server()
        site.deploy()
        site.start_worker()
        yield site


def ask(site: PrefectSite, path: str, **question: object) -> Any:
    """What the server's API answers."""
    asked = urllib.request.Request(
        f"{site.url}/{path}", json.dumps(question).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return json.load(answer)


def artifact(site: PrefectSite, out: Place, kind: str) -> dict[str, Any]:
    """The newest of its kind that a run has left for an output."""
    found = ask(site, "artifacts/latest/filter", artifacts={"key": {"any_": [artifact_key(out, kind)]}})
    assert len(found) == 1, f"{len(found)} {kind}"
    newest: dict[str, Any] = found[0]
    return newest


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
    progress = artifact(site, out, "progress")
    assert (progress["data"], progress["description"].partition(",")[0]) == (100.0, "80 of 80 records")
    table = json.loads(artifact(site, out, "table-2")["data"])
    assert len(table) == 16
    assert {"parameter", "records", "mean", "missing", "in doubt"} <= table[0].keys()
    assert "| generated | 80 | 100.0 % | 0 |" in artifact(site, out, "funnel")["data"]
    places = artifact(site, out, "summary")["data"]
    assert f"dataset: `{out}` on " in places
    assert f"report: `{tmp_path}/dataset-release/1.0.0/report.html` on " in places
    shards = ask(site, "task_runs/filter", task_runs={"name": {"like_": "shard-"}})
    assert {run["name"] for run in shards} == {"shard-00000", "shard-00001", "shard-00002"}
    assert all(run["state_type"] == "COMPLETED" and run["total_run_time"] for run in shards)


def test_the_forms_say_what_a_recipe_may_hold_and_every_schedule_is_off(site: PrefectSite) -> None:
    deployments = {each["entrypoint"].rpartition(":")[2]: each for each in ask(site, "deployments/filter")}
    fields = deployments["build_dataset"]["parameter_openapi_schema"]["properties"]
    assert fields["records"].items() >= {"minimum": 1, "maximum": 10**9, "default": 2000}.items()
    every = [field for each in deployments.values() for field in each["parameter_openapi_schema"]["properties"].items()]
    assert [name for name, field in every if not field.get("description")] == []
    schedules = {name: each["schedules"] for name, each in deployments.items()}
    assert {name for name, those in schedules.items() if those} == {"build_dataset", "regenerate_sample"}
    assert not any(schedule["active"] for those in schedules.values() for schedule in those)


@pytest.mark.parametrize(
    ("name", "parameter"),
    [("build-dataset/local", "records=32"), ("regenerate-sample", "records=1"), ("publish-release", "release=x")],
)
def test_every_deployment_is_there_under_its_name(site: PrefectSite, name: str, parameter: str) -> None:
    done = site.run(PREFECT, "deployment", "run", name, "-p", parameter, "--start-in", "9 hours")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_worker_for_a_pool_that_is_not_there_ends_and_makes_none(site: PrefectSite) -> None:
    done = site.run(PREFECT, "worker", "start", "--pool", "nowhere")
    assert done.returncode == 1
    assert "there is no work pool 'nowhere'. Create it with `prefect work-pool create nowhere" in done.stderr
    assert [pool["name"] for pool in ask(site, "work_pools/filter")] == ["local-process"]


def test_a_deployment_for_a_pool_that_is_not_there_is_refused(site: PrefectSite) -> None:
    before = ask(site, "deployments/filter")
    done = site.run(PREFECT, "deploy", "--name", "build-dataset/local", "--pool", "nowhere")
    assert done.returncode == 1
    assert "work pool 'nowhere' which does not exist" in " ".join((done.stdout + done.stderr).split())
    assert len(ask(site, "deployments/filter")) == len(before)


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


def test_a_release_in_a_bucket_is_published_with_the_credentials_of_a_secret_block(
    site: PrefectSite, tmp_path: Path
) -> None:
    finished = make_release(tmp_path / "release", {"README.md": b"small"})
    with s3_server(), pytest.MonkeyPatch.context() as patch, temporary_settings({PREFECT_API_URL: site.url}):
        place = place_of(f"s3://{BUCKET}/published")
        for path in all_files(finished):
            (place / path.relative_to(finished).as_posix()).put(path)  # type: ignore[union-attr]  # a bucket's
        Secret(value={name: os.environ[name] for name in CREDENTIALS}).save("s3-datasets")
        for name in CREDENTIALS:
            patch.delenv(name)
        publish_release(str(place), to=str(tmp_path / "to"), credentials_block="s3-datasets")
    assert (tmp_path / "to" / "1.0.0" / "README.md").read_bytes() == b"small"


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
    monkeypatch.setattr("pipeline.build.make_engine", lambda _crew, job: Faulty(job))
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
            if error is WorkerError:
                listed = artifact(site, tmp_path / "d", "failures")["data"]
                assert "**shard-00001**, records 32 to 63, 4 attempts; the last: " in listed


def test_a_run_on_an_output_in_use_is_refused_in_a_line(site: PrefectSite, tmp_path: Path) -> None:
    out = tmp_path / "d"
    out.mkdir()
    with locked(out), temporary_settings({PREFECT_API_URL: site.url, PREFECT_LOGGING_TO_API_ENABLED: False}):
        state = flow_module.build_dataset(records=32, out=str(out), return_state=True)
    assert state.is_failed()
    assert f"{out} is being built by another process. Wait for it" in str(state.message)
    assert "\n" not in str(state.message)
    assert not entries(out)


def test_an_audit_makes_records_again_and_names_those_that_differ(
    site: PrefectSite, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    with temporary_settings({PREFECT_API_URL: site.url, PREFECT_LOGGING_TO_API_ENABLED: False}):
        assert "5 of 80 records" in regenerate_sample(str(dataset.folder), records=5, sample_seed=1)
        assert "identical to the last bit" in artifact(site, dataset.folder, "audit")["data"]
        monkeypatch.setattr("pipeline.regenerate.generate_block", lambda *block: generate_block(*block) + 1)
        with pytest.raises(DatasetError, match="not what is stored"):
            regenerate_sample(str(dataset.folder), records=80)
    assert f"80 records differ: {', '.join(map(str, range(80)))}" in artifact(site, dataset.folder, "audit")["data"]


@pytest.mark.parametrize("value", ["{", '["AWS_REGION"]', '{"PATH": "/tmp"}', '{"AWS_REGION": 1}'])
def test_a_block_gives_a_bucket_s_credentials_for_the_run_and_nothing_else(
    site: PrefectSite, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "before")
    with temporary_settings({PREFECT_API_URL: site.url}):
        Secret(value=json.dumps({"AWS_REGION": "r", "AWS_ACCESS_KEY_ID": "key"})).save("bucket", overwrite=True)
        with credentials("bucket"):
            assert (os.environ["AWS_REGION"], os.environ["AWS_ACCESS_KEY_ID"]) == ("r", "key")
        assert "AWS_REGION" not in os.environ
        assert os.environ["AWS_ACCESS_KEY_ID"] == "before"
        Secret(value=value).save("odd", overwrite=True)
        with pytest.raises(InputError, match="the Secret block odd holds no JSON object"), credentials("odd"):
            pass


@pytest.mark.bad_day
@pytest.mark.timeout(900)
def test_a_cancelled_run_stops_whole_and_goes_on_when_it_is_run_again_though_the_server_is_killed(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    out = tmp_path / "d"
    recipe = ["records=4800", "seed=7", "shard_records=32", "workers=2", "release=false", f"out={out}"]
    with PrefectSite(tmp_path / "prefect") as site:
        site.start_server()
        site.deploy()
        worker = site.start_worker()
        run = site.start_run(*recipe)
        wait_until(lambda: entries(out) >= 4, "four entries in the ledger")
        processes = psutil.Process(worker.pid).children(recursive=True)
        assert site.run(PREFECT, "flow-run", "cancel", run).returncode == 0
        asked = time.monotonic()
        _, left = psutil.wait_procs(processes, timeout=60)
        seconds = time.monotonic() - asked
        assert not left
        assert seconds < 15
        wait_until(lambda: site.state(run)[0] == "CANCELLED", "the run is cancelled")
        log = site.log("worker").read_text(encoding="utf-8")
        assert "stopped; run it again with the same parameters to go on" in log
        assert "Traceback" not in log
        made = {path: path.stat().st_mtime_ns for path in entry_files(out)}
        assert not (out / "dataset.json").exists()
        again = site.start_run(*recipe)
        wait_until(lambda: entries(out) >= len(made) + 4, "four more entries in the ledger")
        site.kill_server()
        time.sleep(10)
        site.start_server()
        assert site.end_of(again)[0] == "COMPLETED", site.log("worker").read_text(encoding="utf-8")
        assert {path: path.stat().st_mtime_ns for path in made} == made
        assert artifact(site, out, "table-2")
        assert artifact(site, out, "progress")["data"] == 100.0
    record_property(
        "bad_day",
        f"`prefect flow-run cancel`, then the server away for 10 s | mid-run | no process left after {seconds:.0f} s; "
        f"run again it went on and completed",
    )


def test_prefect_is_what_the_plugin_was_tested_with() -> None:
    pinned = version("prefect")
    assert f"prefect=={pinned}" in (ROOT / "constraints.txt").read_text().splitlines()
    assert f"prefect-version: {pinned}\n" in (ROOT / "prefect.yaml").read_text()
