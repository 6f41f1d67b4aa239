"""PQXDH: how two devices agree on a first root key while one of them is away.

Owns the key agreement of PQXDH revision 3 (Signal, sections 3.2 to 3.4) with X25519, HKDF-SHA256 and
ML-KEM-768. Departures: both device lists, the KEM key and the KEM ciphertext are in the transcript (as
Bhargavan et al., USENIX Security 2024, advise), and the transcript is in the HKDF info. Knows nothing of
ratchets, seals or storage.

| offset | size | handshake header                                          |
|-------:|-----:|-----------------------------------------------------------|
|      0 |    1 | version = 0x01                                            |
|      1 |    8 | version of the recipient's device list that was used      |
|      9 |   32 | its hash                                                  |
|     41 |   32 | ephemeral key EK (X25519)                                 |
|     73 |    4 | id of the signed prekey                                   |
|     77 |    4 | id of the one-time prekey, 0 for none                     |
|     81 |    1 | kind of the KEM prekey (4 last resort, 5 one-time)        |
|     82 |    4 | id of the KEM prekey                                      |
|     86 | 1088 | KEM ciphertext                                            |
"""

from dataclasses import dataclass, field
from typing import Final

from keys.errors import DecryptError
from keys.identities import Device
from keys.prekeys import KEM_KINDS, PrivatePrekey
from keys.primitives import KEY, Random, dh, dh_key, hkdf, kem_decapsulate, kem_encapsulate, sha256
from keys.secrecy import Secret
from wire.binary import Reader, label, u8, u32, u64
from wire.device_lists import DeviceEntry, DeviceList
from wire.errors import WireError
from wire.limits import HASH, MLKEM_CIPHERTEXT, PUBLIC_KEY
from wire.prekeys import DeviceBundle, PrekeyKind

VERSION: Final = 1
HEADER_SIZE: Final = 86 + MLKEM_CIPHERTEXT


@dataclass(frozen=True, slots=True)
class HandshakeHeader:
    """What the initiator sends so that the other side can compute the same secret. 1174 bytes encoded."""

    list_version: int
    list_hash: bytes
    ephemeral: bytes
    signed_id: int
    one_time_id: int
    kem_kind: PrekeyKind
    kem_id: int
    ciphertext: bytes = field(repr=False)

    def encode(self) -> bytes:
        """The canonical bytes."""
        seen = u8(VERSION) + u64(self.list_version) + self.list_hash
        ids = u32(self.signed_id) + u32(self.one_time_id) + u8(self.kem_kind) + u32(self.kem_id)
        return seen + self.ephemeral + ids + self.ciphertext


def decode_header(data: bytes) -> HandshakeHeader:
    """Decode exactly HEADER_SIZE bytes. Raises DecryptError."""
    if len(data) != HEADER_SIZE or data[0] != VERSION or data[81] not in KEM_KINDS:
        raise DecryptError
    reader = Reader(data[1:], "handshake header")
    try:
        version, seen, ephemeral = reader.u64(), reader.take(HASH), reader.take(PUBLIC_KEY)
        signed, one_time, kind, kem = reader.u32(), reader.u32(), PrekeyKind(reader.u8()), reader.u32()
    except WireError:
        raise DecryptError from None
    if signed == 0 or kem == 0:
        raise DecryptError
    return HandshakeHeader(version, seen, ephemeral, signed, one_time, kind, kem, reader.rest())


@dataclass(frozen=True, slots=True)
class Party:
    """One side as the other knows it: its entry in a verified device list."""

    devices: DeviceList
    entry: DeviceEntry

    def transcript_bytes(self) -> bytes:
        """account key 32 || list version u64 || list hash 32 || entry 136."""
        head = self.devices.account_key + u64(self.devices.version) + self.devices.hash()
        return head + self.entry.encode()


@dataclass(frozen=True, slots=True)
class Agreement(Secret):
    """What both sides hold afterwards; 32 bytes each. `transcript` is public and names the session."""

    transcript: bytes
    root_key: bytes = field(repr=False)
    associated: bytes = field(repr=False)


def _transcript(
    initiator: Party, acceptor: Party, header: HandshakeHeader, signed: bytes, one_time: bytes, kem: bytes
) -> bytes:
    """SHA-256 over all public inputs. An absent one-time prekey is 32 zero bytes with id 0 in the header."""
    parties = initiator.transcript_bytes() + acceptor.transcript_bytes()
    return sha256(label("pqxdh-t") + parties + header.encode() + signed + (one_time or bytes(KEY)) + kem)


def _initiator_secrets(
    identity_private: bytes, ephemeral: bytes, identity_key: bytes, signed: bytes, one_time: bytes
) -> tuple[bytes, ...]:
    """DH1 to DH4 of X3DH section 3.3; DH4 only where there is a one-time prekey. 32 bytes each."""
    return (
        dh(identity_private, signed),
        dh(ephemeral, identity_key),
        dh(ephemeral, signed),
        *((dh(ephemeral, one_time),) if one_time else ()),
    )


def _acceptor_secrets(
    identity_private: bytes,
    signed_private: bytes,
    one_time_private: bytes,
    identity_key: bytes,
    ephemeral: bytes,
) -> tuple[bytes, ...]:
    """The same, of the other side: X3DH section 3.4."""
    return (
        dh(signed_private, identity_key),
        dh(identity_private, ephemeral),
        dh(signed_private, ephemeral),
        *((dh(one_time_private, ephemeral),) if one_time_private else ()),
    )


def _agreement(transcript: bytes, secrets: tuple[bytes, ...]) -> Agreement:
    """KDF of PQXDH section 2.2: F || DH1 || .. || SS, with the transcript in the info."""
    ikm = b"\xff" * 32 + b"".join(secrets)
    output = hkdf(salt=bytes(32), ikm=ikm, info=label("pqxdh") + transcript, size=64)
    return Agreement(transcript, output[:32], output[32:])


def initiate(
    device: Device, own: Party, peer: Party, bundle: DeviceBundle, random: Random
) -> tuple[HandshakeHeader, Agreement]:
    """Start a session with a device from its verified bundle (PQXDH section 3.3).

    Returns the header for the wire and the agreement for the ratchet. Raises DecryptError when the
    bundle holds a low-order point or an invalid KEM key.
    """
    ephemeral = random(KEY)
    shared, ciphertext = kem_encapsulate(bundle.kem.key)
    one_time = bundle.one_time
    header = HandshakeHeader(
        peer.devices.version,
        peer.devices.hash(),
        dh_key(ephemeral),
        bundle.signed.id,
        one_time.id if one_time else 0,
        bundle.kem.kind,
        bundle.kem.id,
        ciphertext,
    )
    one_time_key = one_time.key if one_time else b""
    secrets = _initiator_secrets(
        device.identity_private, ephemeral, peer.entry.identity_key, bundle.signed.key, one_time_key
    )
    transcript = _transcript(own, peer, header, bundle.signed.key, one_time_key, bundle.kem.key)
    return header, _agreement(transcript, (*secrets, shared))


def accept(
    device: Device,
    own: Party,
    peer: Party,
    header: HandshakeHeader,
    signed: PrivatePrekey,
    kem: PrivatePrekey,
    one_time: PrivatePrekey | None,
) -> Agreement:
    """The other side of `initiate` (PQXDH section 3.4), with the private prekeys that the header names.

    `own` is this device as the initiator saw it. Raises DecryptError. Whether initiator and acceptor
    really agree only shows when the first ratchet message authenticates.
    """
    one_time_private, one_time_key = (one_time.private, one_time.public.key) if one_time else (b"", b"")
    secrets = _acceptor_secrets(
        device.identity_private, signed.private, one_time_private, peer.entry.identity_key, header.ephemeral
    )
    shared = kem_decapsulate(kem.private, header.ciphertext)
    transcript = _transcript(peer, own, header, signed.public.key, one_time_key, kem.public.key)
    return _agreement(transcript, (*secrets, shared))
