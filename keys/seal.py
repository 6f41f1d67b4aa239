"""The seal: who sent an envelope, told to its recipient alone.

Owns the two layers of sealed sender as in Signal's first version (2018): the first hides the sender's
keys under an ephemeral key, the second is keyed by the sender's identity key too, so that opening it
proves who made it, to the recipient and to nobody else (the recipient could have made it: deniable).
Classical: the sender's identity is not post-quantum. Knows nothing of what it carries.

| offset | size | envelope (1 KiB * 2^k in all)                                               |
|-------:|-----:|-----------------------------------------------------------------------------|
|      0 |    1 | version = 0x01                                                              |
|      1 |   32 | ephemeral key e (X25519)                                                    |
|     33 |   80 | layer 1: sender's device key 32 || identity key 32, and 16-byte tag         |
|    113 |    - | layer 2: padded(type 1 || inner), and 16-byte tag                           |

    k1 || n1 = HKDF(salt = 0^32, ikm = DH(e, S),              info = label seal-e || e || S || R)
    k2 || n2 = HKDF(salt = k1,   ikm = k1 || DH(identity, S), info = label seal-s || e || S || R || layer 1)

S is the recipient's sealing key, R its device key: nothing is gained by publishing another's sealing key as
one's own and passing on what comes. Associated data: version || e for layer 1, and layer 1 too for layer 2.
Each key is used once, because e is fresh: the nonces come with the keys.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from keys.errors import DecryptError
from keys.identities import Device
from keys.primitives import (
    AEAD_NONCE,
    KEY,
    TAG,
    Random,
    aead_decrypt,
    aead_encrypt,
    dh,
    dh_key,
    hkdf,
    pad,
    unpad,
)
from keys.secrecy import Secret
from keys.statics import Statics
from wire.binary import label, u8
from wire.frames import ENVELOPE_VERSION
from wire.limits import BUCKETS

_LAYER1: Final = 2 * KEY + TAG
_FIXED: Final = 1 + KEY + _LAYER1 + TAG
OVERHEAD: Final = _FIXED + 1 + 1  # one byte of type, at least one of padding
INNER_MAX: Final = BUCKETS[-1] - OVERHEAD


class InnerType(IntEnum):
    """What layer 2 carries."""

    MESSAGE = 1  # a ratchet message
    OPENING = 2  # lp(device list) || handshake header || ratchet message


@dataclass(frozen=True, slots=True)
class Opened(Secret):
    """What an envelope proved and carried. The sender holds the private half of `identity_key`; whether
    `device_key` belongs to it, a verified device list must say."""

    device_key: bytes
    identity_key: bytes
    type: InnerType
    inner: bytes = field(repr=False)


def bucket_for(inner_size: int) -> int:
    """The envelope size for `inner_size` bytes. Raises ValueError when no bucket is large enough."""
    for bucket in BUCKETS:
        if inner_size + OVERHEAD <= bucket:
            return bucket
    raise ValueError("too large for an envelope")


def _layer1_key(shared: bytes, names: bytes) -> tuple[bytes, bytes]:
    info = label("seal-e") + names
    out = hkdf(salt=bytes(32), ikm=shared, info=info, size=KEY + AEAD_NONCE)
    return out[:KEY], out[KEY:]


def _layer2_key(key1: bytes, shared: bytes, names: bytes, layer1: bytes) -> tuple[bytes, bytes]:
    info = label("seal-s") + names + layer1
    out = hkdf(salt=key1, ikm=key1 + shared, info=info, size=KEY + AEAD_NONCE)
    return out[:KEY], out[KEY:]


def seal(
    device: Device,
    recipient: bytes,
    sealing_key: bytes,
    type: InnerType,
    inner: bytes,
    random: Random,
    statics: Statics | None = None,
) -> bytes:
    """The envelope from `device` to the device `recipient`, which holds `sealing_key`.

    `statics` may know what the keys that live long agree on. Raises ValueError over INNER_MAX.
    """
    size = bucket_for(len(inner))
    ephemeral_private = random(KEY)
    ephemeral = dh_key(ephemeral_private)
    head = u8(ENVELOPE_VERSION) + ephemeral
    names = ephemeral + sealing_key + recipient
    key1, nonce1 = _layer1_key(dh(ephemeral_private, sealing_key), names)
    layer1 = aead_encrypt(key1, nonce1, device.key + device.identity_key, head)
    shared = (statics or Statics()).dh(device.identity_private, sealing_key)
    key2, nonce2 = _layer2_key(key1, shared, names, layer1)
    padded = pad(u8(type) + inner, size - _FIXED)
    return head + layer1 + aead_encrypt(key2, nonce2, padded, head + layer1)


def open_envelope(
    envelope: bytes, recipient: bytes, sealing_privates: Sequence[bytes], statics: Statics | None = None
) -> Opened:
    """Open with whichever of the sealing keys of the device `recipient` fits, newest first.

    `statics` may know what the keys that live long agree on. Raises DecryptError, also for what was sealed
    for another device.
    """
    statics = statics or Statics()
    if len(envelope) not in BUCKETS or envelope[0] != ENVELOPE_VERSION:
        raise DecryptError
    for private in sealing_privates:
        try:
            return _open(envelope, recipient, private, statics)
        except DecryptError:
            continue
    raise DecryptError


def _open(envelope: bytes, recipient: bytes, sealing_private: bytes, statics: Statics) -> Opened:
    head, ephemeral = envelope[: 1 + KEY], envelope[1 : 1 + KEY]
    layer1 = envelope[1 + KEY : 1 + KEY + _LAYER1]
    names = ephemeral + statics.dh_key(sealing_private) + recipient
    key1, nonce1 = _layer1_key(dh(sealing_private, ephemeral), names)
    sender = aead_decrypt(key1, nonce1, layer1, head)
    device_key, identity_key = sender[:KEY], sender[KEY:]
    key2, nonce2 = _layer2_key(key1, statics.dh(sealing_private, identity_key), names, layer1)
    plain = unpad(aead_decrypt(key2, nonce2, envelope[1 + KEY + _LAYER1 :], head + layer1))
    if not plain or plain[0] not in (InnerType.MESSAGE, InnerType.OPENING):
        raise DecryptError
    return Opened(device_key, identity_key, InnerType(plain[0]), plain[1:])
