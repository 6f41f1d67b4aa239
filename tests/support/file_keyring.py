"""A keyring in a file, by the interface that the package `keyring` gives its backends.

It is what a desktop's keyring is to that package: `PYTHON_KEYRING_BACKEND` names it, and
`KEYRING_PROPERTY_PATH` its file, for processes of their own too.
"""

import json
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError

BACKEND = "tests.support.file_keyring.FileKeyring"


class FileKeyring(KeyringBackend):
    """All entries in one JSON file."""

    priority = 5
    path = ""

    def _entries(self) -> dict[str, str]:
        file = Path(self.path)
        return dict(json.loads(file.read_text())) if file.exists() else {}

    def _save(self, entries: dict[str, str]) -> None:
        Path(self.path).write_text(json.dumps(entries))

    def get_password(self, service: str, username: str) -> str | None:
        return self._entries().get(f"{service} {username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._save({**self._entries(), f"{service} {username}": password})

    def delete_password(self, service: str, username: str) -> None:
        entries = self._entries()
        if entries.pop(f"{service} {username}", None) is None:
            raise PasswordDeleteError
        self._save(entries)


class LockedKeyring(FileKeyring):
    """One that nobody unlocks."""

    def get_password(self, service: str, username: str) -> str | None:
        raise KeyringLocked(f"{service} {username}")


class BrokenKeyring(FileKeyring):
    """One whose own program is gone."""

    def get_password(self, service: str, username: str) -> str | None:
        raise ConnectionResetError(f"a secret: {username}")
