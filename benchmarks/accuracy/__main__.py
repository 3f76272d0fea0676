"""Score the measurement on recordings of people and write docs/accuracy.md; `make accuracy` is the way in."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.accuracy.document import document
from benchmarks.accuracy.ludb import measured_cases
from benchmarks.accuracy.muse import measured_exports
from benchmarks.accuracy.robustness import ptbxl_counts, raw_counts
from pipeline.boundary import one_line
from pipeline.store.files import replacing, writing

OUT = Path(__file__).parents[2] / "docs" / "accuracy.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    usage = "make accuracy LUDB=DIR MUSE=DIR [PTBXL=FILE] [RAW=DIR]"
    about = "Score the measurement and overwrite docs/accuracy.md. A collection not given leaves its section empty."
    whole = "The whole document: make accuracy LUDB=DIR MUSE=DIR PTBXL=FILE RAW=DIR"
    parser = argparse.ArgumentParser(prog="accuracy", usage=usage, description=about, epilog=whole)
    parser.add_argument("--LUDB", dest="ludb", type=Path, metavar="DIR", help="LUDB: ludb.csv and data/")
    parser.add_argument("--MUSE", dest="muse", type=Path, metavar="DIR", help="MUSE exports: JSON and WFDB")
    parser.add_argument(
        "--PTBXL", dest="ptbxl", type=Path, metavar="FILE", help="PTB-XL with normalised leads, Parquet"
    )
    parser.add_argument("--RAW", dest="raw", type=Path, metavar="DIR", help="WFDB records")
    parser.add_argument(
        "--out", type=Path, default=OUT, metavar="FILE", help="document to overwrite (default %(default)s)"
    )
    options = parser.parse_args(arguments)
    if options.ludb is None or options.muse is None:
        parser.print_usage(sys.stderr)
        return 2
    return one_line("accuracy", lambda: _run(options), goes_on=False)


def _run(options: argparse.Namespace) -> int:
    text = document(
        measured_cases(options.ludb),
        measured_exports(options.muse),
        ptbxl_counts(options.ptbxl) if options.ptbxl else None,
        raw_counts(options.raw) if options.raw else None,
    )
    with writing(options.out), replacing(options.out.absolute()) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(text, end="")
    empty = [name for name in ("PTBXL", "RAW") if not getattr(options, name.lower())]
    if empty:
        print(f"accuracy: {options.out} is written; empty, because not given: {', '.join(empty)}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
