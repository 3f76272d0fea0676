"""Lets `prefect deployment run build-dataset` name a deployment by its flow alone.

Stock Prefect wants `flow/deployment`. Where the name has no slash, this plugin reads it as the flow's deployment
`local`. Prefect loads it through the entry point `prefect.plugins`, and only where plugins are enabled, as
`prefect.toml` does in this folder.
"""

from typing import Any

from prefect.client.orchestration import PrefectClient
from prefect.plugins import register_hook

PREFECT_PLUGIN_API_REQUIRES = ">=0.1,<2"
DEFAULT_DEPLOYMENT = "local"


@register_hook
def setup_environment(*, ctx: Any) -> None:  # noqa: ANN401, ARG001 - the hook's signature is Prefect's
    """Complete deployment names without a slash."""
    stock = PrefectClient.read_deployment_by_name

    async def read_deployment_by_name(self: PrefectClient, name: str) -> Any:  # noqa: ANN401 - as in Prefect
        return await stock(self, name if "/" in name else f"{name}/{DEFAULT_DEPLOYMENT}")

    PrefectClient.read_deployment_by_name = read_deployment_by_name  # type: ignore[method-assign, assignment]
