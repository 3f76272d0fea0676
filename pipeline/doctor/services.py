"""Checks of the services that a build may use: a bucket, a Ray cluster and a Prefect server."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

from pipeline.doctor.findings import Finding, clock
from pipeline.engines import Crew, check_engine, cluster_address
from pipeline.store.place import BucketPath, Place

PATIENCE_SECONDS = 20.0


def bucket(out: Place) -> list[Finding]:
    """Whether a bucket can be written on condition, as the ledger and the lock are, and its clock.

    Args:
        out: the dataset's place; there is nothing to find where it is no bucket.

    Raises:
        FoundryError: when it cannot be used at all.
    """
    if not isinstance(out, BucketPath):
        return []
    out.check()
    probe = out.with_name(f"{out.name}.doctor-{secrets.token_hex(8)}")
    asked = time.time()
    try:
        probe.write_if(b"first", "")
        try:
            written, alone = probe.stat().st_mtime, _is_refused(probe)
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        remedy = "give the key leave to put and delete objects beside it"
        return [Finding("fault", "bucket", f"{out} cannot be written: {error.strerror}", remedy)]
    if not alone:
        said = f"{out}: the store writes over an object in spite of If-None-Match"
        return [Finding("fault", "bucket", said, "use one with conditional writes, as AWS and recent MinIO have")]
    return [Finding("ok", "bucket", f"{out} is written on condition"), clock("the object store", written, asked)]


def _is_refused(probe: BucketPath) -> bool:
    try:
        probe.write_if(b"second", "")
    except FileExistsError:
        return True
    return False


def ray_cluster(address: str | None) -> list[Finding]:
    """Whether this machine can join the Ray cluster, and what it has.

    Args:
        address: HOST:PORT of its head; None for that of `RAY_ADDRESS`, if any.

    Raises:
        RecipeError: when it is no address.
    """
    crew = Crew(ray_address=address)
    check_engine(crew)
    named = cluster_address(crew)
    if named is None:
        return [Finding("ok", "Ray cluster", "none is named; a build starts Ray on this machine")]
    thing = "Ray cluster"
    try:
        known = _ask("pipeline.engines.ray_nodes", *([address] if address else []))
    except _NoAnswerError as error:
        return [Finding("fault", thing, str(error))]
    has = f"{known['nodes']} nodes, {known['cores']:.0f} cores, {known['gpus']:g} GPUs, Ray {known['version']}"
    return [Finding("ok", thing, f"{named[1]}: {has}")]


def prefect_server() -> list[Finding]:
    """Whether the Prefect server that is named answers, in which version, and has deployments and workers."""
    try:
        return [Finding(**finding) for finding in _ask("flows.doctor")]
    except _NoAnswerError as error:
        return [Finding("fault", "Prefect server", str(error))]


class _NoAnswerError(Exception):
    """A process that ended badly, or not in time; the reason in one line."""


def _ask(module: str, *arguments: str) -> Any:  # noqa: ANN401 - JSON
    """What a module prints, run as a process: nothing else ends a library that waits for a server in vain."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        said, complaint = process.communicate(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired as error:
        said = f"no answer within {PATIENCE_SECONDS:.0f} s. See whether it runs, and whether this machine is too busy"
        raise _NoAnswerError(said) from error
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        reason = (complaint.strip().splitlines() or ["no reason given"])[-1]
        raise _NoAnswerError(reason.rpartition(" error: ")[2])
    return json.loads(said.strip().splitlines()[-1])
