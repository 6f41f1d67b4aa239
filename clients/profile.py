"""A profile on disk: one account, one device, one store, one owner.

    PROFILE/            0700
      profile.json      how the store is unlocked: {"version": 1, "unlock": "file" | "passphrase" | "keyring",
                        ...}, and "finished" once there is an account in it
      profile.key       0600, 32 random bytes in hex, if it is unlocked by "file"
      store.db          0600, encrypted with that key (chacha20, SQLite3 Multiple Ciphers)
      lock              held by the process that owns the profile
      socket            0600, where that process carries out the calls of others while it is connected

Owns creation, unlocking and the lock. Knows nothing of relays or messages.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final, Self

from clients import system_keyring
from clients.config import PASSPHRASE_VARIABLE, ClientConfig
from clients.errors import (
    REMOVED,
    InUseError,
    LockedError,
    NotFoundError,
    StorageError,
    TrustError,
    UsageError,
)
from clients.parsing import parse_invite
from clients.profile_files import (
    check_store,
    deletion,
    described,
    is_finished,
    lost,
    make_directory,
    mark_finished,
    note_deletion,
    remove_files,
    write_private,
)
from clients.route import Proxy, Route
from clients.standing import gone, has_published, keep_invite
from clients.store.store import Store
from keys.identities import Account, Device
from keys.primitives import passphrase_key
from wire.addresses import Address, RelayUrl
from wire.device_lists import DeviceList, decode_device_list

SALT: Final = 16
OPERATIONS: Final = 3  # Argon2id "moderate" of libsodium
MEMORY: Final = 256 * 1024 * 1024
OPERATIONS_MAX: Final = 20  # a tampered file must not hang the program
MEMORY_MIN: Final = 8 * 1024  # libsodium's
LOOK_AGAIN: Final = 0.05  # seconds
MEMORY_MAX: Final = 4 * 1024 * 1024 * 1024


@dataclass(slots=True)
class Profile:
    """An unlocked profile. `close` releases the lock."""

    path: Path
    account: Account = field(repr=False)
    device: Device = field(repr=False)
    device_list: DeviceList
    relay: RelayUrl
    store: Store = field(repr=False)
    _lock: int = field(repr=False)
    proxy: Proxy | None = None  # that every connection goes through
    deletion: str | None = None  # of the account at its relay: when it was done, or BEGUN
    BEGUN: ClassVar = "begun"

    @classmethod
    def create(cls, config: ClientConfig, relay: RelayUrl, now: int, ca: bytes | None = None) -> Self:
        """Make a new account with one device. All of the store's first content is one transaction.

        Raises UsageError if there is a finished profile already; an unfinished one is finished.
        """
        if config.invite is not None:
            parse_invite(config.invite)  # before anything is made

        def fill(store: Store) -> None:
            account, device = Account.generate(os.urandom), Device.generate(os.urandom, now)
            devices = account.sign_device_list((device.entry(account.key),), now)
            store.set_meta("relay", relay.text.encode())
            if ca is not None:
                store.set_meta("ca", ca)
            keep_invite(store, config.invite)
            store.db.execute("INSERT INTO own_lists VALUES (?, ?)", (devices.version, devices.encode()))
            _keep_device(store, account, device)

        return cls._made(config, fill)

    @classmethod
    def restore(cls, config: ClientConfig, now: int, fill: Callable[[Store], Account]) -> Self:
        """Make a profile with a new device for an account that `fill` puts into the store.

        The device is in no list of the account yet. Raises as `create`, or what `fill` raises; then nothing
        is left of the profile.
        """

        def fill_whole(store: Store) -> None:
            account = fill(store)
            store.set_meta("restoring", b"1")
            _keep_device(store, account, Device.generate(os.urandom, now))

        return cls._made(config, fill_whole, leaves_nothing=True)

    @classmethod
    def _made(
        cls, config: ClientConfig, fill: Callable[[Store], None], *, leaves_nothing: bool = False
    ) -> Self:
        path = config.profile
        try:
            make_directory(path)
            lock = _take_lock(path)
        except OSError as error:
            raise StorageError(f"The profile directory cannot be made: {error.strerror}.") from None
        store: Store | None = None
        try:
            check_store(path)
            if not (path / "profile.json").exists():
                _write_unlock(path, config)
            elif config.passphrase is not None and unlocked_by(path) != "passphrase":
                raise UsageError(f"The profile in {path} was begun without a passphrase. Choose another.")
            elif config.keyring and unlocked_by(path) != "keyring":
                raise UsageError(f"The profile in {path} was begun without the keyring. Choose another.")
            # Made here, so that SQLite gives its other files the mode of this one.
            os.close(os.open(path / "store.db", os.O_WRONLY | os.O_CREAT, 0o600))
            store = Store(path / "store.db", store_key(config))
            if store.meta("account") is not None:
                raise UsageError(
                    f"There is a profile already in {path}. Use it, or choose another --profile."
                )
            if is_finished(path):
                raise lost(path, "store.db is empty")
            with store.transaction():
                fill(store)
            mark_finished(path)
            return cls._loaded(config, store, lock)
        except BaseException as error:
            is_unfinished = store is not None and leaves_nothing and store.meta("account") is None
            if store is not None:
                store.close()
            if is_unfinished and not is_finished(path):
                discard(path)
            os.close(lock)
            if isinstance(error, OSError):
                raise StorageError(f"The profile cannot be written: {error.strerror}.") from None
            raise

    @classmethod
    def open(cls, config: ClientConfig) -> Self:
        """Unlock and lock an existing profile, which keeps an invite that its relay may want.

        Raises NotFoundError, LockedError or StorageError; UsageError for an invite that is none.
        """
        path = config.profile
        try:
            check_store(path)
            if not (path / "profile.json").exists():
                raise NotFoundError(f"There is no profile in {path}. Make one: blindpost init --relay URL")
            lock = _take_lock(path)
        except OSError as error:
            raise StorageError(f"The profile in {path} cannot be used: {error.strerror}.") from None
        store: Store | None = None
        try:
            store = Store(path / "store.db", store_key(config))
            if store.meta("account") is None:
                if is_finished(path):
                    raise lost(path, "store.db is empty")
                raise NotFoundError("This profile is not finished. Run: blindpost init --relay URL")
            mark_finished(path)
            if config.invite is not None and not has_published(store):
                keep_invite(store, config.invite)
            return cls._loaded(config, store, lock)
        except BaseException:
            if store is not None:
                store.close()
            os.close(lock)
            raise

    @classmethod
    def _loaded(cls, config: ClientConfig, store: Store, lock: int) -> Self:
        """The profile as its store has it."""
        seed, record, relay = store.meta("account"), store.meta("device"), store.meta("relay")
        assert seed is not None
        assert record is not None
        assert relay is not None
        newest = "SELECT device_list FROM own_lists ORDER BY version DESC LIMIT 1"
        devices = decode_device_list(bytes(store.db.execute(newest).get))
        return cls(
            config.profile,
            Account(seed),
            Device.from_record(record),
            devices,
            RelayUrl.parse(relay.decode()),
            store,
            lock,
            proxy=config.proxy,
            deletion=deletion(config.profile),
        )

    def note_deletion(self, what: str) -> None:
        """Nothing registers this account again: its deletion is BEGUN, or done. Raises StorageError."""
        try:
            note_deletion(self.path, what)
        except OSError as error:
            raise StorageError(f"The profile cannot be written: {error.strerror}.") from None
        self.deletion = what

    @property
    def is_enrolled(self) -> bool:
        """Whether this device speaks for its account, as far as is known here.

        Not before the relay has taken the list that a restored device signed, and not after another list
        without this device was seen.
        """
        return (
            self.deletion is None
            and not self.is_restoring
            and self.device_list.entry(self.device.key) is not None
        )

    @property
    def is_restoring(self) -> bool:
        """Whether this profile comes from a backup, and no relay has taken its device yet."""
        return self.store.meta("restoring") is not None

    @property
    def is_revoked(self) -> bool:
        """Whether another list without this device was seen, so that nothing of it is sent any more."""
        return not self.is_restoring and self.device_list.entry(self.device.key) is None

    def check_speaks(self) -> None:
        """Raises NotFoundError or TrustError where nothing that this device says is sent any more."""
        if self.deletion is not None:
            raise NotFoundError(gone(self.deletion))
        if self.is_revoked:
            raise TrustError(REMOVED)

    def keep_list(self, devices: DeviceList) -> None:
        """A verified successor of our own device list, durably."""
        with self.store.transaction() as db:
            db.execute("INSERT OR IGNORE INTO own_lists VALUES (?, ?)", (devices.version, devices.encode()))
        self.device_list = devices

    @property
    def address(self) -> Address:
        """The address to give to others."""
        return Address(self.account.key, self.relay)

    @property
    def stream(self) -> bytes:
        """The 16-byte stream id of this store's life."""
        value = self.store.meta("stream")
        assert value is not None
        return value

    @property
    def route(self) -> Route:
        """How any relay is reached, with the certificate authority to trust besides the system's."""
        return Route(self.store.meta("ca"), self.proxy)

    def close(self) -> None:
        """Close the store and release the lock."""
        self.store.close()
        os.close(self._lock)


def _keep_device(store: Store, account: Account, device: Device) -> None:
    """The last of a new profile's rows; with the account in it, the profile is finished."""
    store.set_meta("device", device.to_record())
    store.set_meta("stream", os.urandom(16))
    store.set_meta("account", account.seed)


async def opened(config: ClientConfig, relay: RelayUrl | None, patience: float) -> Profile:
    """An unlocked profile; with `relay`, made there if it does not exist yet.

    A command that is only passing lets go of the profile soon: it is waited for, up to `patience` seconds.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + patience
    while True:
        try:
            if relay is not None and not (config.profile / "profile.json").exists():
                return Profile.create(config, relay, int(time.time()))
            return Profile.open(config)
        except InUseError:
            if loop.time() >= until:
                raise
        await asyncio.sleep(LOOK_AGAIN)


def _take_lock(path: Path) -> int:
    descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise InUseError(
            f"Another blindpost process uses the profile {path.name}. Stop it, or choose another --profile."
        ) from None
    return descriptor


def _write_unlock(path: Path, config: ClientConfig) -> None:
    if config.passphrase is not None:
        salt = os.urandom(SALT).hex()
        how: dict[str, object] = {
            "unlock": "passphrase",
            "salt": salt,
            "operations": OPERATIONS,
            "memory": MEMORY,
        }
    elif config.keyring:
        name = os.urandom(SALT).hex()
        how = {"unlock": "keyring", "name": name}
        system_keyring.keep(name, os.urandom(32))
    else:
        how = {"unlock": "file"}
        if not (path / "profile.key").exists():
            write_private(path / "profile.key", os.urandom(32).hex().encode() + b"\n")
    write_private(path / "profile.json", json.dumps({"version": 1, **how}).encode() + b"\n")


def unlocked_by(path: Path) -> object:
    """`file`, `passphrase` or `keyring`, as profile.json says."""
    return described(path).get("unlock")


def discard(path: Path) -> None:
    """Take a profile away that was begun here and is not to be, while it is locked; its key, too."""
    name = described(path).get("name")
    if unlocked_by(path) == "keyring" and isinstance(name, str):
        with contextlib.suppress(LockedError, StorageError):  # an entry that opens nothing any more
            system_keyring.forget(name)
    remove_files(path)


def store_key(config: ClientConfig) -> bytes:
    """The 32-byte key of the store. Raises LockedError or StorageError."""
    path = config.profile
    try:
        how = json.loads((path / "profile.json").read_bytes())
        if how["version"] != 1:
            raise StorageError("This profile was made by a newer version of blindpost. Upgrade to use it.")
        if how["unlock"] == "file":
            key = bytes.fromhex((path / "profile.key").read_text("ascii").strip())
            if len(key) != 32:
                raise ValueError
            return key
        if how["unlock"] == "keyring":
            return system_keyring.find(str(how["name"]))
        salt, operations, memory = bytes.fromhex(how["salt"]), int(how["operations"]), int(how["memory"])
        if (
            len(salt) != SALT
            or not 0 < operations <= OPERATIONS_MAX
            or not MEMORY_MIN <= memory <= MEMORY_MAX
        ):
            raise ValueError
    except FileNotFoundError:
        raise LockedError("The key file profile.key is missing. Put it back to unlock the profile.") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise StorageError("The file profile.json or profile.key cannot be read or is damaged.") from None
    if config.passphrase is None:
        raise LockedError(
            f"This profile needs its passphrase: use --passphrase-file, set {PASSPHRASE_VARIABLE}, "
            "or run blindpost in a terminal."
        )
    return passphrase_key(config.passphrase.encode(errors="surrogateescape"), salt, operations, memory)
