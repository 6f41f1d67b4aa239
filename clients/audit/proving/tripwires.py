"""Tripwires in libsodium: every function but those that sign and verify ends the process that calls it.

Owns which functions those are, and the program that runs a relay behind tripwires where neither `keys` nor
`clients` can be imported. The program is this file's own text: what holds for it holds in the audit, in
tests/architecture and in the relay's tests. Only the standard library is imported here.
"""

import importlib.abc
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

TRIPPED: Final = 99  # the exit code
# Ed25519 (RFC 8032): a key from its seed, a signature, its check; and what must be called before any of them.
ALLOWED: Final = frozenset(("crypto_sign_seed_keypair", "crypto_sign", "crypto_sign_open", "sodium_init"))
# No part of a relay; `cryptography` is what else here could decrypt, and no relay needs it.
ABSENT: Final = ("keys", "clients", "tests", "cryptography")


def tripwired_names(lib: Any, ffi: Any) -> list[str]:
    """The functions that trip. One that takes nothing tells a size or a name, and can open nothing."""
    functions = (name for name in dir(lib) if callable(getattr(lib, name)))
    return [name for name in functions if name not in ALLOWED and ffi.typeof(getattr(lib, name)).args]


def guarded(lib: Any, ffi: Any, trip: Callable[[str], None]) -> SimpleNamespace:
    """What stands in for `lib`: the same, but that a forbidden function calls `trip` with its name."""

    def wire(name: str) -> Callable[..., None]:
        return lambda *_: trip(name)

    real = {name: getattr(lib, name) for name in dir(lib)}
    return SimpleNamespace(**(real | {name: wire(name) for name in tripwired_names(lib, ffi)}))


def end(name: str) -> None:
    """The process ends here: nothing of it can catch this, and no handler runs."""
    try:
        os.write(2, f"tripwire: libsodium's {name} was called\n".encode())
    finally:
        os._exit(TRIPPED)


class Absent(importlib.abc.MetaPathFinder):
    """Keeps packages from being found, wherever they are installed."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Nothing for what is not among them. Raises ModuleNotFoundError."""
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"{name} is not installed here", name=name)


# Follows this file's text; {tree} is a place that comes before all others, {then} the end.
_ARMED: Final = """
import nacl._sodium
assert "nacl.bindings" not in sys.modules
names = tripwired_names(nacl._sodium.lib, nacl._sodium.ffi)
nacl._sodium.lib = guarded(nacl._sodium.lib, nacl._sodium.ffi, end)
sys.meta_path.insert(0, Absent())
tree = {tree!r}
if tree:
    sys.path.insert(0, tree)
    import relay, wire
    assert relay.__file__.startswith(tree) and wire.__file__.startswith(tree)
{then}
"""
SERVES: Final = 'import runpy\nrunpy.run_module("relay", run_name="__main__", alter_sys=True)'
# Calls each forbidden function in a child of its own, and prints how many there are and which did not trip.
CALLS_EACH: Final = """
import json
def code(name):
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        getattr(nacl._sodium.lib, name)()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps([len(names), [name for name in names if code(name) != TRIPPED]]))
"""


def program(tree: Path | None = None, then: str = SERVES) -> Sequence[str]:
    """A command behind tripwires; `relay` and `wire` come from below `tree`, or from where they always do."""
    text = Path(__file__).read_text("utf-8") + _ARMED.format(tree=str(tree) if tree else "", then=then)
    return (sys.executable, "-P", "-c", text)
