"""Empty shards through a real Prefect server, and what they cost driver, server and database."""

import time

import psutil

from benchmarks.performance.child import parsed, run
from benchmarks.scaling.results import Driven, EmptyRun
from benchmarks.scaling.servers import Site, site

_PATIENCE_SECONDS = 60.0  # with a server that records nothing more
_REQUEST = r'"[A-Z]+ /api/[^"]*" \d{3}'
_DROPPED = "queue is full, dropping message"


def run_empty(database: str, shards: int, workers: int) -> EmptyRun:
    """Steer empty shards on a new database, in a process of its own.

    Args:
        database: one of `servers.DATABASES`.
        shards: how many.
        workers: that the engine says it has; three shards each are under way at once.

    Raises:
        FoundryError: when something does not start.
    """
    with site(database) as here:
        before, requests = here.kept(), here.logged(_REQUEST)
        server, postgres = _cpu_s(here.server), _cpu_s(here.database)
        finished = run(
            "benchmarks.scaling.empty",
            ("--shards", shards, "--workers", workers),
            cores=2,
            variables=here.environment,
        )
        driven, requests = parsed(Driven, finished.output), here.logged(_REQUEST) - requests
        recorded, recorded_s = _recorded(here, driven)
        after = here.kept()
        return EmptyRun(
            database=database,
            driven=driven,
            peak_bytes=finished.peak.rss_bytes,
            requests=requests,
            recorded=recorded,
            dropped=here.logged(_DROPPED),
            recorded_s=recorded_s,
            server_cpu_s=_cpu_s(here.server) - server,
            server_bytes=sum(each.memory_info().rss for each in _family(here.server)),
            database_cpu_s=_cpu_s(here.database) - postgres,
            kept=after,
            grown_bytes=after.bytes - before.bytes,
            transactions=after.transactions - before.transactions,
        )


def _recorded(here: Site, driven: Driven) -> tuple[int, float]:
    """How many shards the server knows as Completed once it knows no more of them, and when it knew the last.

    It hears of task runs by events, which it writes behind the driver's back.

    Returns:
        The number, and seconds from the driver's start of the first shard.
    """
    known, changed = -1, time.time()
    completed = {"state": {"type": {"any_": ["COMPLETED"]}}}
    while known < driven.shards and time.time() < changed + _PATIENCE_SECONDS:
        found = here.ask("/task_runs/count", flow_runs={"id": {"any_": [driven.flow_run]}}, task_runs=completed)
        if found != known:
            known, changed = found, time.time()
        time.sleep(0.5)
    return known, changed - driven.started


def _cpu_s(process: psutil.Process | None) -> float:
    """Of a process, of those below it, and of those that have ended."""
    if process is None:
        return 0.0
    ended = process.cpu_times()
    alive = [each.cpu_times() for each in _family(process)]
    return float(ended.children_user + ended.children_system + sum(times.user + times.system for times in alive))


def _family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]
