"""Repairs by and for those who are broken, late or gone: what harmed somebody once."""

from pathlib import Path

import pytest

from clients.store.repairs import WAITS, Fault
from keys.content import Kind, Receipt
from tests.clients.repairs import (
    Clock,
    asks,
    begin_anew,
    checkpoints,
    copy_of,
    deliver,
    exchange,
    lose_session,
    repairs_of,
    sessions,
)
from tests.support.homes import Home


def test_a_request_from_a_device_that_cannot_be_written_to_harms_nobody(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    alice.say(bob, "x")
    exchange(alice, bob)
    with alice.profile.store.transaction() as db:
        db.execute("UPDATE devices SET sealing = NULL")
    for kind in (Kind.RESEND, Kind.REPAIR):
        body = Receipt(alice.mailroom.state.stream, ((1, 5),)).encode()
        asks(bob, alice, kind, body)
    assert alice.mailroom.undecryptable == 0
    assert alice.waiting(bob) == []


def test_who_takes_a_contacts_place_gets_nothing_of_what_the_former_was_sent(
    pair: tuple[Home, Home], tmp_path: Path
) -> None:
    alice, bob = pair
    mallory = Home(tmp_path, "mallory")
    for number in range(3):
        alice.say(bob, f"secret for bob {number}")
    exchange(alice, bob)
    with alice.profile.store.transaction():
        alice.mailroom.contacts.replace(alice.contact(bob), mallory.profile.address)
    mallory.add(alice)
    alice.mailroom.learn_bundle(alice.contact(mallory), mallory.bundle())
    alice.say(mallory, "hello, new one")
    exchange(alice, mallory)
    asks(mallory, alice, Kind.RESEND, Receipt(alice.mailroom.state.stream, ((1, 20),)).encode())
    exchange(alice, mallory)
    assert mallory.texts() == ["hello, new one"]


def test_what_was_written_before_the_newest_repair_brings_no_session_back(
    pair: tuple[Home, Home], time: Clock
) -> None:
    alice, bob = pair
    copy = copy_of(bob)
    bob.say(alice, "on the session that is lost")
    held_back = bob.send(alice)
    left = begin_anew(bob, copy, checkpoints(bob).make().checkpoint)
    held_back += repairs_of(bob, alice)
    time.now += 2 * 86_400
    begin_anew(bob, copy, left)
    alice.take_in(*repairs_of(bob, alice))
    exchange(alice, bob)
    sending = sessions(alice, bob).sending
    assert sending is not None
    for put in (*held_back, *held_back):
        alice.take_in(put)
        now = sessions(alice, bob).sending
        assert now is not None
        assert now.transcript == sending.transcript
    assert alice.texts(at_ms=(time.now + 60) * 1000) == ["on the session that is lost"]
    alice.say(bob, "can be read")
    exchange(alice, bob)
    assert bob.texts(at_ms=(time.now + 60) * 1000) == ["can be read"]
    assert (bob.mailroom.undecryptable, bob.mailroom.repair.lines()) == (0, [])


def test_a_repair_by_a_clock_that_was_wrong_does_not_hide_the_next_one(
    pair: tuple[Home, Home], time: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = pair
    copy = copy_of(bob)
    with monkeypatch.context() as patch:
        patch.setattr("clients.clock.now_ms", lambda: (time.now + 400 * 86_400) * 1000)
        left = begin_anew(bob, copy, checkpoints(bob).make().checkpoint)
        alice.take_in(*repairs_of(bob, alice))
    time.now += 60
    begin_anew(bob, copy, left)
    alice.take_in(*repairs_of(bob, alice))
    exchange(alice, bob)
    alice.say(bob, "on the newest session")
    exchange(alice, bob)
    assert bob.texts(at_ms=(time.now + 60) * 1000) == ["on the newest session"]
    assert bob.mailroom.repair.lines() == []


def test_what_was_given_up_is_not_sent_again_and_leaves_no_gap(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    alice.say(bob, "given up")
    alice.send(bob)
    with alice.profile.store.transaction() as db:
        row = int(db.execute("SELECT max(id) FROM messages").get)
        alice.mailroom.history.lacks_all(bob.mailbox)
        alice.mailroom.history.failed(row, "for a test")
    alice.say(bob, "after it")
    exchange(alice, bob)
    (message,) = bob.heard()
    assert (message.text, message.missing_before) == ("after it", 0)


def test_nothing_waits_for_a_blocked_contact_after_a_copy_was_put_back(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    alice.say(bob, "x")
    alice.send(bob)
    with alice.profile.store.transaction() as db:
        db.execute("UPDATE contacts SET status = 'blocked'")
        alice.mailroom.lives.begin_anew(alice.mailroom.state.next_prekeys())
    alice.mailroom.lives.begun_anew()
    assert alice.mailroom.contacts_waiting() == []


def test_what_was_receipted_before_does_not_stay_in_the_outbox(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    for number in range(5):
        alice.say(bob, str(number))
    exchange(alice, bob)
    asks(bob, alice, Kind.RESEND, Receipt(alice.mailroom.state.stream, ((1, 9),)).encode())
    exchange(alice, bob)
    assert alice.profile.store.db.execute("SELECT count(*) FROM outbox").get == 0


def test_a_repair_that_came_too_soon_is_answered_later(pair: tuple[Home, Home], time: Clock) -> None:
    alice, bob = pair
    lose_session(bob, alice)
    alice.say(bob, "first")
    deliver(alice, bob)
    exchange(bob, alice)
    assert bob.texts() == ["first"]
    lose_session(bob, alice)
    alice.say(bob, "second")
    deliver(alice, bob)
    time.now += WAITS[0]
    with alice.profile.store.transaction():
        alice.mailroom._repairs.done(bob.mailbox, Fault.RENEWED, time.now)  # its own wait has not passed
    exchange(bob, alice)
    assert bob.texts() == []
    time.now += 86_400
    exchange(alice, bob)
    assert bob.texts() == ["second"]
