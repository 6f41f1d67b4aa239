"""What the relay's commands write: results to stdout, what is going on to stderr.

Owns the two ways. Knows no command.
"""

import contextlib
import os
import sys
import time

from relay.complaints import OperatorError, reason


def say(line: str) -> None:
    """One line of the result. Raises OperatorError where nobody can read it."""
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except OSError as error:
        # What is still buffered would fail again at exit.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OperatorError(
            f"stdout cannot be written: {reason(error)}; run the command again with stdout open"
        ) from error


def note(line: str) -> None:
    """One line for whoever watches; nothing depends on it."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


class Progress:
    """Says how far a copy is, at most once a second."""

    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, done: int, of: int) -> None:
        """`done` of `of` bytes."""
        if time.monotonic() - self._said >= 1.0:
            self._said = time.monotonic()
            note(f"copied {done / 1e6:,.0f} of {of / 1e6:,.0f} MB")
