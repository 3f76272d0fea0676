"""The flow `build-dataset`: plan, one task a shard, finalise."""

import argparse
import logging
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from typing import Annotated, Any, Literal

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.exceptions import TerminationSignal
from prefect.futures import PrefectFuture
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

from flows.artifacts import progress_shown, show_dataset, show_failures
from flows.blocks import credentials
from pipeline.arguments import add_build_arguments, crew_of, log_file, recipe_fields
from pipeline.boundary import one_line
from pipeline.build import ATTEMPTS, Build, FailedShardsError, settle
from pipeline.build import build_dataset as build
from pipeline.dataset import Dataset
from pipeline.engines import Crew, Engine, check_engine
from pipeline.errors import WorkerError
from pipeline.logs import logging_to
from pipeline.plan import plan_build
from pipeline.recipe import Recipe
from pipeline.release.package import Released, keep_released
from pipeline.report.records import read_records
from pipeline.report.statistics import statistics
from pipeline.report.summary import summarise
from pipeline.second_opinion import DEFAULT_SHARE, check_share
from pipeline.shards import BLOCK, DEFAULT_SHARD_RECORDS, MOST_SHARD_RECORDS, Shard
from pipeline.store.ledger import LedgerEntry
from pipeline.store.place import place_of

RECIPE = Recipe.model_fields
DEFAULT = Recipe()
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
    records: Annotated[int, RECIPE["records"]] = DEFAULT.records,
    seed: Annotated[int, RECIPE["seed"]] = DEFAULT.seed,
    out: str = "dataset",
    engine: Literal["ray", "serial"] = "ray",
    workers: Annotated[int | None, Field(ge=1)] = None,
    shard_records: Annotated[int, Field(ge=BLOCK, le=MOST_SHARD_RECORDS, multiple_of=BLOCK)] = DEFAULT_SHARD_RECORDS,
    checkpoint: str | None = None,
    release: bool = True,
    second_opinion: Annotated[float, Field(ge=0, le=1)] = DEFAULT_SHARE,
    ray_address: str | None = None,
    gpus_per_worker: Annotated[float | None, Field(gt=0, le=1)] = None,
    memory_gib_per_worker: Annotated[float | None, Field(gt=0)] = None,
    seconds_per_shard: Annotated[float | None, Field(gt=0)] = None,
    credentials_block: str | None = None,
) -> str:
    """Generate, measure, interpret, store, filter and package synthetic ECGs; not for clinical use.

    Args:
        records: number of ECGs to generate; more on a finished dataset extend it.
        seed: key of the noise, together with the record's number.
        out: folder, or s3://BUCKET/PREFIX; a dataset that is there is resumed, repaired or extended.
        engine: who makes the shards; serial is this process alone.
        workers: Ray actors; default one a core, and they share the GPUs, if any.
        shard_records: records a shard.
        checkpoint: checkpoint file; default the published one.
        release: package a release as well, into OUT-release/VERSION.
        second_opinion: share of the records whose heart rate neurokit2 measures as well.
        ray_address: HOST:PORT of a Ray cluster's head; default RAY_ADDRESS, or Ray of its own on this machine.
        gpus_per_worker: default the GPUs divided by the workers, at most 1.
        memory_gib_per_worker: what Ray keeps free for each worker; default nothing.
        seconds_per_shard: after which a worker is given up; default 60 and 2 a record.
        credentials_block: Secret block with AWS_* variables as JSON; default those of the worker.
    """
    crew = Crew(engine, workers, ray_address, gpus_per_worker, memory_gib_per_worker, seconds_per_shard)
    check_engine(crew)
    file, place = Path(checkpoint) if checkpoint else None, place_of(out)
    plan = plan_build({"records": records, "seed": seed}, shard_records=shard_records, checkpoint=file)
    with credentials(credentials_block):
        try:
            built = build(place, plan, file, crew, second_opinion=second_opinion, make=_make_shards)
            released = keep_release(built.dataset) if release else None
        except FailedShardsError as error:
            show_failures(place, error.failed)
            raise
        except TerminationSignal:
            get_run_logger().warning("stopped; run it again with the same parameters to go on")
            raise
        numbers = statistics(read_records(built.dataset))
        summary = f"{summarise(built.dataset, complete=built.complete, numbers=numbers)}\n{built.timings.text()}"
        summary += f"{released.text()}\n" if released else ""
    get_run_logger().info("%s", summary)
    show_dataset(built.dataset, numbers, built.timings.text(), released)
    return summary


@task(name="release", cache_policy=NO_CACHE, persist_result=False)
def keep_release(dataset: Dataset) -> Released:
    """Release the dataset as the next version, unless it is released already."""
    return keep_released(dataset)


def _make_shards(build: Build, engine: Engine) -> None:
    with progress_shown(build):
        settle(build, _outcomes(build.pending, engine))


def _outcomes(pending: Iterable[Shard], engine: Engine) -> Iterator[tuple[Shard, LedgerEntry | BaseException]]:
    """One task a shard, at any time a few more than the engine takes, so that no worker waits for the next."""
    waiting = deque(pending)
    running: dict[PrefectFuture[LedgerEntry], Shard] = {}
    ended: SimpleQueue[PrefectFuture[LedgerEntry]] = SimpleQueue()
    while waiting or running:
        while waiting and len(running) < engine.slots + engine.workers:
            shard = waiting.popleft()
            future = make_shard.submit(shard, engine)
            running[future] = shard
            future.add_done_callback(ended.put)
        future = ended.get()
        yield running.pop(future), future.result(raise_on_failure=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the flow in this process; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m flows.build_dataset", description=(build_dataset.description or "").partition("\n")[0]
    )
    add_build_arguments(parser)
    parser.add_argument("--debug", action="store_true", help="show a traceback with an error")
    options = parser.parse_args(arguments)
    if not options.debug:
        logging.getLogger("prefect").setLevel(logging.CRITICAL)  # one line of our own for an error, not a traceback
    return one_line(parser.prog, lambda: _run_in_process(options), debug=options.debug)


def _run_in_process(options: argparse.Namespace) -> int:
    plan = plan_build(recipe_fields(options), shard_records=options.shard_records, checkpoint=options.checkpoint)
    crew = crew_of(options)
    check_engine(crew)
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
            shard_records=plan.shard_records,
            checkpoint=str(options.checkpoint) if options.checkpoint else None,
            release=options.release,
            second_opinion=options.second_opinion,
            **asdict(crew),
        )
    print(summary)
    return 0


if __name__ == "__main__":
    sys.exit(main())
