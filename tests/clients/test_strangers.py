"""What strangers, and contacts that are none any more, try with cards, devices and notes."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from clients.clock import now_ms, now_seconds
from clients.contact_book import ContactBook
from clients.engine import Draft
from clients.errors import StorageError, UsageError
from clients.messenger import Messenger
from clients.model import ContactStatus, MessageStatus
from clients.store import contacts as contacts_module
from clients.store.names import offered_name
from keys.content import MESSAGE_ID, Extension, Kind
from keys.identities import Account
from tests.clients.test_notes import craft, exchange
from tests.support.homes import Home, converse
from wire.addresses import Address, RelayUrl
from wire.frames import Put

WITHIN = 20.0


@pytest.fixture
def trio(tmp_path: Path) -> Iterator[tuple[Home, Home, Home]]:
    homes = Home(tmp_path, "alice"), Home(tmp_path, "bob"), Home(tmp_path, "carol")
    yield homes
    for home in homes:
        home.close()


@pytest.fixture
def pair(trio: tuple[Home, Home, Home]) -> tuple[Home, Home]:
    alice, bob, _ = trio
    converse(alice, bob)
    exchange(alice, bob)
    return alice, bob


def book(home: Home) -> ContactBook:
    room = home.mailroom
    return ContactBook(home.profile, room.contacts, room.history, room.cards, lambda row: None)


def living(home: Home, token: bytes | None) -> bool:
    return token in dict(home.mailroom.cards.allowed(now_seconds()))


def write_anew(sender: Home, recipient: Home, text: str) -> None:
    """Begin again from the recipient's bundle, as whoever has lost every session does."""
    with sender.profile.store.transaction() as db:
        db.execute("UPDATE devices SET sessions = NULL")
    sender.mailroom.learn_bundle(sender.contact(recipient), recipient.bundle())
    sender.say(recipient, text)
    recipient.take_in(*sender.send(recipient))


# --- who appears -----------------------------------------------------------------------------------------


def test_a_note_alone_makes_nobody_appear(trio: tuple[Home, Home, Home]) -> None:
    alice, stranger, _ = trio
    stranger.meet(alice)
    alice.take_in(*craft(stranger, alice, Kind.PROFILE, b"Your Bank"))
    assert book(alice).all() == []
    stranger.say(alice, "call us")
    alice.take_in(*stranger.send(alice))
    (request,) = book(alice).requests()
    assert request.status is ContactStatus.REQUEST


def test_strangers_are_many_only_up_to_a_limit(
    trio: tuple[Home, Home, Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob, carol = trio
    monkeypatch.setattr(contacts_module, "STRANGERS_MAX", 1)
    for stranger in (bob, carol):
        stranger.meet(alice)
        stranger.say(alice, "hello")
        alice.take_in(*stranger.send(alice))
    assert len(book(alice).requests()) == 1
    assert any("strangers were dropped" in sentence for sentence in alice.mailroom.lost())
    book(alice).remove(book(alice).requests()[0].name)
    carol.say(alice, "again")
    alice.take_in(*carol.send(alice))
    assert [row.unread for row in book(alice).requests()] == [1]


def test_a_stranger_is_kept_up_to_a_limit(
    trio: tuple[Home, Home, Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, stranger, _ = trio
    monkeypatch.setattr(contacts_module, "STRANGER_MESSAGES", 3)
    stranger.meet(alice)
    for number in range(5):
        stranger.say(alice, str(number))
    alice.take_in(*stranger.send(alice))
    assert [row.unread for row in book(alice).requests()] == [3]
    assert alice.mailroom.dropped == 2
    alice.add(stranger)
    stranger.say(alice, "heard at last")
    alice.take_in(*stranger.send(alice))
    assert alice.texts(at_ms=now_ms() + 31_000)[-1] == "heard at last"


@pytest.mark.parametrize(
    "name", ["bob\u3164", "b\u034fob", "bob\ufe0f", "\uff42\uff4f\uff42", "\u0412ob", "BOB"]
)
def test_nobody_is_offered_a_name_that_looks_like_anothers(name: str) -> None:
    assert offered_name(name, ["bob"]) in (None, "bob 2", "BOB 2")


@pytest.mark.parametrize("name", ["\u3164", "\u2800\u2800", "\u115f"])
def test_nobody_is_offered_a_name_that_cannot_be_seen(name: str) -> None:
    assert offered_name(name, []) is None


# --- whom we dial ------------------------------------------------------------------------------------------


class Door:
    """A place that notes who knocks, where a stranger would like us to come."""

    def __init__(self) -> None:
        self.knocks = 0
        self.knocked = asyncio.Event()

    async def answer(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.knocks += 1
        self.knocked.set()
        writer.close()


@asynccontextmanager
async def door() -> AsyncIterator[tuple[Door, RelayUrl]]:
    made = Door()
    server = await asyncio.start_server(made.answer, "127.0.0.1", 0)
    async with server:
        yield made, RelayUrl.parse(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}")


async def test_looking_at_a_request_dials_nobody(pair: tuple[Home, Home], trio: tuple[Home, ...]) -> None:
    alice, bob, stranger = trio
    async with door() as (trap, its_relay), door() as (contact, relay):
        gifts = (
            (int(Extension.TOKEN), b"t" * 16),
            (int(Extension.PRESENCE), b"p" * 32),
            (int(Extension.RELAY), its_relay.text.encode()),
        )
        stranger.meet(alice)
        alice.take_in(*craft(stranger, alice, Kind.PROFILE, b"Anna", *gifts))
        stranger.say(alice, "hello")
        alice.take_in(*stranger.send(alice))
        with alice.profile.store.transaction():
            alice.mailroom.contacts.set_relay(alice.contact(bob).id, relay)
        name = book(alice).requests()[0].name
        alice.close()
        async with Messenger.from_config(alice.config) as me, me.watch(name), me.watch("bob"):
            async with asyncio.timeout(WITHIN):
                await contact.knocked.wait()
            me.contacts.block("bob")
            contact.knocks = 0
            async with me.watch(name):
                await me._bell.until(lambda: me.contacts.named("bob").status is ContactStatus.BLOCKED or None)
        assert (trap.knocks, contact.knocks) == (0, 0)
        alice.open()


# --- who is let in ------------------------------------------------------------------------------------------


def test_a_device_speaks_for_one_account_only(trio: tuple[Home, Home, Home]) -> None:
    alice, mallory, _ = trio
    mallory.meet(alice)
    mallory.say(alice, "from account one")
    alice.take_in(*mallory.send(alice))
    second = Account.generate(os.urandom)
    devices = second.sign_device_list((mallory.profile.device.entry(second.key),), now_seconds())
    mallory.profile.account, mallory.profile.device_list = second, devices
    with mallory.profile.store.transaction() as db:
        db.execute("UPDATE own_lists SET device_list = ?", (devices.encode(),))
    write_anew(mallory, alice, "from account two")
    assert alice.mailroom.contacts.by_account(second.key) is None
    assert alice.mailroom.undecryptable > 0


def test_whoever_was_replaced_and_is_blocked_holds_no_living_token(
    pair: tuple[Home, Home], trio: tuple[Home, Home, Home]
) -> None:
    alice, bob, carol = trio
    held = bob.contact(alice).token
    book(alice).replace("bob", carol.profile.address)
    assert living(alice, held)
    write_anew(bob, alice, "still here")
    book(alice).block(book(alice).requests()[0].name)
    assert not living(alice, held)


def test_removing_strangers_costs_contacts_nothing(
    pair: tuple[Home, Home], trio: tuple[Home, Home, Home]
) -> None:
    alice, bob, stranger = trio
    held = bob.contact(alice).token
    stranger.meet(alice)
    for _ in range(20):
        write_anew(stranger, alice, "hello")
        book(alice).remove(book(alice).requests()[0].name)
    assert alice.mailroom.cards.current(now_seconds()).token == held


# --- cards -------------------------------------------------------------------------------------------------


def test_a_relay_that_holds_a_card_back_does_not_bring_the_old_one_back(pair: tuple[Home, Home]) -> None:
    alice, bob = pair

    def card(name: str) -> list[Put]:
        bob.mailroom.cards.set_display_name(name, now_seconds())
        bob.mailroom.cards.rotate_token(now_seconds(), revoke=True)
        bob.mailroom.notes.card_changed()
        bob.mailroom.notes.write_owed()
        return bob.send(alice)

    first, second = card("one"), card("two")
    alice.take_in(*second)
    alice.take_in(*first)
    assert alice.contact(bob).display_name == "two"
    assert alice.contact(bob).token == bob.mailroom.cards.current(now_seconds()).token


def test_a_card_that_could_not_be_written_is_still_owed(
    pair: tuple[Home, Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = pair
    alice.mailroom.cards.rotate_token(now_seconds(), revoke=True)
    alice.mailroom.notes.card_changed()

    def full(*_: object) -> None:
        raise StorageError("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(alice.mailroom.outbox, "add_all", full)
        with pytest.raises(StorageError):
            alice.mailroom.notes.write_owed()
    assert alice.mailroom.notes.write_owed()
    assert alice.waiting(bob)


def test_a_card_reaches_whoever_was_not_ready_for_it(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    with alice.profile.store.transaction():
        alice.mailroom.contacts.expect_list(bob.profile.account.key)
    alice.mailroom.cards.rotate_token(now_seconds(), revoke=True)
    alice.mailroom.notes.card_changed()
    assert not alice.mailroom.notes.write_owed()
    alice.mailroom.learn_bundle(alice.contact(bob), bob.bundle(one_time=False), begin=False)
    assert alice.mailroom.notes.write_owed()


def test_many_changes_are_one_card_for_whoever_is_away(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    for _ in range(10):
        alice.mailroom.cards.rotate_token(now_seconds(), revoke=False)
        alice.mailroom.notes.card_changed()
        alice.mailroom.notes.write_owed()
    assert len(alice.waiting(bob)) == 1
    exchange(alice, bob)
    assert bob.contact(alice).token == alice.mailroom.cards.current(now_seconds()).token


def test_typing_of_long_ago_is_not_shown(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    seen: list[bool] = []
    alice.mailroom.notes.on_typing = lambda contact, is_typing: seen.append(is_typing)
    draft = Draft(Kind.TYPING, b"i" * MESSAGE_ID, b"\x01", now_ms() - 20 * 86_400_000)
    with bob.profile.store.transaction():
        bob.mailroom._envelopes.write(bob.contact(alice).id, alice.mailbox, [draft])
    alice.take_in(*bob.send(alice))
    assert seen == []


# --- messages ------------------------------------------------------------------------------------------


def test_a_month_without_a_network_is_not_a_month_at_the_relay(
    pair: tuple[Home, Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = pair
    message = alice.say(bob, "from the boat")
    later = now_ms() + 32 * 86_400_000
    monkeypatch.setattr("clients.clock.now_ms", lambda: later)
    alice.send(bob)
    alice.mailroom.tidy()
    assert alice.mailroom.history.status(message) is MessageStatus.ACCEPTED


def test_a_key_is_free_again_where_its_message_never_went(
    pair: tuple[Home, Home], trio: tuple[Home, Home, Home]
) -> None:
    alice, bob, carol = trio
    one = alice.mailroom.post(alice.contact(bob), Kind.TEXT, b"deploy failed", key="alert-1")
    book(alice).block("bob")
    book(alice).unblock("bob")
    two = alice.mailroom.post(alice.contact(bob), Kind.TEXT, b"deploy failed", key="alert-1")
    book(alice).replace("bob", carol.profile.address)
    three = alice.mailroom.post(alice.contact(carol), Kind.TEXT, b"deploy failed", key="alert-1")
    assert len({one, two, three}) == 3


def test_what_no_message_can_carry_is_refused_before_it_is_queued(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    for options in ({"reply_to": b"z" * 70_000}, {"key": "\udcff"}, {"key": ""}, {"key": "k" * 201}):
        with pytest.raises(UsageError):
            alice.mailroom.post(alice.contact(bob), Kind.TEXT, b"x", **options)
    assert alice.waiting(bob) == []


def test_a_receipt_of_one_device_counts_when_another_is_gone(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    message = alice.say(bob, "to both devices")
    gone, contact = b"G" * 32, alice.contact(bob).id
    with alice.profile.store.transaction() as db:
        row = db.execute("SELECT id FROM messages WHERE message_id = ?", (message,)).get
        db.execute("INSERT INTO devices (device_key, contact) VALUES (?, ?)", (gone, contact))
        alice.mailroom.outbox.add(contact, Put(os.urandom(16), gone, b"\x01" + bytes(1023)), row)
        db.execute("INSERT INTO sent (device_key, sequence, message) VALUES (?, 1, ?)", (gone, row))
        alice.mailroom.outbox.drop_gone(contact, [bob.mailbox])
    exchange(alice, bob)
    assert alice.mailroom.history.status(message) is MessageStatus.DELIVERED


def test_a_bare_address_does_not_forget_where_the_request_came_from(trio: tuple[Home, Home, Home]) -> None:
    alice, stranger, _ = trio
    stranger.meet(alice)
    stranger.say(alice, "hi")
    alice.take_in(*stranger.send(alice))
    book(alice).add("sam", Address(stranger.profile.account.key))
    assert alice.contact(stranger).relay == stranger.profile.relay
