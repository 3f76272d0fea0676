"""The flow `publish-release`: send a release to OSF, a folder, a bucket or the Hugging Face Hub."""

from pathlib import Path
from typing import Annotated

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.blocks.system import Secret
from pydantic import Field, SecretStr

from pipeline.publish import publish


@flow(name="publish-release")
def publish_release(
    release: Annotated[str, Field(description="folder of a release")],
    to: Annotated[str, Field(description="osf, s3://BUCKET/PREFIX, hf://datasets/USER/NAME, or a folder")] = "osf",
    node: Annotated[str | None, Field(description="OSF project or component, as in osf.io/abc12")] = None,
    token_block: Annotated[
        str | None, Field(description="Secret block with the token; default: OSF_TOKEN or HF_TOKEN of the worker")
    ] = None,
    dry_run: Annotated[bool, Field(description="list what would be sent, and send nothing")] = False,
) -> str:
    """Send a release to a place outside; run again, it goes on where it was."""
    token = SecretStr(str(Secret.load(token_block).get())) if token_block else None  # type: ignore[union-attr]
    plan = publish(Path(release), to, node=node, token=token, dry_run=dry_run)
    *steps, summary = plan.lines()
    get_run_logger().info("%s", summary)
    listing = "\n".join([summary, *steps])
    create_markdown_artifact(f"```\n{listing}\n```", key="publication", description=plan.where)
    return summary
