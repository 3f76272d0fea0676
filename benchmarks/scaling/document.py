"""The figures of docs/scaling.md: what was measured, and then what is computed from that."""

from collections.abc import Callable

from benchmarks.markdown import text
from benchmarks.performance.figures import BuildRun
from benchmarks.performance.markdown import NONE, number, table
from benchmarks.performance.targets import GIB
from benchmarks.scaling.model import costs
from benchmarks.scaling.paper import computed
from benchmarks.scaling.results import EmptyRun, Results
from pipeline.shards import BLOCK

BEGIN = "<!-- The figures, by `python -m benchmarks.scaling`; changes below are lost. -->"
KB, MB = 1e3, 1e6
_MOST_KB, _MOST_MS = 40.0, 15.0
"""Of the driver, a shard."""
_LONG_MS = 1000.0
"""What PostgreSQL by its own settings takes for a wait that is worth a word."""


def with_figures(before: str, figures: str) -> str:
    """A document with new figures in the place of those that it had."""
    return f"{before.partition(BEGIN)[0].rstrip()}\n\n{figures}".lstrip()


def document(results: Results) -> str:
    """Everything there is to say, from the mark on."""
    machine = results.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    quick = "**A quick run of little of everything: it shows that everything runs, and its figures are of no use.**"
    parts = [
        BEGIN,
        "## Measured",
        quick if results.quick else "",
        text(
            f"{machine.date}, commit {machine.commit}. {machine.processor}, {machine.cores} cores, "
            f"{machine.memory_bytes / GIB:.0f} GiB, {machine.system}; {versions}. Each figure is of one run; driver, "
            "server and database share the cores."
        ),
        *_empty(results),
        *_builds(results),
        *_finalised(results),
        *_requests(results),
        *computed(costs(results), results.empty[0].database),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _empty(results: Results) -> list[str]:
    rows: dict[str, Callable[[EmptyRun], str]] = {
        "driver, ms a shard on the wall": lambda run: number(run.wall_ms),
        "driver, ms a shard of its processor": lambda run: number(run.a_shard(1000 * run.driven.cpu_s)),
        "driver, MB at most": lambda run: number(run.peak_bytes / MB),
        "shards that the server knew in the end": lambda run: f"{run.recorded:,}",
        "messages that its services had no room for": lambda run: f"{run.dropped:,}",
        "it knew the last after, ms a shard": lambda run: number(run.a_shard(1000 * run.recorded_s)),
        "server, ms a shard of its processor": lambda run: number(run.a_shard(1000 * run.server_cpu_s)),
        "server, MB in the end": lambda run: number(run.server_bytes / MB),
        "PostgreSQL, ms a shard of its processor": lambda run: _postgres(run, run.a_shard(1000 * run.database_cpu_s)),
        "PostgreSQL, transactions a shard": lambda run: _postgres(run, run.a_shard(run.transactions)),
        "database, kB a shard": lambda run: number(run.a_shard(run.grown_bytes / KB)),
        "requests to the API, in all": lambda run: f"{run.requests:,}",
        "deadlocks": lambda run: _postgres(run, run.kept.deadlocks),
        "waits of more than 0.1 s for a lock": lambda run: _postgres(run, len(run.kept.waits_ms)),
        "the longest of them, ms": lambda run: _postgres(run, max(run.kept.waits_ms, default=0)),
        "errors about a lock": lambda run: f"{run.kept.errors}",
    }
    header = ("", *(f"{run.database}, {run.driven.shards:,}" for run in results.empty))
    crowd, peak = results.crowd, results.crowd.peak_bytes / MB
    return [
        "### Empty shards",
        text(
            "The tasks, the window and the progress artifact of the flow `build-dataset`, in a process of its own, "
            "with a real Prefect server on a new database; but the workers, two of them, answer at once with an entry "
            "of files that they have not made. What is left is what steering costs."
        ),
        table(header, ((name, *map(cell, results.empty)) for name, cell in rows.items())),
        table(("the largest two", "reached", "at most", ""), _targets(results)),
        text(
            "Task runs travel as events through one WebSocket and their log lines in batches; the server writes both "
            f"behind the driver's back. With {crowd.driven.workers} workers, and so "
            f"{3 * crowd.driven.workers:,} tasks at once, {crowd.driven.shards:,} shards on {crowd.database} took the "
            f"driver {number(crowd.wall_ms)} ms a shard and {number(peak)} MB."
        ),
    ]


def _postgres(run: EmptyRun, value: float) -> str:
    """What nobody tells of SQLite."""
    if run.database != "PostgreSQL":
        return NONE
    return str(value) if isinstance(value, int) else number(value)


def _targets(results: Results) -> list[tuple[str, str, str, str]]:
    found = []
    for database in dict.fromkeys(run.database for run in results.empty):
        small, large = [run for run in results.empty if run.database == database][-2:]
        grown = (large.peak_bytes - small.peak_bytes) / (large.driven.shards - small.driven.shards) / KB
        locks = large.kept.deadlocks + large.kept.errors + sum(wait > _LONG_MS for wait in large.kept.waits_ms)
        found += [
            (f"{database}: growth of the driver's memory, kB a shard", grown, _MOST_KB),
            (f"{database}: driver, ms a shard", large.wall_ms, _MOST_MS),
            (f"{database}: deadlocks, errors about a lock, waits of more than a second", locks, 0),
        ]
    return [
        (name, number(reached), f"{most:g}", "not judged" if results.quick else _verdict(reached, most))
        for name, reached, most in found
    ]


def _verdict(reached: float, most: float) -> str:
    return "met" if reached <= most else "**missed**"


def _builds(results: Results) -> list[str]:
    records, shards = results.inside[0].records, results.inside[0].shards
    builds = {f"{build.workers} worker(s), Ray inside the build": build for build in results.inside}
    builds |= {f"{nodes} node(s), a worker each": build for nodes, build in results.nodes.items()}
    header = ("", "start, s", "make, s", "finalise, s", "records/s while made", "schedule and wait, ms a shard")
    sizes = [
        (f"{size:,}", number(build.run.made_per_s), number(build.peak.rss_bytes / GIB))
        for size, build in results.shard_sizes.items()
    ]
    return [
        "### Real shards",
        text(
            f"{records:,} records in {shards} shards, by Ray without Prefect; all builds gave the same content digest. "
            f"All nodes are this machine, with {results.machine.cores} cores: that can show what another node costs "
            "in steering, not that more cores make more records, and more workers than cores make nothing faster. "
            "The wait at the start and at the end, when a worker has nothing to do, is in the last column, and weighs "
            "much in so short a build."
        ),
        table(header, ((name, *_build_cells(build)) for name, build in builds.items())),
        text("One shard by one worker on one core, with the whole process's memory, PyTorch's and Zarr's included:"),
        table(("records a shard", "records/s", "GiB at most"), sizes),
    ]


def _build_cells(build: BuildRun) -> tuple[str, ...]:
    phases = (number(build.phases_s[phase]) for phase in ("start", "make", "finalise"))
    return (*phases, number(build.made_per_s), number(build.waiting_ms_a_shard))


def _finalised(results: Results) -> list[str]:
    rows = [
        (
            f"{found.records:,} in {found.shards} shards, neurokit2 on {100 * found.second_opinion:g} %",
            number(found.seconds),
            number(1000 * found.seconds / found.records),
            number((found.peak_bytes - found.before_bytes) / MB),
            number(found.table_bytes / found.records),
            f"{found.folder_bytes / found.records:,.0f}",
        )
        for found in results.finalised
    ]
    header = ("records", "s", "ms a record", "MB more at most", "rows, B a record", "dataset, B a record")
    return [
        "### Finalising",
        text(
            "One process does it, whatever the cluster: it checks the entries, joins the rows, digests them, copies "
            "the normal records, and asks neurokit2. All signals are read once."
        ),
        table(header, rows),
    ]


def _requests(results: Results) -> list[str]:
    rows = [
        (
            f"{found.shards} shards, {found.records} records, neurokit2 on {100 * found.second_opinion:g} %",
            *(", ".join(f"{count} {method}" for method, count in phase.items()) for phase in found.phases.values()),
        )
        for found in results.requests
    ]
    return [
        "### Requests to a bucket",
        text(f"By a build of shards of {BLOCK}, in the log of an S3 server on loopback:"),
        table(("", *results.requests[0].phases), rows),
    ]
