"""Progress with rate and time left, on standard error."""

import sys
from collections.abc import Iterator, Sequence
from typing import Never, TypeVar

from tqdm import tqdm

_T = TypeVar("_T")
_QUIET_SECONDS = 10.0  # between lines where nobody watches a terminal
_DELAY_SECONDS = 2.0


def progress_bar(total: int, what: str, unit: str, done: int = 0, delay: float = 0.0) -> "tqdm[Never]":
    """A bar that shows done, rate and time left.

    Args:
        total: units in all.
        what: what is being done.
        unit: its unit, such as `records`.
        done: units that were there before; the rate leaves them out.
        delay: seconds before it shows.
    """
    watched = sys.stderr.isatty()
    return tqdm(
        total=total,
        desc=what,
        unit=f" {unit}",
        initial=done,
        mininterval=0.2 if watched else _QUIET_SECONDS,
        ascii=not watched,
        dynamic_ncols=watched,
        smoothing=0.1,
        delay=delay,
    )


def tracked(items: Sequence[_T], what: str, unit: str) -> Iterator[_T]:
    """Iterate under a bar, which stays away where it all takes a moment."""
    with progress_bar(len(items), what, unit, delay=_DELAY_SECONDS) as bar:
        for item in items:
            yield item
            bar.update()
