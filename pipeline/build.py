"""Building a dataset: open, make the pending shards, finalise. Each step can be killed and run again."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Never

from tqdm import tqdm

from pipeline.dataset import Dataset, open_dataset
from pipeline.engines import DEFAULT_CREW, Crew, Engine, check_engine, make_engine
from pipeline.errors import WorkerError
from pipeline.finalise import finalise
from pipeline.folder import check_folder, make_dataset_folder, prepare
from pipeline.logs import log_event
from pipeline.progress import progress_bar
from pipeline.remaining import Remaining, check_disk, find_remaining
from pipeline.second_opinion import DEFAULT_SHARE, check_share
from pipeline.shards import Shard
from pipeline.store.failures import note_failure
from pipeline.store.files import remove, writing
from pipeline.store.lease import locked
from pipeline.store.ledger import LEDGER, LedgerEntry, Plan, entry_file
from pipeline.store.place import BucketPath, Place
from pipeline.timings import Timings
from pipeline.worker import Job

ATTEMPTS = 4
"""How often a shard is tried: workers die for reasons of their own, but not four times over the same shard."""
HOPELESS = 3
"""When so many shards have failed every time before the first was made, nothing works, and the others are not tried."""

_log = logging.getLogger(__name__)


class FailedShardsError(WorkerError):
    """Shards that failed every time, each with the reason of the last."""

    def __init__(self, failed: Mapping[Shard, WorkerError]) -> None:
        self.failed = failed
        named = "; ".join(
            f"{shard.name} (records {shard.start} to {shard.stop - 1}): {error}" for shard, error in failed.items()
        )
        super().__init__(
            f"{len(failed)} shard(s) could not be made: {named}. The others are kept; run the same build again"
        )


@dataclass(frozen=True)
class Build:
    """A dataset folder being built, locked against other builds."""

    job: Job
    remaining: Remaining
    second_opinion: float
    timings: Timings = field(default_factory=Timings)

    @property
    def pending(self) -> list[Shard]:
        """The shards to be made."""
        return self.remaining.pending

    @property
    def complete(self) -> bool:
        """Whether there is nothing to do at all."""
        return self.remaining.complete

    @property
    def plan(self) -> Plan:
        """What the folder is going to hold."""
        return self.job.plan

    def progress(self) -> "tqdm[Never]":
        """A bar over the records, those of finished shards already counted."""
        records = self.plan.recipe.records
        return progress_bar(records, "building", "records", done=records - sum(map(len, self.pending)))

    def finalise(self) -> Dataset:
        """Check the ledger, join the rows, ask neurokit2, select the normal subset, and write the manifest.

        Raises:
            DatasetError: when a shard is missing or damaged.
        """
        if not self.complete:
            with writing(self.job.folder), self.timings.phase("finalise"):
                finalise(
                    self.job.folder,
                    self.plan,
                    second_opinion=self.second_opinion,
                    stale=self.remaining.stale,
                    finished=self.remaining.finished,
                )
        return open_dataset(self.job.folder)


@dataclass(frozen=True)
class Built:
    """What a build leaves."""

    dataset: Dataset
    complete: bool
    """Whether there was nothing left to do."""
    timings: Timings


def build_dataset(
    out: Place,
    plan: Plan,
    checkpoint: Path | None = None,
    crew: Crew = DEFAULT_CREW,
    *,
    second_opinion: float = DEFAULT_SHARE,
    make: "Callable[[Build, Engine], None] | None" = None,
) -> Built:
    """Build a dataset, or finish, repair or extend one.

    Args:
        out: the dataset's folder.
        plan: what it is going to hold.
        checkpoint: the generator's checkpoint; None for the published one.
        crew: who makes the shards; Ray actors, one a core, unless it says otherwise.
        second_opinion: share of the records whose heart rate neurokit2 measures as well, from 0 to 1. It changes no
            signal and no measurement, and so is no part of the plan.
        make: drives the engine over the pending shards; `make_shards` unless a scheduler does it its own way.

    Raises:
        DatasetError: when the folder is foreign, of another recipe, in use or cannot be written.
        FailedShardsError: names the shards that failed every time; the others are kept.
    """
    check_engine(crew)
    with open_build(out, plan, checkpoint, second_opinion=second_opinion) as build:
        if build.pending:
            with ExitStack() as running:
                with build.timings.phase("start"):
                    started = running.enter_context(make_engine(crew, build.job))
                with build.timings.phase("make"):
                    (make or make_shards)(build, started)
                build.timings.workers = started.workers
        return Built(build.finalise(), build.complete, build.timings)


@contextmanager
def open_build(
    out: Place,
    plan: Plan,
    checkpoint: Path | None = None,
    *,
    second_opinion: float = DEFAULT_SHARE,
) -> Iterator[Build]:
    """Create the dataset's folder, or find out what is left to do in it; holds its lock meanwhile.

    A folder that a build of the same recipe left unfinished is resumed, a damaged one repaired, and one of fewer
    records extended.

    Args:
        out: the dataset's folder.
        plan: what it is going to hold.
        checkpoint: the generator's checkpoint; None for the published one.
        second_opinion: share of the records that are going to have a second opinion at least.

    Raises:
        DatasetError: when the folder is foreign, of another recipe, in use or cannot be written.
    """
    check_share(second_opinion)
    folder = out.absolute()
    if isinstance(folder, BucketPath):
        folder.check()
    check_folder(folder, plan)
    if not (folder / LEDGER).exists():
        check_disk(folder, plan, Remaining(plan.shards()))
    make_dataset_folder(folder)
    with locked(folder):
        begun = check_folder(folder, plan) is not None  # again, now that no other build can change it
        remaining = find_remaining(folder, plan, begun=begun, second_opinion=second_opinion)
        if not remaining.complete:
            check_disk(folder, plan, remaining)
            prepare(folder, plan, keep_derived=remaining.finished is not None)
            with writing(folder):
                pending = {entry_file(folder, shard) for shard in remaining.pending}
                for entry in pending.intersection((folder / LEDGER).iterdir()):  # a worker leaves such a shard alone
                    remove(entry)
        job = Job(folder, plan, checkpoint.absolute() if checkpoint else None)
        yield Build(job, remaining, second_opinion)


def make_shards(build: Build, engine: Engine) -> None:
    """Make every pending shard; one that fails is tried again, and does not keep the others from being made.

    Raises:
        FailedShardsError: names the shards that failed every time.
    """
    with ThreadPoolExecutor(len(build.pending)) as threads:  # it starts no more than are ever under way at once
        try:
            settle(build, _outcomes(build.pending, engine, threads))
        except BaseException:
            engine.stop()  # or a worker that hangs would be waited for
            raise
        finally:
            threads.shutdown(wait=True, cancel_futures=True)


def _outcomes(
    pending: Iterable[Shard], engine: Engine, threads: ThreadPoolExecutor
) -> Iterator[tuple[Shard, LedgerEntry | BaseException]]:
    """Shards as they end; at any time as many are under way as the engine takes, which may come to take more."""
    waiting = deque(pending)
    running: dict[Future[LedgerEntry], Shard] = {}
    while waiting or running:
        while waiting and len(running) < engine.slots:
            shard = waiting.popleft()
            running[threads.submit(_attempt, engine, shard)] = shard
        for done in wait(running, return_when=FIRST_COMPLETED).done:
            yield running.pop(done), done.exception() or done.result()


def settle(build: Build, outcomes: Iterable[tuple[Shard, LedgerEntry | BaseException]]) -> None:
    """Follow shards as they end, under a bar; a lost one does not keep the others from being made.

    Args:
        build: what they are part of.
        outcomes: shards in the order of their ends, each with its entry or with what made it fail for good.

    Raises:
        FailedShardsError: when all have ended, names those that failed every time; at once when nothing else happens.
        BaseException: at once, whatever else made a shard fail.
    """
    failed: dict[Shard, WorkerError] = {}
    made = 0
    with build.progress() as bar:
        for shard, outcome in outcomes:
            if isinstance(outcome, WorkerError):
                failed[shard] = outcome
                log_event(_log, logging.ERROR, "shard failed for good", shard=shard.name, reason=str(outcome))
                with suppress(OSError):  # it is only told to whoever asks for the status
                    note_failure(build.job.folder, shard, outcome)
                if len(failed) == HOPELESS and not made:
                    break
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                made += 1
                _log_made(shard, outcome)
                build.timings.add_shard(len(shard), outcome.seconds)
                bar.update(len(shard))
    if failed:
        raise FailedShardsError(failed) from next(iter(failed.values()))


def _log_made(shard: Shard, entry: LedgerEntry) -> None:
    log_event(
        _log,
        logging.INFO,
        "shard made",
        shard=shard.name,
        first_record=shard.start,
        last_record=shard.stop - 1,
        seconds=entry.seconds,
        verdicts=entry.verdicts,
        device=entry.device,
    )


def _attempt(engine: Engine, shard: Shard) -> LedgerEntry:
    attempt = 1
    while True:
        try:
            return engine.run(shard)
        except WorkerError as error:
            log_event(_log, logging.WARNING, "shard failed", shard=shard.name, attempt=attempt, reason=str(error))
            if attempt == ATTEMPTS:
                raise
            attempt += 1
