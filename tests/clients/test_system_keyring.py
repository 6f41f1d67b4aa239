"""A profile whose key is in the system keyring: the real library, on a keyring that is a file."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends import fail, null

from clients import system_keyring
from clients.config import ClientConfig
from clients.errors import LockedError, StorageError, UsageError
from clients.profile import Profile, discard, store_key
from tests.support.file_keyring import BACKEND, BrokenKeyring, FileKeyring, LockedKeyring
from tests.support.relay_process import RelayProcess, running_relay
from wire.addresses import RelayUrl

ROOT = Path(__file__).parents[2]
RELAY = RelayUrl.parse("ws://127.0.0.1:1")
NOW = 1_700_000_000


@pytest.fixture
def ring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the keyring that is used here."""
    use(FileKeyring, tmp_path / "keyring.json", monkeypatch)
    return tmp_path / "keyring.json"


def use(kind: type[KeyringBackend], path: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("KEYRING_PROPERTY_PATH", str(path))
    before = keyring.get_keyring()
    patch.setattr("keyring.core._keyring_backend", before)  # so that it is put back
    keyring.set_keyring(kind())


@pytest.fixture
def config(tmp_path: Path) -> ClientConfig:
    return ClientConfig(tmp_path / "alice", keyring=True)


def entries(ring: Path) -> dict[str, str]:
    return dict(json.loads(ring.read_text()))


def test_the_key_is_in_the_keyring_and_nowhere_in_the_profile(ring: Path, config: ClientConfig) -> None:
    profile = Profile.create(config, RELAY, NOW)
    profile.close()
    (name, key), *others = entries(ring).items()
    assert not others
    assert re.fullmatch(r"blindpost [0-9a-f]{32}", name)
    assert bytes.fromhex(key) == store_key(config)
    assert not (config.profile / "profile.key").exists()
    held = b"".join(file.read_bytes() for file in config.profile.iterdir())
    assert key.encode() not in held
    assert bytes.fromhex(key) not in held
    found = Profile.open(replace(config, keyring=False))  # how it is unlocked, the profile itself says
    assert found.account == profile.account
    found.close()


def test_two_profiles_have_two_keys(ring: Path, config: ClientConfig, tmp_path: Path) -> None:
    for path in (config.profile, tmp_path / "bob"):
        Profile.create(replace(config, profile=path), RELAY, NOW).close()
    assert len(set(entries(ring).values())) == 2


def test_without_its_entry_it_stays_closed_and_says_why(ring: Path, config: ClientConfig) -> None:
    Profile.create(config, RELAY, NOW).close()
    kept = ring.read_text()
    ring.write_text("{}")
    with pytest.raises(LockedError, match="not in the system keyring"):
        Profile.open(config)
    for wrong in ("", "00", "x" * 64):
        ring.write_text(json.dumps(dict.fromkeys(json.loads(kept), wrong)))
        with pytest.raises(StorageError, match="no key"):
            Profile.open(config)
    ring.write_text(json.dumps(dict.fromkeys(json.loads(kept), "00" * 32)))
    with pytest.raises(LockedError, match="cannot be unlocked"):
        Profile.open(config)
    ring.write_text(kept)
    Profile.open(config).close()


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        (fail.Keyring, LockedError, "No keyring of the system.*--passphrase"),
        (null.Keyring, StorageError, "does not keep"),
        (LockedKeyring, LockedError, "is locked.*Unlock it"),
        (BrokenKeyring, StorageError, r"\(ConnectionResetError\)"),
    ],
)
def test_a_keyring_that_cannot_be_used_is_a_sentence_and_leaves_no_profile(
    kind: type[KeyringBackend],
    error: type[Exception],
    words: str,
    config: ClientConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use(kind, tmp_path / "keyring.json", monkeypatch)
    with pytest.raises(error, match=words) as found:
        Profile.create(config, RELAY, NOW)
    assert "a secret" not in str(found.value)
    assert not (config.profile / "store.db").exists()
    assert not (config.profile / "profile.json").exists()
    use(FileKeyring, tmp_path / "keyring.json", monkeypatch)
    Profile.create(config, RELAY, NOW).close()


def test_without_the_library_it_says_what_to_install(
    config: ClientConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(LockedError, match=re.escape("pip install 'blindpost[keyring]'")):
        Profile.create(config, RELAY, NOW)


@pytest.mark.usefixtures("ring")
def test_a_profile_that_was_begun_otherwise_is_not_finished_with_the_keyring(config: ClientConfig) -> None:
    Profile.create(replace(config, keyring=False), RELAY, NOW).close()
    with pytest.raises(UsageError, match="without the keyring"):
        Profile.create(config, RELAY, NOW)


def test_what_is_discarded_leaves_no_entry(ring: Path, config: ClientConfig) -> None:
    Profile.create(config, RELAY, NOW).close()
    discard(config.profile)
    assert entries(ring) == {}
    assert not config.profile.exists()
    system_keyring.forget("never there")


def blindpost(config: ClientConfig, ring: Path, *arguments: str, backend: str = BACKEND) -> tuple[int, str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHON_KEYRING_BACKEND": backend,
        "KEYRING_PROPERTY_PATH": str(ring),
        "BLINDPOST_PROFILE": str(config.profile),
    }
    command = [sys.executable, "-m", "clients", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def test_the_command_line(tmp_path: Path, config: ClientConfig) -> None:
    with running_relay(tmp_path) as relay:
        on_the_command_line(relay, tmp_path, config)


def on_the_command_line(relay: RelayProcess, tmp_path: Path, config: ClientConfig) -> None:
    ring = tmp_path / "keyring.json"
    unusable = "keyring.backends.fail.Keyring"
    init = ("init", "--relay", relay.origin, "--keyring")
    code, said = blindpost(config, ring, *init, backend=unusable)
    assert (code, "--passphrase instead" in said, "Traceback" in said) == (7, True, False), said
    code, said = blindpost(config, ring, *init)
    assert code == 0, said
    assert len(entries(ring)) == 1
    code, said = blindpost(config, ring, "address", "--bare")
    assert (code, said[:3]) == (0, "bp1"), said
    code, said = blindpost(config, ring, "address", backend=unusable)
    assert (code, "No keyring of the system" in said) == (7, True), said
    code, said = blindpost(config, ring, *init, "--passphrase")
    assert (code, "choose one of the two" in said) == (2, True), said
    other = replace(config, profile=tmp_path / "other")
    assert blindpost(other, ring, "init", "--relay", relay.origin)[0] == 0
    code, said = blindpost(other, ring, *init)
    assert (code, "does not have its key in the system keyring" in said) == (2, True), said
