"""How far a build is, from its ledger alone: one listing, and the entries of the shards that were committed last."""

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Literal

from pipeline.dataset import MANIFEST
from pipeline.errors import DatasetError, WorkerError
from pipeline.logs import on_one_line
from pipeline.shards import Shard
from pipeline.store.documents import read_document
from pipeline.store.failures import SUFFIX as FAILED
from pipeline.store.failures import read_failure
from pipeline.store.lease import holder
from pipeline.store.ledger import LEDGER, LedgerEntry, Plan, entry_file, plan_file
from pipeline.store.listing import written_at
from pipeline.store.place import BucketPath, Place

WINDOW_SECONDS = 300.0
"""The rate is that of the last minutes: nodes come and go."""
PAUSE_SECONDS = 30.0
"""Between two commits of workers at work lies no more than this and three times what a shard takes."""
_ENTRIES = 40
"""That are read, committed last: of 10,240 records the normal share has a standard error of 0.4 %."""
_FAILURES = 20
_THREADS = 16  # they wait for the store

State = Literal["finished", "finishing", "building", "stopped"]


@dataclass(frozen=True)
class Status:
    """How far a dataset is."""

    place: str
    state: State
    """Finishing: every shard is made, and the tables are being written; stopped: unfinished, and nobody is at work."""
    at_work: str | None
    """Who, in words; a finished dataset may be checked, repaired or released."""
    records: int
    records_done: int
    shards: int
    shards_done: int
    shards_failed: int
    """That failed every time they were tried, in the build that is at work or was the last."""
    failures: list[str]
    """The first of them, each with its records and reason."""
    records_per_second: float | None
    """Over the last minutes; None when nobody builds, or nothing was committed of late."""
    seconds_left: float | None
    """For the shards; the tables come after."""
    seconds_since_commit: float | None
    verdicts: dict[str, int]
    """Records by verdict, of the shards committed last."""

    def text(self) -> str:
        """A few lines for people."""
        missing = self.shards - self.shards_done - self.shards_failed
        going_on = "which of them are under way is written nowhere" if self.at_work else "the same build makes them"
        rows = [(self.state, f"{self.place}, {self.at_work or 'nobody'} at work"), ("done", self._done())]
        rows += [("to do", f"{missing:,} shards; {going_on}")] if missing else []
        rows += [("failed", f"{self.shards_failed:,} shards{', up to now' if self.at_work else ''}")]
        rows += [("", failure) for failure in self.failures]
        rows += [("rate", self._rate())] if self.state == "building" else []
        if self.verdicts:
            made = sum(self.verdicts.values())
            share = 100 * self.verdicts.get("Normal", 0) / made
            rows += [("normal", f"{share:.1f} % of the {made:,} records committed last")]
        return "\n".join(f"{name:<10}{on_one_line(said)}" for name, said in rows)

    def json(self) -> str:
        """The same for programs, in one line."""
        return json.dumps(asdict(self))

    def line(self) -> str:
        """The same in one."""
        failed = f", {self.shards_failed:,} shards failed" if self.shards_failed else ""
        rate = f", {self._rate()}" if self.state == "building" else ""
        return f"{time.strftime('%H:%M:%S')} {self.state}: {self._done()}{failed}{rate}"

    def _done(self) -> str:
        share = 100 * self.records_done // self.records
        return (
            f"{self.records_done:,} of {self.records:,} records ({share} %), "
            f"{self.shards_done:,} of {self.shards:,} shards"
        )

    def _rate(self) -> str:
        since = self.seconds_since_commit
        last = "no shard is committed yet" if since is None else f"the last commit was {duration(max(0.0, since))} ago"
        if self.records_per_second is None or self.seconds_left is None:
            return f"not known: {last}"
        return f"{self.records_per_second:,.0f} records/s, {duration(self.seconds_left)} left; {last}"


def duration(seconds: float) -> str:
    """Such as `12 s`, `3 min 5 s` or `2 h 10 min`."""
    minutes, hours = divmod(round(seconds), 60), divmod(round(seconds / 60), 60)
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{minutes[0]} min {minutes[1]} s" if seconds < 3600 else f"{hours[0]} h {hours[1]} min"


def look(folder: Place) -> Status:
    """How far the dataset in a folder is; reads what is committed, and checks none of it.

    Args:
        folder: the dataset's folder; nothing in it is changed.

    Raises:
        DatasetError: when it holds no ledger or cannot be read.
    """
    if isinstance(folder, BucketPath):
        folder.check()
    try:
        at_work = holder(folder)  # first: whoever has gone by now has left all that is found below
        finished, begun = (folder / MANIFEST).is_file(), plan_file(folder).is_file()
    except OSError as error:
        raise DatasetError(f"{folder} cannot be read: {error.strerror}. Give the folder that a build writes") from error
    if not begun:
        raise DatasetError(f"{folder} holds no ledger with a plan, or not yet. Give the folder that a build writes")
    plan = read_document(plan_file(folder), Plan)
    shards = plan.shards()
    times = written_at(folder / LEDGER)
    commits = [(times[name], shard) for shard in shards if (name := f"{shard.name}.json") in times]
    commits.sort(key=lambda commit: commit[0], reverse=True)
    committed = [shard for _, shard in commits]
    noted = [shard for shard in shards if f"{shard.name}{FAILED}" in times]
    failed = [shard for shard in noted if f"{shard.name}.json" not in times]  # else a late worker has made it
    entries = list(_read_entries(folder, committed[:_ENTRIES]))
    records_done = sum(map(len, committed))
    state: State = "building" if at_work else "stopped"
    if len(committed) == len(shards) and (finished or at_work):
        state = "finished" if finished else "finishing"
    since = time.time() - commits[0][0] if commits else None
    took = [sum(entry.seconds.values()) for entry in entries]
    rate = recent_rate([(at, len(shard)) for at, shard in commits], took)
    if state != "building" or since is None or since > _pause(took):
        rate = None
    return Status(
        place=str(folder),
        state=state,
        at_work=at_work,
        records=plan.recipe.records,
        records_done=records_done,
        shards=len(shards),
        shards_done=len(committed),
        shards_failed=len(failed),
        failures=[_reason(folder, shard) for shard in failed[:_FAILURES]],
        records_per_second=rate,
        seconds_left=(plan.recipe.records - records_done) / rate if rate else None,
        seconds_since_commit=since,
        verdicts=dict(sum((Counter(entry.verdicts) for entry in entries), Counter())),
    )


def recent_rate(commits: Sequence[tuple[float, int]], took: Sequence[float]) -> float | None:
    """Records a second, over the last minutes of the work that the newest commit belongs to.

    Args:
        commits: seconds since 1970 and records of each, the newest first.
        took: seconds that some of those shards took a worker.

    Returns:
        None where no shard is known.
    """
    if not commits or not took:
        return None
    newest = first = commits[0][0]
    for at, _ in commits:
        if first - at > _pause(took):
            break
        first = at
        if newest - first > WINDOW_SECONDS:
            break
    begun = max(newest - WINDOW_SECONDS, first - sum(took) / len(took))  # the first was begun before it was committed
    return sum(records for at, records in commits if at > begun) / max(newest - begun, 1e-3)


def watch(folder: Place, seconds: float) -> Iterator[Status]:
    """Look again and again, until the dataset is finished.

    Args:
        folder: the dataset's folder.
        seconds: between two looks.

    Raises:
        WorkerError: when nobody is at work any more, and shards failed.
        DatasetError: when nobody is at work any more, or the folder cannot be read.
    """
    while True:
        status = look(folder)
        yield status
        if status.state == "finished":
            return
        if status.state == "stopped":
            kind, why = (WorkerError, "shards failed") if status.shards_failed else (DatasetError, "is not finished")
            raise kind(f"{folder}: {why}, and nobody is at work. Run the same build again to go on")
        time.sleep(seconds)


def _pause(took: Sequence[float]) -> float:
    return PAUSE_SECONDS + 3 * max(took, default=0.0)


def _read_entries(folder: Place, shards: Sequence[Shard]) -> Iterator[LedgerEntry]:
    def entry(shard: Shard) -> LedgerEntry | None:
        with suppress(DatasetError):  # of a repair or a crash; the build that finds it makes the shard again
            return read_document(entry_file(folder, shard), LedgerEntry)
        return None

    with ThreadPoolExecutor(_THREADS) as threads:
        yield from filter(None, threads.map(entry, shards))


def _reason(folder: Place, shard: Shard) -> str:
    try:
        reason = read_failure(folder, shard).reason
    except DatasetError:
        reason = "the note on it cannot be read"
    return f"{shard.name}, records {shard.start} to {shard.stop - 1}: {reason}"
