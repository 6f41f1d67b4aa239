"""The checks of a profile: what is wrong with it is found without a change, and beside its owner."""

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from clients.config import ClientConfig
from clients.doctor import Finding, Verdict, examine
from clients.doctor.owner import ask_owner
from clients.doctor.profile_checks import check_permissions
from clients.errors import ExitCode
from clients.profile import Profile
from tests.clients.doctor.relays import KEY, pretended
from tests.support.homes import NOWHERE
from wire.addresses import RelayUrl

OK, WARNING, FAILED = Verdict.OK, Verdict.WARNING, Verdict.FAILED


@pytest.fixture
def config(tmp_path: Path) -> ClientConfig:
    made = ClientConfig(tmp_path / "alice")
    Profile.create(made, NOWHERE, 1).close()
    return made


async def examined(config: ClientConfig) -> dict[str, Finding]:
    """Every finding by its check; the relay is not there."""
    return {finding.check: finding async for finding in examine(config)}


async def code(config: ClientConfig) -> ExitCode:
    """Of the first check that failed."""
    found = await examined(config)
    return next(finding.code for finding in found.values() if finding.verdict is FAILED)


def everything(path: Path) -> dict[str, tuple[int, bytes]]:
    """Mode and content of each file."""
    return {entry.name: (entry.stat().st_mode, entry.read_bytes()) for entry in path.iterdir()}


async def test_a_profile_that_is_well_is_left_as_it_is(config: ClientConfig) -> None:
    before = everything(config.profile)
    found = await examined(config)
    assert list(found)[:7] == ["versions", "profile", "space", "permissions", "owner", "store", "outbox"]
    assert {finding.verdict for finding in list(found.values())[:7]} == {OK}
    assert found["connection"].code is ExitCode.RELAY  # nobody is there
    after = everything(config.profile)
    assert {name: after[name] for name in before} == before


class Disk:
    """What the system says of a disk."""

    f_frsize = 4096

    def __init__(self, pages: int, flags: int) -> None:
        self.f_bavail, self.f_flag = pages, flags


@pytest.mark.parametrize(("pages", "flags", "word"), [(3, 0, "12 KiB"), (9999, os.ST_RDONLY, "read-only")])
async def test_10_a_disk_that_takes_no_more(
    config: ClientConfig, monkeypatch: pytest.MonkeyPatch, pages: int, flags: int, word: str
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: Disk(pages, flags))
    found = (await examined(config))["space"]
    assert (found.verdict, found.code) == (FAILED, ExitCode.STORAGE)
    assert word in found.what


async def test_3_no_profile(tmp_path: Path) -> None:
    found = await examined(ClientConfig(tmp_path / "nobody"))
    assert list(found) == ["versions", "profile"]
    assert found["profile"].code is ExitCode.NOT_FOUND
    assert "blindpost init" in str(found["profile"].advice)
    assert list(tmp_path.iterdir()) == []


async def test_3_a_profile_that_was_never_finished(config: ClientConfig) -> None:
    (config.profile / "profile.json").write_text('{"version": 1, "unlock": "file"}')
    found = await examined(config)
    assert found["profile"].code is ExitCode.NOT_FOUND
    assert "never finished" in found["profile"].what


async def test_10_a_profile_without_its_store(config: ClientConfig) -> None:
    (config.profile / "store.db").unlink()
    assert (await examined(config))["profile"].code is ExitCode.STORAGE


async def test_7_a_key_file_that_is_gone_or_anothers(config: ClientConfig) -> None:
    (config.profile / "profile.key").write_text("00" * 32)
    found = await examined(config)
    assert found["store"].code is ExitCode.LOCKED
    assert list(found)[-1] == "store"
    (config.profile / "profile.key").unlink()
    assert (await examined(config))["store"].code is ExitCode.LOCKED


async def test_7_a_profile_that_is_locked(tmp_path: Path) -> None:
    locked = ClientConfig(tmp_path / "locked", "correct horse")
    Profile.create(locked, NOWHERE, 1).close()
    found = await examined(ClientConfig(locked.profile))
    assert found["store"].code is ExitCode.LOCKED
    assert "--passphrase-file" in found["store"].what
    assert (await examined(locked))["store"].verdict is OK


@pytest.mark.parametrize("at", [0, 3000, 4096, 20_000])
async def test_10_a_store_that_is_damaged(config: ClientConfig, at: int) -> None:
    store = config.profile / "store.db"
    data = bytearray(store.read_bytes())
    data[at + 200 : at + 300] = b"\0" * 100
    store.write_bytes(data)
    found = (await examined(config))["store"]
    # The first page cannot be told from one under another key.
    assert found.code is (ExitCode.STORAGE if at >= 4096 else ExitCode.LOCKED)
    assert "damaged" in found.what


async def test_10_a_store_of_a_newer_version(config: ClientConfig) -> None:
    profile = Profile.open(config)
    profile.store.db.pragma("user_version", 999)
    profile.close()
    assert "newer version" in (await examined(config))["store"].what


async def test_a_store_that_is_too_large_to_be_looked_through(
    config: ClientConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clients.doctor.profile_checks.STORE_WITHIN", -1.0)
    monkeypatch.setattr("clients.doctor.store_look.STEPS", 1)
    found = await examined(config)
    assert found["store"].verdict is WARNING
    assert "outbox" in found


# --- permissions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("directory", "key", "verdict"),
    [(0o700, 0o600, OK), (0o755, 0o644, FAILED), (0o755, 0o600, WARNING), (0o700, 0o644, WARNING)],
)  # fmt: skip
def test_who_can_read_the_profile(config: ClientConfig, directory: int, key: int, verdict: Verdict) -> None:
    (config.profile / "profile.key").chmod(key)
    config.profile.chmod(directory)
    found = check_permissions(config.profile)
    assert found.verdict is verdict
    assert verdict is OK or "chmod 700" in str(found.advice)
    assert found.code is (ExitCode.STORAGE if verdict is FAILED else ExitCode.OK)


def test_the_advice_about_permissions_can_be_followed(config: ClientConfig) -> None:
    (config.profile / "profile.key").chmod(0o644)
    config.profile.chmod(0o755)
    advice = str(check_permissions(config.profile).advice)
    assert os.system(advice.removeprefix("run: ")) == 0  # noqa: S605 what it tells people to type
    assert check_permissions(config.profile).verdict is OK


def test_a_profile_that_cannot_be_written(config: ClientConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != config.profile)
    found = check_permissions(config.profile)
    assert (found.code, found.advice) == (ExitCode.STORAGE, f"run: chmod 700 {config.profile}")


# --- beside its owner -------------------------------------------------------------------------------


@asynccontextmanager
async def answering(path: Path, me: dict[str, object] | bytes) -> AsyncIterator[None]:
    """A socket of the profile that answers every line with `me`."""
    talks: list[asyncio.Task[None] | None] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.append(asyncio.current_task())
        writer.write(b'{"blindpost": "0", "protocol": 1}\n')
        with contextlib.suppress(ConnectionError):
            while await reader.readline():
                said = me if isinstance(me, bytes) else json.dumps({"ref": 1, "result": me}).encode()
                writer.write(said + b"\n")
        writer.close()

    server = await asyncio.start_unix_server(answer, path / "socket")
    async with server:
        yield
    await asyncio.gather(*(talk for talk in talks if talk is not None))


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory whose path a socket's name has room for."""
    path = Path(f"/tmp/blindpost-doctor-{os.getpid()}")  # noqa: S108 short, and of a name of its own
    path.mkdir(mode=0o700)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def owned(short: Path) -> Iterator[ClientConfig]:
    """A profile that somebody else has open; its relay is known by a key."""
    config = ClientConfig(short / "alice")
    profile = Profile.create(config, NOWHERE, 1)
    yield config
    profile.close()


@pytest.mark.parametrize(
    ("me", "verdict"),
    [({"connected": True, "problems": []}, OK), ({"connected": False, "problems": []}, WARNING),
     ({"connected": False, "problems": ["No.", "Never."]}, FAILED)],
)  # fmt: skip
async def test_an_owner_is_asked_and_left_alone(
    owned: ClientConfig, me: dict[str, object], verdict: Verdict
) -> None:
    async with answering(owned.profile, {"relay": "127.0.0.1:1", **me}):
        found = await examined(owned)
    assert found["owner"].verdict is found["store"].verdict is OK
    assert found["login"].verdict is verdict
    assert verdict is not FAILED or found["login"].what == "No. Never."


@pytest.mark.parametrize("said", [b"", b"[]", b"{}", b'{"result": {}}', b'{"result": {"problems": 3}}'])
async def test_an_owner_that_talks_nonsense_is_no_owner(owned: ClientConfig, said: bytes) -> None:
    async with answering(owned.profile, said):
        assert await ask_owner(owned.profile) is None


async def test_an_owner_without_a_socket(owned: ClientConfig) -> None:
    found = await examined(owned)
    assert found["owner"].verdict is WARNING
    assert found["store"].verdict is OK


async def test_a_profile_in_use_is_not_logged_in_with(short: Path) -> None:
    # The relay knows no login: with one, there would be a finding about it.
    async with pretended() as port:
        config = ClientConfig(short / "bob")
        Profile.create(config, RelayUrl.parse(f"ws://127.0.0.1:{port}"), 1).close()
        free = await examined(config)
        with (config.profile / "lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            in_use = await examined(config)
    assert free["login"].verdict is FAILED
    assert "login" not in in_use
    assert KEY  # the pretended relay's


async def test_a_locked_profile_is_no_trouble_while_its_owner_answers(short: Path) -> None:
    locked = ClientConfig(short / "locked", "correct horse")
    profile = Profile.create(locked, NOWHERE, 1)
    me: dict[str, object] = {"relay": "127.0.0.1:1", "connected": True, "problems": []}
    async with answering(locked.profile, me):
        found = await examined(ClientConfig(locked.profile))
    profile.close()
    assert found["store"].verdict is OK
    assert "connection" in found
