"""Two profiles with real stores, crashed and put back to older copies at random.

Whatever happens to the stores, no key is used twice with a nonce, and nothing is shown twice. Once the last
copy that was put back is recognised, everything that is said from then on arrives.
"""

import random as pseudo_random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import keys.chain
import keys.checkpoint
import keys.seal
from clients import clock
from clients.checkpoints import Checkpoints
from keys.primitives import aead_encrypt
from tests.clients.repairs import checkpoints, copy_of, exchange, put_back
from tests.support.homes import Home, converse

SEEDS = range(16)
STEPS = 25
HARMLESS = ["say", "say", "exchange", "exchange", "crash"]


class Killed(Exception):
    """In place of kill -9: whatever was not committed is gone."""


@contextmanager
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[bytes, bytes]]]:
    """Every (key, nonce) that anything is encrypted with."""
    used: list[tuple[bytes, bytes]] = []

    def encrypt(key: bytes, nonce: bytes, plaintext: bytes, associated: bytes) -> bytes:
        used.append((key, nonce))
        return aead_encrypt(key, nonce, plaintext, associated)

    for module in (keys.chain, keys.checkpoint, keys.seal):
        monkeypatch.setattr(module, "aead_encrypt", encrypt)
    yield used


class Person:
    """A home whose checkpoints a relay keeps, and of which somebody makes copies."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.copies: list[bytes] = []
        self.checkpoint: bytes | None = None
        self.is_cut_off = False  # from its relay, since an unnoticed copy took over
        self.leave()

    def leave(self) -> None:
        if not self.is_cut_off:
            self.checkpoint = checkpoints(self.home).make().checkpoint

    def log_in(self) -> bool:
        """Whether the relay's answer shows an old copy; it begins anew then."""
        self.is_cut_off = False
        judge: Checkpoints = checkpoints(self.home)
        with self.home.profile.store.transaction():
            is_old = judge.judge(self.checkpoint)
            if is_old:
                self.home.stock.begin_anew(clock.now_seconds())
        if is_old:
            self.home.mailroom.lives.begun_anew()
        return is_old

    def crash(self, work: str, other: Home, dice: pseudo_random.Random) -> None:
        """Die in the middle of writing, or of taking in."""
        home = self.home
        puts = other.send(home) if work == "take in" else []
        try:
            with home.profile.store.transaction():
                if work == "take in":
                    home.take_in(*puts[: dice.randint(0, len(puts))])
                else:
                    home.say(other, "never committed")
                raise Killed
        except Killed:
            home.reopen()
        if work == "take in":
            home.take_in(*puts)  # the relay still has them


@pytest.mark.parametrize("seed", SEEDS)
def test_no_key_and_nonce_occur_twice_and_nothing_is_lost_after_the_last_copy(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = pseudo_random.Random(seed)
    with recorded(monkeypatch) as used:
        homes = Home(tmp_path, "alice"), Home(tmp_path, "bob")
        converse(*homes)
        people = [Person(home) for home in homes]
        for step in range(STEPS):
            at = dice.randrange(2)
            me, other = people[at], people[1 - at].home
            if me.is_cut_off and dice.random() < 0.5:
                me.log_in()
                me.leave()
            match dice.choice(HARMLESS if me.is_cut_off else [*HARMLESS, "copy", "put back", "unseen"]):
                case "say":
                    me.home.say(other, f"{step}")
                case "exchange":
                    exchange(me.home, other, 2, settle=False)
                    for person in people:
                        person.leave()
                case "copy":
                    me.copies.append(copy_of(me.home))
                case "crash":
                    me.crash(dice.choice(["say", "take in"]), other, dice)
                    for person in people:
                        person.leave()
                case "put back" if me.copies:
                    put_back(me.home, dice.choice(me.copies))
                    me.log_in()
                    me.leave()
                case "unseen" if me.copies:
                    # Its relay cannot be reached, those of its contacts can: nobody tells that it is a copy.
                    me.is_cut_off = True
                    put_back(me.home, dice.choice(me.copies))
                    if dice.random() < 0.5:  # or its relay answers, and withholds what would tell
                        assert not checkpoints(me.home).judge(None)
                    me.home.say(other, f"{step} from a copy")
                    exchange(me.home, other, 2, settle=False)
                    people[1 - at].leave()
                case _:
                    pass
        for person in people:
            person.log_in()
        later(monkeypatch)
        said = {0: [f"alice {n}" for n in range(3)], 1: [f"bob {n}" for n in range(3)]}
        for text_a, text_b in zip(said[0], said[1], strict=True):
            homes[0].say(homes[1], text_a)
            homes[1].say(homes[0], text_b)
            exchange(*homes, 8, settle=False)
            later(monkeypatch)
        exchange(*homes, 8)
    assert len(used) == len(set(used)) > 50
    far = clock.now_ms() + 60_000
    for reader, texts in zip(reversed(homes), said.values(), strict=True):
        heard = reader.texts(at_ms=far)
        assert [text for text in heard if text in texts] == texts
        assert len(heard) == len(set(heard))


def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two days on: whatever had to wait may be done."""
    now = clock.now_seconds() + 2 * 86_400
    monkeypatch.setattr("clients.clock.now_seconds", lambda: now)
    monkeypatch.setattr("clients.clock.now_ms", lambda: now * 1000)
