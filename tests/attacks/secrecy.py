"""Attacks by whoever has recorded every envelope and steals a client's store: what came before, and after."""

import os
from collections.abc import Callable
from typing import Final

from clients import clock
from keys.chain import ChainKey, MessageKey
from keys.content import decode_content
from keys.errors import DecryptError
from keys.primitives import KEY, mac, sha256
from keys.ratchet import HEADER, Ratchet
from keys.sessions import Session
from tests.attacks.attack import Attack, Caught, Outcome, Removal, Succeeded, attack
from tests.attacks.offers import SECRET
from tests.attacks.stage import Person, Stage
from tests.attacks.thief import unsealed
from wire.frames import Put


def sent_on(stage: Stage, to: Person, since: int) -> list[bytes]:
    """Every ratchet message to a person that the relay has recorded since: the thief has his sealing keys."""
    puts: list[Put] = stage.relays[0].meddler.puts[since:]
    found = (unsealed(put, to) for put in puts if put.mailbox == to.mailbox)
    return [opened.inner for opened in found if opened is not None]


def _kept(original: object) -> Callable[[ChainKey], tuple[ChainKey, MessageKey]]:
    """A chain whose keys all follow from one that stays."""

    def advance(chain: ChainKey) -> tuple[ChainKey, MessageKey]:
        key = mac(chain.value, chain.number.to_bytes(4, "big"))
        return ChainKey(chain.value, chain.number + 1), MessageKey(key)

    return advance


@attack(
    defence="a chain key is replaced by its hash with each message, and a message key is used once",
    without=Removal("keys.chain.ChainKey.advance", _kept),
    fell="Threema had nothing of the kind between its users before 2022",
)
async def read_the_past(stage: Stage) -> Outcome:
    """Steal a client's store, and read with it what was received just before"""
    relay = await stage.relay()
    alice, bob = await stage.pair(relay)
    before = len(relay.meddler.puts)
    await stage.says(alice, bob, SECRET)
    await stage.says(alice, bob, "and another one")
    session = bob.sessions(alice).sending
    assert session is not None
    stolen = session.ratchet
    assert stolen.receiving is not None
    recorded = sent_on(stage, bob, before)
    for message in recorded:
        header, body = message[:HEADER], message[HEADER:]
        assert header[:KEY] == stolen.remote
        number = int.from_bytes(header[KEY + 4 :], "big")
        _, key = ChainKey(stolen.receiving.value, number).advance()
        try:
            content = decode_content(key.decrypt(body, stolen.associated + header))
        except DecryptError:
            continue
        if content.body == SECRET.encode():
            return Succeeded("the thief reads what was received before")
    return Caught("bob", "the key is not there any more: nothing opens", len(recorded))


def _derived(original: Callable[..., Ratchet]) -> Callable[..., Ratchet]:
    """A ratchet whose next key follows from the one before."""
    return lambda ratchet, random: original(ratchet, lambda size: sha256(ratchet.own_private)[:size])


@attack(
    defence="each step of the ratchet takes a fresh key in",
    without=Removal("keys.ratchet.Ratchet._step_sending", _derived),
)
async def read_the_future(stage: Stage) -> Outcome:
    """Steal a client's store, and go on reading after both have written once more"""
    relay = await stage.relay()
    alice, bob = await stage.pair(relay)
    stolen = bob.sessions(alice).sending
    assert stolen is not None
    before = len(relay.meddler.puts)
    await stage.says(alice, bob, "before Bob has answered")
    await stage.says(bob, alice, "Bob's answer")
    healed = len(relay.meddler.puts)
    await stage.says(alice, bob, SECRET)
    first, rest = sent_on(stage, bob, before)[:1], sent_on(stage, bob, healed)
    thief: Session = stolen
    for message in first:
        thief, content = thief.decrypt(message, clock.now_seconds())
        assert decode_content(content).body == b"before Bob has answered"
    thief, _ = thief.encrypt(b"what Bob has written meanwhile", os.urandom)
    for message in rest:
        try:
            thief, content = thief.decrypt(message, clock.now_seconds())
        except DecryptError:
            continue
        if decode_content(content).body == SECRET.encode():
            return Succeeded("the thief goes on reading for ever")
    return Caught("alice, bob", "closed to the thief after one round trip", 3)


ATTACKS: Final[tuple[Attack, ...]] = (read_the_past, read_the_future)
