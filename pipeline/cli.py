"""The command line: a thin verb a command."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.arguments import (
    add_build_arguments,
    add_doctor_arguments,
    add_release_arguments,
    add_status_arguments,
    crew_of,
    log_file,
    place,
    recipe_fields,
)
from pipeline.boundary import one_line
from pipeline.errors import DatasetError, InputError, RecipeError
from pipeline.logs import logging_to

if TYPE_CHECKING:
    from pipeline.damage import Problem
    from pipeline.dataset import Dataset


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a path need not be text
    options = _parser().parse_args(arguments)
    return one_line(
        "ecg-foundry", lambda: int(options.run(options)), debug=options.debug, goes_on=options.run in {_build, _publish}
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ecg-foundry",
        description="Synthetic 12-lead ECG datasets: generated, measured, filtered, released. Not for clinical use.",
        epilog="Exit status: 0 well, 1 other, 2 recipe or arguments, 3 input, 4 dataset, 5 shards that keep failing, "
        "6 no worker, 70 a fault of the program, 129, 130 or 143 stopped.",
    )
    parser.add_argument("--version", action="version", version=f"ecg-foundry {version('ecg-foundry')}")
    parser.add_argument("--debug", action="store_true", help="show a traceback with an error")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    build = commands.add_parser("build", help="build a dataset, or resume, repair or extend one")
    add_build_arguments(build)
    build.set_defaults(run=_build)

    measure = commands.add_parser("measure", help="measure ECGs from WFDB, .npy or a dataset into a Parquet table")
    measure.add_argument(
        "input",
        type=Path,
        help="WFDB folder or record, dataset, or .npy of shape (n, 8, 10 s) with the leads I, II, V1 to V6, or (n, 12, "
        "10 s) with III, aVR, aVL, aVF after II; an array cannot name its leads; a wrong order is caught only in part",
    )
    measure.add_argument("--out", type=Path, required=True, metavar="TABLE.parquet", help="table to write")
    measure.add_argument("--fs", type=float, help="sampling rate of a .npy, in Hz; 250 or more, resampled to 500")
    measure.add_argument("--units", choices=("uV", "mV"), help="unit of a .npy")
    measure.add_argument(
        "--skip-bad",
        action="store_true",
        help="measure the records that can be measured, name the others, exit with 3 (default: stop at the first)",
    )
    measure.set_defaults(run=_measure)

    verify = commands.add_parser("verify", help="check every file, row and signal of a dataset or a release")
    verify.add_argument("dataset", type=place, help="dataset, or the folder of a release")
    verify.add_argument(
        "--regenerate",
        type=int,
        metavar="N",
        help="also make N records, drawn at random, again from the recipe, and compare them with the stored ones",
    )
    verify.add_argument("--sample-seed", type=int, help="seed of that draw, to repeat it (default: at random, printed)")
    verify.add_argument("--checkpoint", type=Path, help="the checkpoint, where it is not the published one")
    verify.set_defaults(run=_verify)

    regenerate = commands.add_parser(
        "regenerate", help="make one record again alone and compare it with the stored one"
    )
    regenerate.add_argument("dataset", type=place)
    regenerate.add_argument("--record", type=int, required=True, help="its record_id")
    regenerate.add_argument("--checkpoint", type=Path, help="the checkpoint, where it is not the published one")
    regenerate.set_defaults(run=_regenerate)

    show = commands.add_parser("show", help="draw one record on ECG paper, 25 mm/s and 10 mm/mV")
    show.add_argument("dataset", type=place)
    show.add_argument("--record", type=int, required=True, help="its record_id")
    show.add_argument("--out", type=Path, required=True, metavar="ECG.png", help="picture to write")
    show.set_defaults(run=_show)

    report = commands.add_parser(
        "report", help="compare a dataset with the paper's figures: text here, Markdown, JSON and figures in a folder"
    )
    report.add_argument("dataset", type=place, help="dataset, or the folder `normal` in one")
    report.add_argument(
        "--out", type=Path, metavar="FOLDER", help="folder to write (default DATASET-report beside the dataset)"
    )
    report.set_defaults(run=_report)

    release = commands.add_parser("release", help="package a dataset and its normal subset for other people")
    release.add_argument("dataset", type=place, help="finished dataset; it is checked wholly first")
    add_release_arguments(release)
    release.set_defaults(run=_release)

    publish = commands.add_parser(
        "publish",
        help="send a release to OSF, a folder, a bucket or the Hugging Face Hub; the same command goes on where it was",
    )
    publish.add_argument("release", type=place, metavar="REL", help="folder of a release; every file is hashed first")
    publish.add_argument(
        "--to",
        required=True,
        metavar="PLACE",
        help="osf, with the token in OSF_TOKEN; s3://BUCKET/PREFIX; hf://datasets/USER/NAME; or a folder",
    )
    publish.add_argument("--node", metavar="ID", help="OSF project or component, as in osf.io/abc12")
    publish.add_argument("--dry-run", action="store_true", help="list what would be sent, and send nothing")
    publish.set_defaults(run=_publish)

    status = commands.add_parser("status", help="how far a build is, from its ledger alone")
    add_status_arguments(status)
    status.set_defaults(run=_status)

    doctor = commands.add_parser("doctor", help="check this machine, and the services that a build would use")
    add_doctor_arguments(doctor)
    doctor.set_defaults(run=_doctor)
    return parser


def _build(options: argparse.Namespace) -> int:
    from pipeline.build import build_dataset
    from pipeline.plan import plan_build
    from pipeline.report.summary import summarise

    plan = plan_build(recipe_fields(options), shard_records=options.shard_records, checkpoint=options.checkpoint)
    with logging_to(log_file(options)):
        built = build_dataset(
            options.out,
            plan,
            options.checkpoint,
            crew_of(options),
            second_opinion=options.second_opinion,
        )
    print(summarise(built.dataset, complete=built.complete))
    print(built.timings.text(), end="")
    if options.release:
        from pipeline.release.package import keep_released

        print(keep_released(built.dataset).text())
    return 0


def _release(options: argparse.Namespace) -> int:
    from pipeline.dataset import open_dataset
    from pipeline.release.package import Request, make_release, next_release

    dataset = open_dataset(options.dataset)
    out, version = next_release(dataset, options.out, options.version)
    released = make_release(dataset, Request(out, version, options.exports, options.reference))
    print(released.text())
    return 0


def _publish(options: argparse.Namespace) -> int:
    from pipeline.publish import publish

    plan = publish(options.release, options.to, node=options.node, dry_run=options.dry_run)
    if options.dry_run:
        print("\n".join(plan.lines()))
    else:
        print(
            f"version {plan.version} is published: {plan.where}, {len(plan.steps)} files, {len(plan.to_send)} sent now"
        )
    return 0


def _measure(options: argparse.Namespace) -> int:
    from pipeline.measure_input import measure_input

    measured = measure_input(
        options.input, options.out, sampling_rate_hz=options.fs, units=options.units, skip_bad=options.skip_bad
    )
    for line in measured.refused:
        print(f"ecg-foundry: left out: {' '.join(line.split())}", file=sys.stderr)
    left_out = f", {len(measured.refused):,} left out" if measured.refused else ""
    print(f"{measured.records:,} records measured into {options.out}{left_out}")
    for remark, records in measured.remarks.items():
        print(f"{records:,} of them {remark}")
    return InputError.exit_code if measured.refused else 0


def _verify(options: argparse.Namespace) -> int:
    from pipeline.dataset import open_dataset
    from pipeline.release.place import on_disk
    from pipeline.release.released import is_release, open_release
    from pipeline.release.verify import verify_release
    from pipeline.verify import verify

    if options.regenerate is None and (options.sample_seed is not None or options.checkpoint is not None):
        raise RecipeError("--sample-seed and --checkpoint are of the records that --regenerate N makes again. Give it")
    if is_release(options.dataset):
        as_said = "as it says, its metadata valid by each standard's own validator"
        with on_disk(options.dataset) as folder:
            return _check(options, open_release(folder), lambda: verify_release(folder), as_said, "Get it again")
    dataset = open_dataset(options.dataset)
    remedy = "Run its build again to make exactly those parts again"
    return _check(options, dataset, lambda: verify(dataset), "as in its manifest", remedy)


def _check(
    options: argparse.Namespace,
    dataset: "Dataset",
    verify: "Callable[[], Sequence[Problem | str]]",
    as_said: str,
    remedy: str,
) -> int:
    from pipeline.regenerate import Regenerator, draw_sample

    if options.regenerate is not None:  # what cannot work is refused before minutes of reading
        sample, seed = draw_sample(dataset, options.regenerate, options.sample_seed)
        regenerator = Regenerator(dataset, options.checkpoint)
    problems = verify()
    for problem in problems:
        print(problem)
    if problems:
        raise DatasetError(f"{options.dataset} is damaged in {len(problems)} places. {remedy}")
    print(f"{options.dataset}: {len(dataset):,} records, every file, row and signal {as_said}")
    if options.regenerate is not None:
        print(f"{len(sample):,} of {len(dataset):,} records drawn, with --sample-seed {seed}, to be made again")
        print(f"made again: {regenerator.compare(sample).outcome()}")
    return 0


def _regenerate(options: argparse.Namespace) -> int:
    from pipeline.dataset import open_dataset
    from pipeline.regenerate import regenerate

    dataset = open_dataset(options.dataset)
    outcome = regenerate(dataset, options.record, options.checkpoint).outcome()
    print(f"record {options.record}: made again, {outcome}")
    return 0


def _show(options: argparse.Namespace) -> int:
    from pipeline.dataset import check_output, open_dataset
    from pipeline.report.paper import draw_ecg
    from pipeline.report.summary import record_title

    dataset = open_dataset(options.dataset)
    check_output(options.out, options.dataset)
    ecg = dataset.signal(options.record)
    draw_ecg(ecg, title=record_title(dataset, options.record), path=options.out)
    print(f"record {options.record} drawn to {options.out}")
    return 0


def _report(options: argparse.Namespace) -> int:
    from pipeline.dataset import open_dataset
    from pipeline.report.folder import make_report

    print(make_report(open_dataset(options.dataset), options.out))
    return 0


def _status(options: argparse.Namespace) -> int:
    from pipeline.status import look, watch

    watched = options.watch is not None
    for status in watch(options.dataset, options.watch) if watched else [look(options.dataset)]:
        short = watched and status.state != "finished"
        print(status.json() if options.json else status.line() if short else status.text(), flush=True)
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from pipeline.doctor.examination import examine

    findings = examine(options.out, options.records, options.checkpoint, options.ray_address)
    lines = [json.dumps([asdict(finding) for finding in findings])] if options.json else map(str, findings)
    print("\n".join(lines))
    return 1 if any(finding.verdict == "fault" for finding in findings) else 0


if __name__ == "__main__":
    sys.exit(main())
