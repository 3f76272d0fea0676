"""The Prefect flow, run as `make dataset` does, and what its report says of scheduling and waiting."""

import re
from pathlib import Path

from benchmarks.performance.child import run
from benchmarks.performance.results import FlowRun
from pipeline.errors import FoundryError

_A_SHARD = re.compile(r"^([\d.-]+) ms a shard of scheduling and waiting", re.MULTILINE)
_SHARE = re.compile(r"^schedule and wait +[\d.-]+ ms a record +([\d.-]+) %", re.MULTILINE)


def run_flow(out: Path, records: int, workers: int) -> FlowRun:
    """Build a dataset by the flow in a process of its own.

    Args:
        out: an empty folder.
        records: how many.
        workers: Ray actors.
    """
    arguments = ("--records", records, "--out", out, "--engine", "ray", "--workers", workers, "--no-release")
    return parsed_report(run("flows.build_dataset", arguments, cores=workers).output, records)


def parsed_report(text: str, records: int) -> FlowRun:
    """What the flow's report says.

    Raises:
        FoundryError: when it says nothing of it.
    """
    a_shard, share = _A_SHARD.search(text), _SHARE.search(text)
    if not (a_shard and share):
        raise FoundryError("the flow did not report where the time went. Read pipeline/timings.py for its words")
    return FlowRun(records=records, waiting_ms_a_shard=float(a_shard[1]), waiting_percent=float(share[1]))
