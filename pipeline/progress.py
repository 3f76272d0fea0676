"""Progress with rate and time left, on standard error."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Never, TypeVar

from tqdm import tqdm

_T = TypeVar("_T")
_QUIET_SECONDS = 10.0  # between lines where nobody watches a terminal
_DELAY_SECONDS = 2.0


class _Screen:
    """Standard error, whose reader may have gone: no bar ends what it shows."""

    def write(self, text: str) -> None:
        """Write, or lose the text."""
        with suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        """Flush, if anybody is there."""
        with suppress(OSError):
            sys.stderr.flush()

    def fileno(self) -> int:
        """By which the bar asks for the terminal's width."""
        return sys.stderr.fileno()

    def isatty(self) -> bool:
        """Whether somebody may be watching."""
        return sys.stderr.isatty()


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
        file=_Screen(),
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
