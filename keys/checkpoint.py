"""Checkpoints: what a device leaves at its relay for itself, to know a store that was rolled back.

Owns the layout and the key. Each has a number and a random id, which its store keeps; one that the store has
not left shows that it is an old copy. It is sealed, because how often a device is used is nobody's business,
and believed because nobody else can make one: a relay may withhold it or show an older one, and gains
nothing. Knows no store.

| offset | size | checkpoint (85 bytes)                                         |
|-------:|-----:|---------------------------------------------------------------|
|      0 |   24 | nonce, random                                                 |
|     24 |   61 | XChaCha20-Poly1305 of the 45 bytes below                      |

    key = HKDF(salt = 0^32, ikm = device seed, info = label checkpoint || device key)

Fields: version 1 = 0x01 || number u64, from 1 || id 16 || next prekey ids 5 * u32, by kind. Associated data:
the label and the device key.
"""

from dataclasses import dataclass, field
from typing import Final

from keys.errors import DecryptError
from keys.identities import Device
from keys.primitives import AEAD_NONCE, KEY, TAG, Random, aead_decrypt, aead_encrypt, hkdf
from keys.secrecy import Secret
from wire.binary import Reader, label, u8, u32, u64
from wire.errors import WireError
from wire.prekeys import PrekeyKind

_VERSION: Final = 1
ID: Final = 16
_FIELDS: Final = 1 + 8 + ID + len(PrekeyKind) * 4
SIZE: Final = AEAD_NONCE + _FIELDS + TAG


@dataclass(frozen=True, slots=True)
class Checkpoint(Secret):
    """One checkpoint: its place among those that a device has left, and prekey ids that are used by then."""

    number: int
    id: bytes = field(repr=False)
    next_prekeys: tuple[int, ...]  # by kind, in the order of PrekeyKind


def _key(device: Device) -> tuple[bytes, bytes]:
    info = label("checkpoint") + device.key
    return hkdf(salt=bytes(KEY), ikm=device.seed, info=info, size=KEY), info


def seal_checkpoint(device: Device, checkpoint: Checkpoint, random: Random) -> bytes:
    """85 bytes that only `device` can read or make."""
    key, associated = _key(device)
    nonce = random(AEAD_NONCE)
    head = u8(_VERSION) + u64(checkpoint.number) + checkpoint.id
    fields = head + b"".join(map(u32, checkpoint.next_prekeys))
    return nonce + aead_encrypt(key, nonce, fields, associated)


def open_checkpoint(device: Device, sealed: bytes) -> Checkpoint:
    """What `seal_checkpoint` of this device sealed. Raises DecryptError."""
    if len(sealed) != SIZE:
        raise DecryptError
    key, associated = _key(device)
    reader = Reader(aead_decrypt(key, sealed[:AEAD_NONCE], sealed[AEAD_NONCE:], associated), "checkpoint")
    try:
        if reader.u8() != _VERSION:
            raise DecryptError
        number, id = reader.u64(), reader.take(ID)
        next_prekeys = tuple(reader.u32() for _ in PrekeyKind)
        reader.end()
    except WireError:
        raise DecryptError from None
    return Checkpoint(number, id, next_prekeys)
