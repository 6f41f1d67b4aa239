"""A relay behind tripwires, from a tree with nothing in it that could open mail, serves people all the same.

Owns that tree, the run and its controls: a tripwire that nobody has seen trip shows nothing. What people do
is the caller's.
"""

import asyncio
import json
import shutil
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Final

from clients.audit.capture.relays import OwnRelay, RelayError
from clients.audit.driving.people import PersonError
from clients.audit.driving.stage import Stage, open_stage
from clients.audit.proving.proof import OF_A_RELAY, locate
from clients.audit.proving.tripwires import ABSENT, CALLS_EACH, TRIPPED, program
from clients.config import environment

ENDS_WITHIN: Final = 60.0  # seconds
# A relay that would open something, if it could.
_OPENS: Final = (
    "from nacl.public import PrivateKey, SealedBox\nSealedBox(PrivateKey(bytes(32))).decrypt(bytes(64))"
)


@dataclass(frozen=True, slots=True)
class Tripwired:
    """What a relay behind tripwires, without `keys` and `clients`, has shown."""

    tripwires: int  # functions of libsodium, each of which was called once and ended its process
    absent: tuple[str, ...]  # packages that it could not import
    served: tuple[str, ...]  # what people did through it
    complaints: tuple[str, ...]

    @property
    def is_green(self) -> bool:
        """Whether all went as it should, and there was something that could have gone wrong."""
        return bool(self.tripwires and self.served) and not self.complaints


def copy_of_a_relay(directory: Path) -> Path:
    """A new tree with the sources of `relay` and `wire`, and nothing else. Raises RelayError."""
    tree, folders = directory / "relay-alone", locate()
    for name in OF_A_RELAY:
        shutil.copytree(
            folders[name],
            tree / name,
            ignore=shutil.ignore_patterns("__pycache__", *(f"*{suffix}" for suffix in EXTENSION_SUFFIXES)),
        )
    return tree


async def _ended(command: Sequence[str]) -> tuple[int, bytes, bytes]:
    """A program from start to end: exit code, stdout and stderr. Raises RelayError if it goes on and on."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=environment({})
    )
    try:
        async with asyncio.timeout(ENDS_WITHIN):
            out, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise RelayError("a control of the tripwires did not end") from None
    return process.returncode or 0, out, errors


async def _controls(tree: Path, complaints: list[str]) -> int:
    """See each tripwire trip, and each import fail; how many tripwires there are."""
    each, opens, *imports = await asyncio.gather(
        _ended(program(tree, CALLS_EACH)),
        _ended(program(tree, _OPENS)),
        *(_ended(program(tree, f"import {name}")) for name in ABSENT),
    )
    code, out, errors = each
    if code:
        complaints.append(f"the tripwires could not be laid: {errors.decode(errors='replace')[-500:]}")
        return 0
    count, silent = json.loads(out)
    complaints += [f"{name} has no tripwire that works" for name in silent]
    if opens[0] != TRIPPED:
        complaints.append(f"a relay that opens something ended with {opens[0]}, and not with {TRIPPED}")
    for name, (code, _, errors) in zip(ABSENT, imports, strict=True):
        if code == 0 or b"is not installed here" not in errors:
            complaints.append(f"a relay that imports {name} ended with {code}")
    return int(count)


async def tripwired(
    directory: Path,
    talk: Callable[[Stage], Awaitable[None]],
    say: Callable[[str], None] = lambda line: None,
) -> Tripwired:
    """Let people talk through a relay behind tripwires, from a tree of `relay` and `wire` alone."""
    complaints: list[str] = []
    tree = await asyncio.to_thread(copy_of_a_relay, directory)
    count = await _controls(tree, complaints)
    relay, served = OwnRelay(directory, program(tree)), tuple[str, ...]()
    try:
        await relay.start()
        try:
            async with open_stage(directory, relay, say=say, places=(), reads_keys=False) as stage:
                await talk(stage)
            served = tuple(stage.driven)
        finally:
            if code := await relay.stop():
                complaints.append(f"the relay behind tripwires ended with {code}")
    except (RelayError, PersonError) as error:
        complaints.append(f"the relay behind tripwires did not serve: {error}")
    return Tripwired(count, ABSENT, served, tuple(complaints))
