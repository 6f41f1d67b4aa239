"""Attacks on a frame's bytes by whoever carries it: flipped, cut, joined, thrown back, brought elsewhere.

What they are after is not a text, which would need the keys, but any reaction: a client that begins its
session anew whenever the relay likes can be led to do so at the moment when the relay can make use of it.
"""

import contextlib
import os
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from clients.clock import now_ms
from keys.content import Content, Kind, Receipt
from keys.errors import DecryptError
from keys.identities import Device
from keys.primitives import KEY, TAG, aead_encrypt
from keys.seal import InnerType, Opened, seal
from tests.attacks.attack import Attack, Caught, Outcome, Removal, Succeeded, attack
from tests.attacks.neighbours import begins_anew, neighbours, state_of
from tests.attacks.stage import Stage
from tests.clients.test_hostile_peers import prekey_of
from tests.support.homes import Home
from wire.control import Bundle
from wire.errors import WireError
from wire.frames import DELIVER_HEADER, Deliver, Put, decode_deliver
from wire.limits import BUCKETS
from wire.prekeys import PrekeyKind


def untagged(original: object) -> Callable[[bytes, bytes, bytes, bytes], bytes]:
    """XChaCha20 alone: its keystream is what encrypting does to what is there, too."""
    return lambda key, nonce, ciphertext, _: aead_encrypt(key, nonce, ciphertext[:-TAG], b"")[:-TAG]


def _lenient(original: object) -> Callable[[bytes], bytes]:
    return lambda padded: padded.rstrip(b"\0").removesuffix(b"\x80")


UNCHECKED: Final = (Removal("keys.seal.aead_decrypt", untagged), Removal("keys.seal.unpad", _lenient))


def _bring(home: Home, frames: Iterable[bytes]) -> int:
    """Give a client these frames as its relay would; returns how many were no frames to it."""
    refused, taken = 0, list[Deliver]()
    for data in frames:
        try:
            taken.append(decode_deliver(data))
        except WireError:
            refused += 1
    while taken:
        del taken[: home.mailroom.take_in(taken)]
    return refused


def _framed(home: Home, *puts: Put) -> list[bytes]:
    return [frame.encode() for frame in home.deliver(puts)]


def _nothing_changed(home: Home, before: bytes, how: str, count: int) -> Outcome:
    if state_of(home) != before:
        what = "begins its session anew" if begins_anew(home) else "knows something else than before"
        return Succeeded(f"{home.name} {what}")
    assert home.texts() == []
    return Caught(home.name, how, count)


@attack(
    defence="the seal's authentication covers every byte, padding included",
    without=UNCHECKED,
    fell="E-mail with OpenPGP and S/MIME (Efail, 2018): changed ciphertexts were decrypted and shown",
)
async def flip_each_bit(stage: Stage) -> Outcome:
    """Flip each of the 8,192 bits of an envelope, one at a time, and deliver every result."""
    with neighbours(stage.directory, "alice", "bob") as (alice, bob):
        alice.say(bob, "as it was written")
        (put,) = alice.send(bob)
        (frame,) = _framed(bob, put)
        before, whole = state_of(bob), int.from_bytes(frame, "big")
        bits = len(put.envelope) * 8
        refused = 0
        for first in range(0, bits, 1024):
            flipped = ((whole ^ 1 << bit).to_bytes(len(frame), "big") for bit in range(first, first + 1024))
            refused += _bring(bob, flipped)
            if state_of(bob) != before:
                break
        assert refused <= 8  # the version of the envelope is read by everybody
        outcome = _nothing_changed(bob, before, "none opens, nothing of its state changes", bits)
        _bring(bob, [frame])
        assert bob.texts() == ["as it was written"] or isinstance(outcome, Succeeded)
        return outcome


@attack(defence="the seal's authentication covers every byte, padding included", without=UNCHECKED)
async def truncate(stage: Stage) -> Outcome:
    """Cut a frame at every length, and lengthen it to every size that an envelope may have."""
    with neighbours(stage.directory, "alice", "bob") as (alice, bob):
        alice.say(bob, "x" * 1500)
        (put,) = alice.send(bob)
        (frame,) = _framed(bob, put)
        before = state_of(bob)
        cut = [frame[:size] for size in range(len(frame))]
        grown = [frame + bytes(DELIVER_HEADER + size - len(frame)) for size in BUCKETS[2:]]
        refused = _bring(bob, [*cut, *grown])
        assert refused == len(frame) - 1  # one bucket is shorter than this envelope
        return _nothing_changed(
            bob, before, "no size but a bucket is a frame, and no other one opens", len(cut)
        )


@attack(defence="the seal's authentication covers every byte, padding included", without=UNCHECKED)
async def splice(stage: Stage) -> Outcome:
    """Join the beginning of one envelope to the end of another one of the same sender, at every byte."""
    with neighbours(stage.directory, "alice", "bob") as (alice, bob):
        for text in ("pay Carol", "pay nobody"):
            alice.say(bob, text)
        one, other = _framed(bob, *alice.send(bob))
        before, places = state_of(bob), range(DELIVER_HEADER + 1, len(one))
        joined = {begin[:at] + end[at:] for begin, end in ((one, other), (other, one)) for at in places}
        envelopes = {each[DELIVER_HEADER:] for each in joined} - {
            each[DELIVER_HEADER:] for each in (one, other)
        }
        head = one[:DELIVER_HEADER]
        assert _bring(bob, (head + envelope for envelope in sorted(envelopes))) == 0
        return _nothing_changed(bob, before, "none opens, nothing of its state changes", len(envelopes))


# For the controls: who an envelope may have been sealed for, and whose device a relay says that it is from.
RECIPIENTS: Final[list[tuple[bytes, Sequence[bytes]]]] = []
SAID: Final[list[Device]] = []


def _unsealed(original: Callable[..., Opened]) -> Callable[..., Opened]:
    """Whoever gets an envelope opens it, and takes it for that device's which the relay names."""

    def opened(envelope: bytes, recipient: bytes, privates: Sequence[bytes], *rest: Any) -> Opened:
        for device_key, keys in RECIPIENTS:
            with contextlib.suppress(DecryptError):
                found = original(envelope, device_key, keys)
                senders = [(said.key, said.identity_key) for said in SAID]
                device_key, identity_key = (*senders, (found.device_key, found.identity_key))[0]
                return replace(found, device_key=device_key, identity_key=identity_key)
        return original(envelope, recipient, privates, *rest)

    return opened


@contextlib.contextmanager
def _found_out(recipient: Home, *said: Home) -> Iterator[None]:
    """In a control, as long as this lasts."""
    RECIPIENTS.append((recipient.mailbox, recipient.mailroom.state.sealing_privates()))
    SAID.extend(home.profile.device for home in said)
    try:
        yield
    finally:
        RECIPIENTS.clear()
        SAID.clear()


@attack(
    defence="an envelope is sealed for one device, and names its sender inside",
    without=Removal("clients.engine.open_envelope", _unsealed),
    fell="Threema: a server could throw messages back at their sender (Paterson, Scarlata, Truong, 2023)",
)
async def reflect(stage: Stage) -> Outcome:
    """Throw a client's own frames back at it, as if they came from the one that it wrote to."""
    with neighbours(stage.directory, "alice", "bob") as (alice, bob):
        for text in ("one", "two", "three"):
            alice.say(bob, text)
        puts = alice.send(bob)
        before = state_of(alice)
        with _found_out(bob, bob):
            _bring(alice, _framed(alice, *puts))
        return _nothing_changed(alice, before, "none opens, nothing of its state changes", len(puts))


@attack(
    defence="an envelope is sealed for one device",
    without=Removal("clients.engine.open_envelope", _unsealed),
)
async def wrong_mailbox(stage: Stage) -> Outcome:
    """Deliver to one contact what the same sender has written to another."""
    with neighbours(stage.directory, "alice", "bob", "carol") as (alice, bob, carol):
        for text in ("for Bob", "for Bob alone"):
            alice.say(bob, text)
        puts = alice.send(bob)
        before = state_of(carol)
        with _found_out(bob):
            _bring(carol, _framed(carol, *puts))
        return _nothing_changed(carol, before, "none opens, nothing of its state changes", len(puts))


def _unnamed(original: Callable[..., Any]) -> Callable[..., Any]:
    """Keys that do not depend on who is to open what they seal."""
    return lambda *arguments: original(
        *(each[: 2 * KEY] if len(each) == 3 * KEY else each for each in arguments)
    )


@attack(
    defence="the keys of a seal depend on its recipient's device key",
    without=(Removal("keys.seal._layer1_key", _unnamed), Removal("keys.seal._layer2_key", _unnamed)),
)
async def borrowed_sealing_key(stage: Stage) -> Outcome:
    """Publish a contact's sealing key as one's own, and pass on to it what is sealed for oneself."""
    with neighbours(stage.directory, "bob", "alice") as (bob, alice):
        mallory = Home(stage.directory, "mallory")
        (device,), devices = mallory.bundle().devices, mallory.profile.device_list.encode()
        borrowed = prekey_of(mallory, PrekeyKind.SEALING, alice.mailroom.state.own_sealing().key)
        device = device.model_copy(update={"prekeys": [device.prekeys[0], borrowed, *device.prekeys[2:]]})
        bob.add(mallory)
        bob.mailroom.learn_bundle(bob.contact(mallory), Bundle(ref=0, device_list=devices, devices=[device]))
        bob.say(mallory, "for Mallory")
        before, puts = state_of(alice), bob.send(mallory)
        _bring(alice, _framed(alice, *puts))
        mallory.close()
        return _nothing_changed(alice, before, "does not open, nothing of her state changes", len(puts))


class _Pretender:
    """The public halves of a device, and private halves that are others."""

    def __init__(self, pretended: Device) -> None:
        self.key, self.identity_key = pretended.key, pretended.identity_key
        self.identity_private = random.Random(1).randbytes(32)


def _by_ephemeral_key_alone(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda key1, shared, *rest: original(key1, b"", *rest)


@attack(
    defence="the second layer of the seal is keyed by the sender's identity key",
    without=Removal("keys.seal._layer2_key", _by_ephemeral_key_alone),
)
async def forge_receipt(stage: Stage) -> Outcome:
    """Seal a receipt in the name of a contact, from its public keys alone."""
    with neighbours(stage.directory, "alice", "bob") as (alice, bob):
        said = alice.say(bob, "dropped by the relay")
        alice.send(bob)
        state = alice.mailroom.state
        receipt = Receipt(state.stream, ((1, 100),)).encode()
        content = Content(Kind.RECEIPT, os.urandom(16), bob.mailroom.state.stream, 50, now_ms(), receipt)
        pretender: Any = _Pretender(bob.profile.device)
        forged = random.Random(2).randbytes(88) + content.encode() + bytes(16)
        sealing = state.own_sealing().key
        before = state_of(alice)
        for type in InnerType:
            envelope = seal(pretender, alice.mailbox, sealing, type, forged, os.urandom)
            _bring(alice, _framed(alice, Put(os.urandom(16), alice.mailbox, envelope)))
        assert alice.mailroom.history.status(said) == "accepted"
        return _nothing_changed(alice, before, "does not open; the message stays 'accepted'", len(InnerType))


ATTACKS: Final[tuple[Attack, ...]] = (
    flip_each_bit, truncate, splice, reflect, wrong_mailbox, borrowed_sealing_key, forge_receipt,
)  # fmt: skip
