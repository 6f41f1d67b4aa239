"""Checkpoints: what a device leaves at its relay for itself, to know a store that was rolled back.

Owns the layout and the key. A checkpoint tells how far the device was when it made it; shown again at the
next login, it convicts a store that is behind. It is sealed, because how much a device sends is nobody's
business, and believed because nobody else can make one: a relay may withhold it or show an older one, and
gains nothing. Knows no store.

| offset | size | checkpoint (85 bytes)                                         |
|-------:|-----:|---------------------------------------------------------------|
|      0 |   24 | nonce, random                                                 |
|     24 |   45 | XChaCha20-Poly1305 of the fields below, and 16-byte tag       |

    key = HKDF(salt = 0^32, ikm = device seed, info = label checkpoint || device key)

Fields: version 1 = 0x01 || life u64 || frames written u64 || mailbox sequence u64 || next prekey ids 5 * u32,
by kind. Associated data: the label and the device key.
"""

from dataclasses import dataclass
from typing import Final

from keys.errors import DecryptError
from keys.identities import Device
from keys.primitives import AEAD_NONCE, KEY, TAG, Random, aead_decrypt, aead_encrypt, hkdf
from wire.binary import Reader, label, u8, u32, u64
from wire.errors import WireError
from wire.prekeys import PrekeyKind

_VERSION: Final = 1
_FIELDS: Final = 1 + 3 * 8 + len(PrekeyKind) * 4
SIZE: Final = AEAD_NONCE + _FIELDS + TAG


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a device was. `life` counts the streams that its store has begun, from 1."""

    life: int
    written: int
    received: int
    next_prekeys: tuple[int, ...]  # by kind, in the order of PrekeyKind

    def is_behind(self, other: "Checkpoint") -> bool:
        """Whether a store that is here has not been where `other` was made: it was rolled back since."""
        if self.life != other.life:
            return self.life < other.life
        return (
            self.written < other.written
            or self.received < other.received
            or any(mine < theirs for mine, theirs in zip(self.next_prekeys, other.next_prekeys, strict=True))
        )


def _key(device: Device) -> tuple[bytes, bytes]:
    info = label("checkpoint") + device.key
    return hkdf(salt=bytes(KEY), ikm=device.seed, info=info, size=KEY), info


def seal_checkpoint(device: Device, checkpoint: Checkpoint, random: Random) -> bytes:
    """85 bytes that only `device` can read or make."""
    key, associated = _key(device)
    nonce = random(AEAD_NONCE)
    counters = u64(checkpoint.life) + u64(checkpoint.written) + u64(checkpoint.received)
    fields = u8(_VERSION) + counters + b"".join(map(u32, checkpoint.next_prekeys))
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
        life, written, received = reader.u64(), reader.u64(), reader.u64()
        next_prekeys = tuple(reader.u32() for _ in PrekeyKind)
        reader.end()
    except WireError:
        raise DecryptError from None
    return Checkpoint(life, written, received, next_prekeys)
