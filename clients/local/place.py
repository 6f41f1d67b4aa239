"""The socket in a profile's directory: where it is, how it is made, and who may use it.

Owns its file. It is made under another name and then put in its place, so that whoever finds it finds it
listening, and what a crash left behind is replaced. Only the process that holds the profile's lock calls
`listen_in`.
"""

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

NAME: Final = "socket"
_SUN_PATH: Final = 103  # bytes: macOS holds 104 with the zero behind them, Linux 108
BACKLOG: Final = 64


@contextlib.contextmanager
def _reachable(profile: Path, name: str) -> Iterator[str]:
    """A path to `name` in the profile that is short enough for a socket. Raises OSError if there is none."""
    path = str(profile / name)
    if len(os.fsencode(path)) <= _SUN_PATH:
        yield path
        return
    directory = os.open(profile, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{name}"
    finally:
        os.close(directory)


def listen_in(profile: Path) -> socket.socket:
    """A listening socket in its place, mode 0600. Raises OSError."""
    unfinished = profile / f"{NAME}.new"
    unfinished.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _reachable(profile, unfinished.name) as path:
            listening.bind(path)
        # Nobody else can reach it before: the directory is 0700, and it does not listen yet.
        os.chmod(unfinished, 0o600)
        listening.listen(BACKLOG)
        listening.setblocking(False)
        unfinished.replace(profile / NAME)
    except BaseException:
        listening.close()
        raise
    return listening


def remove_from(profile: Path) -> None:
    """Take the socket away, before the lock is released."""
    with contextlib.suppress(OSError):
        (profile / NAME).unlink(missing_ok=True)


def dial(profile: Path) -> socket.socket | None:
    """A connection to the profile's owner, or None if nobody listens there."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        # A Unix socket connects at once or not at all; a full backlog is nobody who listens, for now.
        with _reachable(profile, NAME) as path:
            connection.connect(path)
        if not is_ours(connection):
            raise PermissionError
    except OSError:
        connection.close()
        return None
    return connection


def is_served(profile: Path) -> bool:
    """Whether a process that owns the profile carries out calls now."""
    connection = dial(profile)
    if connection is not None:
        connection.close()
    return connection is not None


def is_ours(connection: socket.socket) -> bool:
    """Whether the other side runs as the same user, where the system can tell (Linux)."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True  # the directory is 0700, and so is all that stands between
    fields = struct.Struct("3i")  # struct ucred: pid, uid, gid (unix(7))
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, fields.size)
    return bool(fields.unpack(credentials)[1] == os.geteuid())
