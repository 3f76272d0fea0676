"""Where a command ends: whatever ends it becomes one line and an exit status."""

import io
import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import TextIO

from pipeline.errors import FAULT, FoundryError, HeadLostError
from pipeline.logs import on_one_line


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
    if isinstance(getattr(sys.stdout, "buffer", None), io.RawIOBase):  # PYTHONUNBUFFERED: a flush would never fail
        sys.stdout = os.fdopen(sys.stdout.fileno(), "w", 1, sys.stdout.encoding, sys.stdout.errors, closefd=False)
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
        head_is_lost = isinstance(error, HeadLostError)
    else:
        return status
    with suppress(OSError):
        print(f"{program}: error: {on_one_line(reason)}", file=sys.stderr, flush=True)
    if head_is_lost:  # what Ray does at exit would take the status's place
        logging.shutdown()
        with suppress(OSError):
            sys.stdout.flush()
        os._exit(status)
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
