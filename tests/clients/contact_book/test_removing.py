"""What is taken from a contact: the way in, and sight of her; a decision that fails takes nothing."""

import pytest

from clients.card import PREVIOUS_KEEP, Cards
from clients.contact_book import EVERYBODY, ContactBook
from clients.errors import UsageError
from clients.model import ContactStatus, Sharing
from tests.clients.contact_book.alice import NOW, Alice, ask
from tests.support.homes import Home, converse
from wire.addresses import Address


def test_whoever_is_removed_loses_the_way_in_37_days_and_sight_at_once(alice: Alice, bob: Home) -> None:
    converse(alice.home, bob)
    former, line = alice.cards.current(NOW), alice.cards.address_token(NOW)
    id = alice.row("bob").id
    messages = alice.count("messages")
    assert messages > 0
    assert alice.book.remove("bob") == messages
    now = alice.cards.current(NOW)
    assert now.token != former.token
    assert now.presence != former.presence
    assert now.version > former.version
    assert (former.token, NOW + PREVIOUS_KEEP) in alice.cards.allowed(NOW)
    assert alice.cards.address_token(NOW) == line
    assert alice.told == [id]
    assert alice.book.all() == []
    # And what it writes then is a request.
    bob.say(alice.home, "still there?")
    alice.home.take_in(*bob.waiting(alice.home))
    (request,) = alice.book.all()
    assert (request.status, request.unread) == (ContactStatus.REQUEST, 1)
    assert alice.history.next_message(2**60) is None


def test_whoever_is_blocked_loses_the_way_and_sight_at_once(alice: Alice, bob: Home) -> None:
    converse(alice.home, bob)
    former, line = alice.cards.current(NOW), alice.cards.address_token(NOW)
    alice.home.say(bob, "one more thing")
    blocked = alice.book.block("bob")
    assert blocked.status is ContactStatus.BLOCKED
    assert alice.book.all() == [blocked]
    taken = [token for token, _ in alice.cards.allowed(NOW)]
    assert former.token not in taken
    assert line not in taken
    assert alice.cards.current(NOW).presence != former.presence
    assert alice.statuses("bob")[-1] == ("failed", "the contact was blocked before this was sent")
    assert alice.home.mailroom.contacts_waiting() == []
    before = alice.cards.current(NOW)
    assert alice.book.block("bob") == blocked
    assert alice.cards.current(NOW) == before
    # What it writes then is dropped.
    known = alice.count("messages")
    bob.say(alice.home, "hello?")
    alice.home.take_in(*bob.waiting(alice.home))
    assert alice.count("messages") == known
    # And who is approved again is heard again.
    again = alice.book.unblock("bob")
    assert (again.name, again.status, again.address) == ("bob", ContactStatus.APPROVED, blocked.address)
    with pytest.raises(UsageError, match="not blocked"):
        alice.book.unblock("bob")


def test_a_stranger_that_is_blocked_costs_contacts_nothing(alice: Alice, bob: Home) -> None:
    former, line = alice.cards.current(NOW), alice.cards.address_token(NOW)
    alice.book.block(ask(bob, alice).name)
    assert alice.cards.current(NOW) == former
    taken = [token for token, _ in alice.cards.allowed(NOW)]
    assert former.token in taken
    assert line not in taken


def test_a_blocked_request_that_is_unblocked_has_a_name_and_its_messages(alice: Alice, bob: Home) -> None:
    request = ask(bob, alice)
    alice.book.block(request.name)
    with pytest.raises(UsageError, match=f"contact unblock {request.name}"):
        alice.book.accept(request.name)
    assert alice.history.next_message(2**60) is None
    assert alice.book.unblock(request.name).name == bob.profile.account.key.hex()[:12]
    assert alice.history.next_message(2**60) is not None


def test_presence_taken_from_one_contact_is_renewed_for_all(alice: Alice, bob: Home) -> None:
    converse(alice.home, bob)
    card = alice.cards.current(NOW)
    assert alice.book.share("bob", Sharing(typing=False, read=True)).sharing == Sharing(None, False, True)
    assert alice.cards.current(NOW) == card
    alice.book.share("bob", Sharing(presence=False))
    hidden = alice.cards.current(NOW)
    assert hidden.presence != card.presence
    assert hidden.version > card.version
    alice.book.share("bob", Sharing(presence=False, read=False))
    assert alice.cards.current(NOW) == hidden
    # Given again, it only has to be told.
    store = alice.home.profile.store
    store.db.execute("UPDATE devices SET told_card = ?", (hidden.version,))
    alice.book.share("bob", Sharing(presence=True))
    assert alice.cards.current(NOW) == hidden
    assert store.db.execute("SELECT told_card FROM devices").get == 0


def test_taking_presence_from_all_leaves_those_who_may(alice: Alice, bob: Home) -> None:
    alice.book.add("bob", bob.profile.address)
    alice.book.share("bob", Sharing(presence=True))
    alice.told.clear()
    assert alice.book.share_with_all(Sharing(presence=False)) == Sharing(False, True, True)
    assert alice.book.sharing() == Sharing(False, True, True)
    assert alice.told == [EVERYBODY]
    card = alice.cards.current(NOW)
    alice.book.share("bob", Sharing())  # as all: not any more
    assert alice.cards.current(NOW).presence != card.presence


class Stop(Exception):
    pass


def no_random(size: int) -> bytes:
    raise Stop


def test_a_decision_that_fails_half_way_has_changed_nothing(alice: Alice, bob: Home) -> None:
    converse(alice.home, bob)
    alice.home.say(bob, "on its way")

    def everything() -> tuple[object, ...]:
        db = alice.home.profile.store.db
        tables = ("contacts", "devices", "messages", "outbox", "sent", "tokens", "meta")
        return tuple(db.execute(f"SELECT * FROM {table}").fetchall() for table in tables)  # noqa: S608 ours

    alice.cards.allowed(NOW)
    before = everything()

    # The last step of each is a new presence capability.
    cards = Cards(alice.home.profile.store, no_random)
    book = ContactBook(alice.home.profile, alice.contacts, alice.history, cards, alice.told.append)
    for decide in (
        lambda: book.block("bob"),
        lambda: book.remove("bob"),
        lambda: book.replace("bob", Address(b"d" * 32)),
        lambda: book.share("bob", Sharing(presence=False)),
    ):
        with pytest.raises(Stop):
            decide()
        assert everything() == before
    assert alice.told == []
