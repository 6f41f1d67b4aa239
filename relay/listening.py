"""What must be there before anything is served: the listening socket and readable TLS files.

Owns the sentences for an address, a port or a file that cannot be had. Knows no server.
"""

import errno
import socket
from pathlib import Path
from typing import Final

from relay.complaints import OperatorError, reason

# Sockets that wait in the kernel to be accepted. When a relay comes back, all its devices dial at once, and
# whom the kernel turns away tries again after 1, 3 and 7 seconds.
BACKLOG: Final = 4096


class ListenError(OperatorError):
    """The address cannot be listened on; the text is one sentence for the operator."""


def _not_ours(host: str) -> str:
    return (
        f"host {host} is not an address of this machine; choose another --host, such as 127.0.0.1 or 0.0.0.0"
    )


def _why_not(host: str, port: int, error: OSError) -> str:
    match error.errno:
        case errno.EADDRNOTAVAIL:
            return _not_ours(host)
        case errno.EADDRINUSE:
            return f"port {port} on {host} is in use; end what listens there, or choose another --port"
        case errno.EACCES:
            return f"port {port} is not for this user to listen on; choose a --port above 1023"
        case _:
            return f"cannot listen on {host} port {port} ({error.strerror}); choose another --host or --port"


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 picks a free one. Raises ListenError."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ListenError(_not_ours(host)) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ListenError(_why_not(host, port, error)) from error
    listener.setblocking(False)
    return listener


def check_readable(name: str, path: Path | None) -> None:
    """Raises ListenError for a TLS file that is named and cannot be read."""
    if path is None:
        return
    try:
        path.open("rb").close()
    except OSError as error:
        raise ListenError(f"{name} {path} cannot be read: {reason(error)}; name a PEM file") from error
