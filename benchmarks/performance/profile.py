"""Where a record's time goes."""

from collections import Counter
from collections.abc import Sequence

from benchmarks.markdown import text
from benchmarks.performance.figures import BuildRun
from benchmarks.performance.markdown import NONE, number, table
from benchmarks.performance.results import OneCore


def profile(found: OneCore, two_workers: BuildRun) -> list[str]:
    """The section: each stage alone, in builds on one core, and in the full one.

    Args:
        found: on one core.
        two_workers: the full build.
    """
    alone = {stage: series.median for stage, series in found.stages_ms.items()}
    columns = [alone, _milliseconds(found.builds), _milliseconds([two_workers])]
    header = ("ms a record", "alone", "in a build on one core", "by two workers")
    order = dict.fromkeys([*alone, *two_workers.stages_s])
    rows = [(stage, *_cells(columns, stage)) for stage in order]
    rows.append(("schedule and wait", NONE, *_cells(columns[1:], "wait")))
    rows.append(("**= a worker's time**", number(sum(alone.values())), *_cells(columns[1:], "sum")))
    beside = list(two_workers.beside_s)
    rows += [(f"{stage}, beside the next shard", NONE, *_cells(columns[1:], f"{stage} beside")) for stage in beside]
    rows.append(("finalise, on the wall", NONE, *_cells(columns[1:], "finalise")))
    return [
        "## Where a record's time goes",
        text(
            "Alone: one shard on one core, stage after stage. In a build, a worker writes a shard while it computes "
            "the next one; on one core both share it, so that the writing shows up in the stages that it interrupts. "
            "A dash: not timed apart there, but within the stage before it."
        ),
        table(header, rows),
    ]


def _milliseconds(builds: Sequence[BuildRun]) -> dict[str, float]:
    """Milliseconds a record, over all builds."""
    seconds: Counter[str] = Counter()
    for build in builds:
        seconds.update(build.stages_s)
        seconds.update({f"{stage} beside": value for stage, value in build.beside_s.items()})
        own = {"wait": build.waiting_s, "sum": build.workers * build.phases_s["make"]}
        seconds.update({**own, "finalise": build.phases_s["finalise"]})
    records = sum(build.records for build in builds)
    return {stage: 1000 * value / records for stage, value in seconds.items()}


def _cells(columns: Sequence[dict[str, float]], stage: str) -> list[str]:
    return [number(column[stage]) if stage in column else NONE for column in columns]
