"""The arguments that several commands share, and the flows' own command line with them."""

import argparse
import os
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import InputError
from pipeline.second_opinion import DEFAULT_SHARE
from pipeline.shards import DEFAULT_SHARD_RECORDS

if TYPE_CHECKING:
    from pipeline.engines import Crew
    from pipeline.store.place import Place

DEFAULT_OUT = Path("dataset")


def place(text: str) -> "Place":
    """The folder, or the address in a bucket, that an argument names."""
    from pipeline.store.place import place_of

    try:
        return place_of(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def add_release_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of a release, for this command line and for the flow's."""
    parser.add_argument(
        "--out", type=place, metavar="REL", help="folder to write (default DATASET-release/VERSION beside the dataset)"
    )
    parser.add_argument(
        "--version", help="three numbers (default 1.0.0, or the next minor one of those in DATASET-release)"
    )
    parser.add_argument(
        "--with",
        dest="exports",
        type=lambda names: names.split(","),
        default=[],
        metavar="NAMES",
        help="further formats, with commas between: asc, csv, wfdb, hdf5, ecgbench, huggingface",
    )
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="TABLE.parquet",
        help="measurements of real ECGs, written by `measure`, to compare distributions with",
    )


def add_build_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of a build, for this command line and for the flow's."""
    parser.add_argument(
        "--records", type=int, help="ECGs to generate (default 2000); more on a finished folder extend it"
    )
    parser.add_argument("--seed", type=int, help="seed of the noise (default 0)")
    parser.add_argument(
        "--out", type=place, default=DEFAULT_OUT, help="dataset folder, or s3://BUCKET/PREFIX (default %(default)s)"
    )
    parser.add_argument("--engine", choices=("ray", "serial"), default="ray", help="who works (default %(default)s)")
    parser.add_argument("--workers", type=int, help="Ray actors (default: one a core; they share the GPUs, if any)")
    parser.add_argument(
        "--ray-address", metavar="HOST:PORT", help="join this Ray cluster (default: RAY_ADDRESS, or Ray of its own)"
    )
    parser.add_argument(
        "--gpus-per-worker", type=float, metavar="SHARE", help="above 0, at most 1 (default: the GPUs by the workers)"
    )
    parser.add_argument(
        "--memory-gib-per-worker",
        type=float,
        metavar="GIB",
        help="memory that Ray keeps free for each (default: none)",
    )
    parser.add_argument(
        "--seconds-per-shard",
        type=float,
        metavar="SECONDS",
        help="after which a worker is given up and its shard tried again (default: 60 and 2 a record)",
    )
    parser.add_argument(
        "--shard-records",
        type=int,
        default=DEFAULT_SHARD_RECORDS,
        help="records a shard (default %(default)s)",
    )
    parser.add_argument("--checkpoint", type=Path, help="Pulse2Pulse checkpoint file (default: the published one)")
    parser.add_argument("--recipe", type=Path, help="JSON file with recipe fields, or a dataset.json to make again")
    parser.add_argument(
        "--release",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="package a release as well, into OUT-release/VERSION, unless it is there already (default yes)",
    )
    parser.add_argument(
        "--second-opinion",
        type=float,
        default=DEFAULT_SHARE,
        metavar="SHARE",
        help="share of the records whose heart rate neurokit2 measures as well, 0 to 1 (default %(default)s; 0: none); "
        "a finished folder with fewer is finished again, one with more is complete",
    )
    parser.add_argument(
        "--log", type=Path, metavar="FILE.jsonl", help="append what happens to this file, one JSON object a shard"
    )


def add_status_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of a look at a build."""
    parser.add_argument("dataset", type=place, help="dataset folder, or s3://BUCKET/PREFIX")
    parser.add_argument("--json", action="store_true", help="one JSON object a look, for programs")
    parser.add_argument(
        "--watch",
        type=float,
        nargs="?",
        const=5.0,
        metavar="SECONDS",
        help="look every so many seconds (default 5) until the dataset is finished; exit with 4 when nobody is at work "
        "any more, with 5 when shards failed as well",
    )


def add_doctor_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of a check of the surroundings."""
    parser.add_argument(
        "--out", type=place, default=DEFAULT_OUT, help="where the dataset is to be (default %(default)s)"
    )
    parser.add_argument("--records", type=int, metavar="N", help="say whether so many ECGs fit the disk")
    parser.add_argument("--checkpoint", type=Path, help="the checkpoint, where it is not the published one")
    parser.add_argument("--ray-address", metavar="HOST:PORT", help="the Ray cluster (default: RAY_ADDRESS, if any)")
    parser.add_argument("--json", action="store_true", help="a JSON list of findings, for programs")


def recipe_fields(options: argparse.Namespace) -> dict[str, object]:
    """The recipe that a command line asks for: the file's fields, then the flags'."""
    fields: dict[str, object] = {}
    if options.recipe is not None:
        from pipeline.recipe import read_recipe_file

        fields |= read_recipe_file(options.recipe)
    return fields | {name: getattr(options, name) for name in ("records", "seed") if getattr(options, name) is not None}


def crew_of(options: argparse.Namespace) -> "Crew":
    """Who is to make the shards."""
    from pipeline.engines import Crew

    return Crew(**{field.name: getattr(options, field.name) for field in fields(Crew)})


def log_file(options: argparse.Namespace) -> Path | None:
    """The file that `--log` names, which must not lie in the dataset.

    Raises:
        InputError: when it does, or cannot be written.
    """
    from pipeline.dataset import check_output
    from pipeline.store.place import BucketPath

    if options.log is not None:
        log = Path(os.path.realpath(options.log))
        if not isinstance(options.out, BucketPath) and Path(os.path.realpath(options.out)) in (log, *log.parents):
            raise InputError(f"{options.log} would lie in the dataset, as damage. Choose another file for --log")
        check_output(options.log, options.out)
    file: Path | None = options.log
    return file
