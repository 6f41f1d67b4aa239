"""Another account takes a contact's place: what moves along with it, and what does not."""

import pytest

from clients.card import PREVIOUS_KEEP
from clients.errors import UsageError
from clients.model import ContactStatus, Sharing
from keys.content import Kind
from keys.safety_number import safety_number
from tests.clients.contact_book.alice import NOW, RELAY, Alice, ask
from tests.support.homes import Home, converse
from wire.addresses import Address


def test_another_account_takes_the_place_and_the_history_moves_along(
    alice: Alice, bob: Home, carol: Home
) -> None:
    converse(alice.home, bob)
    alice.book.share("bob", Sharing(typing=False))
    alice.book.verify("bob", safety_number(alice.home.profile.account.key, bob.profile.account.key))
    alice.home.mailroom.post(alice.row("bob"), Kind.TEXT, b"on its way", "job-1")
    before = [message.text for message in alice.history.conversation(alice.row("bob").id, 100)]
    former, card, old = alice.row("bob"), alice.cards.current(NOW), alice.book.named("bob")
    assert old.is_verified
    assert alice.count("outbox") > 0
    alice.told.clear()

    line = Address(carol.profile.account.key, RELAY, b"t" * 16)
    replaced = alice.book.replace("bob", line)

    now = alice.row("bob")
    assert now.id != former.id
    assert alice.contacts.by_id(former.id) is None
    assert alice.told == [former.id, now.id]
    assert replaced.address == Address(carol.profile.account.key, RELAY)
    assert (now.token, replaced.name, replaced.status) == (b"t" * 16, "bob", ContactStatus.APPROVED)
    assert replaced.is_verified is False
    assert replaced.sharing == Sharing(typing=False)
    assert (now.devices, now.alarm, now.presence, now.display_name) == (None, None, None, "")
    assert [message.text for message in alice.history.conversation(now.id, 100)] == before
    assert alice.statuses("bob")[-1] == ("failed", "the contact was replaced before this was sent")
    assert alice.history.by_key(now.id, "job-1") is None  # repeated, it goes to the new account
    assert (alice.count("outbox"), alice.count("devices"), alice.count("contacts")) == (0, 0, 1)
    assert alice.home.mailroom.contacts_waiting() == []
    after = alice.cards.current(NOW)
    assert (card.token, NOW + PREVIOUS_KEEP) in alice.cards.allowed(NOW)
    assert after.token != card.token
    assert after.presence != card.presence
    # The conversation goes on with the other.
    alice.home.mailroom.learn_bundle(now, carol.bundle())
    alice.home.mailroom.seal_waiting(now.id)
    alice.home.mailroom.post(alice.row("bob"), Kind.TEXT, b"hello again")
    carol.take_in(*alice.home.waiting(carol))
    request = carol.mailroom.contacts.by_account(alice.home.profile.account.key)
    assert request is not None
    assert request.unread == 1


def test_what_the_new_account_has_asked_already_joins_the_conversation(
    alice: Alice, bob: Home, carol: Home
) -> None:
    converse(alice.home, bob)
    bob.say(alice.home, "not seen yet")
    alice.home.take_in(*bob.send(alice.home))
    shown = alice.history.conversation(alice.row("bob").id, 100)
    unread = alice.row("bob").unread
    request = ask(carol, alice, "my new phone", "hello?")
    row = alice.row(request.name)
    alice.book.verify(request.name, alice.book.safety_number(request.name))
    replaced = alice.book.replace("bob", Address(carol.profile.account.key))
    assert alice.row("bob").id == row.id
    assert [contact.name for contact in alice.book.all()] == ["bob"]
    texts = [message.text for message in alice.history.conversation(row.id, 100)]
    assert texts == [*(message.text for message in shown), "my new phone", "hello?"]
    assert (unread, replaced.unread) == (1, 3)
    assert not replaced.is_verified
    assert replaced.devices == 1  # its session is kept
    alice.home.mailroom.post(alice.row("bob"), Kind.TEXT, b"welcome back")
    carol.take_in(*alice.home.waiting(carol))
    assert carol.contact(alice.home).unread == 1
    handed = []
    while found := alice.history.next_message(2**60):
        alice.history.taken(found[0])
        handed.append(found[1].text)
    assert handed == ["not seen yet", "my new phone", "hello?"]


def test_after_an_alarm_the_same_account_is_met_anew(alice: Alice, bob: Home) -> None:
    converse(alice.home, bob)
    alice.home.say(bob, "in between")
    alice.contacts.raise_alarm(bob.profile.account.key, "a forked list")
    alice.book.verify("bob", safety_number(alice.home.profile.account.key, bob.profile.account.key))
    length = alice.count("messages")
    replaced = alice.book.replace("bob", bob.profile.address)
    assert (replaced.alarm, replaced.devices, replaced.is_verified) == (None, 0, False)
    assert alice.count("messages") == length
    assert (alice.count("devices"), alice.count("contacts")) == (0, 1)
    assert alice.statuses("bob")[-1][0] == "failed"
    row = alice.row("bob")
    alice.home.mailroom.learn_bundle(row, bob.bundle())
    alice.home.mailroom.post(alice.row("bob"), Kind.TEXT, b"anew")
    bob.take_in(*alice.home.waiting(bob))
    assert bob.mailroom.history.conversation(bob.contact(alice.home).id, 1)[0].text == "anew"


def test_the_same_account_without_an_alarm_only_gets_its_new_line(alice: Alice, bob: Home) -> None:
    converse(alice.home, bob)
    before, card = alice.row("bob"), alice.cards.current(NOW)
    alice.book.replace("bob", Address(bob.profile.account.key, RELAY, b"n" * 16))
    after = alice.row("bob")
    assert (after.id, after.devices, after.relay, after.token) == (
        before.id,
        before.devices,
        RELAY,
        b"n" * 16,
    )
    assert alice.cards.current(NOW) == card
    assert alice.told == [before.id]


def test_nobody_is_replaced_by_oneself_or_by_another_contact(alice: Alice, bob: Home) -> None:
    alice.book.add("bob", bob.profile.address)
    alice.book.add("carol", Address(b"c" * 32))
    alice.told.clear()
    with pytest.raises(UsageError, match="as 'carol'"):
        alice.book.replace("bob", Address(b"c" * 32))
    with pytest.raises(UsageError, match="your own"):
        alice.book.replace("bob", alice.home.profile.address)
    alice.book.block("carol")
    with pytest.raises(UsageError, match="blocked"):
        alice.book.replace("carol", Address(b"d" * 32))
    assert alice.book.named("bob").address == bob.profile.address
    assert alice.told == [alice.row("carol").id]


def test_a_message_that_both_conversations_hold_is_there_once(alice: Alice, bob: Home, carol: Home) -> None:
    # Whoever wrote it, with an id that another has used: no reason to lose the rest.
    converse(alice.home, bob)
    request = ask(carol, alice)
    one = alice.history.conversation(alice.row("bob").id, 100)
    copied = next(message for message in one if not message.outgoing)
    with alice.home.profile.store.transaction() as db:
        db.execute(
            "UPDATE messages SET message_id = ? WHERE contact = ?", (copied.id, alice.row(request.name).id)
        )
    alice.book.replace("bob", Address(carol.profile.account.key))
    assert len(alice.history.conversation(alice.row("bob").id, 100)) == len(one)
