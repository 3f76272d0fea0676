"""The flow `release-dataset`: check a finished dataset and package it for other people."""

from pathlib import Path

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact

from flows.artifacts import artifact_key, places_markdown
from flows.blocks import credentials
from pipeline.dataset import open_dataset
from pipeline.release.package import Request, make_release, next_release
from pipeline.store.place import place_of


@flow(name="release-dataset")
def release_dataset(
    dataset: str = "dataset",
    out: str | None = None,
    version: str | None = None,
    exports: list[str] | None = None,
    reference: str | None = None,
    credentials_block: str | None = None,
) -> str:
    """Check a finished dataset and package it and its normal subset; not for clinical use.

    Args:
        dataset: folder or s3:// address of a finished dataset.
        out: place to write; default DATASET-release/VERSION.
        version: three numbers; default the next in DATASET-release.
        exports: of asc, csv, wfdb, hdf5, ecgbench, huggingface; default none.
        reference: measurements of real ECGs, written by `measure`, to compare with.
        credentials_block: Secret block with AWS_* variables as JSON; default those of the worker.
    """
    with credentials(credentials_block):
        source = open_dataset(place_of(dataset))
        place, number = next_release(source, place_of(out) if out else None, version)
        request = Request(place, number, exports or (), Path(reference) if reference else None)
        released = make_release(source, request)
    get_run_logger().info("%s", released.text())
    create_markdown_artifact(
        f"{released.text()}\n\n{places_markdown(source, released)}",
        key=artifact_key(source.folder, "release"),
        description=released.text(),
    )
    return released.text()
