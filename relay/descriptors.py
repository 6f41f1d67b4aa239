"""How many sockets this process may hold open at a time.

Owns what the system allows and what is kept aside from it. Knows no socket.
"""

import contextlib
from typing import Final

# Kept aside: the store's files, the listener, the event loop's own, and room for a file opened meanwhile.
OUR_FILES: Final = 32
# Kept aside from WebSockets: health checks, and whoever is being told that there are too many.
FOR_HTTP: Final = 32
WITHOUT_LIMIT: Final = 100_000  # where the system names none
MODEST: Final = 10_240  # what macOS takes where it names no limit of its own


def raise_limit() -> None:
    """Take as many open files as the system allows without asking."""
    with contextlib.suppress(ImportError):
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        for wanted in (most, MODEST):
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
                return


def hard_limit() -> int | None:
    """How many files a process of this user may open; None where the system names no limit."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if hard == resource.RLIM_INFINITY else hard


def most_sockets() -> int:
    """How many sockets fit, beside our own files."""
    try:
        import resource
    except ImportError:  # Windows
        return WITHOUT_LIMIT
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return WITHOUT_LIMIT
    return max(soft - OUR_FILES, 1)


def most_connections() -> int:
    """How many of these may be WebSockets."""
    return max(most_sockets() - FOR_HTTP, 1)
