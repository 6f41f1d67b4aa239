"""From a backup to a profile on this disk: the account, its contacts and its history, under a new device.

Owns the order: the passphrase is tried before a directory is made, and all of the store's content is one
transaction. Touches no network: the device enrols with its first connection, see `clients.enrolment`.
"""

from collections.abc import Callable
from pathlib import Path

from clients import clock
from clients.backup.filling import Filling
from clients.backup.passphrases import passphrase_bytes
from clients.backup.records import AnyRecord, ProfileRecord, decode_record
from clients.backup.sealed_files import DAMAGED, opened
from clients.config import ClientConfig
from clients.errors import StorageError, UsageError
from clients.profile import Profile
from clients.profile_files import is_finished
from clients.store.store import Store
from keys.identities import Account
from wire.addresses import RelayUrl


def restore(
    config: ClientConfig,
    file: Path,
    passphrase: str,
    relay: RelayUrl | None,
    seen: Callable[[int, int], None],
) -> bool:
    """Make the profile of `config` from a backup; False if that was done before and not enrolled yet.

    `seen` is told how many messages there were so far, of how many. Raises UsageError if there is another
    profile, LockedError for a wrong passphrase, StorageError; then nothing has changed.
    """
    with opened(file, passphrase_bytes(passphrase)) as lines:
        if is_finished(config.profile):
            _check_same(config, next(lines))
            return False

        def fill(store: Store) -> Account:
            filling = Filling(store, clock.now_ms(), seen)
            for line in lines:
                filling.take(_decoded(line))
            account = filling.finish()
            if relay is not None:
                store.set_meta("relay", relay.text.encode())
            return account

        Profile.restore(config, clock.now_seconds(), fill).close()
        return True


def _decoded(line: bytes) -> AnyRecord:
    try:
        return decode_record(line)
    except ValueError:
        raise StorageError(DAMAGED) from None


def _check_same(config: ClientConfig, first: bytes) -> None:
    """A profile that an interrupted restore of this account has left may be gone on with; any other stays."""
    record = _decoded(first)
    profile = Profile.open(config)
    try:
        if (
            not profile.is_restoring
            or not isinstance(record, ProfileRecord)
            or record.account != profile.account.seed
        ):
            raise UsageError(
                f"There is a profile already in {config.profile}. To restore beside it, choose another with "
                "--profile NAME."
            )
    finally:
        profile.close()
