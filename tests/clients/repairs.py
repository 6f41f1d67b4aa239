"""Two homes that lose sessions, copies and frames: the steps of the tests of repairs, and of the attacks."""

import os

import pytest

from clients import clock
from clients.checkpoints import Checkpoints
from clients.store.repairs import Fault
from keys.content import Content, Kind
from keys.sessions import Sessions
from tests.clients.test_hostile_peers import craft
from tests.support.homes import Home
from wire.frames import Put


class Clock:
    """Both homes' clock, in Unix seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = clock.now_seconds()
        monkeypatch.setattr("clients.clock.now_seconds", lambda: self.now)
        monkeypatch.setattr("clients.clock.now_ms", lambda: self.now * 1000)


def deliver(sender: Home, to: Home) -> list[Put]:
    """Everything on its way, through a relay that works; fetches a bundle where one is waited for."""
    contact = sender.contact(to)
    if sender.mailroom.needs_bundle(contact):
        sender.mailroom.learn_bundle(contact, to.bundle())
    while sender.mailroom.seal_waiting(contact.id):
        pass
    puts = sender.send(to)
    to.take_in(*puts)
    return puts


def exchange(one: Home, other: Home, rounds: int = 6, *, settle: bool = True) -> int:
    """Let both say what they owe until nothing is left; returns how many envelopes that were."""
    count = 0
    for _ in range(rounds):
        for sender, to in ((one, other), (other, one)):
            sender.mailroom.write_owed()
            count += len(deliver(sender, to))
    assert not settle or not (one.waiting(other) or other.waiting(one))
    return count


def sessions(home: Home, other: Home) -> Sessions:
    return home.mailroom.state.sessions(other.mailbox)


def lose_session(home: Home, other: Home) -> None:
    """As if the record of the sessions were lost, and nothing else."""
    with home.profile.store.transaction():
        home.mailroom.state.save_sessions(other.mailbox, Sessions())


def due(home: Home, other: Home, fault: Fault = Fault.SESSION) -> bool:
    return home.mailroom._repairs.is_due(other.mailbox, fault, clock.now_seconds())


def statuses(home: Home, other: Home) -> list[str]:
    found = home.mailroom.history.conversation(home.contact(other).id, 100)
    return [message.status.value for message in found if message.outgoing]


def asks(sender: Home, to: Home, kind: Kind, body: bytes) -> None:
    """A note that no honest client would write now."""
    state = sender.mailroom.state
    with sender.profile.store.transaction():
        sequence = state.next_sequence(to.mailbox)
    content = Content(kind, os.urandom(16), state.stream, sequence, clock.now_ms(), body)
    to.take_in(craft(sender, to, content))


def checkpoints(home: Home) -> Checkpoints:
    return Checkpoints(home.profile.device, home.profile.store, home.mailroom, os.urandom)


def copy_of(home: Home) -> bytes:
    home.close()
    data = (home.config.profile / "store.db").read_bytes()
    home.open()
    return data


def put_back(home: Home, copy: bytes) -> None:
    home.close()
    for name in ("store.db-wal", "store.db-shm"):
        (home.config.profile / name).unlink(missing_ok=True)
    (home.config.profile / "store.db").write_bytes(copy)
    home.open()


def begin_anew(home: Home, copy: bytes, left: bytes) -> bytes:
    """Put an old copy back, which `left` shows; returns the next checkpoint that it leaves."""
    put_back(home, copy)
    assert checkpoints(home).judge(left)
    home.stock.begin_anew(clock.now_seconds())
    home.mailroom.lives.begun_anew()
    return checkpoints(home).make().checkpoint


def repairs_of(home: Home, other: Home) -> list[Put]:
    """What a home that has lost its sessions says first; a relay may hold it back."""
    home.mailroom.learn_bundle(home.contact(other), other.bundle())
    while home.mailroom.seal_waiting(home.contact(other).id):
        pass
    return home.send(other)
