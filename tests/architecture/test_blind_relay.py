"""The relay serves a frame end to end where no code exists that could open it.

It runs from a copied tree of `relay/` and `wire/` alone, and every function of libsodium but those that sign
and verify ends the process at once (`clients.audit.proving.tripwires`), as in all tests of the relay.
"""

import asyncio
import json
import subprocess
from importlib import import_module
from pathlib import Path

import pytest

from clients.audit.proving.sources import matches
from clients.audit.proving.tripwired import copy_of_a_relay
from clients.audit.proving.tripwires import (
    ABSENT,
    ALLOWED,
    CALLS_EACH,
    SERVES,
    TRIPPED,
    program,
    tripwired_names,
)
from tests.relay.devices import Account, envelope
from tests.relay.peers import logged_in, submitting
from tests.support.relay_process import RelayProcess
from wire import control

SODIUM = import_module("nacl._sodium")


def blind_relay(directory: Path, before: str = "") -> RelayProcess:
    command = program(copy_of_a_relay(directory), f"{before}\n{SERVES}")
    return RelayProcess(directory, command=tuple(command), cwd=directory)


async def test_a_frame_is_served_without_keys_and_clients(tmp_path: Path) -> None:
    bob, content = Account(), envelope(4096)
    with blind_relay(tmp_path) as relay:
        async with logged_in(relay.url, bob) as receiver, submitting(relay.url) as sender:
            await receiver.publish(bob.device)
            await sender.fetch(bob.key, take=True)
            await receiver.next(control.Stock)
            await sender.put(bob.device.key, content)
            await sender.next(control.Accepted)
            assert (await receiver.next_frame()).envelope == content
            await receiver.send(control.Acknowledge(through=1))
        assert await asyncio.to_thread(relay.terminate) == 0


@pytest.mark.parametrize("forbidden", [*ABSENT, "clients.cli"])
def test_the_blind_process_really_cannot_import_them(tmp_path: Path, forbidden: str) -> None:
    relay = blind_relay(tmp_path, f"import {forbidden}")
    with pytest.raises(AssertionError, match="is not installed here"):
        relay.start()


@pytest.mark.parametrize(
    "opening",
    [
        "from nacl.public import PrivateKey; PrivateKey.generate()",
        "from nacl.signing import SigningKey; SigningKey(bytes(32)).to_curve25519_private_key()",
        "from nacl.secret import SecretBox; SecretBox(bytes(32)).encrypt(b'x')",
        "import nacl._sodium; nacl._sodium.lib.crypto_box_open_easy()",
        "import sys; sys.stderr.close(); import os; os.close(2)\n"
        "import nacl._sodium; nacl._sodium.lib.crypto_box_open_easy()",
        "try: nacl._sodium.lib.crypto_scalarmult()\nexcept BaseException: pass",
    ],
)
def test_the_tripwires_work(tmp_path: Path, opening: str) -> None:
    relay = blind_relay(tmp_path, opening)
    with pytest.raises(AssertionError, match="did not start"):
        relay.start()
    assert relay.wait() == TRIPPED


def test_each_tripwire_trips() -> None:
    done = subprocess.run(program(then=CALLS_EACH), capture_output=True, check=True)
    names = tripwired_names(SODIUM.lib, SODIUM.ffi)
    assert json.loads(done.stdout) == [len(names), []]


def test_whatever_libsodium_can_do_to_a_message_is_behind_a_tripwire() -> None:
    tripwired = set(tripwired_names(SODIUM.lib, SODIUM.ffi))
    assert len(tripwired) > 80
    doers = (
        *("*_open*", "*decrypt*", "*_pull", "*_easy*", "*_afternm", "*_beforenm", "*curve25519"),
        *("crypto_scalarmult", "crypto_kx_*_keys", "crypto_core_ed25519_*", "*keypair"),
    )
    able = {
        name for name in dir(SODIUM.lib) if matches(name, doers) and not name.endswith(("bytes", "_BYTES"))
    }
    assert able - tripwired == {"crypto_sign_open", "crypto_sign_seed_keypair"} < ALLOWED
