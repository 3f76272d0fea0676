"""What `ecg-foundry doctor` asks of Prefect: `python -m flows.doctor` prints its findings as JSON."""

import asyncio
import json
import os
import re
import time
from collections.abc import Sequence
from dataclasses import asdict
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import prefect
from httpx import HTTPStatusError
from packaging.version import Version
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.client.schemas.responses import DeploymentResponse
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from pipeline.doctor.findings import Finding, clock

PATIENCE_SECONDS = 12.0
_FLOW = "build-dataset"
_SERVER = "Prefect server"


def main() -> None:
    """Print the findings in one line."""
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        print(json.dumps([asdict(finding) for finding in asyncio.run(findings())]))


async def findings() -> list[Finding]:
    """Look at the server that Prefect's settings name, by its own client; nothing is changed there."""
    url = PREFECT_API_URL.value()
    if not url:
        return [Finding("ok", _SERVER, "none is named; a flow runs in the process that starts it")]
    shown = urlsplit(url)._replace(netloc=urlsplit(url).netloc.rpartition("@")[2], query="").geturl()
    try:
        async with asyncio.timeout(PATIENCE_SECONDS), get_client() as client:
            return [*await _server(client, shown), *await _deployments(client)]
    except Exception as error:  # noqa: BLE001 - whatever its client, httpx and pydantic raise
        reason = "no answer in time" if isinstance(error, TimeoutError) else _reason(error)
        # Whoever is alone on a machine names no server; prefect.toml names one for those who start it there.
        alone = "PREFECT_API_URL" not in os.environ and urlsplit(url).hostname in {"127.0.0.1", "localhost"}
        remedy = "`prefect server start`; `ecg-foundry build` and `make dataset` need none" if alone else _remedy(error)
        return [Finding("warning" if alone else "fault", _SERVER, f"{shown} cannot be used: {reason}", remedy)]


async def _server(client: PrefectClient, shown: str) -> list[Finding]:
    asked = time.time()
    answer = await client.request("GET", "/admin/version")
    asked = (asked + time.time()) / 2
    date = answer.headers.get("Date")
    known = [clock("the Prefect server", parsedate_to_datetime(date).timestamp(), asked)] if date else []
    theirs, ours = Version(answer.json()), Version(prefect.__version__)
    said = f"{shown}, version {theirs}, the client's is {ours}"
    if theirs.major != ours.major:
        return [Finding("fault", _SERVER, said, "install the same version on both"), *known]
    if theirs < ours:  # newer clients may call routes that an older server lacks; the other way is supported
        return [Finding("warning", _SERVER, said, "upgrade the server first, then clients and workers"), *known]
    return [Finding("ok", _SERVER, said), *known]


async def _deployments(client: PrefectClient) -> list[Finding]:
    found = await client.read_deployments(flow_filter=FlowFilter(name=FlowFilterName(any_=[_FLOW])))
    if not found:
        return [Finding("warning", "deployments", f"none of {_FLOW} is registered", "`prefect deploy --all`")]
    names = sorted({each.work_pool_name for each in found if each.work_pool_name})
    return [_registered(found), *[await _pool(client, name) for name in names]]


def _registered(found: Sequence[DeploymentResponse]) -> Finding:
    said = ", ".join(f"{_FLOW}/{each.name} on {each.work_pool_name or 'no work pool'}" for each in found)
    if all(each.work_pool_name for each in found):
        return Finding("ok", "deployments", said)
    return Finding("fault", "deployments", said, "make its pool, then `prefect deploy --all`")


async def _pool(client: PrefectClient, name: str) -> Finding:
    pool = await client.read_work_pool(name)
    workers = await client.read_workers_for_work_pool(name)
    online = [worker for worker in workers if worker.status == "ONLINE"]
    said = f"{name} ({pool.type}): {len(online)} of {len(workers)} workers online"
    if pool.is_paused:
        return Finding("fault", "work pool", f"{said}, paused", f"`prefect work-pool resume {name}`")
    if not online:
        return Finding("fault", "work pool", said, f"`prefect worker start --pool {name}`")
    return Finding("ok", "work pool", said)


def _reason(error: Exception) -> str:
    if isinstance(error, HTTPStatusError):
        return f"it answers {error.response.status_code} {error.response.reason_phrase}"
    said = (str(error) or type(error).__name__).splitlines()[0]
    return re.sub(r"//[^/\s]*@", "//", said)  # which may be a password


def _remedy(error: Exception) -> str:
    if isinstance(error, HTTPStatusError) and error.response.status_code in {401, 403}:
        return "set PREFECT_API_KEY or PREFECT_API_AUTH_STRING as the server has it"
    return "start it, or set PREFECT_API_URL to one that runs"


if __name__ == "__main__":
    main()
