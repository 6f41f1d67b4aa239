"""Backups of real stores: what is in one, what is never in one, and how one is made."""

import asyncio
import base64
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clients.backup import making, snapshot
from clients.backup.making import back_up
from clients.backup.passphrases import check_passphrase
from clients.backup.records import MessageRecord, Record
from clients.errors import StorageError, UsageError
from clients.store.store import Store
from tests.clients.backup.conftest import PASSPHRASE
from tests.clients.backup.restored import conversation, lines_of, silent
from tests.support.homes import Home


def holds(content: bytes, secret: bytes) -> bool:
    """Whether the bytes are there: as they are, in hex, or in base64 at any of its three offsets."""
    found = [secret, secret.hex().encode()]
    for offset in range(3):
        encoded = base64.urlsafe_b64encode(bytes(offset) + secret).rstrip(b"=")
        found.append(encoded[4 if offset else 0 : -2])
    return any(form in content for form in found)


async def test_a_backup_holds_nothing_that_belongs_to_the_device(
    homes: tuple[Home, Home], file: Path
) -> None:
    alice, bob = homes
    alice.say(bob, "on its way")
    await back_up(alice.config, file, PASSPHRASE, silent)
    store, device = alice.profile.store, alice.profile.device
    secrets = {
        "device seed": device.seed,
        "identity key": device.identity_private,
        "stream": alice.profile.stream,
        "device record": device.to_record(),
    }
    rows: list[tuple[Any, ...]] = store.db.execute("SELECT kind, id, private FROM prekeys").fetchall()
    secrets |= {f"prekey {kind} {id}": bytes(private) for kind, id, private in rows}
    rows = list(store.db.execute("SELECT contact, sessions FROM devices WHERE sessions IS NOT NULL"))
    secrets |= {f"sessions {contact}": bytes(record)[8:40] for contact, record in rows}
    rows = list(store.db.execute("SELECT id, envelope FROM outbox"))
    secrets |= {f"envelope {id}": bytes(envelope)[:48] for id, envelope in rows}
    assert {name.split()[0] for name in secrets} == {
        "device", "identity", "stream", "prekey", "sessions", "envelope",
    }  # fmt: skip
    content = b"\n".join(lines_of(file))
    assert holds(content, alice.profile.account.seed)  # the control: this one belongs there
    assert [name for name, secret in secrets.items() if holds(content, secret)] == []


async def test_a_backup_is_for_its_owner_alone_and_says_nothing_without_its_passphrase(
    homes: tuple[Home, Home], file: Path
) -> None:
    alice, bob = homes
    name, text = "Bob of the long bridge", "a text that no cipher comes up with"
    alice.mailroom.contacts.rename(alice.contact(bob).id, name)
    alice.say(bob, text)
    await back_up(alice.config, file, PASSPHRASE, silent)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    content, plain = file.read_bytes(), b"\n".join(lines_of(file))
    # None so short that it is found among 2,000 random bytes by chance, as a name of three letters was.
    for word in (name.encode(), text.encode(), b'"record":"profile"', alice.profile.account.seed):
        assert holds(plain, word)
        assert not holds(content, word)
    assert list(file.parent.glob(f".{file.name}*")) == []


async def test_a_backup_is_one_moment_of_a_store_in_use(
    homes: tuple[Home, Home], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is read, what is written belongs to the next backup; and writing does not wait for it."""
    alice, bob = homes
    for number in range(200):
        alice.say(bob, f"before {number}")
    genuine = snapshot.records

    def slowly(store: Store, now: int) -> Iterator[Record]:
        for record in genuine(store, now):
            if isinstance(record, MessageRecord) and record.body == b"before 100":
                for number in range(50):
                    alice.say(bob, f"during {number}")
                alice.mailroom.contacts.rename(alice.contact(bob).id, "robert")
            yield record

    async def in_this_thread(work: Callable[[], None]) -> None:
        work()

    monkeypatch.setattr(making, "records", slowly)
    monkeypatch.setattr(asyncio, "to_thread", in_this_thread)
    count = await back_up(alice.config, file, PASSPHRASE, silent)
    content = b"\n".join(lines_of(file))
    assert count == 202
    assert b'"name":"bob"' in content
    assert b"robert" not in content
    assert len(conversation(alice, bob)) == 252


async def test_a_backup_that_nobody_wants_any_more_leaves_nothing(
    homes: tuple[Home, Home], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = homes
    alice.say(bob, "hi")
    loop, begun = asyncio.get_running_loop(), asyncio.Event()
    genuine = snapshot.records

    def endless(store: Store, now: int) -> Iterator[Record]:
        loop.call_soon_threadsafe(begun.set)
        for record in genuine(store, now):
            while isinstance(record, MessageRecord):
                yield record
            yield record

    monkeypatch.setattr(making, "records", endless)
    task = asyncio.create_task(back_up(alice.config, file, PASSPHRASE, silent))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [path.name for path in file.parent.iterdir() if "backup" in path.name] == []


async def test_a_backup_takes_the_place_of_a_backup_alone(homes: tuple[Home, Home], file: Path) -> None:
    alice, _ = homes
    await back_up(alice.config, file, PASSPHRASE, silent)
    first = file.read_bytes()
    await back_up(alice.config, file, PASSPHRASE, silent)
    assert file.read_bytes() != first
    file.write_bytes(b"my thesis")
    with pytest.raises(UsageError, match="no backup"):
        await back_up(alice.config, file, PASSPHRASE, silent)
    assert file.read_bytes() == b"my thesis"
    with pytest.raises(StorageError, match="cannot be written"):
        await back_up(alice.config, file.parent / "nowhere" / "x", PASSPHRASE, silent)


@pytest.mark.parametrize(
    "weak",
    ["", "hello", "           ", "aaaaaaaaaaaaaaaa", "123456789012345", "abababababababab", "  short12   "],
)
def test_a_weak_passphrase_is_refused_with_a_sentence(weak: str) -> None:
    with pytest.raises(UsageError, match="12 characters"):
        check_passphrase(weak)


def test_a_passphrase_is_the_same_however_its_letters_are_composed(file: Path) -> None:
    from clients.backup.passphrases import passphrase_bytes

    check_passphrase("größere Brücke")
    assert passphrase_bytes("gro\u0308\u00dfere Bru\u0308cke") == passphrase_bytes("größere Brücke")
