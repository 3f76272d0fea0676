"""What a person at a terminal is spared: a slash in a name, traces for a server that is away, workers without work.

Stock Prefect wants `flow/deployment`. Where the name has no slash, this plugin reads it as the flow's deployment
`local`. A stock worker makes the pool that it does not find, and waits in it for runs that go elsewhere; here it ends.
Prefect loads the plugin through the entry point `prefect.plugins`, and only where plugins are enabled, as
`prefect.toml` does in this folder.
"""

import sys
from typing import Any

import httpx
from prefect.client.base import PrefectHttpxAsyncClient
from prefect.client.orchestration import PrefectClient
from prefect.exceptions import ObjectNotFound
from prefect.plugins import register_hook

PREFECT_PLUGIN_API_REQUIRES = ">=0.1,<2"
DEFAULT_DEPLOYMENT = "local"
_IN_VAIN = (["deploy"], ["deployment"], ["flow-run", "cancel"], ["work-pool"])
"""Commands that can do nothing without a server. Workers and runs wait for one that comes back."""
_CREATES = "--create-pool-if-not-found"


@register_hook
def setup_environment(*, ctx: Any) -> None:  # noqa: ANN401, ARG001 - the hook's signature is Prefect's
    """Complete deployment names without a slash; end a command in one line where there is no server, or no pool."""
    read, send = PrefectClient.read_deployment_by_name, PrefectHttpxAsyncClient.send
    read_pool = PrefectClient.read_work_pool

    async def read_deployment_by_name(self: PrefectClient, name: str) -> Any:  # noqa: ANN401 - as in Prefect
        return await read(self, name if "/" in name else f"{name}/{DEFAULT_DEPLOYMENT}")

    async def send_or_end(self: PrefectHttpxAsyncClient, request: httpx.Request, *how: Any, **more: Any) -> Any:  # noqa: ANN401
        try:
            return await send(self, request, *how, **more)
        except httpx.ConnectError as error:
            raise SystemExit(
                f"there is no Prefect server at {request.url.host}:{request.url.port or request.url.scheme}: {error}. "
                f"Start it with `prefect server start`, or set PREFECT_API_URL"
            ) from None

    async def read_pool_or_end(self: PrefectClient, work_pool_name: str) -> Any:  # noqa: ANN401
        PrefectClient.read_work_pool = read_pool  # type: ignore[method-assign]  # once: a pool may go later, and come back
        try:
            return await read_pool(self, work_pool_name)
        except ObjectNotFound:
            raise SystemExit(
                f"there is no work pool {work_pool_name!r}. Create it with "
                f"`prefect work-pool create {work_pool_name} --type process`, or add {_CREATES}"
            ) from None

    PrefectClient.read_deployment_by_name = read_deployment_by_name  # type: ignore[method-assign, assignment]
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    if any(words[: len(command)] == command for command in _IN_VAIN):
        PrefectHttpxAsyncClient.send = send_or_end  # type: ignore[method-assign]
    if words[:2] == ["worker", "start"] and _CREATES not in sys.argv:
        PrefectClient.read_work_pool = read_pool_or_end  # type: ignore[method-assign, assignment]
