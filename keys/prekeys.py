"""Prekeys: making them, signing them, and judging those of others.

Owns the private halves and the rules of age and kind. X3DH section 2.4 and PQXDH section 2.3 define
their roles. Does not decide when to rotate or publish.
"""

from dataclasses import dataclass, field

from keys.errors import VerificationError
from keys.identities import Device
from keys.primitives import KEM_SEED, KEY, Random, dh_key, is_dh_key, is_kem_key, kem_key, sign, verify
from keys.secrecy import Secret
from wire.device_lists import DeviceEntry
from wire.limits import CLOCK_SKEW, SIGNED_PREKEY_MAX_AGE
from wire.prekeys import DeviceBundle, Prekey, PrekeyKind, prekey_signed_bytes

KEM_KINDS = (PrekeyKind.LAST_RESORT_KEM, PrekeyKind.ONE_TIME_KEM)


@dataclass(frozen=True, slots=True)
class PrivatePrekey(Secret):
    """Both halves of a prekey. `private` is 32 bytes for X25519, the 64-byte seed for ML-KEM-768."""

    private: bytes = field(repr=False)
    public: Prekey


def generate_prekey(device: Device, kind: PrekeyKind, id: int, now: int, random: Random) -> PrivatePrekey:
    """A new prekey of `kind`, signed by `device`."""
    private = random(KEM_SEED if kind in KEM_KINDS else KEY)
    key = kem_key(private) if kind in KEM_KINDS else dh_key(private)
    signature = sign(device.seed, prekey_signed_bytes(kind, device.key, id, now, key))
    return PrivatePrekey(private, Prekey(kind, id, now, key, signature))


def verify_prekey(prekey: Prekey, device_key: bytes) -> None:
    """Check the device's signature, which covers kind, id and time, and that the key can be used at all.

    Raises VerificationError. A key of low order would otherwise be believed, and fail at each use.
    """
    if not verify(device_key, prekey.signed_bytes(device_key), prekey.signature):
        raise VerificationError("the signature of a prekey does not hold")
    if not (is_kem_key(prekey.key) if prekey.kind in KEM_KINDS else is_dh_key(prekey.key)):
        raise VerificationError("a prekey is not a key of its kind")


def verify_age(prekey: Prekey, now: int) -> None:
    """Refuse a signed prekey of over 90 days, or from more than a day ahead. Raises VerificationError."""
    if prekey.created < now - SIGNED_PREKEY_MAX_AGE:
        raise VerificationError("a signed prekey is over 90 days old")
    if prekey.created > now + CLOCK_SKEW:
        raise VerificationError("a signed prekey is from the future: check the clock of this computer")


def verify_bundle(bundle: DeviceBundle, entry: DeviceEntry, now: int, newest_seen: int = 0) -> None:
    """Check every prekey of a device's bundle against its entry in a verified device list.

    `newest_seen` is the highest id of a signed prekey ever seen from this device: a relay that goes back
    to an older one is refused. Raises VerificationError.
    """
    if bundle.device_key != entry.device_key:
        raise VerificationError("the bundle belongs to another device")
    for prekey in bundle.prekeys():
        verify_prekey(prekey, entry.device_key)
    for prekey in (bundle.signed, bundle.sealing):
        verify_age(prekey, now)
    if bundle.kem.kind is PrekeyKind.LAST_RESORT_KEM:
        verify_age(bundle.kem, now)
    if bundle.signed.id < newest_seen:
        raise VerificationError("an older signed prekey was shown (rollback)")
