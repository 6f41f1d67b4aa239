"""Device lists: which devices speak for an account. Public halves only.

Owns the canonical bytes, what is signed and what is hashed. Does not verify: `keys.identities` and
`relay.auth` do, each through its own door to libsodium.

| offset | size | device list                                              |
|-------:|-----:|----------------------------------------------------------|
|      0 |    1 | format = 0x01                                            |
|      1 |   32 | account key (Ed25519)                                    |
|     33 |    8 | version, from 1                                          |
|     41 |   32 | hash of the previous list, zeros in version 1            |
|     73 |    8 | created, Unix seconds                                    |
|     81 |    1 | number of devices, 1 to 8                                |
|     82 |136 n | entries, ascending by device key                         |
|      - |   64 | account key's signature over `device-list` label || body |

| offset | size | entry                                                              |
|-------:|-----:|--------------------------------------------------------------------|
|      0 |   32 | device key (Ed25519), also the name of its mailbox                 |
|     32 |   32 | identity DH key (X25519)                                           |
|     64 |    8 | created, Unix seconds                                              |
|     72 |   64 | device key's signature over `device` label || account key || above |
"""

from dataclasses import dataclass, field
from hashlib import sha256
from itertools import pairwise
from typing import Final

from wire.binary import Reader, label, u8, u64
from wire.errors import ErrorCode
from wire.limits import DEVICES_PER_ACCOUNT, HASH, PUBLIC_KEY, SIGNATURE

FORMAT: Final = 0x01
NO_PREVIOUS: Final = bytes(HASH)
ENTRY_SIZE: Final = 136
LIST_MAX: Final = 82 + DEVICES_PER_ACCOUNT * ENTRY_SIZE + SIGNATURE


@dataclass(frozen=True, slots=True)
class DeviceEntry:
    """One device of an account, 136 bytes encoded."""

    device_key: bytes
    identity_key: bytes
    created: int
    signature: bytes = field(repr=False)

    def fields(self) -> bytes:
        """The 72 bytes before the signature."""
        return self.device_key + self.identity_key + u64(self.created)

    def signed_bytes(self, account_key: bytes) -> bytes:
        """What the device key signs: nobody can list another's device."""
        return label("device") + account_key + self.fields()

    def encode(self) -> bytes:
        """136 bytes."""
        return self.fields() + self.signature


@dataclass(frozen=True, slots=True)
class DeviceList:
    """A signed device list, 82 + 136 n + 64 bytes encoded."""

    account_key: bytes
    version: int
    previous: bytes
    created: int
    devices: tuple[DeviceEntry, ...]
    signature: bytes = field(repr=False)
    _hash: bytes = field(default=b"", init=False, repr=False, compare=False)  # once it was asked for

    def body(self) -> bytes:
        """Everything but the account's signature."""
        head = u8(FORMAT) + self.account_key + u64(self.version) + self.previous + u64(self.created)
        return head + u8(len(self.devices)) + b"".join(entry.encode() for entry in self.devices)

    def signed_bytes(self) -> bytes:
        """What the account key signs."""
        return label("device-list") + self.body()

    def hash(self) -> bytes:
        """32 bytes: SHA-256 over the labelled body. The signature is left out: it is not unique."""
        if not self._hash:
            hashed = sha256(label("device-list-hash") + self.body()).digest()
            object.__setattr__(self, "_hash", hashed)
        return self._hash

    def encode(self) -> bytes:
        """Body and signature."""
        return self.body() + self.signature

    def entry(self, device_key: bytes) -> DeviceEntry | None:
        """The entry of `device_key`, or None."""
        return next((entry for entry in self.devices if entry.device_key == device_key), None)


def decode_device_list(data: bytes) -> DeviceList:
    """Decode without verifying. Raises WireError(REGISTRATION_REFUSED) for any but the canonical form."""
    reader = Reader(data[: LIST_MAX + 1], "device list", ErrorCode.REGISTRATION_REFUSED)
    if reader.u8() != FORMAT:
        raise reader.refuse("unknown format")
    account, version = reader.take(PUBLIC_KEY), reader.u64()
    previous, created, count = reader.take(HASH), reader.u64(), reader.u8()
    if version == 0 or (version == 1) != (previous == NO_PREVIOUS):
        raise reader.refuse("version and previous hash do not fit")
    if not 1 <= count <= DEVICES_PER_ACCOUNT:
        raise reader.refuse("number of devices out of range")
    devices = tuple(
        DeviceEntry(reader.take(PUBLIC_KEY), reader.take(PUBLIC_KEY), reader.u64(), reader.take(SIGNATURE))
        for _ in range(count)
    )
    if any(a.device_key >= b.device_key for a, b in pairwise(devices)):
        raise reader.refuse("devices out of order or repeated")
    signature = reader.take(SIGNATURE)
    reader.end()
    return DeviceList(account, version, previous, created, devices, signature)
