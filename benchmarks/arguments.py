"""Arguments that several benchmarks take."""

import argparse


def count(text: str) -> int:
    """A number of things, at least one.

    Raises:
        argparse.ArgumentTypeError: for anything else.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of records. Give 1 or more")
    return int(text)
