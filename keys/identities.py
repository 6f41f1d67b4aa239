"""Accounts and devices: the secret halves, and the lists that the account signs.

Owns the long-term keys. Ed25519 keys sign, X25519 keys agree; no key does both and none is converted
into the other. Knows nothing of where secrets are kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from keys.errors import ForkError, MissingListsError, VerificationError
from keys.primitives import KEY, Random, dh_key, equal, sign, signing_key, verify
from keys.secrecy import Secret
from wire.binary import Reader, u8, u64
from wire.device_lists import NO_PREVIOUS, DeviceEntry, DeviceList
from wire.login import Greeting, deletion_bytes

_RECORD = 1


@dataclass(frozen=True, slots=True)
class Account(Secret):
    """An account: a 32-byte Ed25519 seed. Its public key is the address."""

    seed: bytes = field(repr=False)

    @classmethod
    def generate(cls, random: Random) -> "Account":
        """A new account."""
        return cls(random(KEY))

    @property
    def key(self) -> bytes:
        """The account key, 32 bytes."""
        return signing_key(self.seed)

    def sign_device_list(
        self, devices: tuple[DeviceEntry, ...], now: int, previous: DeviceList | None = None
    ) -> DeviceList:
        """Version 1 of the account's device list, or the signed successor of `previous`."""
        version = 1 if previous is None else previous.version + 1
        before = NO_PREVIOUS if previous is None else previous.hash()
        ordered = tuple(sorted(devices, key=lambda entry: entry.device_key))
        unsigned = DeviceList(self.key, version, before, now, ordered, b"")
        return replace(unsigned, signature=sign(self.seed, unsigned.signed_bytes()))

    def sign_deletion(self, login_hash: bytes) -> bytes:
        """The signature, 64 bytes, by which a relay deletes this account, on the connection of that login."""
        return sign(self.seed, deletion_bytes(self.key, login_hash))


@dataclass(frozen=True, slots=True)
class Device(Secret):
    """A device: an Ed25519 seed that signs (login, prekeys) and an X25519 identity key that agrees."""

    seed: bytes = field(repr=False)
    identity_private: bytes = field(repr=False)
    created: int
    key: bytes = field(init=False, repr=False)  # 32 bytes: the name of its mailbox
    identity_key: bytes = field(init=False, repr=False)  # the identity DH key, 32 bytes

    def __post_init__(self) -> None:
        # Once: every envelope holds both.
        object.__setattr__(self, "key", signing_key(self.seed))
        object.__setattr__(self, "identity_key", dh_key(self.identity_private))

    @classmethod
    def generate(cls, random: Random, now: int) -> "Device":
        """A new device, created `now`."""
        return cls(random(KEY), random(KEY), now)

    def entry(self, account_key: bytes) -> DeviceEntry:
        """This device's own signed line in the device list of `account_key`."""
        unsigned = DeviceEntry(self.key, self.identity_key, self.created, b"")
        return replace(unsigned, signature=sign(self.seed, unsigned.signed_bytes(account_key)))

    def sign_login(self, greeting: Greeting) -> bytes:
        """The login signature, 64 bytes. Covers the origin as dialled and the pinned relay key."""
        return sign(self.seed, greeting.login_bytes(self.key))

    def to_record(self) -> bytes:
        """73 bytes: record version || seed || identity private key || created. Secret."""
        return u8(_RECORD) + self.seed + self.identity_private + u64(self.created)

    @classmethod
    def from_record(cls, record: bytes) -> "Device":
        """The device that `to_record` wrote."""
        reader = Reader(record, "device record")
        if reader.u8() != _RECORD:
            raise ValueError("device record of an unknown version")
        device = cls(reader.take(KEY), reader.take(KEY), reader.u64())
        reader.end()
        return device


def verify_device_list(devices: DeviceList, account_key: bytes) -> None:
    """Check the account's signature and every device's own. Raises VerificationError."""
    if not equal(devices.account_key, account_key):
        raise VerificationError("the device list belongs to another account")
    if not verify(account_key, devices.signed_bytes(), devices.signature):
        raise VerificationError("the signature of the device list does not hold")
    for entry in devices.devices:
        if not verify(entry.device_key, entry.signed_bytes(account_key), entry.signature):
            raise VerificationError("a device in the device list did not sign its entry")


def verify_successor(known: DeviceList, offered: DeviceList) -> bool:
    """Whether `offered` changes anything: False if it is `known` itself, True if it is its direct successor.

    Expects `offered` to have passed `verify_device_list`. Raises ForkError for a rollback or a fork,
    MissingListsError for a jump of more than one version, VerificationError for another account's.
    """
    if offered.account_key != known.account_key:
        raise VerificationError("the device list belongs to another account")
    if offered.version == known.version and equal(offered.hash(), known.hash()):
        return False
    if offered.version <= known.version:
        raise ForkError("an older or different device list was shown (rollback or split view)")
    if offered.version != known.version + 1:
        raise MissingListsError("the device lists between the known one and the newest were not shown")
    if not equal(offered.previous, known.hash()):
        raise ForkError("the device list is not the signed successor of the known one")
    return True


def verify_chain(known: DeviceList, between: Sequence[DeviceList], offered: DeviceList) -> bool:
    """As `verify_successor`, over the lists between: each must be the signed successor of the one before.

    Lists that are not between are passed over, so that more may be shown than was missed.
    """
    for each in between:
        if known.version < each.version < offered.version:
            verify_device_list(each, known.account_key)
            verify_successor(known, each)
            known = each
    return verify_successor(known, offered)


def verify_hello(greeting: Greeting, signature: bytes) -> bool:
    """Whether the relay of `greeting` signed its hello."""
    return verify(greeting.relay_key, greeting.hello_bytes(), signature)


def verify_welcome(greeting: Greeting, device_key: bytes, login_signature: bytes, signature: bytes) -> bool:
    """Whether the relay of `greeting` signed this login's transcript."""
    return verify(greeting.relay_key, greeting.welcome_bytes(device_key, login_signature), signature)
