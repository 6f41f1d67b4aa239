"""Keys that grow old while nobody writes: nothing is sealed to a key whose private half may be gone."""

import os
from pathlib import Path

import pytest

from clients.clock import now_seconds
from clients.envelopes import SEALING_FRESH
from clients.window import WIDEST
from keys.ratchet import MAX_JUMP
from tests.support.homes import Home, converse
from wire.limits import PRIVATE_PREKEY_KEEP, SIGNED_PREKEY_ROTATE

WEEK = SIGNED_PREKEY_ROTATE
LONG = PRIVATE_PREKEY_KEEP + 3 * WEEK


def pass_time(monkeypatch: pytest.MonkeyPatch, *homes: Home) -> None:
    """Weeks in which every client connects and renews its keys, and nobody writes."""
    now = now_seconds()
    for week in range(1, LONG // WEEK + 1):
        for home in homes:
            home.stock.rotate(now + week * WEEK)
    monkeypatch.setattr("clients.clock.now_seconds", lambda: now + LONG)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Home, Home]:
    alice, bob = Home(tmp_path, "alice"), Home(tmp_path, "bob")
    converse(alice, bob)
    return alice, bob


def test_a_message_after_a_long_silence_is_sealed_with_a_key_that_still_opens(
    pair: tuple[Home, Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = pair
    pass_time(monkeypatch, alice, bob)
    alice.say(bob, "after ten weeks")
    assert alice.waiting(bob) == [], "sealed before the newest keys were fetched"
    assert alice.mailroom.needs_refresh(alice.contact(bob))
    alice.mailroom.learn_bundle(alice.contact(bob), bob.bundle(one_time=False))
    alice.mailroom.seal_waiting(alice.contact(bob).id)
    bob.take_in(*alice.send(bob))
    assert bob.texts() == ["after ten weeks"]
    assert bob.mailroom.undecryptable == 0


def test_the_signed_prekey_of_a_stranger_who_is_never_answered_dies_in_its_time(
    pair: tuple[Home, Home], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, _ = pair
    stranger = Home(tmp_path, "stranger")
    stranger.meet(alice)
    stranger.say(alice, "a request that nobody answers")
    alice.take_in(*stranger.send(alice))
    private = alice.profile.store.db.execute("SELECT private FROM prekeys WHERE kind = 1").get
    record = alice.mailroom.state.sessions(stranger.mailbox).to_record
    assert private in record()
    pass_time(monkeypatch, alice)
    alice.mailroom.tidy()
    assert private not in alice.mailroom.state.sessions(stranger.mailbox).to_record()


def test_no_replay_gets_through_because_a_clock_was_wrong(pair: tuple[Home, Home]) -> None:
    alice, _ = pair
    now, count = now_seconds(), "SELECT count(*) FROM handshakes"
    for wrong in (5 * 365 * 86_400, -5 * 365 * 86_400):
        alice.stock.rotate(now + wrong)
        alice.stock.rotate(now)
        alice.profile.store.db.execute("INSERT INTO handshakes VALUES (?, ?)", (os.urandom(32), now + wrong))
    kept = alice.profile.store.db.execute(count).get
    for later in (0, WEEK):
        alice.mailroom.state.forget_handshakes(now + later)
        assert alice.profile.store.db.execute(count).get == kept


def test_receipts_wait_for_a_fresh_key_too(pair: tuple[Home, Home], monkeypatch: pytest.MonkeyPatch) -> None:
    alice, bob = pair
    bob.say(alice, "owes a receipt")
    alice.take_in(*bob.send(alice))
    pass_time(monkeypatch, alice, bob)
    assert not alice.mailroom.notes.write_receipts()
    alice.mailroom.learn_bundle(alice.contact(bob), bob.bundle(one_time=False))
    assert alice.mailroom.notes.write_receipts()


def test_a_contact_that_was_away_as_long_can_be_written_to_with_its_old_key(
    pair: tuple[Home, Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = pair
    later = now_seconds() + SEALING_FRESH + 1
    monkeypatch.setattr("clients.clock.now_seconds", lambda: later)
    alice.say(bob, "are you there?")
    assert alice.waiting(bob) == []
    alice.mailroom.learn_bundle(alice.contact(bob), bob.bundle(one_time=False))
    assert not alice.mailroom.needs_refresh(alice.contact(bob)), "the relay has said that there is no newer"
    alice.mailroom.seal_waiting(alice.contact(bob).id)
    bob.take_in(*alice.send(bob))
    assert bob.texts() == ["are you there?"]


def test_a_thousand_lost_messages_do_not_make_the_next_one_unreadable(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    for number in range(MAX_JUMP + WIDEST):
        alice.say(bob, f"lost {number}")
    lost = alice.send(bob)
    assert len(lost) < MAX_JUMP, "a session goes on without a reply for longer than a jump"
    assert alice.mailroom.waits_for_bundle(alice.contact(bob))
    alice.mailroom.learn_bundle(alice.contact(bob), bob.bundle())
    while alice.mailroom.seal_waiting(alice.contact(bob).id):
        pass
    rest = alice.send(bob)
    bob.take_in(rest[-1])
    assert bob.mailroom.undecryptable == 0


def test_a_refresh_begins_no_session_because_it_brings_no_one_time_keys(tmp_path: Path) -> None:
    alice, bob = Home(tmp_path, "alice"), Home(tmp_path, "bob")
    alice.add(bob)
    alice.mailroom.learn_bundle(alice.contact(bob), bob.bundle(one_time=False), begin=False)
    assert alice.mailroom.needs_bundle(alice.contact(bob))
    assert not alice.mailroom.needs_refresh(alice.contact(bob))
    alice.mailroom.learn_bundle(alice.contact(bob), bob.bundle())
    assert not alice.mailroom.needs_bundle(alice.contact(bob))
