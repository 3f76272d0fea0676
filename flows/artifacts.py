"""What a run leaves for people in Prefect's UI. An output's artifacts of a kind have one key, and so one history."""

import hashlib
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import copy_context
from uuid import UUID

from prefect import get_run_logger, task
from prefect.artifacts import (
    Artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.cache_policies import NO_CACHE

from pipeline.build import ATTEMPTS, Build
from pipeline.dataset import Dataset
from pipeline.errors import WorkerError
from pipeline.release.package import Released
from pipeline.report.markdown import funnel_markdown, table_markdown
from pipeline.report.statistics import Statistics
from pipeline.report.tables import comparison_table, shares_table
from pipeline.report.text import ARRHYTHMIA_NOTE, CAVEAT, RATE_NOTE
from pipeline.shards import Shard
from pipeline.status import duration
from pipeline.store.place import BucketPath, Place

_SECONDS = 1.0
"""Between two looks at the progress."""
_ALL = 100.0  # per cent
_MOST_SHARDS = 100
"""In the list of failed ones."""


def artifact_key(place: Place, kind: str) -> str:
    """Such as `dataset-1f3a9c-table-2`: what somebody calls the place, and which of that name it is."""
    name = re.sub(r"[^a-z0-9]+", "-", place.name.lower()).strip("-")[:40] or "dataset"
    which = hashlib.sha256(str(place.absolute()).encode(errors="surrogateescape")).hexdigest()[:6]
    return f"{name}-{which}-{kind}"


def where(place: Place) -> str:
    """The place for people: a bucket's address, or a path and the machine that it is on; neither is a link."""
    if isinstance(place, BucketPath):
        return f"`{place}`"
    return f"`{place.absolute()}` on {socket.gethostname()}"


@contextmanager
def progress_shown(build: Build) -> Iterator[None]:
    """Keep a progress artifact up to date, from a thread of its own: the driver spends no time on it.

    Args:
        build: what is under way; its timings count the records.
    """
    over = threading.Event()
    shown = threading.Thread(target=copy_context().run, args=(_show_progress, build, over), daemon=True)
    shown.start()
    try:
        yield
    finally:
        over.set()
        shown.join(5)  # no longer for a server that does not answer


def _show_progress(build: Build, over: threading.Event) -> None:
    records = build.plan.recipe.records
    before, begun, made = records - sum(map(len, build.pending)), time.monotonic(), -1
    artifact: UUID | None = None
    while made != build.timings.records or not over.is_set():
        made = build.timings.records
        percent, text = 100 * (before + made) / records, _progress_text(records, before, made, time.monotonic() - begun)
        try:
            if artifact is None:
                key = artifact_key(build.job.folder, "progress")
                # A coroutine is what it gives to an event loop alone, and a thread has none.
                artifact = create_progress_artifact(percent, key=key, description=text)  # type: ignore[assignment]
            else:
                update_progress_artifact(artifact, percent, description=text)
        except Exception as error:  # noqa: BLE001 - progress that cannot be shown ends nothing
            get_run_logger().debug("progress is not shown: %s", error)
        over.wait(_SECONDS)


def _progress_text(records: int, before: int, made: int, seconds: float) -> str:
    """Such as `1,024 of 2,000 records, 212 records/s, 5 s left`."""
    done, rate = before + made, made / seconds if seconds else 0.0
    parts = [f"{done:,} of {records:,} records"]
    parts += [f"{rate:,.0f} records/s"] if made else []
    parts += [f"{duration((records - done) / rate)} left"] if made and done < records else []
    return ", ".join(parts)


def show_failures(place: Place, failed: Mapping[Shard, WorkerError]) -> None:
    """List the shards that failed for good, with their records, attempts and reasons."""
    lines = [
        f"- **{shard.name}**, records {shard.start:,} to {shard.stop - 1:,}, {ATTEMPTS} attempts; the last: "
        f"{failed[shard]}"
        for shard in sorted(failed, key=lambda shard: shard.index)[:_MOST_SHARDS]
    ]
    lines += [f"- and {len(failed) - _MOST_SHARDS:,} more"] if len(failed) > _MOST_SHARDS else []
    create_markdown_artifact(
        f"{len(failed):,} shard(s) could not be made. The others are kept; run the same build again.\n\n"
        + "\n".join(lines),
        key=artifact_key(place, "failures"),
        description=where(place),
    )


@task(name="artifacts", retries=5, retry_delay_seconds=[1, 2, 4, 8, 16], cache_policy=NO_CACHE, persist_result=False)
def show_dataset(dataset: Dataset, numbers: Statistics, timings: str, released: Released | None) -> None:
    """Show a finished dataset: where it is, what is in it, what was left out, and how it compares with the paper.

    A server that is away for half a minute loses none of it.
    """
    place = dataset.folder
    description = where(place)
    create_markdown_artifact(
        f"{places_markdown(dataset, released)}\n\n{table_markdown(shares_table(numbers.shares))}\n\n"
        f"{RATE_NOTE} {ARRHYTHMIA_NOTE}\n\n```\n{timings or 'nothing was left to do'}\n```\n",
        key=artifact_key(place, "summary"),
        description=description,
    )
    create_markdown_artifact(funnel_markdown(numbers), key=artifact_key(place, "funnel"), description=description)
    table = numbers.table_2
    create_table_artifact(
        [{name: row[name] for name in row if name != "values"} for row in comparison_table(table).by_name()],
        key=artifact_key(place, "table-2"),
        description=f"The paper's Table 2. Each cell is ours (12SL's); {table.within} of "
        f"{table.checks} cells are within tolerance, * marks the others. Missing: in no statistic.\n\n"
        f"{' '.join(CAVEAT.split())}\n\n{description}",
    )
    key = artifact_key(place, "progress")
    shown = Artifact.get(key)
    if shown is None or shown.data != _ALL:  # type: ignore[union-attr]  # a task has no event loop, which would get a coroutine
        create_progress_artifact(_ALL, key=key, description=f"{len(dataset):,} of {len(dataset):,} records")


def places_markdown(dataset: Dataset, released: Released | None) -> str:
    """Where the dataset, its release and its report are."""
    lines = [f"- dataset: {where(dataset.folder)}", f"- content digest: `{dataset.manifest.content_digest}`"]
    if released is not None:
        lines += [f"- release {released.manifest.version}: {where(released.folder)}"]
        lines += [f"- report: {where(released.folder / 'report.html')}"]
    else:
        lines += [f"- report: none yet; `ecg-foundry report {dataset.folder}` writes one"]
    return "\n".join(lines)
