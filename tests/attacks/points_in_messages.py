"""Attacks with points of small order inside envelopes, in every encoding that such a point has."""

import os
from typing import Final

from clients import clock
from keys.chain import RootKey
from keys.content import Content, Kind
from keys.handshake import HandshakeHeader, Party, _agreement, _transcript
from keys.primitives import aead_encrypt, dh, kem_encapsulate, pad
from keys.seal import _FIXED, InnerType, _layer1_key, _layer2_key, seal
from keys.sessions import Session
from tests.attacks.attack import Attack, Caught, Outcome, Succeeded, attack, gained
from tests.attacks.points import DEFENCE, SMALL, UNCHECKED, ZEROS
from tests.attacks.stage import Person, Stage
from wire.binary import u8, u32
from wire.frames import ENVELOPE_VERSION
from wire.prekeys import PrekeyKind

NOBODY: Final = "counted, and without any effect"


def _opening_with(mallory: Person, bob: Person, small: bytes) -> bytes:
    """A first message whose ephemeral key is of small order, and all that follows from it computed right."""
    state, now = bob.mailroom.state, clock.now_seconds()
    own, theirs = mallory.profile.device_list, bob.profile.device_list
    me, peer = Party(own, own.devices[0]), Party(theirs, theirs.devices[0])
    newest = {
        kind: state.private_prekey(kind, id - 1)
        for kind, id in zip(PrekeyKind, state.next_prekeys(), strict=True)
    }
    signed, kem = newest[PrekeyKind.SIGNED], newest[PrekeyKind.LAST_RESORT_KEM]
    assert signed is not None
    assert kem is not None
    shared, ciphertext = kem_encapsulate(kem.public.key)
    header = HandshakeHeader(
        theirs.version, theirs.hash(), small, signed.public.id, 0, kem.public.kind, kem.public.id, ciphertext
    )
    secrets = (dh(mallory.profile.device.identity_private, signed.public.key), ZEROS, ZEROS, shared)
    transcript = _transcript(me, peer, header, signed.public.key, b"", kem.public.key)
    session = Session.initiate(own, header, _agreement(transcript, secrets), signed.public.key, now)
    content = Content(Kind.TEXT, os.urandom(16), os.urandom(16), 1, now * 1000, b"zeros")
    _, message = session.encrypt(content.encode(), os.urandom)
    return session.opening + message


async def _all_or_none(stage: Stage, bob: Person, envelopes: list[bytes], what: str) -> Outcome:
    """Deliver them one after the other: none may be opened, and each is counted."""
    relay = stage.relays[0]
    for envelope in envelopes:
        await relay.inject(bob.mailbox, envelope, os.urandom(16))

    def taken() -> Succeeded | None:
        rows = bob.profile.store.db.execute("SELECT count(*) FROM messages WHERE body = ?", (b"zeros",)).get
        return gained(rows, what)

    def refused() -> Caught | None:
        is_so = bob.mailroom.undecryptable == len(envelopes)
        return Caught("bob", NOBODY, len(envelopes)) if is_so else None

    return await stage.until(lambda: taken() or refused())


@attack(defence=DEFENCE, without=UNCHECKED)
async def small_ephemeral_key(stage: Stage) -> Outcome:
    """Begin a session with an ephemeral key of small order, in each of its 14 encodings"""
    relay = await stage.relay()
    bob, mallory = await stage.person("bob", relay), await stage.person("mallory", relay)
    sealing, device = bob.mailroom.state.own_sealing().key, mallory.profile.device
    envelopes = [
        seal(device, bob.mailbox, sealing, InnerType.OPENING, _opening_with(mallory, bob, small), os.urandom)
        for small in SMALL
    ]
    return await _all_or_none(stage, bob, envelopes, "Bob accepts a session that rests on zeros")


@attack(
    defence=DEFENCE,
    without=UNCHECKED,
    fell="Secure Scuttlebutt and Tendermint: handshakes attacked with such points (Cremers, Jackson, 2019)",
)
async def small_envelope_key(stage: Stage) -> Outcome:
    """Seal with an ephemeral key of small order, in each of its 14 encodings: the seal hides nothing"""
    relay = await stage.relay()
    mallory, bob = await stage.pair(relay)
    sealing, device = bob.mailroom.state.own_sealing().key, mallory.profile.device
    stream, envelopes = os.urandom(16), list[bytes]()
    for number, small in enumerate(SMALL, 1):
        content = Content(Kind.TEXT, os.urandom(16), stream, number, clock.now_ms(), b"zeros")
        inner = _inner(mallory, bob, content)
        head, names = u8(ENVELOPE_VERSION) + small, small + sealing + bob.mailbox
        key1, nonce1 = _layer1_key(ZEROS, names)
        layer1 = aead_encrypt(key1, nonce1, device.key + device.identity_key, head)
        key2, nonce2 = _layer2_key(key1, dh(device.identity_private, sealing), names, layer1)
        padded = pad(u8(InnerType.MESSAGE) + inner, 1024 - _FIXED)
        envelopes.append(head + layer1 + aead_encrypt(key2, nonce2, padded, head + layer1))
    return await _all_or_none(stage, bob, envelopes, "Bob opens what anybody could have opened")


def _inner(one: Person, other: Person, content: Content) -> bytes:
    """The next ratchet message of a session."""
    session = one.sessions(other).sending
    assert session is not None
    session, message = session.encrypt(content.encode(), os.urandom)
    with one.profile.store.transaction():
        one.mailroom.state.save_sessions(other.mailbox, one.sessions(other).sent(session))
    return message


@attack(defence=DEFENCE, without=UNCHECKED)
async def small_ratchet_key(stage: Stage) -> Outcome:
    """Step the ratchet with a key of small order, so that nothing new enters it and it does not heal"""
    relay = await stage.relay()
    mallory, bob = await stage.pair(relay)
    session = mallory.sessions(bob).sending
    assert session is not None
    ratchet = session.ratchet
    _, chain = RootKey(ratchet.root.value).advance(ZEROS)
    key = chain.advance()[1]
    length = ratchet.sending.number if ratchet.sending is not None else ratchet.previous_length
    header = SMALL[0] + u32(length) + u32(0)
    content = Content(Kind.TEXT, os.urandom(16), os.urandom(16), 1, clock.now_ms(), b"zeros")
    message = header + key.encrypt(content.encode(), ratchet.associated + header, os.urandom)
    sealing = bob.mailroom.state.own_sealing().key
    envelope = seal(mallory.profile.device, bob.mailbox, sealing, InnerType.MESSAGE, message, os.urandom)
    await relay.inject(bob.mailbox, envelope, os.urandom(16))
    return await stage.until(
        lambda: (
            gained("zeros" in bob.texts(mallory), "Bob's next key follows from the one before")
            or bob.says("could not be decrypted", "refused, and a session begun anew", 1)
        )
    )


ATTACKS: Final[tuple[Attack, ...]] = (small_ephemeral_key, small_envelope_key, small_ratchet_key)
