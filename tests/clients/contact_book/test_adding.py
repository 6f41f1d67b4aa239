"""How a contact comes into the book: added or accepted, under a name of its own, and verified."""

import pytest

from clients.contact_book import EVERYBODY
from clients.errors import NotFoundError, TrustError, UsageError
from clients.model import ContactStatus
from keys.safety_number import grouped, safety_number, scannable
from tests.clients.contact_book.alice import RELAY, Alice, ask
from tests.support.homes import Home
from wire.addresses import Address


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
