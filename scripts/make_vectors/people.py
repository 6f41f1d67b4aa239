"""What the vectors are made of: bytes that depend on a name alone, and two people with fixed keys.

Owns determinism: every seed and every draw of randomness is a hash of a name.
"""

import hashlib
from pathlib import Path
from typing import Any, Final

from keys.handshake import Party
from keys.identities import Account, Device
from keys.prekeys import generate_prekey
from wire.prekeys import PrekeyKind

NOW: Final = 1_800_000_000
FOLDER: Final = Path(__file__).resolve().parents[2] / "tests" / "vectors"
File = dict[str, Any]

# The classes of failure that tests/vectors/README.md explains.
MALFORMED: Final = "malformed"
UNVERIFIED: Final = "unverified"
UNDECRYPTABLE: Final = "undecryptable"
DISAGREEMENT: Final = "disagreement"


def named(name: str, size: int = 32) -> bytes:
    """`size` bytes that depend on the name alone."""
    return hashlib.shake_256(b"blindpost vectors: " + name.encode()).digest(size)


class Draws:
    """Randomness of a name, and what was drawn from it, in order."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.drawn = b""

    def __call__(self, size: int) -> bytes:
        """The next `size` bytes."""
        value = named(f"{self._name} {len(self.drawn)}", size)
        self.drawn += value
        return value


def flipped(data: bytes, at: int) -> bytes:
    """`data` with the lowest bit of one byte changed."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def refused(failure: str, why: str, **values: bytes | str) -> File:
    """An entry that must fail; binary values become hex."""
    shown = {name: value.hex() if isinstance(value, bytes) else value for name, value in values.items()}
    return {"failure": failure, "why": why, **shown}


class Someone:
    """An account with one device and one prekey of each kind."""

    def __init__(self, name: str) -> None:
        self.account = Account(named(f"{name} account"))
        self.device = Device(named(f"{name} device"), named(f"{name} identity"), NOW)
        self.devices = self.account.sign_device_list((self.device.entry(self.account.key),), NOW)
        self.prekeys = {
            kind: generate_prekey(self.device, kind, 100 + kind, NOW, Draws(f"{name} {kind.name}"))
            for kind in PrekeyKind
        }

    @property
    def party(self) -> Party:
        """As the other side knows them."""
        return Party(self.devices, self.devices.devices[0])


ALICE: Final = Someone("alice")
BOB: Final = Someone("bob")
