"""People for the tests: accounts with one device each, and sessions between them, all from fixed seeds."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from unittest.mock import patch

from keys import chain, primitives
from keys.handshake import Agreement, HandshakeHeader, Party, accept, initiate
from keys.identities import Account, Device
from keys.prekeys import PrivatePrekey, generate_prekey
from keys.ratchet import Ratchet
from wire.device_lists import DeviceEntry, DeviceList
from wire.prekeys import DeviceBundle, PrekeyKind

NOW = 1_800_000_000
DAY = 86_400

# Points of small order on Curve25519 and its twist (RFC 7748 section 7; "May the Fourth", libsodium's list).
LOW_ORDER = tuple(
    bytes.fromhex(point)
    for point in (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    )
)


class Seeded:
    """Randomness that repeats: SHA-256 of a seed and a counter."""

    def __init__(self, seed: str) -> None:
        self._seed = seed.encode()
        self._counter = 0

    def __call__(self, size: int) -> bytes:
        out = b""
        while len(out) < size:
            self._counter += 1
            out += hashlib.sha256(self._seed + self._counter.to_bytes(8, "big")).digest()
        return out[:size]


def flipped(data: bytes, at: int, bit: int = 0) -> bytes:
    """`data` with one bit changed."""
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


@dataclass(frozen=True)
class Person:
    """An account, its one device, its list and one prekey of each kind, with the private halves."""

    account: Account
    device: Device
    devices: DeviceList
    prekeys: dict[PrekeyKind, PrivatePrekey]

    @property
    def entry(self) -> DeviceEntry:
        return self.devices.devices[0]

    @property
    def party(self) -> Party:
        return Party(self.devices, self.entry)

    def bundle(self, *, one_time: bool = True, one_time_kem: bool = True) -> DeviceBundle:
        kem = PrekeyKind.ONE_TIME_KEM if one_time_kem else PrekeyKind.LAST_RESORT_KEM
        public = {kind: prekey.public for kind, prekey in self.prekeys.items()}
        return DeviceBundle(
            self.device.key,
            public[PrekeyKind.SIGNED],
            public[PrekeyKind.SEALING],
            public[kem],
            public[PrekeyKind.ONE_TIME] if one_time else None,
        )

    def private(self, kind: PrekeyKind) -> PrivatePrekey:
        return self.prekeys[kind]


def person(name: str) -> Person:
    """The same person for the same name."""
    random = Seeded(name)
    account, device = Account.generate(random), Device.generate(random, NOW)
    devices = account.sign_device_list((device.entry(account.key),), NOW)
    prekeys = {kind: generate_prekey(device, kind, 10 + kind, NOW, random) for kind in PrekeyKind}
    return Person(account, device, devices, prekeys)


ALICE, BOB, MALLORY = person("alice"), person("bob"), person("mallory")


def accept_as(
    me: Person,
    peer: Party,
    header: HandshakeHeader,
    *,
    own: Party | None = None,
    device: Device | None = None,
) -> Agreement:
    """`accept` with the private prekeys that the header names."""
    one_time = me.private(PrekeyKind.ONE_TIME) if header.one_time_id else None
    return accept(
        device or me.device,
        own or me.party,
        peer,
        header,
        me.private(PrekeyKind.SIGNED),
        me.private(header.kem_kind),
        one_time,
    )


def agree(
    one: Person, other: Person, seed: str = "agree", *, one_time: bool = True, one_time_kem: bool = True
) -> tuple[HandshakeHeader, Agreement, Agreement]:
    """The header, and the agreement as each side computed it."""
    bundle = other.bundle(one_time=one_time, one_time_kem=one_time_kem)
    header, ours = initiate(one.device, one.party, other.party, bundle, Seeded(seed))
    return header, ours, accept_as(other, one.party, header)


def ratchets(seed: str = "ratchets") -> tuple[Ratchet, Ratchet]:
    """Initiator and acceptor of one session, without a handshake: the secrets are fixed."""
    random = Seeded(seed)
    root, associated, signed = random(32), random(32), random(32)
    initiator = Ratchet.initiate(root, associated, primitives.dh_key(signed))
    return initiator, Ratchet.accept(root, associated, signed)


class Calls:
    """How often the primitives of `keys.chain` were called."""

    def __init__(self) -> None:
        self.mac = 0
        self.hkdf = 0


@contextmanager
def counted() -> Iterator[Calls]:
    """Count what `keys.chain` derives; the primitives themselves still run."""
    calls = Calls()

    def mac(key: bytes, message: bytes) -> bytes:
        calls.mac += 1
        return primitives.mac(key, message)

    def hkdf(*, salt: bytes, ikm: bytes, info: bytes, size: int) -> bytes:
        calls.hkdf += 1
        return primitives.hkdf(salt=salt, ikm=ikm, info=info, size=size)

    with patch.object(chain, "mac", mac), patch.object(chain, "hkdf", hkdf):
        yield calls


def with_list(someone: Person, devices: DeviceList) -> Person:
    """The same person under another device list."""
    return replace(someone, devices=devices)
