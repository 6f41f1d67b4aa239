"""A device as the relay's tests need it: keys straight from PyNaCl, none of the project's own client code."""

import os
from dataclasses import dataclass, field

from nacl.signing import SigningKey

from relay.store.base import Token
from wire.capabilities import token_hash
from wire.device_lists import NO_PREVIOUS, DeviceEntry, DeviceList
from wire.prekeys import KEY_SIZE, Prekey, PrekeyKind, prekey_signed_bytes

NOW = 1_800_000_000
TOKEN = b"a token of tests"  # what senders of these tests attach unless they say otherwise
HELD = token_hash(TOKEN)
ALLOWED = [Token(HELD)]


def envelope(size: int = 1024, fill: bytes = b"") -> bytes:
    return b"\x01" + fill + os.urandom(size - 1 - len(fill))


def _signing_key() -> SigningKey:
    return SigningKey(os.urandom(32))  # its own `generate` calls more of libsodium than a relay may


@dataclass(eq=False)
class Device:
    signing: SigningKey = field(default_factory=_signing_key)

    @property
    def key(self) -> bytes:
        return bytes(self.signing.verify_key)

    def sign(self, message: bytes) -> bytes:
        return self.signing.sign(message).signature

    def prekey(self, kind: PrekeyKind, id: int, fill: bytes | None = None) -> Prekey:
        key = os.urandom(KEY_SIZE[kind]) if fill is None else fill * KEY_SIZE[kind]
        return Prekey(kind, id, NOW, key, self.sign(prekey_signed_bytes(kind, self.key, id, NOW, key)))

    def lasting(self, id: int = 1) -> list[Prekey]:
        kinds = (PrekeyKind.SIGNED, PrekeyKind.SEALING, PrekeyKind.LAST_RESORT_KEM)
        return [self.prekey(kind, id) for kind in kinds]

    def one_time(self, first: int, count: int, kind: PrekeyKind = PrekeyKind.ONE_TIME) -> list[Prekey]:
        return [self.prekey(kind, id) for id in range(first, first + count)]


@dataclass(eq=False)
class Account:
    signing: SigningKey = field(default_factory=_signing_key)
    devices: list[Device] = field(default_factory=lambda: [Device()])

    @property
    def key(self) -> bytes:
        return bytes(self.signing.verify_key)

    @property
    def device(self) -> Device:
        return self.devices[0]

    def list(self, version: int = 1, previous: bytes = NO_PREVIOUS) -> DeviceList:
        entries = []
        for device in sorted(self.devices, key=lambda item: item.key):
            entry = DeviceEntry(device.key, bytes(32), NOW, b"")
            signature = device.sign(entry.signed_bytes(self.key))
            entries.append(DeviceEntry(device.key, bytes(32), NOW, signature))
        unsigned = DeviceList(self.key, version, previous, NOW, tuple(entries), b"")
        signature = self.signing.sign(unsigned.signed_bytes()).signature
        return DeviceList(self.key, version, previous, NOW, tuple(entries), signature)

    def successor(self, before: DeviceList) -> DeviceList:
        return self.list(before.version + 1, before.hash())
