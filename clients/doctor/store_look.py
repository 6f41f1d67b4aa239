"""A look into a profile's store without owning it: opened for reading alone, beside whoever writes.

Owns nothing; the store's owner is another process, or nobody. What it reads is what the checks need.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import apsw

from clients.errors import REMOVED, LockedError, StorageError
from clients.store.schema import MIGRATIONS
from clients.store.store import failure
from keys.identities import Account, Device
from wire.addresses import RelayUrl
from wire.device_lists import decode_device_list

STEPS: Final = 10_000  # of SQLite's virtual machine between looks at the clock


class TookTooLong(Exception):
    """The store is too large to be looked through in the time given."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What the checks of the relay need, and what waits to be sent."""

    relay: RelayUrl
    ca: bytes | None
    pinned: bytes | None
    account_key: bytes
    device: Device = field(repr=False)
    waiting: int
    refusal: str | None  # why this device is not registered, if that is known


class StoreLook:
    """A read-only connection. Use it with `with`."""

    def __init__(self, path: Path, key: bytes) -> None:
        """Open `path` with the raw 32-byte key. Raises LockedError or StorageError."""
        try:
            self._db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        except apsw.Error as error:
            raise failure(error) from None
        try:
            self._db.pragma("key", "raw:" + key.hex())
            self._db.set_busy_timeout(1000)
            version = int(self._db.pragma("user_version"))
        except apsw.Error as error:
            self._db.close()
            if isinstance(error, apsw.NotADBError):
                raise LockedError(
                    "The store cannot be unlocked: wrong passphrase, the key file of another profile, or a "
                    "store damaged at its beginning."
                ) from None
            raise failure(error) from None
        if version > len(MIGRATIONS):
            self._db.close()
            raise StorageError("This profile was made by a newer version of blindpost. Upgrade to use it.")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def check(self, within: float) -> str | None:
        """SQLite's quick_check: None, or what it found first. Raises TookTooLong after `within` seconds."""
        end = time.monotonic() + within
        self._db.set_progress_handler(lambda: time.monotonic() > end, STEPS)
        try:
            found = self._db.execute("PRAGMA quick_check(1)").get
        except apsw.InterruptError:
            raise TookTooLong from None
        except apsw.Error as error:
            raise failure(error) from None
        finally:
            self._db.set_progress_handler(None)
        return None if found == "ok" else str(found)

    def _meta(self, name: str) -> bytes | None:
        value = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).get
        return None if value is None else bytes(value)

    def contents(self) -> Contents | None:
        """What is needed of it; None if no account was finished in it. Raises StorageError."""
        try:
            seed, record, relay = self._meta("account"), self._meta("device"), self._meta("relay")
            if seed is None or record is None or relay is None:
                return None
            url = RelayUrl.parse(relay.decode())
            pinned = self._db.execute("SELECT relay_key FROM relays WHERE origin = ?", (url.origin,)).get
            waiting = int(self._db.execute("SELECT count FROM waiting").get)
            device = Device.from_record(record)
            refusal = self._meta("refused")
            return Contents(
                url,
                self._meta("ca"),
                None if pinned is None else bytes(pinned),
                Account(seed).key,
                device,
                waiting,
                self._removal(device) if refusal is None else refusal.decode(),
            )
        except apsw.Error as error:
            raise failure(error) from None

    def _removal(self, device: Device) -> str | None:
        """That this device was in its account's list, and is no more."""
        newest = self._db.execute("SELECT device_list FROM own_lists ORDER BY version DESC LIMIT 1").get
        devices = decode_device_list(bytes(newest))
        is_there = devices.entry(device.key) is not None or self._meta("restoring") is not None
        return None if is_there else REMOVED.rstrip(".")

    def names(self) -> list[tuple[str, str]]:
        """Name and status of everybody who has a name. Raises StorageError."""
        try:
            rows = self._db.execute(
                "SELECT name, status FROM contacts WHERE status != 'removed' ORDER BY name"
            )
            return [(str(name), str(status)) for name, status in rows]
        except apsw.Error as error:
            raise failure(error) from None
