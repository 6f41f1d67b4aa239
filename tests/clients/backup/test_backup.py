"""Backups of real stores: what is in one, what is never in one, and what comes back of it."""

import asyncio
import base64
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clients.backup import making, snapshot
from clients.backup.making import back_up
from clients.backup.passphrases import check_passphrase
from clients.backup.records import LINE_MAX, MessageRecord, Record, decode_record
from clients.backup.restoring import restore
from clients.backup.sealed_files import opened, write_sealed
from clients.config import ClientConfig
from clients.errors import ClientError, LockedError, StorageError, UsageError
from clients.model import ContactStatus, Message, MessageStatus, Sharing
from clients.store.store import Store
from keys.backups import CHUNK, HEAD, BackupLock, Parameters
from keys.content import Kind
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


# --- what is in it ------------------------------------------------------------------------------------


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


def holds(content: bytes, secret: bytes) -> bool:
    """Whether the bytes are there: as they are, in hex, or in base64 at any of its three offsets."""
    found = [secret, secret.hex().encode()]
    for offset in range(3):
        encoded = base64.urlsafe_b64encode(bytes(offset) + secret).rstrip(b"=")
        found.append(encoded[4 if offset else 0 : -2])
    return any(form in content for form in found)


async def test_a_backup_is_for_its_owner_alone_and_says_nothing_without_its_passphrase(
    homes: tuple[Home, Home], file: Path
) -> None:
    alice, _ = homes
    await back_up(alice.config, file, PASSPHRASE, silent)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    content = file.read_bytes()
    for word in (b"hello", b"bob", b"profile", alice.profile.account.seed):
        assert word not in content
    assert list(file.parent.glob(f".{file.name}*")) == []


async def test_everything_comes_back(homes: tuple[Home, Home], tmp_path: Path, file: Path) -> None:
    alice, bob = homes
    room = alice.mailroom
    contact = alice.contact(bob)
    room.contacts.set_verified(contact.id, is_verified=True)
    room.contacts.set_sharing(contact.id, Sharing(False, None, True))
    with alice.profile.store.transaction():
        room.contacts.learn_card(contact.id, "Bob of Bath", b"t" * 16, b"p" * 32)
    room.cards.set_display_name("Alice", 1)
    room.cards.set_sharing(Sharing(typing=False))
    line = room.cards.address_token(1)
    for number in range(30):
        bob.say(alice, f"from bob {number}")
    for put in bob.send(alice):
        alice.take_in(put)
    alice.texts()
    room.post(alice.contact(bob), Kind.DATA, b"\0\xff", "job-7")
    stranger = Home(tmp_path, "mallory")
    stranger.meet(alice)
    stranger.say(alice, "buy this")
    alice.take_in(*stranger.send(alice))
    blocked = room.contacts.by_account(stranger.profile.account.key)
    assert blocked is not None
    room.contacts.block(blocked)
    await back_up(alice.config, file, PASSPHRASE, silent)
    again = restored(tmp_path, file)
    new = again.mailroom
    assert again.profile.account.key == alice.profile.account.key
    assert again.profile.device.key != alice.profile.device.key
    assert again.profile.stream != alice.profile.stream
    assert again.profile.relay == alice.profile.relay
    assert not again.profile.is_enrolled
    before, after = room.contacts.all(), new.contacts.all()
    assert [row.shown() for row in after] == [row.shown() for row in before]
    assert [(row.token, row.presence, row.devices) for row in after] == [
        (row.token, row.presence, row.devices) for row in before
    ]
    assert {row.status for row in after} == {ContactStatus.APPROVED, ContactStatus.BLOCKED}
    assert (new.cards.display_name, new.cards.sharing()) == ("Alice", Sharing(True, False, True))
    assert new.cards.address_token(1) == line
    assert new.history.by_key(again.contact(bob).id, "job-7") is not None
    assert [text for text in texts(again, bob) if text] == [text for text in texts(alice, bob) if text]
    found = new.history.conversation(again.contact(bob).id, 50, search="from bob 2")
    assert len(found) == 12
    again.close()
    stranger.close()


def texts(home: Home, other: Home) -> list[str]:
    return [message.text for message in conversation(home, other)]


def conversation(home: Home, other: Home) -> list[Message]:
    return home.mailroom.history.conversation(home.contact(other).id, 1000)


async def test_what_was_not_receipted_is_sent_again_under_its_id(
    homes: tuple[Home, Home], tmp_path: Path, file: Path
) -> None:
    alice, bob = homes
    receipted = alice.say(bob, "receipted")
    bob.take_in(*alice.send(bob))
    bob.mailroom.notes.write_owed()
    alice.take_in(*bob.send(alice))
    accepted = alice.say(bob, "accepted")
    alice.send(bob)
    queued = alice.say(bob, "queued")
    await back_up(alice.config, file, PASSPHRASE, silent)
    again = restored(tmp_path, file)
    history = again.mailroom.history
    assert history.status(receipted) is MessageStatus.DELIVERED
    assert history.status(accepted) is history.status(queued) is MessageStatus.QUEUED
    waiting = history.unsealed(again.contact(bob).id, 10)
    assert [message.message_id for message in waiting] == [accepted, queued]
    again.close()


async def test_what_nobody_has_seen_yet_is_unread_afterwards_and_can_be_read(
    homes: tuple[Home, Home], tmp_path: Path, file: Path
) -> None:
    alice, bob = homes
    bob.say(alice, "unread")
    alice.take_in(*bob.send(alice))
    await back_up(alice.config, file, PASSPHRASE, silent)
    again = restored(tmp_path, file)
    assert again.contact(bob).unread == alice.contact(bob).unread == 1
    with again.profile.store.transaction():
        again.mailroom.history.mark_seen(again.contact(bob).id, take=False, owe=True)
    assert again.contact(bob).unread == 0
    # Whoever sent it counts for a device that is gone: there is nothing to tell.
    assert again.mailroom.outbox.reads_owed() == []
    assert again.texts() == ["unread"]
    again.close()


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


async def test_contacts_seal_for_the_new_device_and_hear_the_old_one_no_more(
    homes: tuple[Home, Home], tmp_path: Path, file: Path
) -> None:
    alice, bob = homes
    await back_up(alice.config, file, PASSPHRASE, silent)
    lost = [bob.say(alice, text) for text in ("lost", "with the mailbox")]
    assert len(bob.send(alice)) >= 2
    again = restored(tmp_path, file)
    account, device = again.profile.account, again.profile.device
    again.profile.keep_list(
        account.sign_device_list((device.entry(account.key),), 1, again.profile.device_list)
    )
    assert again.mailroom.contacts_waiting() == [again.contact(bob).id]  # he is to be told
    again.say(bob, "from my new machine")
    again.mailroom.learn_bundle(again.contact(bob), bob.bundle())
    again.mailroom.seal_waiting(again.contact(bob).id)
    for put in again.send(bob):
        bob.take_in(put)
    assert bob.texts() == ["from my new machine"]
    assert bob.contact(alice).alarm is None
    assert bob.mailroom.write_owed()  # wakes his senders
    bob.mailroom.seal_waiting(bob.contact(alice).id)
    sent = bob.send(alice)
    assert {put.mailbox for put in sent} == {again.mailbox}
    for put in sent:
        again.take_in(put)
    found = conversation(again, bob)
    assert [message.id for message in found if not message.outgoing][-2:] == lost
    assert not any(message.late or message.missing_before for message in found)
    alice.say(bob, "I am the old one")
    for put in alice.send(bob):
        bob.take_in(put)
    assert bob.texts() == []
    again.close()


# --- what harms nothing -------------------------------------------------------------------------------


async def test_a_wrong_passphrase_or_a_damaged_backup_changes_nothing(
    homes: tuple[Home, Home], tmp_path: Path, file: Path
) -> None:
    alice, bob = homes
    for number in range(3):
        alice.say(bob, f"{number}" * 60_000)
    await back_up(alice.config, file, PASSPHRASE, silent)
    good = file.read_bytes()
    assert len(good) > 3 * CHUNK
    config = ClientConfig(tmp_path / "again")
    with pytest.raises(LockedError, match="does not open"):
        restore(config, file, PASSPHRASE + "!", None, nobody)
    second = HEAD + CHUNK + 16
    damaged = {
        "cut": good[:-1],
        "cut between chunks": good[:second],
        "cut to its head": good[:HEAD],
        "longer": good + b"x",
        "a bit of the last chunk": good[:-20] + bytes([good[-20] ^ 1]) + good[-19:],
        "another order": good[:HEAD] + good[second : second + CHUNK + 16] + good[HEAD:second]
        + good[second + CHUNK + 16 :],
    }  # fmt: skip
    for name, content in damaged.items():
        file.write_bytes(content)
        with pytest.raises(StorageError, match="damaged"):
            restore(config, file, PASSPHRASE, None, nobody)
        assert not config.profile.exists(), name
    for other in (b"", b"no backup at all", good[1:]):
        file.write_bytes(other)
        with pytest.raises(UsageError, match="no backup"):
            restore(config, file, PASSPHRASE, None, nobody)
    assert not config.profile.exists()
    file.write_bytes(good)
    assert restore(config, file, PASSPHRASE, None, nobody)


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines[:-1],
        lambda lines: lines[1:],
        lambda lines: [*lines, lines[-1]],
        lambda lines: [*lines, lines[0]],
        lambda lines: [lines[0], *lines[2:]],
        lambda lines: [*lines[:-1], b'{"record":"sessions"}'],
        lambda lines: [*lines[:-1], lines[-1][:-1] + b',"sessions":"AAAA"}'],
        lambda lines: [*lines[:-1], b""],
        lambda lines: [],
    ],
)
async def test_a_backup_that_was_sealed_wrongly_changes_nothing(
    change: Callable[[list[bytes]], list[bytes]], homes: tuple[Home, Home], tmp_path: Path, file: Path
) -> None:
    """Whoever knows the passphrase can seal anything: it is judged all the same."""
    alice, _ = homes
    await back_up(alice.config, file, PASSPHRASE, silent)
    lines = [line + b"\n" for line in change(lines_of(file))] or [b"\n"]
    write_sealed(file, lock(), lines)
    config = ClientConfig(tmp_path / "again")
    with pytest.raises(StorageError, match="damaged"):
        restore(config, file, PASSPHRASE, None, nobody)
    assert not config.profile.exists()


async def test_there_is_no_restore_over_another_profile(
    homes: tuple[Home, Home], tmp_path: Path, file: Path
) -> None:
    alice, bob = homes
    await back_up(alice.config, file, PASSPHRASE, silent)
    alice.close()
    bob.close()
    before = {path.name: path.read_bytes() for path in bob.config.profile.iterdir()}
    for home in (alice, bob):
        with pytest.raises(UsageError, match="profile already"):
            restore(home.config, file, PASSPHRASE, None, nobody)
    assert {path.name: path.read_bytes() for path in bob.config.profile.iterdir()}.items() >= {
        name: content for name, content in before.items() if name.startswith("profile")
    }.items()
    alice.open()
    bob.open()


async def test_an_interrupted_restore_is_gone_on_with(
    homes: tuple[Home, Home], tmp_path: Path, file: Path
) -> None:
    alice, _ = homes
    await back_up(alice.config, file, PASSPHRASE, silent)
    config = ClientConfig(tmp_path / "again")
    assert restore(config, file, PASSPHRASE, None, nobody)
    device = Home(tmp_path, "again")
    key = device.mailbox
    device.close()
    assert not restore(config, file, PASSPHRASE, None, nobody)
    again = Home(tmp_path, "again")
    assert again.mailbox == key
    again.close()


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


def test_a_backup_keeps_little_in_memory(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks and lines of any number; one of each at a time."""
    sizes: list[int] = []
    genuine = BackupLock.open_chunk

    def noted(self: BackupLock, number: int, sealed: bytes, *, is_last: bool) -> bytes:
        sizes.append(len(sealed))
        return genuine(self, number, sealed, is_last=is_last)

    write_sealed(file, lock(), (b"x" * 99_999 + b"\n" for _ in range(100)))
    monkeypatch.setattr(BackupLock, "open_chunk", noted)
    with opened(file, SECRET) as lines:
        for number, line in enumerate(lines, start=1):
            assert len(line) == 99_999
            assert sum(sizes) <= number * 100_000 + 2 * (CHUNK + 16)
    assert number == 100
    write_sealed(file, lock(), iter([b"x" * (LINE_MAX + 2 * CHUNK)]))
    with opened(file, SECRET) as lines, pytest.raises(StorageError):
        next(lines)


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


def test_records_quote_nothing_when_they_are_refused() -> None:
    with pytest.raises(ValueError, match="no record") as refused:
        decode_record(b'{"record":"message","body":"secret words"}')
    assert "secret" not in str(refused.value)
    assert not isinstance(refused.value, ClientError)
