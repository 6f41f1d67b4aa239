"""The engine's state: what the store holds is what counts, whatever was read or written before."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.clock import now_ms
from clients.engine import Draft
from clients.store import state as state_module
from clients.store.state import KeyState
from keys.content import Kind
from keys.sessions import Sessions
from tests.support.homes import Home, converse


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Home, Home]]:
    alice, bob = Home(tmp_path, "alice"), Home(tmp_path, "bob")
    converse(alice, bob)
    bob.heard()
    yield alice, bob
    alice.close()
    bob.close()


def held(home: Home, device_key: bytes) -> bytes:
    """The record in the store."""
    query = "SELECT sessions FROM devices WHERE device_key = ?"
    return bytes(home.profile.store.db.execute(query, (device_key,)).get)


def test_after_a_transaction_that_failed_the_sessions_are_those_before_it(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    contact, before = alice.contact(bob).id, held(alice, bob.mailbox)
    draft = Draft(Kind.TEXT, bytes(16), b"never said", now_ms())

    def write_and_fail() -> None:
        with alice.profile.store.transaction():
            alice.mailroom._envelopes.write(contact, bob.mailbox, [draft])
            assert held(alice, bob.mailbox) != before
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    assert alice.mailroom.state.sessions(bob.mailbox).to_record() == held(alice, bob.mailbox) == before
    alice.say(bob, "said")
    bob.take_in(*alice.send(bob))
    assert bob.texts() == ["said"]
    (sending,) = bob.mailroom.state.sessions(alice.mailbox).all
    assert not sending.ratchet.skipped, "no number was used up"


def test_a_frame_that_failed_half_way_can_be_read_again(
    pair: tuple[Home, Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = pair
    alice.say(bob, "hi")
    puts = alice.send(bob)
    before = held(bob, alice.mailbox)
    with monkeypatch.context() as patch:
        patch.setattr(bob.mailroom.outbox, "arrived", lambda *_: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            bob.take_in(*puts)
    assert held(bob, alice.mailbox) == before
    bob.take_in(*puts)
    assert bob.texts() == ["hi"]


def test_sessions_of_no_more_devices_are_remembered_than_the_bound(
    pair: tuple[Home, Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, _ = pair
    state = KeyState(alice.profile.store)
    monkeypatch.setattr(state_module, "READ_MAX", 3)
    for number in range(10):
        state.save_sessions(number.to_bytes(32, "big"), Sessions())
    assert len(state._read) == 3


def test_sessions_that_are_gone_are_not_remembered(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    state = alice.mailroom.state
    state.sessions(bob.mailbox)
    assert bob.mailbox in state._read
    with alice.profile.store.transaction() as db:
        db.execute("UPDATE devices SET sessions = NULL")
    assert state.sessions(bob.mailbox) == Sessions()
    assert bob.mailbox not in state._read
    with bob.profile.store.transaction():
        bob.mailroom.state.sessions(alice.mailbox)
        bob.mailroom.state.lose_sessions(bob.mailroom.state.next_prekeys())
    assert not bob.mailroom.state._read
