"""Somebody with a past: contacts of every status, a conversation, and something still on its way."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.backup import making
from keys.backups import Parameters
from tests.support.homes import Home, converse

PASSPHRASE = "correct horse battery staple"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2id at its least: what it costs is tested elsewhere."""
    monkeypatch.setattr(making, "Parameters", lambda salt: Parameters(salt, 1, 8192))


@pytest.fixture
def homes(tmp_path: Path) -> Iterator[tuple[Home, Home]]:
    """Alice, whose profile is backed up, and Bob."""
    alice, bob = Home(tmp_path, "alice"), Home(tmp_path, "bob")
    converse(alice, bob)
    yield alice, bob
    for home in (alice, bob):
        home.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "alice.backup"
