"""All checks: each is a line or two of its own.

They run side by side, each in bounded time and whatever becomes of the others; none leaves anything behind.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pipeline.doctor import machine, services
from pipeline.doctor.findings import Finding
from pipeline.store.place import BucketPath, Place

PATIENCE_SECONDS = 25.0
"""For all checks together; a service is given up after `services.PATIENCE_SECONDS` of them."""


def examine(
    out: Place, records: int | None = None, checkpoint: Path | None = None, ray_address: str | None = None
) -> list[Finding]:
    """Run every check.

    Args:
        out: where the dataset is to be, or is.
        records: how many it is to have; None where nobody says.
        checkpoint: its file, where it is not the published one.
        ray_address: HOST:PORT of the cluster; None for that of `RAY_ADDRESS`, if any.

    Returns:
        What was found, in the same order every time.
    """
    found = run_side_by_side(
        {
            "packages": machine.packages,
            "processor": machine.processor,
            "GPU": machine.gpus,
            "memory": machine.memory,
            "dataset": lambda: services.bucket(out) if isinstance(out, BucketPath) else machine.disk(out, records),
            "temporary files": machine.temporary_files,
            "checkpoint": lambda: machine.checkpoint(checkpoint),
            "tokens": machine.tokens,
            "Ray cluster": lambda: services.ray_cluster(ray_address),
            "Prefect server": services.prefect_server,
        },
        PATIENCE_SECONDS,
    )
    if not any(finding.thing == "clock" for finding in found):
        found.append(Finding("ok", "clock", "not compared: there is no server or bucket to ask"))
    return found


def run_side_by_side(checks: Mapping[str, Callable[[], Sequence[Finding]]], seconds: float) -> list[Finding]:
    """What checks find, in their order; one that fails or does not end is a fault of its own.

    Args:
        checks: by the thing that each is about.
        seconds: after which those that have not ended are given up.
    """
    found: dict[str, Sequence[Finding]] = {}

    def check(thing: str) -> None:
        try:
            found[thing] = checks[thing]()
        except Exception as error:  # noqa: BLE001 - a check that fails must not keep the others from being told
            reason = str(error) or type(error).__name__
            found[thing] = [Finding("fault", thing, reason)]

    deadline = time.monotonic() + seconds
    threads = [threading.Thread(target=check, args=(thing,), daemon=True) for thing in checks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = {
        thing: [Finding("fault", thing, f"no answer within {seconds:.0f} s", "see whether disks and networks hang")]
        for thing in checks
    }
    return [finding for thing in checks for finding in found.get(thing, late[thing])]
