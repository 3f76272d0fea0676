"""The flow `publish-release`: send a release to OSF, a folder, a bucket or the Hugging Face Hub."""

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.blocks.system import Secret
from pydantic import SecretStr

from flows.artifacts import artifact_key
from flows.blocks import credentials
from pipeline.publish import publish
from pipeline.store.place import place_of


@flow(name="publish-release")
def publish_release(
    release: str,
    to: str = "osf",
    node: str | None = None,
    token_block: str | None = None,
    dry_run: bool = False,
    credentials_block: str | None = None,
) -> str:
    """Send a release to a place outside; run again, it goes on where it was.

    Args:
        release: folder or s3:// address of a release.
        to: osf, s3://BUCKET/PREFIX, hf://datasets/USER/NAME, or a folder.
        node: OSF project or component, as in osf.io/abc12.
        token_block: Secret block with the token; default OSF_TOKEN or HF_TOKEN of the worker.
        dry_run: list what would be sent, and send nothing.
        credentials_block: Secret block with AWS_* variables as JSON; default those of the worker.
    """
    place = place_of(release)
    token = SecretStr(str(Secret.load(token_block).get())) if token_block else None  # type: ignore[union-attr]
    with credentials(credentials_block):
        plan = publish(place, to, node=node, token=token, dry_run=dry_run)
    *steps, summary = plan.lines()
    get_run_logger().info("%s", summary)
    listing = "\n".join([summary, *steps])
    create_markdown_artifact(f"```\n{listing}\n```", key=artifact_key(place, "publication"), description=plan.where)
    return summary
