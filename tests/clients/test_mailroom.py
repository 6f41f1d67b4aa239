"""The mailroom on real stores: what is committed together, what survives a crash, what harms nobody."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.clock import now_ms, now_seconds
from clients.errors import OutboxFullError, StorageError, TooLargeError, TrustError, UsageError
from clients.model import ContactStatus, MessageStatus
from clients.store import outbox as outbox_module
from clients.store.history import HOLD_MS
from keys.content import Kind
from keys.errors import VerificationError
from keys.identities import Device
from tests.support.homes import Home, converse
from wire.device_lists import DeviceList
from wire.frames import Put
from wire.limits import TEXT_MAX
from wire.prekeys import PrekeyKind


@pytest.fixture
def homes(tmp_path: Path) -> Iterator[tuple[Home, Home]]:
    one, other = Home(tmp_path, "alice"), Home(tmp_path, "bob")
    yield one, other
    one.close()
    other.close()


@pytest.fixture
def talking(homes: tuple[Home, Home]) -> tuple[Home, Home]:
    converse(*homes)
    return homes


def garbage(mailbox: bytes, size: int = 1024) -> Put:
    return Put(b"g" * 16, mailbox, b"\x01" + bytes(size - 1))


def successor(home: Home) -> DeviceList:
    """The home's next device list, with a phone in it."""
    account, before = home.profile.account, home.profile.device_list
    phone = Device.generate(lambda size: b"p" * size, now_seconds())
    return account.sign_device_list((*before.devices, phone.entry(account.key)), now_seconds(), before)


# --- out --------------------------------------------------------------------------------------------


def test_a_message_waits_in_the_store_until_there_is_a_session(homes: tuple[Home, Home]) -> None:
    alice, bob = homes
    alice.add(bob)
    ids = [alice.say(bob, f"text {number}") for number in range(3)]
    assert alice.waiting(bob) == []
    assert alice.mailroom.history.status(ids[0]) is MessageStatus.QUEUED
    alice.reopen()
    alice.mailroom.learn_bundle(alice.contact(bob), bob.bundle())
    assert alice.mailroom.seal_waiting(alice.contact(bob).id) == 3
    bob.take_in(*alice.send(bob))
    bob.add(alice)
    assert bob.texts() == ["text 0", "text 1", "text 2"]


def test_what_waits_is_the_same_bytes_after_a_crash(talking: tuple[Home, Home]) -> None:
    alice, bob = talking
    for number in range(3):
        alice.say(bob, f"text {number}")
    before = alice.waiting(bob)
    assert len(before) == 3
    alice.reopen()
    alice.mailroom.seal_waiting(alice.contact(bob).id)
    assert alice.waiting(bob) == before
    assert [put.encode() for put in alice.waiting(bob)] == [put.encode() for put in before]


def test_a_message_of_two_frames_is_accepted_with_its_second(homes: tuple[Home, Home]) -> None:
    alice, bob = homes
    alice.meet(bob)
    message = alice.say(bob, "x" * TEXT_MAX)
    _, opening, text = alice.waiting(bob)
    alice.mailroom.frame_accepted([text.frame_id])
    assert alice.mailroom.history.status(message) is MessageStatus.QUEUED
    alice.mailroom.frame_accepted([opening.frame_id])
    assert alice.mailroom.history.status(message) is MessageStatus.ACCEPTED


def test_too_large_is_refused_and_nothing_is_queued(talking: tuple[Home, Home]) -> None:
    alice, bob = talking
    alice.say(bob, "x" * TEXT_MAX)
    before = alice.waiting(bob)
    with pytest.raises(TooLargeError, match="65,000 bytes"):
        alice.say(bob, "x" * (TEXT_MAX + 1))
    assert alice.waiting(bob) == before


def test_a_full_outbox_refuses_the_next_and_keeps_the_others(
    talking: tuple[Home, Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = talking
    monkeypatch.setattr(outbox_module, "MESSAGES_MAX", 2)
    alice.send(bob)
    for number in range(2):
        alice.say(bob, f"text {number}")
    with pytest.raises(OutboxFullError, match="blindpost listen"):
        alice.say(bob, "one too many")
    bob.take_in(*alice.send(bob))
    assert bob.texts() == ["text 0", "text 1"]
    alice.say(bob, "room again")


def test_a_full_disk_queues_nothing_and_spends_no_key(talking: tuple[Home, Home]) -> None:
    alice, bob = talking
    db = alice.profile.store.db
    db.pragma("max_page_count", db.pragma("page_count"))

    def fill() -> None:
        for _ in range(1000):
            alice.say(bob, "x" * 60_000)

    with pytest.raises(StorageError, match="disk is full"):
        fill()
    db.pragma("max_page_count", 2**30)
    said = len(alice.mailroom.history.conversation(alice.contact(bob).id, 1000)) - 2
    alice.say(bob, "after")
    bob.take_in(*alice.send(bob))
    texts = bob.texts()
    assert len(texts) == said + 1
    assert texts[-1] == "after"


def test_a_request_is_answered_only_after_it_was_accepted(homes: tuple[Home, Home]) -> None:
    alice, bob = homes
    alice.meet(bob)
    alice.say(bob, "hello")
    bob.take_in(*alice.send(bob))
    with pytest.raises(UsageError, match="contact accept request-"):
        bob.say(alice, "who are you?")
    bob.add(alice)
    bob.say(alice, "ah")


# --- in ---------------------------------------------------------------------------------------------


def test_one_garbage_frame_keeps_the_others_of_its_batch(talking: tuple[Home, Home]) -> None:
    alice, bob = talking
    alice.say(bob, "before")
    alice.say(bob, "after")
    before, after = alice.send(bob)
    bob.take_in(before, garbage(bob.mailbox), garbage(bob.mailbox, 65_536), after)
    assert bob.texts() == ["before", "after"]
    assert bob.mailroom.undecryptable == 2


def test_a_replayed_envelope_is_counted_and_shown_once(talking: tuple[Home, Home]) -> None:
    alice, bob = talking
    alice.say(bob, "once")
    (put,) = alice.send(bob)
    bob.take_in(put, put)
    bob.reopen()
    bob.take_in(Put(b"another frame id", put.mailbox, put.envelope))
    assert bob.texts() == ["once"]
    assert (bob.mailroom.replayed, bob.mailroom.undecryptable) == (1, 0)


def test_a_replay_after_its_hash_was_forgotten_is_shown_once_all_the_same(
    talking: tuple[Home, Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = talking
    alice.say(bob, "once")
    (put,) = alice.send(bob)
    bob.take_in(put)
    began = now_seconds()
    for day in range(0, 101, 5):
        later = began + day * 86_400
        monkeypatch.setattr("clients.clock.now_seconds", lambda later=later: later)
        bob.stock.rotate(later)
        bob.mailroom.tidy()
        bob.take_in(put)
    assert bob.texts() == ["once"]
    # Once its hash is forgotten, the sealing key is gone too: it is nobody's, and causes nothing.
    assert bob.profile.store.db.execute("SELECT count(*) FROM consumed").get == 0
    assert bob.mailroom.undecryptable > 0
    assert bob.mailroom.repair.lines() == []


def test_a_transaction_that_fails_takes_in_nothing_and_all_can_come_again(talking: tuple[Home, Home]) -> None:
    alice, bob = talking
    for number in range(5):
        alice.say(bob, str(number) + "x" * 60_000)
    frames = bob.deliver(alice.send(bob))
    db = bob.profile.store.db
    db.pragma("max_page_count", db.pragma("page_count"))
    with pytest.raises(StorageError, match="disk is full"):
        bob.mailroom.take_in(frames)
    db.pragma("max_page_count", 2**30)
    assert bob.texts() == []
    bob.reopen()
    while frames:
        del frames[: bob.mailroom.take_in(frames)]
    assert [text[0] for text in bob.texts()] == list("01234")


def test_a_kill_between_commit_and_acknowledgement_delivers_once(talking: tuple[Home, Home]) -> None:
    alice, bob = talking
    alice.say(bob, "once")
    frames = bob.deliver(alice.send(bob))
    bob.mailroom.take_in(frames)
    bob.reopen()
    bob.mailroom.take_in(frames)
    assert bob.texts() == ["once"]


def test_a_lost_frame_shows_as_a_gap_after_thirty_seconds(talking: tuple[Home, Home]) -> None:
    alice, bob = talking
    for number in range(3):
        alice.say(bob, f"text {number}")
    first, _, third = alice.send(bob)
    bob.take_in(first, third)
    assert bob.texts() == ["text 0"]
    (message,) = bob.heard(at_ms=now_ms() + HOLD_MS)
    assert (message.text, message.missing_before) == ("text 2", 1)


def test_a_stranger_is_a_request_and_nothing_goes_back_by_itself(homes: tuple[Home, Home]) -> None:
    alice, bob = homes
    alice.meet(bob)
    alice.say(bob, "hello")
    bob.take_in(*alice.send(bob))
    assert bob.contact(alice).status is ContactStatus.REQUEST
    assert bob.texts() == []
    assert not bob.mailroom.notes.write_receipts()
    assert bob.waiting(alice) == []


def test_an_accepted_request_shows_what_it_sent_before_and_is_receipted(homes: tuple[Home, Home]) -> None:
    alice, bob = homes
    alice.meet(bob)
    message = alice.say(bob, "hello")
    bob.take_in(*alice.send(bob))
    bob.add(alice)
    assert bob.texts() == ["hello"]
    assert bob.mailroom.notes.write_receipts()
    alice.take_in(*bob.send(alice))
    assert alice.mailroom.history.status(message) is MessageStatus.DELIVERED


def test_a_receipt_says_delivered_and_is_not_receipted_itself(talking: tuple[Home, Home]) -> None:
    alice, bob = talking
    message = alice.say(bob, "hi")
    bob.take_in(*alice.send(bob))
    assert alice.mailroom.history.status(message) is MessageStatus.ACCEPTED
    assert bob.mailroom.notes.write_receipts()
    assert not bob.mailroom.notes.write_receipts()
    alice.take_in(*bob.send(alice))
    assert alice.mailroom.history.status(message) is MessageStatus.DELIVERED
    while alice.mailroom.notes.write_receipts():
        alice.send(bob)
    assert not bob.mailroom.notes.write_receipts()


def test_a_receipt_of_a_contact_removed_and_added_again_counts_for_nothing_new(
    talking: tuple[Home, Home],
) -> None:
    alice, bob = talking
    for number in range(3):
        alice.say(bob, f"old {number}")
    bob.take_in(*alice.send(bob))
    bob.mailroom.notes.write_receipts()
    receipt = bob.send(alice)
    alice.mailroom.contacts.remove(alice.contact(bob))
    alice.meet(bob)
    new = alice.say(bob, "new")
    alice.take_in(*receipt)
    assert alice.mailroom.history.status(new) is MessageStatus.QUEUED
    bob.take_in(*alice.send(bob))
    heard = bob.heard()
    assert [message.text for message in heard] == ["old 0", "old 1", "old 2", "new"]
    assert not any(message.late or message.missing_before for message in heard)


def test_two_strangers_whose_accounts_begin_alike_are_both_heard(homes: tuple[Home, Home]) -> None:
    alice, bob = homes
    with bob.profile.store.transaction() as db:
        db.execute(
            "INSERT INTO contacts (name, account_key, relay, status) VALUES (?, ?, '', 'request')",
            (f"request-{alice.profile.account.key.hex()[:12]}", b"t" * 32),
        )
    alice.meet(bob)
    alice.say(bob, "hello")
    bob.take_in(*alice.send(bob))
    assert bob.contact(alice).status is ContactStatus.REQUEST
    bob.add(alice)
    assert bob.texts() == ["hello"]


def test_both_sending_first_at_once_hear_each_other(homes: tuple[Home, Home]) -> None:
    alice, bob = homes
    alice.meet(bob)
    bob.meet(alice)
    alice.say(bob, "from alice")
    bob.say(alice, "from bob")
    to_bob, to_alice = alice.send(bob), bob.send(alice)
    bob.take_in(*to_bob)
    alice.take_in(*to_alice)
    assert (bob.texts(), alice.texts()) == (["from alice"], ["from bob"])
    for number in range(3):
        alice.say(bob, f"a{number}")
        bob.say(alice, f"b{number}")
        to_bob, to_alice = alice.send(bob), bob.send(alice)
        bob.take_in(*to_bob)
        alice.take_in(*to_alice)
    assert (bob.texts(), alice.texts()) == (["a0", "a1", "a2"], ["b0", "b1", "b2"])
    assert alice.mailroom.undecryptable == bob.mailroom.undecryptable == 0


def test_one_time_keys_are_gone_from_the_store_once_they_opened_a_session(homes: tuple[Home, Home]) -> None:
    alice, bob = homes
    count = "SELECT count(*) FROM prekeys WHERE kind IN (3, 5)"
    alice.meet(bob)
    before = bob.profile.store.db.execute(count).get
    alice.say(bob, "hello")
    bob.take_in(*alice.send(bob))
    assert bob.profile.store.db.execute(count).get == before - 2
    assert bob.mailroom.state.private_prekey(PrekeyKind.ONE_TIME, 1) is None
    assert bob.mailroom.state.private_prekey(PrekeyKind.ONE_TIME_KEM, 1) is None


# --- trust ------------------------------------------------------------------------------------------


def test_a_fork_of_the_device_list_raises_the_alarm_and_blocks(talking: tuple[Home, Home]) -> None:
    alice, bob = talking
    account = bob.profile.account
    fork = account.sign_device_list(bob.profile.device_list.devices, now_seconds() + 5)
    bob.profile.device_list = fork
    bob.say(alice, "from a split view")
    alice.take_in(*bob.send(alice))
    alarm = alice.contact(bob).alarm
    assert alarm is not None
    assert alice.texts() == ["from a split view"]
    with pytest.raises(TrustError, match="Nothing was sent"):
        alice.say(bob, "hi")
    assert not alice.mailroom.notes.write_receipts()


def test_what_was_queued_before_an_alarm_is_not_encrypted_after_it(homes: tuple[Home, Home]) -> None:
    alice, bob = homes
    alice.add(bob)
    alice.say(bob, "queued")
    alice.mailroom.learn_bundle(alice.contact(bob), bob.bundle())
    alice.mailroom.contacts.raise_alarm(bob.profile.account.key, "who is this")
    assert alice.mailroom.seal_waiting(alice.contact(bob).id) == 0
    assert alice.waiting(bob) == []


def test_a_bundle_with_another_account_is_refused(homes: tuple[Home, Home], tmp_path: Path) -> None:
    alice, bob = homes
    mallory = Home(tmp_path, "mallory")
    alice.add(bob)
    with pytest.raises(VerificationError, match="another account"):
        alice.mailroom.learn_bundle(alice.contact(bob), mallory.bundle())
    assert alice.contact(bob).devices is None
    mallory.close()


def test_a_bundle_with_a_forked_list_raises_the_alarm(talking: tuple[Home, Home]) -> None:
    alice, bob = talking
    honest = bob.bundle()
    bob.profile.device_list = bob.profile.account.sign_device_list(
        bob.profile.device_list.devices, now_seconds() + 5
    )
    with pytest.raises(TrustError, match="rollback or split view"):
        alice.mailroom.learn_bundle(alice.contact(bob), bob.bundle())
    assert alice.contact(bob).alarm is not None
    assert alice.contact(bob).devices is not None
    assert alice.contact(bob).devices.encode() == honest.device_list  # type: ignore[union-attr]  # None fails the test as well


def test_a_newer_list_that_a_contact_mentions_is_asked_for(talking: tuple[Home, Home]) -> None:
    alice, bob = talking
    assert not alice.mailroom.needs_refresh(alice.contact(bob))
    bob.profile.device_list = successor(bob)
    bob.say(alice, "I have a phone")
    alice.take_in(*bob.send(alice))
    assert alice.mailroom.needs_refresh(alice.contact(bob))
    alice.mailroom.learn_bundle(alice.contact(bob), bob.bundle())
    assert not alice.mailroom.needs_refresh(alice.contact(bob))
    assert alice.contact(bob).alarm is None


def test_data_is_bytes_and_text_is_text(talking: tuple[Home, Home]) -> None:
    alice, bob = talking
    alice.mailroom.post(alice.contact(bob), Kind.DATA, bytes(range(256)))
    bob.take_in(*alice.send(bob))
    (message,) = bob.heard()
    assert (message.kind, message.body) == (Kind.DATA, bytes(range(256)))
    assert message.to_json()["data"]
    assert "text" not in message.to_json()
