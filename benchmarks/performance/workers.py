"""What builds by two workers take."""

from collections.abc import Sequence

from benchmarks.markdown import text
from benchmarks.performance.figures import Series
from benchmarks.performance.markdown import number, series_cells, table
from benchmarks.performance.results import FullBuild, Results, Scaling
from benchmarks.performance.targets import GIB


def two_workers(results: Results) -> list[str]:
    """The section: full and small builds, orchestration, and one worker beside two."""
    flow, gpu = results.flow, results.generator.gpu
    full, small = results.full, results.small
    made = full.run.made_per_s / Series(values=tuple(build.run.made_per_s for build in small)).median
    return [
        "## Two workers",
        text(
            "Ray with two workers on two cores, in a process of its own, from its start to its end. Memory is the "
            "most that all its processes held at once, Ray's own included, sampled twice a second (PSS "
            "whenever RSS has grown by 1 %, and every 5 s): PSS shares out what several hold together, RSS counts it "
            "in each. Start, make and finalise are parts of the seconds."
            + (f" The generator ran on {gpu}." if gpu else "")
        ),
        table(
            ("records", "s", "records/s", "start", "make", "finalise", "PSS, GiB", "RSS, GiB", "processes"),
            map(_full_row, [full, *small]),
        ),
        text(
            f"While shards are made, the large build is at {made:.2f} of the small ones' records/s. "
            f"Scheduling and waiting: by the Prefect flow on {flow.records:,} records "
            f"{number(flow.waiting_ms_a_shard)} ms a shard, {number(flow.waiting_percent)} % of the workers' time; "
            f"without Prefect, in the large build, {number(full.run.waiting_ms_a_shard)} ms a shard. The wait at the "
            "start and at the end of a run, when a worker has nothing to do yet or any more, is in it, and weighs more "
            "in a short one."
        ),
        _scaling(results.scaling),
    ]


def _full_row(build: FullBuild) -> Sequence[str]:
    phases = (number(build.run.phases_s[phase]) for phase in ("start", "make", "finalise"))
    memory = (number(build.peak.pss_bytes / GIB), number(build.peak.rss_bytes / GIB), str(build.peak.processes))
    return (f"{build.run.records:,}", number(build.process_s), number(build.records_per_s), *phases, *memory)


def _scaling(found: Scaling) -> str:
    one, two = (Series(values=tuple(build.made_per_s for build in builds)) for builds in (found.one, found.two))
    header = (f"records/s while {found.one[0].records:,} records are made", "median", "spread")
    rows = [("one worker", *series_cells(one)), ("two workers", *series_cells(two))]
    return table(header, [*rows, ("two / one", *series_cells(found.ratio))])
