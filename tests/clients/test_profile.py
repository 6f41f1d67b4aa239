"""A profile on disk: private to its user, unlocked by key file or passphrase, owned by one process."""

import json
import os
import pickle
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from clients import profile as profile_module
from clients.config import ClientConfig, profile_path
from clients.errors import LockedError, NotFoundError, StorageError, UsageError
from clients.profile import Profile
from clients.store.store import Store
from wire.addresses import RelayUrl

RELAY = RelayUrl.parse("wss://relay.example")
NOW = 1_700_000_000
PASSPHRASE = "correct horse battery"


@pytest.fixture
def config(tmp_path: Path) -> ClientConfig:
    return ClientConfig(tmp_path / "profiles" / "alice")


@pytest.fixture
def cheap_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2id with the least that libsodium allows: what is tested here is not its cost."""
    monkeypatch.setattr(profile_module, "OPERATIONS", 1)
    monkeypatch.setattr(profile_module, "MEMORY", 8 * 1024)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def make(config: ClientConfig) -> bytes:
    """A finished profile; its account key."""
    profile = Profile.create(config, RELAY, NOW)
    key = profile.account.key
    profile.close()
    return key


def test_a_profile_comes_back_as_it_was_made(config: ClientConfig) -> None:
    made = Profile.create(config, RELAY, NOW, b"-----BEGIN")
    made.close()
    found = Profile.open(config)
    assert (found.account, found.device, found.device_list) == (made.account, made.device, made.device_list)
    assert (found.address.text, found.route.ca) == (f"{made.address}", b"-----BEGIN")
    assert found.address.relay == RELAY
    assert len(found.stream) == 16
    found.close()


def test_nobody_else_can_read_it(config: ClientConfig) -> None:
    before = os.umask(0)
    try:
        profile = Profile.create(config, RELAY, NOW)
        assert mode(config.profile) == 0o700
        files = {file.name: mode(file) for file in config.profile.iterdir()}
        profile.close()
    finally:
        os.umask(before)
    expected = {"profile.json", "profile.key", "store.db", "store.db-wal", "store.db-shm", "lock"}
    assert files == dict.fromkeys(expected, 0o600)


def test_no_secret_is_in_its_repr(config: ClientConfig) -> None:
    profile = Profile.create(replace(config, passphrase=None), RELAY, NOW)
    said = repr(profile) + repr(replace(config, passphrase=PASSPHRASE))
    profile.close()
    with pytest.raises(TypeError, match="holds secrets"):
        pickle.dumps(config)
    for secret in (profile.account.seed, profile.device.seed, profile.device.identity_private):
        assert repr(secret)[2:-1] not in said
        assert secret.hex() not in said
    assert PASSPHRASE not in said


def test_a_second_profile_in_the_same_place_is_refused_and_the_first_unharmed(config: ClientConfig) -> None:
    key = make(config)
    with pytest.raises(UsageError, match="There is a profile already"):
        Profile.create(config, RELAY, NOW)
    profile = Profile.open(config)
    assert profile.account.key == key
    profile.close()


@pytest.mark.parametrize("name", ["thesis.tex", ".bashrc"])
def test_a_directory_that_holds_other_things_is_left_alone(tmp_path: Path, name: str) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    (home / name).touch()
    with pytest.raises(UsageError, match="holds other things"):
        Profile.create(ClientConfig(home), RELAY, NOW)
    assert mode(home) == 0o755
    assert [file.name for file in home.iterdir()] == [name]


def test_an_empty_directory_is_used(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir(mode=0o755)
    make(ClientConfig(tmp_path / "empty"))
    assert mode(tmp_path / "empty") == 0o700


# --- unlocking --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("cheap_passphrase")
def test_a_passphrase_unlocks_and_no_key_is_on_the_disk(config: ClientConfig) -> None:
    locked = replace(config, passphrase=PASSPHRASE)
    key = make(locked)
    assert not (config.profile / "profile.key").exists()
    profile = Profile.open(locked)
    assert profile.account.key == key
    profile.close()
    with pytest.raises(LockedError, match="wrong passphrase"):
        Profile.open(replace(config, passphrase=PASSPHRASE + "!"))
    with pytest.raises(LockedError, match="needs its passphrase"):
        Profile.open(config)


def test_the_price_of_guessing_a_passphrase_is_not_cheap() -> None:
    assert profile_module.OPERATIONS >= 3
    assert profile_module.MEMORY >= 256 * 1024 * 1024


@pytest.mark.usefixtures("cheap_passphrase")
def test_a_passphrase_that_is_no_utf8_works_and_is_not_repeated(config: ClientConfig) -> None:
    # As the environment gives bytes that are not UTF-8.
    locked = replace(config, passphrase=b"caf\xe9".decode("utf-8", "surrogateescape"))
    make(locked)
    Profile.open(locked).close()


def test_a_missing_key_file_says_what_to_do(config: ClientConfig) -> None:
    make(config)
    key = (config.profile / "profile.key").read_bytes()
    (config.profile / "profile.key").unlink()
    with pytest.raises(LockedError, match="Put it back"):
        Profile.open(config)
    (config.profile / "profile.key").write_bytes(key)
    Profile.open(config).close()


def test_the_key_file_of_another_profile_does_not_unlock(config: ClientConfig, tmp_path: Path) -> None:
    other = ClientConfig(tmp_path / "other")
    make(config)
    make(other)
    (config.profile / "profile.key").write_bytes((other.profile / "profile.key").read_bytes())
    with pytest.raises(LockedError, match="key file of another profile"):
        Profile.open(config)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("profile.key", b""),
        ("profile.key", b"00" * 31),
        ("profile.key", b"\xff" * 64),
        ("profile.json", b""),
        ("profile.json", b"[]"),
        ("profile.json", b'{"version": 1}'),
        ("profile.json", json.dumps({"version": 1, "unlock": "passphrase", "salt": "00",
                                     "operations": 1, "memory": 8192}).encode()),
        ("profile.json", json.dumps({"version": 1, "unlock": "passphrase", "salt": "00" * 16,
                                     "operations": 10**9, "memory": 8192}).encode()),
        ("profile.json", json.dumps({"version": 1, "unlock": "passphrase", "salt": "00" * 16,
                                     "operations": 1, "memory": 2**60}).encode()),
        ("profile.json", json.dumps({"version": 1, "unlock": "passphrase", "salt": "00" * 16,
                                     "operations": 1, "memory": 1}).encode()),
    ],
)  # fmt: skip
def test_a_damaged_file_is_a_sentence_and_no_endless_wait(
    config: ClientConfig, file: str, content: bytes
) -> None:
    make(config)
    (config.profile / file).write_bytes(content)
    with pytest.raises(StorageError, match="damaged"):
        Profile.open(replace(config, passphrase=PASSPHRASE))


def test_a_profile_of_a_newer_version_says_so(config: ClientConfig) -> None:
    make(config)
    (config.profile / "profile.json").write_text('{"version": 2, "unlock": "file"}')
    with pytest.raises(StorageError, match="newer version"):
        Profile.open(config)


def test_no_profile_says_how_to_make_one(config: ClientConfig) -> None:
    with pytest.raises(NotFoundError, match="blindpost init"):
        Profile.open(config)
    assert not config.profile.exists()


# --- one owner --------------------------------------------------------------------------------------


def test_a_second_process_is_told_that_the_profile_is_in_use(config: ClientConfig) -> None:
    profile = Profile.create(config, RELAY, NOW)
    program = (
        "import sys; from pathlib import Path; from clients.config import ClientConfig\n"
        "from clients.errors import LockedError; from clients.profile import Profile\n"
        "try: Profile.open(ClientConfig(Path(sys.argv[1])))\n"
        "except LockedError as error: print(error)\n"
    )

    def other_process() -> str:
        command = [sys.executable, "-c", program, str(config.profile)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    assert "Another blindpost process uses the profile alice" in other_process()
    profile.close()
    assert other_process() == ""


def test_a_profile_that_failed_to_open_is_let_go(config: ClientConfig) -> None:
    make(config)
    key = (config.profile / "profile.key").read_bytes()
    for _ in range(3):
        (config.profile / "profile.key").write_bytes(b"00" * 32)
        with pytest.raises(LockedError, match="cannot be unlocked"):
            Profile.open(config)
    (config.profile / "profile.key").write_bytes(key)
    Profile.open(config).close()


# --- killed while it is made ------------------------------------------------------------------------

CRASHING = '''
"""Make a profile in a child that is killed at its n-th line, then finish it; for n = 1, 2, ...

Counted are all lines of profile.py and profile_files.py, and every tenth of the store, which has its
transaction.
"""
import os, shutil, sys
from pathlib import Path
from clients import profile as profile_module
from clients.config import ClientConfig
from clients.profile import Profile
from wire.addresses import RelayUrl

profile_module.OPERATIONS, profile_module.MEMORY = 1, 8192
root, passphrase = Path(sys.argv[1]), sys.argv[2] or None
RELAY = RelayUrl.parse("wss://relay.example")

def killed_at(n, config):
    """Whether the child got as far as its n-th line."""
    child = os.fork()
    if child == 0:
        left, others = n, 0
        def trace(frame, event, argument):
            nonlocal left, others
            name = frame.f_code.co_filename
            if "/clients/" not in name:
                return None
            if event == "line":
                counts = name.endswith(("/profile.py", "/profile_files.py"))
                others += not counts
                left -= counts or others % 10 == 0
                if left == 0:
                    os.kill(os.getpid(), 9)
            return trace
        sys.settrace(trace)
        Profile.create(config, RELAY, 1)
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])

n = 1
while True:
    config = ClientConfig(root / str(n), passphrase)
    was_killed = killed_at(n, config)
    try:
        Profile.create(config, RELAY, 2).close()
        finished = 2
    except profile_module.UsageError:
        finished = 1
    profile = Profile.open(config)
    assert profile.device.created == finished, n
    profile.close()
    shutil.rmtree(config.profile)
    if not was_killed:
        break
    n += 1
print(n)
'''


@pytest.mark.parametrize("passphrase", ["", PASSPHRASE], ids=["key file", "passphrase"])
def test_killed_at_any_line_of_its_making_it_can_be_finished(tmp_path: Path, passphrase: str) -> None:
    command = [sys.executable, "-c", CRASHING, str(tmp_path), passphrase]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 60  # as many places to die at


def test_a_profile_begun_without_a_passphrase_is_not_finished_with_one(config: ClientConfig) -> None:
    # It would be unlocked by the key file, and its owner would believe otherwise.
    config.profile.mkdir(parents=True)
    (config.profile / "lock").touch()
    (config.profile / "profile.key").write_text("00" * 32)
    (config.profile / "profile.json").write_text('{"version": 1, "unlock": "file"}')
    Store(config.profile / "store.db", bytes(32)).close()
    with pytest.raises(NotFoundError, match="not finished"):
        Profile.open(config)
    with pytest.raises(UsageError, match="begun without a passphrase"):
        Profile.create(replace(config, passphrase=PASSPHRASE), RELAY, NOW)
    make(config)


def test_a_profile_that_has_lost_a_file_is_not_made_anew(config: ClientConfig) -> None:
    make(config)
    store, how = config.profile / "store.db", config.profile / "profile.json"
    for file, content in ((store, None), (store, b""), (how, None)):
        before = file.read_bytes()
        file.unlink()
        if content is not None:
            file.write_bytes(content)
        for attempt in (Profile.open, lambda config: Profile.create(config, RELAY, NOW)):
            with pytest.raises(StorageError, match=f"{file.name} is .*Restore the directory from a copy"):
                attempt(config)
        file.write_bytes(before)
    Profile.open(config).close()


def test_a_store_whose_tables_are_empty_is_no_unfinished_profile(config: ClientConfig) -> None:
    make(config)
    (config.profile / "store.db").unlink()
    key = bytes.fromhex((config.profile / "profile.key").read_text())
    Store(config.profile / "store.db", key).close()
    with pytest.raises(StorageError, match=r"store\.db is empty"):
        Profile.open(config)
    with pytest.raises(StorageError, match=r"store\.db is empty"):
        Profile.create(config, RELAY, NOW)


def test_a_profile_made_before_the_mark_gets_it_when_it_is_opened(config: ClientConfig) -> None:
    make(config)
    (config.profile / "profile.json").write_text('{"version": 1, "unlock": "file"}')
    Profile.open(config).close()
    assert json.loads((config.profile / "profile.json").read_bytes())["finished"] is True


def test_a_home_of_nobody_is_a_sentence() -> None:
    with pytest.raises(UsageError, match="full path"):
        profile_path("~nobody-of-this-name/x")
