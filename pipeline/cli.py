"""The command line: a thin verb a command."""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path
from time import monotonic
from typing import TextIO

from pipeline.errors import FAULT, DatasetError, FoundryError, InputError, RecipeError
from pipeline.logs import logging_to, on_one_line
from pipeline.second_opinion import DEFAULT_SHARE
from pipeline.shards import DEFAULT_SHARD_RECORDS

DEFAULT_OUT = Path("dataset")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a path need not be text
    options = _parser().parse_args(arguments)
    return one_line(
        "ecg-foundry", lambda: int(options.run(options)), debug=options.debug, goes_on=options.run is _build
    )


def one_line(program: str, command: Callable[[], int], *, debug: bool = False, goes_on: bool = True) -> int:
    """Run a command; whatever ends it becomes one line and an exit status.

    Args:
        program: name to print before the line.
        command: gives the exit status.
        debug: let the traceback through.
        goes_on: whether the command, once stopped, goes on where it was when it is run again.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller, and a data file would take its number
            setattr(sys, name, _nowhere())
    screen = logging.StreamHandler()
    screen.setLevel(logging.WARNING)  # whatever a log file takes besides
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING, handlers=[screen])
    stop = _Stop()
    ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN  # by nohup
    for number in (signal.SIGINT, signal.SIGTERM, *([] if ignored else [signal.SIGHUP])):
        signal.signal(number, stop)
    try:
        _check_current_folder()
        status = command()
        sys.stdout.flush()  # now, while what is wrong with it can be said
    except KeyboardInterrupt as interrupt:
        again = "; run the same command again to go on" if goes_on else ""
        with suppress(OSError):
            print(f"{program}: stopped{again}", file=sys.stderr)
        return int(interrupt.args[0]) if interrupt.args else 128 + signal.SIGINT
    except Exception as error:  # the outermost boundary: what is not told here ends in a traceback
        if debug:
            raise
        reason, status = _reason(error)
    else:
        return status
    with suppress(OSError):
        print(f"{program}: error: {on_one_line(reason)}", file=sys.stderr)
    return status


def _output_is_lost() -> bool:
    """Whether standard output's reader has gone, or its disk is full; what is still to be shown goes nowhere."""
    try:
        sys.stdout.flush()
    except OSError:
        sys.stdout = _nowhere()  # or the flush at exit fails again
        return True
    return False


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")  # until the process ends


def _check_current_folder() -> None:
    """Refuse to begin where libraries meet a folder that is gone, each in its own way."""
    try:
        Path.cwd()
    except OSError as error:
        raise FoundryError("the current folder is gone. Change to one that exists") from error


def _reason(error: Exception) -> tuple[str, int]:
    """What to say of an error, and the exit status."""
    if isinstance(error, FoundryError):
        return str(error), error.exit_code
    if isinstance(error, MemoryError):
        return "not enough memory. Free some, or raise the limit of the shell (ulimit -v)", FoundryError.exit_code
    if isinstance(error, OSError) and _output_is_lost():
        reason = f"standard output cannot be written: {error.strerror}. All before that is done"
        return reason, FoundryError.exit_code
    if isinstance(error, OSError | UnicodeError):
        return f"{error}. Check the path, its permissions and the free space", FoundryError.exit_code
    kind = type(error).__name__
    return (
        f"{kind}: {error}. This is a fault of the program: report it with what --debug before the command shows",
        FAULT,
    )


class _Stop:
    """End on SIGTERM as on Ctrl-C, so that workers and servers are stopped as well."""

    _PATIENCE_SECONDS = 10.0
    """For which a further signal is not heard, so as not to cut that short."""

    def __init__(self) -> None:
        self._deaf_until = 0.0

    def __call__(self, number: int, _: object) -> None:
        """Handle a signal."""
        if monotonic() >= self._deaf_until:
            self._deaf_until = monotonic() + self._PATIENCE_SECONDS
            raise KeyboardInterrupt(128 + number)


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

    verify = commands.add_parser("verify", help="check every file, row and signal of a dataset")
    verify.add_argument("dataset", type=Path)
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
    regenerate.add_argument("dataset", type=Path)
    regenerate.add_argument("--record", type=int, required=True, help="its record_id")
    regenerate.add_argument("--checkpoint", type=Path, help="the checkpoint, where it is not the published one")
    regenerate.set_defaults(run=_regenerate)

    show = commands.add_parser("show", help="draw one record on ECG paper, 25 mm/s and 10 mm/mV")
    show.add_argument("dataset", type=Path)
    show.add_argument("--record", type=int, required=True, help="its record_id")
    show.add_argument("--out", type=Path, required=True, metavar="ECG.png", help="picture to write")
    show.set_defaults(run=_show)

    report = commands.add_parser(
        "report", help="compare a dataset with the paper's figures: text here, Markdown, JSON and figures in a folder"
    )
    report.add_argument("dataset", type=Path, help="dataset, or the folder `normal` in one")
    report.add_argument(
        "--out", type=Path, metavar="FOLDER", help="folder to write (default DATASET-report beside the dataset)"
    )
    report.set_defaults(run=_report)
    return parser


def add_build_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of a build, for this command line and for the flow's."""
    parser.add_argument(
        "--records", type=int, help="ECGs to generate (default 2000); more on a finished folder extend it"
    )
    parser.add_argument("--seed", type=int, help="seed of the noise (default 0)")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="dataset folder (default %(default)s)")
    parser.add_argument("--engine", choices=("ray", "serial"), default="ray", help="who works (default %(default)s)")
    parser.add_argument("--workers", type=int, help="Ray actors (default: one a core; they share the GPUs, if any)")
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
        help="package a release as well (default yes)",
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


def recipe_fields(options: argparse.Namespace) -> dict[str, object]:
    """The recipe that a command line asks for: the file's fields, then the flags'."""
    fields: dict[str, object] = {}
    if options.recipe is not None:
        from pipeline.recipe import read_recipe_file

        fields |= read_recipe_file(options.recipe)
    return fields | {name: getattr(options, name) for name in ("records", "seed") if getattr(options, name) is not None}


def log_file(options: argparse.Namespace) -> Path | None:
    """The file that `--log` names, which must not lie in the dataset.

    Raises:
        InputError: when it does, or cannot be written.
    """
    from pipeline.dataset import check_output

    if options.log is not None:
        log, out = (Path(os.path.realpath(path)) for path in (options.log, options.out))
        if out in (log, *log.parents):
            raise InputError(f"{options.log} would lie in the dataset, as damage. Choose another file for --log")
        check_output(options.log, options.out)
    file: Path | None = options.log
    return file


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
            engine=options.engine,
            workers=options.workers,
            release=options.release,
            second_opinion=options.second_opinion,
        )
    print(summarise(built.dataset, complete=built.complete))
    print(built.timings.text(), end="")
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
    from pipeline.regenerate import Regenerator, draw_sample
    from pipeline.verify import verify

    if options.regenerate is None and (options.sample_seed is not None or options.checkpoint is not None):
        raise RecipeError("--sample-seed and --checkpoint are of the records that --regenerate N makes again. Give it")
    dataset = open_dataset(options.dataset)
    if options.regenerate is not None:  # what cannot work is refused before minutes of reading
        sample, seed = draw_sample(dataset, options.regenerate, options.sample_seed)
        regenerator = Regenerator(dataset, options.checkpoint)
    problems = verify(dataset)
    for problem in problems:
        print(problem)
    if problems:
        raise DatasetError(
            f"{options.dataset} is damaged in {len(problems)} places. "
            f"Run its build again to make exactly those parts again"
        )
    print(f"{options.dataset}: {len(dataset):,} records, every file, row and signal as in its manifest")
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


if __name__ == "__main__":
    sys.exit(main())
