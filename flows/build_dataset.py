"""The flow `build-dataset`: plan, one task a shard, finalise."""

import argparse
import logging
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.futures import PrefectFuture, as_completed
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_HOME,
    PREFECT_SERVER_ALLOW_EPHEMERAL_MODE,
    PREFECT_SERVER_ANALYTICS_ENABLED,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    temporary_settings,
)
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.tasks import Task
from pydantic import Field

from pipeline.boundary import one_line
from pipeline.build import ATTEMPTS, Build, settle
from pipeline.build import build_dataset as build
from pipeline.cli import add_build_arguments, log_file, recipe_fields
from pipeline.dataset import Dataset
from pipeline.engines import Engine, check_engine
from pipeline.errors import WorkerError
from pipeline.logs import logging_to
from pipeline.plan import plan_build
from pipeline.release.package import Released, keep_released
from pipeline.report.summary import summarise
from pipeline.second_opinion import DEFAULT_SHARE, check_share
from pipeline.shards import DEFAULT_SHARD_RECORDS, Shard
from pipeline.store.ledger import LedgerEntry

IN_PROCESS = {
    PREFECT_API_URL: None,  # whatever server a prefect.toml or a profile names
    PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: True,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: 120,  # the first start creates Prefect's database
    PREFECT_SERVER_ANALYTICS_ENABLED: False,
}
"""Settings under which the flow runs in one process, on Prefect's embedded API."""

_THREADS: TaskRunner[PrefectFuture[Any]] = ThreadPoolTaskRunner()  # type: ignore[assignment]  # its own class is generic


def _may_succeed_later(_task: Task[..., object], _run: TaskRun, state: State[object]) -> bool:
    """Retry lost workers, not what will fail in the same way again."""
    return isinstance(state.result(raise_on_failure=False), WorkerError)


@task(
    name="make-shard",
    task_run_name="{shard.name}",
    retries=ATTEMPTS - 1,
    retry_delay_seconds=[0.2, 1, 5],
    retry_condition_fn=_may_succeed_later,
    cache_policy=NO_CACHE,
    persist_result=False,
)
def make_shard(shard: Shard, engine: Engine) -> LedgerEntry:
    """Make and commit one shard on the engine."""
    return engine.run(shard)


@flow(name="build-dataset", task_runner=_THREADS)
def build_dataset(
    records: Annotated[int, Field(ge=1, description="ECGs to generate; more on a finished folder extend it")] = 2000,
    seed: Annotated[int, Field(ge=0, description="seed of the noise")] = 0,
    out: Annotated[str, Field(description="dataset folder")] = "dataset",
    engine: Annotated[Literal["ray", "serial"], Field(description="who works")] = "ray",
    workers: Annotated[int | None, Field(ge=1, description="default: one a core; they share the GPUs, if any")] = None,
    shard_records: Annotated[int, Field(ge=32, description="records a shard")] = DEFAULT_SHARD_RECORDS,
    checkpoint: Annotated[str | None, Field(description="checkpoint file; default: the published one")] = None,
    release: Annotated[bool, Field(description="package a release as well, into OUT-release/VERSION")] = True,
    second_opinion: Annotated[
        float, Field(ge=0, le=1, description="share of the records whose heart rate neurokit2 measures as well")
    ] = DEFAULT_SHARE,
) -> str:
    """Generate, measure, interpret, store, filter and package synthetic ECGs; not for clinical use."""
    file = Path(checkpoint) if checkpoint else None
    check_engine(engine, workers)
    plan = plan_build({"records": records, "seed": seed}, shard_records=shard_records, checkpoint=file)
    built = build(
        Path(out),
        plan,
        file,
        engine=engine,
        workers=workers,
        second_opinion=second_opinion,
        make=_make_shards,
    )
    summary = f"{summarise(built.dataset, complete=built.complete)}\n{built.timings.text()}"
    if release:
        summary += keep_release(built.dataset).text() + "\n"
    get_run_logger().info("%s", summary)
    create_markdown_artifact(f"```\n{summary}\n```", key="dataset-summary", description=str(out))
    return summary


@task(name="release", cache_policy=NO_CACHE, persist_result=False)
def keep_release(dataset: Dataset) -> Released:
    """Release the dataset as the next version, unless it is released already."""
    return keep_released(dataset)


def _make_shards(build: Build, engine: Engine) -> None:
    settle(build, _outcomes(build.pending, engine))


def _outcomes(pending: Iterable[Shard], engine: Engine) -> Iterator[tuple[Shard, LedgerEntry | BaseException]]:
    """One task a shard, at any time a few more than the engine takes, so that no worker waits for the next."""
    waiting = deque(pending)
    running: dict[PrefectFuture[LedgerEntry], Shard] = {}
    while waiting or running:
        while waiting and len(running) < engine.slots + engine.workers:
            shard = waiting.popleft()
            running[make_shard.submit(shard, engine)] = shard
        future = next(as_completed(list(running)))
        yield running.pop(future), future.result(raise_on_failure=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the flow in this process; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m flows.build_dataset", description=build_dataset.description)
    add_build_arguments(parser)
    parser.add_argument("--debug", action="store_true", help="show a traceback with an error")
    options = parser.parse_args(arguments)
    if not options.debug:
        logging.getLogger("prefect").setLevel(logging.CRITICAL)  # one line of our own for an error, not a traceback
    return one_line(parser.prog, lambda: _run_in_process(options), debug=options.debug)


def _run_in_process(options: argparse.Namespace) -> int:
    plan = plan_build(recipe_fields(options), shard_records=options.shard_records, checkpoint=options.checkpoint)
    check_engine(options.engine, options.workers)
    check_share(options.second_opinion)
    print(
        f"{plan.recipe.records:,} records into {options.out}; Prefect and Ray take a moment to start", file=sys.stderr
    )
    PREFECT_HOME.value().mkdir(parents=True, exist_ok=True)  # Prefect does not make the folders above it
    with temporary_settings(IN_PROCESS), logging_to(log_file(options)):
        summary = build_dataset(
            records=plan.recipe.records,
            seed=plan.recipe.seed,
            out=str(options.out),
            engine=options.engine,
            workers=options.workers,
            shard_records=plan.shard_records,
            checkpoint=str(options.checkpoint) if options.checkpoint else None,
            release=options.release,
            second_opinion=options.second_opinion,
        )
    print(summary)
    return 0


if __name__ == "__main__":
    sys.exit(main())
