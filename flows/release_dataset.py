"""The flow `release-dataset`: check a finished dataset and package it for other people."""

from pathlib import Path
from typing import Annotated

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from pydantic import Field

from pipeline.dataset import open_dataset
from pipeline.release.package import Request, make_release, next_release


@flow(name="release-dataset")
def release_dataset(
    dataset: Annotated[str, Field(description="folder of a finished dataset")] = "dataset",
    out: Annotated[str | None, Field(description="folder to write; default: DATASET-release/VERSION")] = None,
    version: Annotated[str | None, Field(description="three numbers; default: the next in DATASET-release")] = None,
    exports: Annotated[
        list[str] | None, Field(description="of asc, csv, wfdb, hdf5, ecgbench, huggingface; default: none")
    ] = None,
    reference: Annotated[
        str | None, Field(description="measurements of real ECGs, written by `measure`, to compare with")
    ] = None,
) -> str:
    """Check a finished dataset and package it and its normal subset; not for clinical use."""
    source = open_dataset(dataset)
    place, number = next_release(source, Path(out) if out else None, version)
    request = Request(place, number, exports or (), Path(reference) if reference else None)
    summary = make_release(source, request).text()
    get_run_logger().info("%s", summary)
    create_markdown_artifact(summary, key="release-summary", description=str(place))
    return summary
