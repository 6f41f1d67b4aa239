"""The system's keyring as a place for a profile's key: Secret Service, KWallet, Keychain, Credential Locker.

Owns the entries: service `blindpost`, a name for each profile, 32 bytes in hex. The package `keyring` finds
out which keyring there is. It is an extra of this program, and imported where a profile needs it alone. Knows
nothing of profiles.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Final

from clients.errors import LockedError, StorageError

SERVICE: Final = "blindpost"
KEY: Final = 32


def keep(name: str, key: bytes) -> None:
    """Put a new key, 32 bytes, into the keyring under `name`. Raises LockedError or StorageError."""
    with _keyring() as keyring:
        keyring.set_password(SERVICE, name, key.hex())
        kept = keyring.get_password(SERVICE, name)
    if kept != key.hex():
        raise StorageError("The system keyring does not keep what it is given. Use --passphrase instead.")


def find(name: str) -> bytes:
    """The key under `name`, 32 bytes. Raises LockedError if it is not there, or StorageError."""
    with _keyring() as keyring:
        found = keyring.get_password(SERVICE, name)
    if found is None:
        raise LockedError(
            "The key of this profile is not in the system keyring. Use the keyring of the user who made the "
            "profile, on the same machine, or restore a backup."
        )
    try:
        key = bytes.fromhex(found)
    except ValueError:
        key = b""
    if len(key) != KEY:
        raise StorageError("What the system keyring holds for this profile is no key. Restore a backup.")
    return key


def forget(name: str) -> None:
    """Take the key under `name` out of the keyring. Raises LockedError or StorageError."""
    with _keyring() as keyring:
        if keyring.get_password(SERVICE, name) is not None:
            keyring.delete_password(SERVICE, name)


@contextmanager
def _keyring() -> Iterator[ModuleType]:
    """The library; whatever it or its backend reports is a sentence."""
    try:
        import keyring
        from keyring.errors import InitError, KeyringLocked, NoKeyringError
    except ImportError:
        raise LockedError(
            "For the system keyring the package keyring is needed: pip install 'blindpost[keyring]'"
        ) from None
    try:
        yield keyring
    except NoKeyringError:
        raise LockedError(
            "No keyring of the system can be used here. Run this in a desktop session with one (on Linux a "
            "Secret Service: GNOME Keyring, KWallet or KeePassXC); for a new profile, choose --passphrase "
            "instead."
        ) from None
    except (KeyringLocked, InitError):
        raise LockedError(
            "The system keyring is locked, and was not unlocked when it asked. Unlock it, and try again."
        ) from None
    except Exception as error:  # a backend is a program of its own, and its errors are of any kind
        raise StorageError(
            f"The system keyring cannot be used ({type(error).__name__}). Does it run? For a new profile, "
            "choose --passphrase instead."
        ) from None
