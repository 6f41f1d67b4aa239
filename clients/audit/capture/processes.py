"""What Linux says of a process that somebody else started: its sockets, open files, words and children.

Owns reading /proc. Knows nothing of relays. A process may live in a namespace of its own: its files are read
through its own root, and its sockets from its own list.
"""

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Final

_LISTENS: Final = "0A"  # TCP_LISTEN in /proc/net/tcp
_ZOMBIE: Final = "Z"  # has ended, and nobody has asked how: there is no memory any more
_DATAGRAMS: Final = "0002"  # SOCK_DGRAM in /proc/net/unix
PROC: Final = Path("/proc")


def listening(pid: int) -> list[str]:
    """`HOST:PORT` of each TCP socket on which a process listens, as to be dialled here. Raises OSError."""
    own = _sockets(pid)
    return sorted({dialled(local) for local, inode in _listeners(pid) if inode in own})


def dialled_by(pid: int, doors: Iterable[int]) -> list[str]:
    """What a process has open to others by itself, in words; who came to its ports, `doors`, is not that.

    Raises OSError.
    """
    own, found = _sockets(pid), set[str]()
    for name in ("tcp", "tcp6"):
        for local, remote, state, inode in _entries(pid, name):
            if inode in own and state != _LISTENS and _port(local) not in doors:
                found.add(f"a connection to {dialled(remote)}")
    for name in ("udp", "udp6", "raw", "raw6"):
        found |= {f"a socket for {name}" for *_, inode in _entries(pid, name) if inode in own}
    for line in _lines(pid, "unix"):
        _, _, _, _, kind, _, inode, *_ = line.split()
        if inode in own and kind == _DATAGRAMS:
            found.add("a socket for datagrams to another process")
    return sorted(found)


def ports_of(pid: int) -> set[int]:
    """The TCP ports on which a process listens. Raises OSError."""
    own = _sockets(pid)
    return {_port(local) for local, inode in _listeners(pid) if inode in own}


def who_listens(port: int) -> list[int]:
    """The processes that listen on a TCP port of this host, as far as they may be looked at."""
    inodes = {inode for local, inode in _listeners(os.getpid()) if _port(local) == port}
    return sorted(pid for pid in _processes() if inodes & _sockets_or_none(pid))


def is_listened(port: int) -> bool:
    """Whether anybody listens on a TCP port of this host."""
    return any(_port(local) == port for local, _ in _listeners(os.getpid()))


def _processes() -> Iterator[int]:
    return (int(path.name) for path in PROC.iterdir() if path.name.isdigit())


def dialled(local: str) -> str:
    """The address of an entry of /proc/net/tcp: words of four bytes in this machine's order. Any is ours."""
    words, _, port = local.rpartition(":")
    packed = b"".join(
        int(words[start : start + 8], 16).to_bytes(4, sys.byteorder) for start in range(0, len(words), 8)
    )
    address = ip_address(packed)
    if address.is_unspecified:
        address = ip_address("127.0.0.1")
    return f"[{address}]:{int(port, 16)}" if address.version == 6 else f"{address}:{int(port, 16)}"


def _port(place: str) -> int:
    return int(place.rpartition(":")[2], 16)


def _listeners(pid: int) -> Iterator[tuple[str, str]]:
    """(address and port, inode) of each listening socket in a process's network namespace."""
    for name in ("tcp", "tcp6"):
        for local, _, state, inode in _entries(pid, name):
            if state == _LISTENS:
                yield local, inode


def _entries(pid: int, name: str) -> Iterator[tuple[str, str, str, str]]:
    """(local, remote, state, inode) of each socket of a kind in a process's network namespace."""
    for line in _lines(pid, name):
        _, local, remote, state, *rest = line.split()
        yield local, remote, state, rest[5]


def _lines(pid: int, name: str) -> list[str]:
    path = PROC / str(pid) / "net" / name
    return path.read_text("utf-8", "replace").splitlines()[1:] if path.exists() else []


def _sockets(pid: int) -> set[str]:
    return {name[len("socket:[") : -1] for name in open_names(pid).values() if name.startswith("socket:[")}


def _sockets_or_none(pid: int) -> set[str]:
    try:
        return _sockets(pid)
    except OSError:
        return set()


def open_names(pid: int) -> dict[int, str]:
    """What each descriptor of a process is, as the process names it. Raises OSError."""
    found = {}
    for descriptor in (PROC / str(pid) / "fd").iterdir():
        try:
            found[int(descriptor.name)] = os.readlink(descriptor)
        except FileNotFoundError:
            continue  # closed meanwhile
    return found


def seen_from(pid: int, path: str) -> Path:
    """A file by the name that the process has for it, as this program can open it."""
    return PROC / str(pid) / "root" / path.lstrip("/")


def name_of(pid: int) -> str:
    """What the kernel calls it: `python3`, `nginx`; empty for none."""
    try:
        return (PROC / str(pid) / "comm").read_text().strip()
    except OSError:
        return ""


def family(pid: int) -> list[int]:
    """A process and all that come from it, as long as their parents live."""
    children: dict[int, list[int]] = {}
    for each in _processes():
        try:
            # proc(5): the name in parentheses may hold anything, also parentheses and spaces.
            state = (PROC / str(each) / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        except OSError:
            continue  # ended meanwhile
        if state[0] != _ZOMBIE:
            children.setdefault(int(state[1]), []).append(each)
    found = [pid]
    for each in found:
        found += sorted(children.get(each, ()))
    return found


def begun_with(variable: bytes) -> list[int]:
    """Processes that were started with a variable of the environment: `NAME=value`; without parents, too."""
    found = []
    for pid in _processes():
        with contextlib.suppress(OSError):  # ended meanwhile, or somebody else's
            if variable in (PROC / str(pid) / "environ").read_bytes().split(b"\0"):
                found.append(pid)
    return found


def shares_network_with_us(pid: int) -> bool:
    """Whether 127.0.0.1 is the same place for a process as for this one. Raises OSError."""
    return os.stat(PROC / str(pid) / "ns" / "net").st_ino == os.stat(PROC / "self" / "ns" / "net").st_ino


def temporary_of_its_own(pid: int) -> list[Path]:
    """Its /tmp and /var/tmp where nobody else has them, as under systemd's PrivateTmp."""
    found = []
    for name in ("/tmp", "/var/tmp"):  # noqa: S108 - looked at, not written to
        path = seen_from(pid, name)
        try:
            theirs, ours = path.stat(), os.stat(name)
        except OSError:
            continue
        if (theirs.st_dev, theirs.st_ino) != (ours.st_dev, ours.st_ino):
            found.append(path)
    return found
