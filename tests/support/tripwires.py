"""The tripwires (`clients.audit.proving`) in a test's own process, which goes on after one was met."""

import contextlib
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from clients.audit.proving.tripwires import guarded


class TrippedError(BaseException):
    """Something was called that no relay may call. No ordinary `except` takes it."""


@contextlib.contextmanager
def behind_tripwires() -> Iterator[list[str]]:
    """Until its end, whatever libsodium offers beside signing and verifying raises, and is noted."""
    called: list[str] = []

    def trip(name: str) -> None:
        called.append(name)
        raise TrippedError(name)

    sodium: Any = import_module("nacl._sodium")
    real = sodium.lib
    behind = guarded(real, sodium.ffi, trip)
    # PyNaCl's modules each hold it under this name, and look it up when they are called.
    holders: list[Any] = [
        module
        for name, module in sys.modules.items()
        if name.startswith("nacl.") and vars(module).get("lib") is real
    ]
    for module in holders:
        module.lib = behind
    try:
        yield called
    finally:
        for module in holders:
            module.lib = real
