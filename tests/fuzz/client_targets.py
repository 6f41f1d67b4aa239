"""Targets for clients/: what a peer, a relay or a program on the same machine may hand to a client.

The profile is a real one, on disk and encrypted; each input sees it as it was, because its transaction is
rolled back.
"""

import atexit
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from clients.engine import Alarm, Engine
from clients.errors import TooLargeError, TrustError, UsageError
from clients.local import framing
from clients.local.calls import CALLS, parse_call, ref_of
from clients.local.values import message_from
from keys.content import Content
from keys.errors import DecryptError, VerificationError
from keys.handshake import Party, initiate
from keys.identities import Device
from keys.seal import INNER_MAX, InnerType, seal
from keys.sessions import Session
from tests.fuzz.target import MAX_INPUT, Choices, Target, script
from tests.keys.parties import MALLORY, NOW, Seeded
from tests.support.homes import Home, converse
from wire.control import Bundle, OfferedDevice
from wire.errors import WireError
from wire.frames import Deliver
from wire.limits import BUCKETS
from wire.prekeys import decode_device_bundle

LINE_LIMIT = 1000


@cache
def homes() -> tuple[Home, Home]:
    """Alice, and Bob who approved her and has heard from her. Made once for the life of this process."""
    folder = tempfile.TemporaryDirectory(prefix="blindpost-fuzz-")
    atexit.register(folder.cleanup)
    alice, bob = Home(Path(folder.name), "alice"), Home(Path(folder.name), "bob")
    converse(alice, bob)
    return alice, bob


@contextmanager
def undone(home: Home) -> Iterator[None]:
    """Whatever changes in the store in here is rolled back."""
    db = home.profile.store.db
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        if not db.get_autocommit():
            db.execute("ROLLBACK")


@cache
def _sending() -> tuple[Session, bytes]:
    """Alice's session with Bob as it stands, and his sealing key."""
    alice, bob = homes()
    session = alice.mailroom.state.sessions(bob.mailbox).sending
    sealing = alice.mailroom.state.sealing_key(bob.mailbox)
    assert session is not None
    assert sealing is not None
    return session, sealing


def _seal(sender: Device, type: InnerType, inner: bytes) -> bytes:
    """For Bob."""
    return seal(sender, homes()[1].mailbox, _sending()[1], type, inner, Seeded("seal"))


def _from_alice(plaintext: bytes) -> bytes:
    session, _ = _sending()
    _, message = session.encrypt(plaintext, Seeded("fuzz"))
    return _seal(homes()[0].profile.device, InnerType.MESSAGE, message[:INNER_MAX])


@cache
def _opening() -> tuple[Session, Session]:
    """A stranger's session that Bob has not heard of, before and after its first message."""
    _, bob = homes()
    offered = bob.bundle(one_time=True)
    bundle = decode_device_bundle(offered.devices[0].device_key, offered.devices[0].prekeys)
    peer = Party(bob.profile.device_list, bob.profile.device_list.devices[0])
    header, agreement = initiate(MALLORY.device, MALLORY.party, peer, bundle, Seeded("fuzz"))
    session = Session.initiate(MALLORY.devices, header, agreement, bundle.signed.key, NOW)
    return session, session.encrypt(b"", Seeded("fuzz"))[0]


def _content(choices: Choices) -> bytes:
    """A content that decodes, with anything in it; or raw bytes."""
    if choices.below(4) == 0:
        return choices.rest()
    kind, id, stream = choices.below(12), choices.take(16).ljust(16, b"i"), choices.below(3)
    own = homes()[1].profile.stream
    sequence = max(1, choices.number(8) >> 1)
    sent, body = choices.number(8) >> 1, choices.part()
    if choices.below(2):  # bodies of receipts and read marks name the recipient's stream
        body = own + body
    extensions: dict[int, bytes] = {}
    while choices and len(extensions) < 8:
        extensions[choices.below(9)] = choices.part()
    streams = (b"s" * 16, own, bytes(16))
    return Content(kind, id, streams[stream], sequence, sent, body, tuple(extensions.items())).encode()


def _envelope(choices: Choices) -> bytes:
    match choices.below(4):
        case 0:  # what anybody can put into a mailbox
            size = BUCKETS[choices.below(2)]
            return b"\x01" + choices.rest()[: size - 1].ljust(size - 1, b"\0")
        case 1:  # what a contact can write
            return _from_alice(_content(choices))
        case 2:  # a seal that is authentic, around anything
            type, inner = InnerType(1 + choices.below(2)), choices.rest()
            return _seal(homes()[0].profile.device, type, inner)
        case _:  # what a stranger can say first
            first, _ = _opening()
            _, message = first.encrypt(_content(Choices(choices.part())), Seeded("fuzz"))
            inner = choices.spoil(first.opening) + message
            return _seal(MALLORY.device, InnerType.OPENING, inner[:INNER_MAX])


def engine_open(data: bytes) -> None:
    """`Engine.open`: opened, refused with the one error, or an alarm."""
    _, bob = homes()
    given = _envelope(Choices(data))
    engine = Engine(bob.profile.device, bob.mailroom.state, Seeded("engine"))
    with undone(bob):
        try:
            received = engine.open(given, NOW)
        except (DecryptError, Alarm):
            return
        assert received.content.sequence > 0


def mailroom(data: bytes) -> None:
    """`Mailroom.take_in`: what others say becomes a message that can be shown, or nothing."""
    _, bob = homes()
    choices, frames = Choices(data), []
    for number in range(1, 4):
        part = Choices(choices.part())
        if part:
            frames.append(Deliver(bytes(16), bob.mailbox, number, choices.below(2), _envelope(part)))
    with undone(bob):
        while frames:
            taken = bob.mailroom.take_in(frames)
            assert taken > 0
            del frames[:taken]
        for message in bob.heard():
            shown = message.to_json()
            assert framing.decode(framing.encode(shown)) == shown
            again = message_from(shown)
            assert (again.id, again.sequence, again.kind) == (message.id, message.sequence, message.kind)
        bob.mailroom.notes.write_owed()
        for contact in bob.mailroom.contacts.all():
            assert contact.name.isprintable()


def fetched_bundle(data: bytes) -> None:
    """`Mailroom.learn_bundle`: whatever a relay answers to a fetch."""
    alice, bob = homes()
    choices = Choices(data)
    right = _right_bundle()
    devices = []
    for _ in range(choices.below(3)):
        key = right.devices[0].device_key if choices.below(2) else choices.take(32).ljust(32, b"k")
        order = [choices.below(5) for _ in range(3 + choices.below(2))]
        given = [*right.devices[0].prekeys, choices.part() or b"?"]
        prekeys = [choices.spoil(given[number % len(given)])[:1261] for number in order]
        devices.append(OfferedDevice(device_key=key, prekeys=prekeys))
    list = choices.spoil(right.device_list)
    with undone(alice):
        try:
            alice.mailroom.learn_bundle(alice.contact(bob), Bundle(ref=0, device_list=list, devices=devices))
        except (TrustError, VerificationError, DecryptError, WireError):
            return


@cache
def _right_bundle() -> Bundle:
    return homes()[1].bundle()


def local_lines(data: bytes) -> None:
    """`framing` and `parse_call`: what a program says through the socket of a profile, in any pieces."""
    choices = Choices(data)
    step = 1 + choices.below(200)
    stream, splitter = choices.rest(), framing.Splitter(LINE_LIMIT)
    pieces = [stream[at : at + step] for at in range(0, len(stream), step)]
    lines = [line for piece in pieces for line in splitter.feed(piece)] + [*splitter.rest()]
    assert len(splitter._begun) < LINE_LIMIT
    whole = stream.split(b"\n")
    expected = [None if len(line) >= LINE_LIMIT else line for line in (whole if whole[-1] else whole[:-1])]
    assert [line if isinstance(line, bytes) else None for line in lines] == expected
    for line in lines:
        try:
            value = framing.decode(line)
            ref_of(value)
            assert framing.decode(framing.encode(value).removesuffix(b"\n")) == value
            parse_call(value)
        except (UsageError, TooLargeError) as error:
            assert str(error).isprintable()
            continue


def _lines() -> list[bytes]:
    refs = b'{"call":"me","ref":1}\n{"call":"send","to":"bob","text":"hi","ref":2}\n\n{"call":"none"}'
    every = [b'\xc8{"call":"%s","contact":"bob","name":"x","ref":7}' % name.encode() for name in CALLS]
    return [b"\x06" + refs, b"\0" + b"x" * 1001 + b"\n{}", *every]


def _said() -> list[bytes]:
    number = (1 << 1).to_bytes(8)
    receipt = script(b"\1" + (1).to_bytes(8) + (3).to_bytes(8))
    body = [
        bytes([1, 1, 1]) + b"i" * 16 + b"\0" + number + number + script(b"hello \xf0\x9f\x98\x80", 0),
        bytes([1, 1, 2]) + b"i" * 16 + b"\0" + number + number + receipt + b"\1",
        bytes([1, 1, 8]) + b"i" * 16 + b"\0" + number + number + script((3).to_bytes(8), 1),
        bytes([1, 1, 3]) + b"i" * 16 + b"\0" + number + number + script(b"\1", 0),
        bytes([1, 1, 4]) + b"i" * 16 + b"\0" + number + number
        + script(b"Alice", 0, 2, bytes(16), 3, bytes(32), 6, b"relay.example", 1, bytes(40)),
        bytes([1, 1, 7]) + b"i" * 16 + b"\0" + b"\xff" * 16 + script(bytes(200), 0, 5, b"r" * 16),
        b"\0\0" + bytes(200),
        b"\2\0" + bytes(600),
        b"\2\1" + bytes(600),
    ]  # fmt: skip
    strangers = [script(3, item[1:], 0) for item in body[:6]] + [script(3, body[0][1:], 1) + b"\0\x60\1"]
    return [*body, *strangers]


TARGETS = (
    Target("engine_open", engine_open, _said),
    Target(
        "mailroom",
        mailroom,
        lambda: [script(one, 0, two, 1, one, 0) for one, two in zip(_said(), _said()[::-1], strict=True)],
    ),
    Target(
        "fetched_bundle",
        fetched_bundle,
        lambda: [
            script(1, 0, 0, 1, 2, 3, 1) + bytes(8),
            script(1, 0, 1, 0, 1, 2) + bytes(8),
            script(2) + bytes(20),
        ],
        max_input=MAX_INPUT,
    ),
    Target(
        "local_lines", local_lines, _lines, (b'{"call":"', b'"ref":', b"\n", b"NaN", b"1e999", b"\\ud800")
    ),
)
