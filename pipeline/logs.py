"""Logs as events with fields: text on standard error for people, one JSON object a line in a file for programs."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

PROGRAM = "pipeline"
"""Every logger of this program is below this one; other libraries' say what they like, and stay out of the file."""


def log_event(logger: logging.Logger, level: int, event: str, **fields: object) -> None:
    """Log an event.

    Args:
        logger: of the module.
        level: such as `logging.WARNING`.
        event: what happened, in the same words every time.
        fields: with what; values that JSON knows.
    """
    logger.log(level, "%s", event, extra={"fields": fields})


class TextFormatter(logging.Formatter):
    """`WARNING: shard failed: shard=shard-00003 attempt=1`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the values hold."""
        fields = getattr(record, "fields", {})
        named = " ".join(f"{name}={value}" for name, value in fields.items())
        text = f"{record.levelname}: {record.getMessage()}{': ' if named else ''}{named}"
        return " ".join(text.split())


class JsonFormatter(logging.Formatter):
    """`{"time": ..., "level": "info", "event": "shard made", "shard": "shard-00003", ...}`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON."""
        known = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        return json.dumps(known | getattr(record, "fields", {}), default=str)


def log_to_stderr() -> None:
    """Warnings and worse, for people."""
    handler = logging.StreamHandler()
    handler.setFormatter(TextFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING)


@contextmanager
def logging_to(path: Path | None) -> Iterator[None]:
    """Append every event of this program from INFO on to a file, until the block ends; None for no file.

    Raises:
        OSError: when the file cannot be written.
    """
    if path is None:
        yield
        return
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger(PROGRAM)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
        handler.close()
