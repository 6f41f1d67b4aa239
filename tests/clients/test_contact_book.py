"""What a user decides about a contact, and everything that follows from it, on real profiles and stores."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.card import PREVIOUS_KEEP, Cards
from clients.contact_book import EVERYBODY, ContactBook
from clients.errors import NotFoundError, TrustError, UsageError
from clients.model import Contact, ContactStatus, Sharing
from clients.store.contacts import ContactRow
from keys.content import Kind
from keys.safety_number import grouped, safety_number, scannable
from tests.support.homes import Home, converse
from wire.addresses import Address, RelayUrl

RELAY = RelayUrl.parse("relay.example")
NOW = 1_700_000_000


class Alice:
    """Her book, what it told, and the other side of her mailroom."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.told: list[int] = []
        room = home.mailroom
        self.cards, self.history, self.contacts = room.cards, room.history, room.contacts
        self.book = ContactBook(
            home.profile, room.contacts, room.history, room.cards, self._changed, now=lambda: NOW
        )

    def _changed(self, row: int) -> None:
        assert self.home.profile.store.db.get_autocommit()  # after the commit
        self.told.append(row)

    def row(self, name: str) -> ContactRow:
        return self.contacts.named(name)

    def statuses(self, name: str) -> list[tuple[str, str | None]]:
        shown = self.history.conversation(self.row(name).id, 100)
        return [(message.status.value, message.failed) for message in shown]

    def count(self, table: str) -> int:
        return int(self.home.profile.store.db.execute(f"SELECT count(*) FROM {table}").get)  # noqa: S608 ours


@pytest.fixture
def homes(tmp_path: Path) -> Iterator[tuple[Home, Home, Home]]:
    people = Home(tmp_path, "alice"), Home(tmp_path, "bob"), Home(tmp_path, "carol")
    yield people
    for person in people:
        person.close()


@pytest.fixture
def alice(homes: tuple[Home, Home, Home]) -> Alice:
    return Alice(homes[0])


@pytest.fixture
def bob(homes: tuple[Home, Home, Home]) -> Home:
    return homes[1]


@pytest.fixture
def carol(homes: tuple[Home, Home, Home]) -> Home:
    return homes[2]


def ask(stranger: Home, alice: Alice, *texts: str) -> Contact:
    """Somebody whom she does not know writes to her."""
    stranger.meet(alice.home)
    for text in texts or ("hello",):
        stranger.say(alice.home, text)
    alice.home.take_in(*stranger.waiting(alice.home))
    row = alice.contacts.by_account(stranger.profile.account.key)
    assert row is not None
    return row.shown()


# --- add, accept, rename -------------------------------------------------------------------------------


def test_an_added_contact_is_approved_and_its_token_is_kept_but_not_shown(alice: Alice) -> None:
    line = Address(b"b" * 32, RELAY, b"t" * 16).text
    added = alice.book.add("bob", f" {line}\n")
    assert added == alice.book.named("BOB") == alice.book.all()[0]
    assert added.address == Address(b"b" * 32, RELAY)
    assert added.status is ContactStatus.APPROVED
    assert alice.row("bob").token == b"t" * 16
    assert alice.told == [alice.row("bob").id]


def test_one_cannot_add_oneself_or_nonsense(alice: Alice) -> None:
    with pytest.raises(UsageError, match="your own address"):
        alice.book.add("me", alice.home.profile.address)
    with pytest.raises(UsageError, match="blindpost address"):
        alice.book.add("bob", "bp1nonsense")
    with pytest.raises(UsageError, match="name"):
        alice.book.add("-f", Address(b"b" * 32))
    assert alice.book.all() == []
    assert alice.told == []


def test_a_request_is_accepted_under_the_name_it_gives_itself(alice: Alice, bob: Home) -> None:
    request = ask(bob, alice)
    row = alice.row(request.name)
    alice.contacts.learn_card(row.id, "Bob Ross", None, None)
    assert [contact.name for contact in alice.book.requests()] == [request.name]
    assert alice.history.next_message(2**60) is None
    accepted = alice.book.accept(request.name)
    assert (accepted.name, accepted.status) == ("Bob Ross", ContactStatus.APPROVED)
    found = alice.history.next_message(2**60)
    assert found is not None
    assert found[1].text == "hello"
    assert alice.book.requests() == []
    assert alice.home.mailroom.outbox.receipts_owed()
    with pytest.raises(UsageError, match="already"):
        alice.book.accept("Bob Ross")


@pytest.mark.parametrize("display_name", ["", "bp1abc", "request-007", "-rf"])
def test_a_request_that_gives_itself_no_usable_name_gets_its_digits(
    alice: Alice, bob: Home, display_name: str
) -> None:
    request = ask(bob, alice)
    alice.contacts.learn_card(alice.row(request.name).id, display_name, None, None)
    assert alice.book.accept(request.name).name == bob.profile.account.key.hex()[:12]


def test_nobody_is_accepted_under_a_name_that_somebody_has(alice: Alice, bob: Home, carol: Home) -> None:
    first, second = ask(bob, alice), ask(carol, alice)
    for request in (first, second):
        alice.contacts.learn_card(alice.row(request.name).id, "Bob", None, None)
    assert alice.book.accept(first.name).name == "Bob"
    with pytest.raises(UsageError, match="'bob'"):
        alice.book.accept(second.name, "bob")
    assert alice.book.accept(second.name).name == "Bob 2"


def test_a_contact_is_renamed_and_a_request_accepted_instead(alice: Alice, bob: Home) -> None:
    alice.book.add("carol", Address(b"c" * 32))
    assert alice.book.rename("carol", "Caroline").name == "Caroline"
    with pytest.raises(NotFoundError, match="'Caroline'"):
        alice.book.named("carolin")
    request = ask(bob, alice)
    with pytest.raises(UsageError, match=f"contact accept {request.name} NAME"):
        alice.book.rename(request.name, "bob")
    with pytest.raises(UsageError, match="'caroline' already"):
        alice.book.accept(request.name, "caroline")


# --- remove, block, unblock ----------------------------------------------------------------------------


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


# --- replace -------------------------------------------------------------------------------------------


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


# --- verify, share -------------------------------------------------------------------------------------


def test_the_right_number_or_code_verifies_and_a_wrong_one_ends_that(alice: Alice, bob: Home) -> None:
    own, other = alice.home.profile.account.key, bob.profile.account.key
    alice.book.add("bob", bob.profile.address)
    assert alice.book.safety_number("bob") == safety_number(own, other)
    assert alice.book.scannable("bob") == scannable(own, other)
    assert alice.book.verify("bob", grouped(safety_number(own, other))).is_verified
    for wrong in ("1" * 60, alice.book.scannable("bob")):
        assert alice.book.verify("bob", scannable(other, own)).is_verified
        with pytest.raises(TrustError, match="'bob'"):
            alice.book.verify("bob", wrong)
        assert not alice.book.named("bob").is_verified
    alice.book.verify("bob", scannable(other, own))
    with pytest.raises(UsageError, match="60 digits"):
        alice.book.verify("bob", "12345")
    assert alice.book.named("bob").is_verified


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


def test_what_we_call_ourselves_is_told_to_everybody(alice: Alice) -> None:
    alice.book.set_display_name("Alice ")
    assert alice.book.display_name == "Alice"
    assert alice.told == [EVERYBODY]
    with pytest.raises(UsageError):
        alice.book.set_display_name("\u202e")
    assert alice.told == [EVERYBODY]


def test_a_name_that_is_not_there_is_said_to_be_so_everywhere(alice: Alice) -> None:
    book = alice.book
    for call in (
        book.named,
        book.accept,
        book.remove,
        book.block,
        book.unblock,
        book.safety_number,
        book.scannable,
    ):
        with pytest.raises(NotFoundError, match="no contact named 'nobody'"):
            call("nobody")
