"""The relay's one key, and every signature that it makes or checks.

Owns the second door to libsodium (the first is `keys.primitives`), and takes only Ed25519 signing and
verifying through it: there is nothing here that could open, derive or convert. Knows no socket and no store.
"""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from nacl.exceptions import CryptoError
from nacl.signing import SigningKey, VerifyKey

from relay.complaints import OperatorError, reason
from wire.device_lists import DeviceList
from wire.errors import ErrorCode, WireError
from wire.limits import PUBLIC_KEY, SIGNATURE
from wire.login import Greeting, deletion_bytes
from wire.prekeys import Prekey

SEED: Final = 32  # Ed25519 private seed, RFC 8032


class KeyUnusableError(OperatorError):
    """The key file cannot be used; the text is one sentence for the operator, saying what to do."""


class RelayKey:
    """The Ed25519 key that clients pin. It signs hellos and welcomes, nothing else."""

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED:
            raise ValueError("a seed has 32 bytes")
        self._key = SigningKey(seed)
        self.public: Final = bytes(self._key.verify_key)

    @classmethod
    def generate(cls) -> Self:
        """A fresh key from the operating system's randomness."""
        return cls(os.urandom(SEED))

    @classmethod
    def load_or_create(cls, path: Path) -> Self:
        """The key in `path` (32 bytes, mode 0600); made durable there first if there is none.

        Raises KeyUnusableError: see `load`, or not writable.
        """
        try:
            if not path.exists():
                _create(path)
        except OSError as error:
            raise _unusable(path, error) from error
        return cls.load(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """The key in `path`. Raises KeyUnusableError: wrong size, readable by others, or unreadable."""
        try:
            if path.is_dir():
                raise KeyUnusableError(
                    f"{path} is a directory where the relay's key belongs; move it away, and restore the key "
                    "from a backup if there was one"
                )
            if os.name != "nt" and stat.S_IMODE(path.stat().st_mode) & 0o077:
                raise KeyUnusableError(f"{path} can be read by others; run: chmod 600 {path}")
            seed = path.read_bytes()
        except OSError as error:
            raise _unusable(path, error) from error
        if len(seed) != SEED:
            raise KeyUnusableError(
                f"{path} is not a relay key (32 bytes); restore it from a backup: clients pin this key"
            )
        return cls(seed)

    def sign(self, message: bytes) -> bytes:
        """64 bytes, Ed25519 (RFC 8032)."""
        return self._key.sign(message).signature

    def __repr__(self) -> str:
        return "RelayKey(...)"


def _unusable(path: Path, error: OSError) -> KeyUnusableError:
    return KeyUnusableError(f"{path} cannot be used: {reason(error)}; check its owner, permissions and disk")


def _create(path: Path) -> None:
    """Write under another name and rename: a crash leaves no half key behind."""
    partial = path.with_name(path.name + ".new")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        os.write(descriptor, os.urandom(SEED))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    partial.rename(path)
    if os.name != "nt":
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def is_signed(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` (64 bytes) over `message` is by `public_key` (32 bytes, Ed25519)."""
    assert len(public_key) == PUBLIC_KEY
    assert len(signature) == SIGNATURE
    try:
        VerifyKey(public_key).verify(message, signature)
    except CryptoError:
        return False
    return True


def check_login(greeting: Greeting, device_key: bytes, signature: bytes) -> None:
    """Raises WireError(LOGIN_REFUSED) unless the device signed this very greeting."""
    if not is_signed(device_key, greeting.login_bytes(device_key), signature):
        raise WireError(ErrorCode.LOGIN_REFUSED, "login: the signature does not hold", "signature")


def check_deletion(account_key: bytes, login_hash: bytes, signature: bytes) -> None:
    """Raises WireError(LOGIN_REFUSED) unless the account's key signed for its deletion in this very login."""
    if not is_signed(account_key, deletion_bytes(account_key, login_hash), signature):
        raise WireError(ErrorCode.LOGIN_REFUSED, "delete: the account's signature does not hold", "signature")


def check_device_list(device_list: DeviceList) -> None:
    """Raises WireError(REGISTRATION_REFUSED) unless account and every device signed."""
    account_key = device_list.account_key
    if not is_signed(account_key, device_list.signed_bytes(), device_list.signature):
        raise WireError(ErrorCode.REGISTRATION_REFUSED, "device list: the account's signature does not hold")
    for entry in device_list.devices:
        if not is_signed(entry.device_key, entry.signed_bytes(account_key), entry.signature):
            raise WireError(ErrorCode.REGISTRATION_REFUSED, "device list: a device's signature does not hold")


def check_prekeys(device_key: bytes, prekeys: Sequence[Prekey]) -> None:
    """Raises WireError(BAD_PREKEY) unless the device signed every one."""
    for prekey in prekeys:
        if not is_signed(device_key, prekey.signed_bytes(device_key), prekey.signature):
            raise WireError(ErrorCode.BAD_PREKEY, "prekey: the device's signature does not hold")


class Authority:
    """The relay's key and the checks, as a session takes them."""

    check_login = staticmethod(check_login)
    check_deletion = staticmethod(check_deletion)
    check_device_list = staticmethod(check_device_list)
    check_prekeys = staticmethod(check_prekeys)

    def __init__(self, key: RelayKey) -> None:
        self._key = key
        self.public: Final = key.public

    def sign(self, message: bytes) -> bytes:
        """64 bytes, Ed25519."""
        return self._key.sign(message)
