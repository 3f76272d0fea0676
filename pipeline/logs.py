"""Logs as events with fields: a line of text for people, one JSON object a line in a file for programs."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

_PROGRAM = "pipeline"
"""Every logger of this program is below this one; what other libraries say stays out of the file."""


def on_one_line(text: str) -> str:
    """A text with names from outside, without what breaks a line or steers a terminal."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in " ".join(text.split()))


def log_event(logger: logging.Logger, level: int, event: str, **fields: object) -> None:
    """Log an event with its fields, `shard failed: shard=shard-00003 attempt=1`.

    Args:
        logger: of the module.
        level: such as `logging.WARNING`.
        event: what happened, in the same words every time.
        fields: with what; values that JSON knows.
    """
    text = " ".join(f"{name}={value}" for name, value in fields.items())
    logger.log(level, "%s: %s", event, on_one_line(text), extra={"event": event, "fields": fields})


class _JsonLines(logging.Formatter):
    """`{"time": ..., "level": "info", "event": "shard made", "shard": "shard-00003", ...}`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON, whatever the values hold."""
        known = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", record.getMessage()),
        }
        return json.dumps(known | getattr(record, "fields", {}), default=str)


class _LogFile(logging.FileHandler):
    """A log that cannot be written any more is said once, and ends nothing."""

    _is_lost = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging's own name
        """Say so, once."""
        if not self._is_lost:
            self._is_lost = True
            sys.stderr.write(
                f"WARNING: {self.baseFilename} cannot be written: {sys.exc_info()[1]}. It goes on without\n"
            )


@contextmanager
def logging_to(path: Path | None) -> Iterator[None]:
    """Append this program's events from INFO on to a file until the block ends, one JSON object a line.

    Args:
        path: the file; None for none.

    Raises:
        OSError: when it cannot be written.
    """
    if path is None:
        yield
        return
    handler = _LogFile(path, encoding="utf-8")
    handler.setFormatter(_JsonLines())
    logger = logging.getLogger(_PROGRAM)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
        with suppress(OSError):  # said before
            handler.close()
