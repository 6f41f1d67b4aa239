"""Prekeys and bundles: what a device publishes so that others can start sessions while it is away.

Owns the canonical bytes and what is signed. Does not verify and knows no private half.

| offset | size      | prekey                                                                 |
|-------:|----------:|------------------------------------------------------------------------|
|      0 |         1 | kind, see `PrekeyKind`                                                 |
|      1 |         4 | id, from 1; counts up per kind                                         |
|      5 |         8 | created, Unix seconds                                                  |
|     13 | 32 / 1184 | public key: X25519, or ML-KEM-768 for the two KEM kinds                |
|      - |        64 | device key's signature, see `Prekey.signed_bytes`                      |

The kind byte is under the signature, so that no key can be presented as one of another kind
(Bhargavan et al., USENIX Security 2024, on PQXDH).
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from wire.binary import Reader, label, lp, u8, u32, u64
from wire.errors import ErrorCode
from wire.limits import MLKEM_PUBLIC_KEY, PUBLIC_KEY, SIGNATURE


class PrekeyKind(IntEnum):
    """What a prekey is for. One key pair has exactly one purpose."""

    SIGNED = 1  # X25519, rotated weekly: DH1 and DH3 of the handshake
    SEALING = 2  # X25519, rotated weekly: hides and authenticates the sender of an envelope
    ONE_TIME = 3  # X25519, handed out once: DH4
    LAST_RESORT_KEM = 4  # ML-KEM-768, rotated weekly: when no one-time KEM prekey is left
    ONE_TIME_KEM = 5  # ML-KEM-768, handed out once


KEY_SIZE: Final = {
    PrekeyKind.SIGNED: PUBLIC_KEY,
    PrekeyKind.SEALING: PUBLIC_KEY,
    PrekeyKind.ONE_TIME: PUBLIC_KEY,
    PrekeyKind.LAST_RESORT_KEM: MLKEM_PUBLIC_KEY,
    PrekeyKind.ONE_TIME_KEM: MLKEM_PUBLIC_KEY,
}
ONE_TIME_KINDS: Final = (PrekeyKind.ONE_TIME, PrekeyKind.ONE_TIME_KEM)
LASTING_KINDS: Final = (PrekeyKind.SIGNED, PrekeyKind.SEALING, PrekeyKind.LAST_RESORT_KEM)
PREKEY_MAX: Final = 13 + MLKEM_PUBLIC_KEY + SIGNATURE


@dataclass(frozen=True, slots=True)
class Prekey:
    """A published prekey: 109 bytes encoded for X25519, 1261 for ML-KEM-768."""

    kind: PrekeyKind
    id: int
    created: int
    key: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    def signed_bytes(self, device_key: bytes) -> bytes:
        """What the device key signs: kind, device, id, time and key."""
        return prekey_signed_bytes(self.kind, device_key, self.id, self.created, self.key)

    def encode(self) -> bytes:
        """The canonical bytes."""
        return u8(self.kind) + u32(self.id) + u64(self.created) + self.key + self.signature


def prekey_signed_bytes(kind: PrekeyKind, device_key: bytes, id: int, created: int, key: bytes) -> bytes:
    """label `prekey` || kind || device key || id || created || lp(key)."""
    return label("prekey") + u8(kind) + device_key + u32(id) + u64(created) + lp(key)


def decode_prekey(data: bytes) -> Prekey:
    """Decode without verifying. Raises WireError(BAD_PREKEY) for anything but the canonical form."""
    reader = Reader(data[: PREKEY_MAX + 1], "prekey", ErrorCode.BAD_PREKEY)
    code = reader.u8()
    if code not in KEY_SIZE:
        raise reader.refuse("unknown kind")
    kind = PrekeyKind(code)
    id, created = reader.u32(), reader.u64()
    if id == 0:
        raise reader.refuse("id is zero")
    prekey = Prekey(kind, id, created, reader.take(KEY_SIZE[kind]), reader.take(SIGNATURE))
    reader.end()
    return prekey


@dataclass(frozen=True, slots=True)
class DeviceBundle:
    """What one device offers for one handshake. `kem` is a one-time key, or the last resort."""

    device_key: bytes
    signed: Prekey
    sealing: Prekey
    kem: Prekey
    one_time: Prekey | None

    def prekeys(self) -> tuple[Prekey, ...]:
        """All of them, in the order of the wire: signed, sealing, KEM, one-time if any."""
        always = (self.signed, self.sealing, self.kem)
        return always if self.one_time is None else (*always, self.one_time)


def decode_device_bundle(device_key: bytes, encoded: list[bytes]) -> DeviceBundle:
    """Decode the 3 or 4 prekeys of one device, in the order of `DeviceBundle.prekeys`.

    Raises WireError(BAD_PREKEY) when a kind is missing, repeated or in the wrong place.
    """
    reader = Reader(b"", "bundle", ErrorCode.BAD_PREKEY)
    if not 3 <= len(encoded) <= 4:
        raise reader.refuse("wrong number of prekeys")
    signed, sealing, kem, *rest = (decode_prekey(item) for item in encoded)
    kems = (PrekeyKind.ONE_TIME_KEM, PrekeyKind.LAST_RESORT_KEM)
    fits = signed.kind is PrekeyKind.SIGNED and sealing.kind is PrekeyKind.SEALING and kem.kind in kems
    if not fits or any(item.kind is not PrekeyKind.ONE_TIME for item in rest):
        raise reader.refuse("prekeys of the wrong kind")
    return DeviceBundle(device_key, signed, sealing, kem, rest[0] if rest else None)
