"""Log lines: one per event, without anybody's name in them.

Owns the two formats. An exception is logged as its type and the places it came through, never as its text,
which may quote what it choked on. Knows no event.
"""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

LOGGER: Final = "blindpost.relay"
FRAMES_SHOWN: Final = 6


def _trace(error: BaseException) -> str:
    places = traceback.extract_tb(error.__traceback__)[-FRAMES_SHOWN:]
    path = " < ".join(f"{Path(place.filename).name}:{place.lineno}" for place in reversed(places))
    return f"{type(error).__name__} at {path}"


# What uvicorn logs about a peer's mistakes: counted by us where it matters, and not to fill a disk with.
BY_PEERS: Final = ("Invalid HTTP request", "Invalid UTF-8", "Unsupported upgrade")


def _is_ours(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(BY_PEERS)


# Whose warnings are passed on; their other lines name peers.
LIBRARIES: Final = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")


class Format(logging.Formatter):
    """A line as JSON, or as text."""

    def __init__(self, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": time, "level": record.levelname.lower(), "event": record.getMessage().strip()}
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = _trace(record.exc_info[1])
        if self._as_json:
            return json.dumps(line, ensure_ascii=True)
        return " ".join(line.values()).replace("\n", " ")


def set_up(as_json: bool, level: str) -> None:
    """Send our lines, and what uvicorn warns of, to stderr; its info lines name peers and are left out."""
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(Format(as_json))
    root = logging.getLogger()
    root.handlers = [output]
    root.setLevel(logging.WARNING)
    logging.getLogger(LOGGER).setLevel(level.upper())
    for name in LIBRARIES:
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
        logger.setLevel(logging.WARNING)
        logger.addFilter(_is_ours)
