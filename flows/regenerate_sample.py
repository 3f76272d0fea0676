"""The flow `regenerate-sample`: an audit that makes some records again and compares them with the stored ones."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from pydantic import Field

from flows.artifacts import artifact_key, where
from flows.blocks import credentials
from pipeline.dataset import open_dataset
from pipeline.errors import DatasetError
from pipeline.regenerate import Regenerator, draw_sample
from pipeline.release.place import on_disk
from pipeline.release.released import is_release, open_release
from pipeline.store.place import place_of

_MOST_NAMED = 100


@flow(name="regenerate-sample")
def regenerate_sample(
    dataset: str = "dataset",
    records: Annotated[int, Field(ge=1)] = 64,
    sample_seed: Annotated[int | None, Field(ge=0)] = None,
    checkpoint: str | None = None,
    credentials_block: str | None = None,
) -> str:
    """Draw records at random, make them again from the recipe, and fail when one is not what is stored.

    Args:
        dataset: folder or s3:// address of a finished dataset, or of a release.
        records: how many to draw; all where it has fewer.
        sample_seed: of the draw, to repeat it; default at random.
        checkpoint: checkpoint file; default the published one.
        credentials_block: Secret block with AWS_* variables as JSON; default those of the worker.
    """
    place = place_of(dataset)
    with credentials(credentials_block), ExitStack() as stack:
        is_one = is_release(place)
        source = open_release(stack.enter_context(on_disk(place))) if is_one else open_dataset(place)
        drawn, seed = draw_sample(source, records, sample_seed)
        compared = Regenerator(source, Path(checkpoint) if checkpoint else None).compare(drawn)
    lines = [f"{len(drawn):,} of {len(source):,} records of {where(place)} made again (sample seed {seed})"]
    try:
        lines.append(compared.outcome())
    except DatasetError as error:
        differing = sorted({*compared.differing_signals, *compared.differing_rows})
        more = f" and {len(differing) - _MOST_NAMED:,} more" if len(differing) > _MOST_NAMED else ""
        named = ", ".join(map(str, differing[:_MOST_NAMED]))
        lines += [str(error), f"{len(differing):,} records differ: {named}{more}"]
        raise
    finally:
        create_markdown_artifact("\n\n".join(lines), key=artifact_key(place, "audit"), description=where(place))
        get_run_logger().info("%s", "\n".join(lines))
    return "\n".join(lines)
