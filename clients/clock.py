"""The time of day, in the two units that the client uses."""

import time


def now_seconds() -> int:
    """Unix seconds."""
    return int(time.time())


def now_ms() -> int:
    """Unix milliseconds."""
    return int(time.time() * 1000)
