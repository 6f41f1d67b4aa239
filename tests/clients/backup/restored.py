"""A backup's lines, the profile that it makes, and a conversation in that."""

import os
from pathlib import Path

from clients.backup.restoring import restore
from clients.backup.sealed_files import opened
from clients.config import ClientConfig
from clients.model import Message
from keys.backups import BackupLock, Parameters
from tests.clients.backup.conftest import PASSPHRASE
from tests.support.homes import Home

SECRET = PASSPHRASE.encode()


async def silent(done: int, of: int) -> None:
    """Nobody looks."""


def nobody(done: int, of: int) -> None:
    """Nobody looks."""


def lines_of(file: Path) -> list[bytes]:
    with opened(file, SECRET) as lines:
        return list(lines)


def lock() -> BackupLock:
    return BackupLock.make(SECRET, Parameters(os.urandom(16), 1, 8192))


def restored(directory: Path, file: Path, name: str = "again") -> Home:
    """The profile that a backup makes, open."""
    restore(ClientConfig(directory / name), file, PASSPHRASE, None, nobody)
    return Home(directory, name)


def conversation(home: Home, other: Home) -> list[Message]:
    return home.mailroom.history.conversation(home.contact(other).id, 1000)
