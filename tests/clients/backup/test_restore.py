"""What comes back of a backup, what is sent again, and what the contacts of the restored profile do."""

from pathlib import Path

import pytest

from clients.backup.making import back_up
from clients.backup.restoring import restore
from clients.config import ClientConfig
from clients.errors import UsageError
from clients.model import ContactStatus, MessageStatus, Sharing
from keys.content import Kind
from tests.clients.backup.conftest import PASSPHRASE
from tests.clients.backup.restored import conversation, nobody, restored, silent
from tests.support.homes import Home


def texts(home: Home, other: Home) -> list[str]:
    return [message.text for message in conversation(home, other)]


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
    room.cards.set_longest_delay(0.25)
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
    assert new.cards.longest_delay() == 0.25
    assert new.cards.address_token(1) == line
    assert new.history.by_key(again.contact(bob).id, "job-7") is not None
    assert [text for text in texts(again, bob) if text] == [text for text in texts(alice, bob) if text]
    found = new.history.conversation(again.contact(bob).id, 50, search="from bob 2")
    assert len(found) == 12
    again.close()
    stranger.close()


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
