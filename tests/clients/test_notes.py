"""Receipts, read marks, cards and typing, between real stores: who is told what, and who is not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.clock import now_ms, now_seconds
from clients.engine import Draft
from clients.errors import UsageError
from clients.model import ContactStatus, MessageStatus, Sharing
from clients.notes import TELL_AGAIN
from keys.content import MESSAGE_ID, Extension, Kind
from tests.support.homes import Home, converse
from wire.addresses import RelayUrl
from wire.frames import FLAG_REQUEST, Deliver, Put
from wire.limits import MAILBOX_TTL


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Home, Home]]:
    one, other = Home(tmp_path, "alice"), Home(tmp_path, "bob")
    converse(one, other)
    exchange(one, other)
    yield one, other
    one.close()
    other.close()


def exchange(one: Home, other: Home) -> None:
    """Everything that either owes the other, until nothing is owed any more."""
    for _ in range(20):
        for home in (one, other):
            home.mailroom.notes.write_owed()
        sent = one.send(other), other.send(one)
        other.take_in(*sent[0])
        one.take_in(*sent[1])
        if not any(sent):
            return
    raise AssertionError("two clients write notes to each other without end")


def craft(sender: Home, recipient: Home, kind: int, body: bytes, *extensions: tuple[int, bytes]) -> list[Put]:
    """What a client of another making would send."""
    draft = Draft(kind, b"i" * MESSAGE_ID, body, now_ms(), extensions)  # type: ignore[arg-type]  # any kind
    with sender.profile.store.transaction():
        sender.mailroom._envelopes.write(sender.contact(recipient).id, recipient.mailbox, [draft])
    return sender.send(recipient)


def see(home: Home, other: Home, *, owe: bool = True) -> None:
    """A person looks at the conversation."""
    with home.profile.store.transaction():
        home.mailroom.history.mark_seen(home.contact(other).id, take=True, owe=owe)


def status(home: Home, message: bytes) -> MessageStatus | None:
    return home.mailroom.history.status(message)


# --- cards -------------------------------------------------------------------------------------------


def test_both_hold_each_others_gifts_after_the_first_messages(pair: tuple[Home, Home]) -> None:
    for one, other in (pair, pair[::-1]):
        card = other.mailroom.cards.current(now_seconds())
        known = one.contact(other)
        assert (known.token, known.presence) == (card.token, card.presence)


def test_whoever_was_added_before_it_first_wrote_gets_the_card_with_the_receipt(tmp_path: Path) -> None:
    alice, bob = Home(tmp_path, "alice"), Home(tmp_path, "bob")
    bob.add(alice)
    assert not bob.mailroom.notes.write_owed()
    alice.meet(bob)
    alice.say(bob, "hello")
    bob.take_in(*alice.send(bob))
    for _ in range(2):  # the receipt; when that is accepted, the card
        assert bob.mailroom.notes.write_owed()
        alice.take_in(*bob.send(alice))
    assert not bob.mailroom.notes.write_owed()
    assert alice.contact(bob).token == bob.mailroom.cards.current(now_seconds()).token
    alice.close()
    bob.close()


def test_a_card_is_told_once_and_again_when_it_changes(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    assert not alice.mailroom.notes.write_owed()
    alice.say(bob, "one more")
    assert len(alice.waiting(bob)) == 1
    exchange(alice, bob)
    alice.mailroom.cards.set_display_name("Alice in Kyoto", now_seconds())
    alice.mailroom.notes.card_changed()
    assert alice.mailroom.notes.write_owed()
    exchange(alice, bob)
    assert bob.contact(alice).display_name == "Alice in Kyoto"
    assert bob.texts() == ["one more"]


def test_a_new_token_reaches_contacts_and_nobody_else(pair: tuple[Home, Home], tmp_path: Path) -> None:
    alice, bob = pair
    stranger = Home(tmp_path, "stranger")
    stranger.meet(alice)
    stranger.say(alice, "you do not know me")
    alice.take_in(*stranger.send(alice))
    alice.mailroom.cards.rotate_token(now_seconds(), revoke=False)
    alice.mailroom.notes.card_changed()
    assert alice.mailroom.notes.write_owed()
    assert alice.waiting(stranger) == []
    before = bob.contact(alice).token
    exchange(alice, bob)
    assert bob.contact(alice).token == alice.mailroom.cards.current(now_seconds()).token != before
    stranger.close()


def test_a_request_shows_what_the_stranger_calls_itself(tmp_path: Path) -> None:
    alice, bob = Home(tmp_path, "alice"), Home(tmp_path, "bob")
    alice.mailroom.cards.set_display_name("Alice", now_seconds())
    alice.meet(bob)
    alice.say(bob, "hello")
    bob.take_in(*alice.send(bob))
    row = bob.contact(alice)
    assert (row.status, row.display_name) == (ContactStatus.REQUEST, "Alice")
    assert not bob.mailroom.notes.write_owed()
    alice.close()
    bob.close()


def test_a_hostile_card_moves_no_cursor_and_a_broken_one_changes_nothing(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    bob.take_in(*craft(alice, bob, Kind.PROFILE, "x\x1b[2J\u202ey".encode()))
    assert bob.contact(alice).display_name.isprintable()
    before = bob.contact(alice)
    bob.take_in(*craft(alice, bob, Kind.PROFILE, b"z", (int(Extension.TOKEN), b"short")))
    bob.take_in(*craft(alice, bob, Kind.PROFILE, b"z" * 300))
    assert bob.contact(alice) == before
    assert bob.mailroom.undecryptable == 2


def test_presence_is_withheld_from_one_contact_only(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    alice.mailroom.contacts.set_sharing(alice.contact(bob).id, Sharing(presence=False))
    alice.mailroom.cards.rotate_presence(now_seconds())
    alice.mailroom.notes.card_changed()
    exchange(alice, bob)
    assert bob.contact(alice).presence is None
    assert bob.contact(alice).token is not None


def test_whoever_writes_as_a_stranger_is_told_the_card_again_but_not_at_once(
    pair: tuple[Home, Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = pair

    def arrives_as_request() -> None:
        bob.say(alice, "without a token")
        for put in bob.send(alice):
            frame = Deliver(put.frame_id, alice.mailbox, 1, FLAG_REQUEST, put.envelope)
            alice.mailroom.take_in([frame])

    arrives_as_request()
    alice.mailroom.notes.write_receipts()
    assert not alice.mailroom.notes.write_owed()
    alice.send(bob)
    later = now_seconds() + TELL_AGAIN + 1
    monkeypatch.setattr("clients.clock.now_seconds", lambda: later)
    arrives_as_request()
    assert alice.mailroom.notes.write_owed()  # the receipt
    bob.take_in(*alice.send(bob))
    assert alice.mailroom.notes.write_owed()  # and the card
    assert not alice.mailroom.notes.write_owed()


# --- read marks ----------------------------------------------------------------------------------------


def test_read_is_said_when_a_person_has_seen_it_and_not_before(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    message = alice.say(bob, "hi")
    exchange(alice, bob)
    assert status(alice, message) is MessageStatus.DELIVERED
    see(bob, alice)
    exchange(alice, bob)
    assert status(alice, message) is MessageStatus.READ


def test_a_read_mark_that_overtakes_the_receipt_counts_when_that_comes(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    message = alice.say(bob, "hi")
    bob.take_in(*alice.send(bob))
    bob.mailroom.notes.write_receipts()
    receipt = bob.send(alice)
    see(bob, alice)
    bob.mailroom.notes.write_owed()
    alice.take_in(*bob.send(alice))
    assert status(alice, message) is MessageStatus.ACCEPTED
    alice.take_in(*receipt)
    assert status(alice, message) is MessageStatus.READ


def test_a_request_says_where_to_answer_and_the_users_own_word_stands(tmp_path: Path) -> None:
    alice, bob = Home(tmp_path, "alice"), Home(tmp_path, "bob")
    alice.meet(bob)
    alice.say(bob, "hello")
    bob.take_in(*alice.send(bob))
    assert bob.contact(alice).relay == alice.profile.relay
    assert alice.contact(bob).relay == bob.profile.relay
    elsewhere = RelayUrl.parse("wss://elsewhere.example")
    card = craft(alice, bob, Kind.PROFILE, b"", (int(Extension.RELAY), elsewhere.text.encode()))
    bob.take_in(*card)
    assert bob.contact(alice).relay == alice.profile.relay
    alice.close()
    bob.close()


@pytest.mark.parametrize("in_all", [True, False])
def test_read_is_not_said_where_the_user_does_not_want_it(pair: tuple[Home, Home], in_all: bool) -> None:
    alice, bob = pair
    if in_all:
        bob.mailroom.cards.set_sharing(Sharing(read=False))
    else:
        bob.mailroom.contacts.set_sharing(bob.contact(alice).id, Sharing(read=False))
    message = alice.say(bob, "hi")
    bob.take_in(*alice.send(bob))
    see(bob, alice)
    exchange(alice, bob)
    assert status(alice, message) is MessageStatus.DELIVERED
    bob.mailroom.cards.set_sharing(Sharing(read=True))
    bob.mailroom.contacts.set_sharing(bob.contact(alice).id, Sharing(read=True))
    exchange(alice, bob)
    assert status(alice, message) is MessageStatus.DELIVERED  # what was seen in private stays so


def test_one_contact_may_know_what_the_others_may_not(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    bob.mailroom.cards.set_sharing(Sharing(read=False))
    bob.mailroom.contacts.set_sharing(bob.contact(alice).id, Sharing(read=True))
    message = alice.say(bob, "hi")
    bob.take_in(*alice.send(bob))
    see(bob, alice)
    exchange(alice, bob)
    assert status(alice, message) is MessageStatus.READ


# --- typing --------------------------------------------------------------------------------------------


def test_typing_is_told_and_kept_nowhere(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    seen: list[tuple[int, bool]] = []
    bob.mailroom.notes.on_typing = lambda contact, is_typing: seen.append((contact, is_typing))
    for is_typing in (True, False):
        assert alice.mailroom.notes.typing(alice.contact(bob), is_typing=is_typing)
        bob.take_in(*alice.send(bob))
    assert seen == [(bob.contact(alice).id, True), (bob.contact(alice).id, False)]
    assert bob.texts() == []
    assert not bob.mailroom.notes.write_receipts()


def test_typing_never_stands_behind_anything(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    alice.say(bob, "on its way")
    assert not alice.mailroom.notes.typing(alice.contact(bob), is_typing=True)
    assert len(alice.waiting(bob)) == 1


def test_typing_is_told_behind_one_note_and_no_more(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    for told in (True, True, False):  # the first is the note that the second one goes behind
        assert alice.mailroom.notes.typing(alice.contact(bob), is_typing=True) is told
    assert len(alice.waiting(bob)) == 2


def test_typing_is_not_told_where_the_user_does_not_want_it(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    alice.mailroom.cards.set_sharing(Sharing(typing=False))
    assert not alice.mailroom.notes.typing(alice.contact(bob), is_typing=True)
    assert alice.waiting(bob) == []


def test_a_broken_typing_is_dropped(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    bob.take_in(*craft(alice, bob, Kind.TYPING, b"\x02"))
    bob.take_in(*craft(alice, bob, Kind.READ, b"too short"))
    assert bob.mailroom.undecryptable == 2


# --- who is not heard -----------------------------------------------------------------------------------


def test_a_blocked_contact_is_read_by_nobody_and_told_nothing(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    bob.mailroom.contacts.block(bob.contact(alice))
    message = alice.say(bob, "are you there?")
    bob.take_in(*alice.send(bob))
    assert bob.texts() == []
    assert not bob.mailroom.notes.write_owed()
    with pytest.raises(UsageError, match="unblock"):
        bob.say(alice, "no")
    bob.add(alice)
    second = alice.say(bob, "and now?")
    exchange(alice, bob)
    assert [status(alice, id) for id in (message, second)] == [
        MessageStatus.ACCEPTED,
        MessageStatus.DELIVERED,
    ]
    found = bob.heard(at_ms=now_ms() + 31_000)
    assert [(item.text, item.missing_before) for item in found] == [("and now?", 1)]


def test_notes_of_a_removed_contact_do_not_bring_it_back(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    bob.mailroom.contacts.remove(bob.contact(alice))
    alice.mailroom.cards.set_display_name("Alice", now_seconds())
    alice.mailroom.notes.card_changed()
    alice.mailroom.notes.write_owed()
    bob.take_in(*alice.send(bob))
    assert bob.contact(alice).status is ContactStatus.REMOVED
    alice.say(bob, "hello again")
    bob.take_in(*alice.send(bob))
    assert bob.contact(alice).status is ContactStatus.REQUEST


# --- what a message may carry ----------------------------------------------------------------------------


def test_the_same_key_is_the_same_message(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    row = alice.contact(bob)
    first = alice.mailroom.post(row, Kind.TEXT, b"backup done", key="backup-1")
    alice.reopen()
    assert alice.mailroom.post(row, Kind.TEXT, b"backup done", key="backup-1") == first
    with pytest.raises(UsageError, match="stands for another message"):
        alice.mailroom.post(row, Kind.TEXT, b"backup failed", key="backup-1")
    assert len(alice.waiting(bob)) == 1
    exchange(alice, bob)
    assert alice.mailroom.post(row, Kind.TEXT, b"backup done", key="backup-1") == first
    assert alice.waiting(bob) == []


def test_a_reply_names_the_message_that_it_answers(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    asked = alice.say(bob, "tea or coffee?")
    bob.take_in(*alice.send(bob))
    bob.mailroom.post(bob.contact(alice), Kind.TEXT, b"tea", reply_to=asked)
    alice.take_in(*bob.send(alice))
    (answer,) = alice.heard()
    assert answer.reply_to == asked


def test_what_the_relay_holds_as_a_request_is_not_called_accepted(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    message = alice.say(bob, "hi")
    puts = alice.waiting(bob)
    alice.mailroom.frame_accepted([put.frame_id for put in puts], as_request=True)
    assert status(alice, message) is MessageStatus.REQUESTED
    bob.take_in(*puts)
    exchange(alice, bob)
    assert status(alice, message) is MessageStatus.DELIVERED


def test_what_nobody_receipts_is_given_up_at_the_ttl_and_a_late_receipt_still_counts(
    pair: tuple[Home, Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = pair
    message = alice.say(bob, "hi")
    puts = alice.send(bob)
    later = now_ms() + (MAILBOX_TTL + 2 * 86_400) * 1000
    with monkeypatch.context() as patch:
        patch.setattr("clients.clock.now_ms", lambda: later)
        alice.mailroom.tidy()
    assert status(alice, message) is MessageStatus.FAILED
    found = alice.mailroom.history.sent(message)
    assert found is not None
    assert "30 days" in str(found.failed)
    bob.take_in(*puts)
    exchange(alice, bob)
    assert status(alice, message) is MessageStatus.DELIVERED
