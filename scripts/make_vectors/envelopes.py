"""Envelopes: the seal by itself, and two people who write to each other through all layers."""

from keys.content import Content, Extension, Kind, Receipt, list_extension
from keys.primitives import dh_key
from keys.seal import InnerType, bucket_for, open_envelope, seal
from keys.sessions import Session
from scripts.make_vectors.handshakes import handshake_of
from scripts.make_vectors.people import (
    ALICE,
    BOB,
    NOW,
    UNDECRYPTABLE,
    Draws,
    File,
    Someone,
    flipped,
    named,
    refused,
)
from wire.prekeys import PrekeyKind

# The largest inner part of each size of envelope but the last, one byte more, and the largest of all.
INNER_SIZES = (0, 893, 894, 1917, 1918, 3965, 3966, 8061, 8062, 16_253, 16_254, 32_637, 32_638, 65_405)


def seals() -> File:
    """Envelopes of the two smallest sizes, and what must not open."""
    sealing = BOB.prekeys[PrekeyKind.SEALING]
    valid = []
    parts = [(type, f"inner {type.name}", 40) for type in InnerType]
    for type, name, size in (*parts, (InnerType.OPENING, "inner of 894", 894)):
        draws, inner = Draws(f"seal {type.name}" if size == 40 else f"seal {name}"), named(name, size)
        envelope = seal(ALICE.device, BOB.device.key, sealing.public.key, type, inner, draws)
        valid.append({
            "random": draws.drawn.hex(), "type": int(type), "inner": inner.hex(), "envelope": envelope.hex()
        })  # fmt: skip
    one, other, _ = (bytes.fromhex(str(item["envelope"])) for item in valid)
    broken = {
        "another version": b"\x02" + one[1:],
        "ephemeral key changed": flipped(one, 1),
        "ephemeral key of small order": one[:1] + bytes(32) + one[33:],
        "first layer changed": flipped(one, 33),
        "second layer changed": flipped(one, 113),
        "last byte changed": flipped(one, 1023),
        "first layer of another envelope": other[:113] + one[113:],
        "for another device that has published the same sealing key": seal(
            ALICE.device,
            ALICE.device.key,
            sealing.public.key,
            InnerType.MESSAGE,
            b"inner",
            Draws("seal to another"),
        ),
        "no bucket": one[:-1],
        "the next bucket": one + bytes(1024),
    }
    return {
        "sender_device_key": ALICE.device.key.hex(),
        "sender_identity_private": ALICE.device.identity_private.hex(),
        "sealing_private": sealing.private.hex(),
        "recipient_device_key": BOB.device.key.hex(),
        "valid": valid,
        "refused": [refused(UNDECRYPTABLE, why, envelope=item) for why, item in broken.items()],
        "sizes": [{"inner": size, "envelope": bucket_for(size)} for size in INNER_SIZES],
    }


def person(who: Someone) -> File:
    """All that somebody holds, private halves first."""
    return {
        "account_seed": who.account.seed.hex(),
        "device_seed": who.device.seed.hex(),
        "identity_private": who.device.identity_private.hex(),
        "created": NOW,
        "device_list": who.devices.encode().hex(),
        "prekeys": [
            {"kind": int(kind), "private": prekey.private.hex(), "encoded": prekey.public.encode().hex()}
            for kind, prekey in who.prekeys.items()
        ],
    }


def conversation() -> File:
    """Four envelopes on the handshake `one-time` of handshake.json: two openings, an answer, a message."""
    header, agreement = handshake_of("one-time")
    signed = BOB.prekeys[PrekeyKind.SIGNED]
    sessions = [
        Session.initiate(ALICE.devices, header, agreement, dh_key(signed.private), NOW),
        Session.accept(header, agreement, signed.private, NOW),
    ]
    people, envelopes = (ALICE, BOB), []
    for number, (sender, content) in enumerate(written()):
        draws = Draws(f"conversation {number}")
        opening = sessions[sender].opening
        sessions[sender], message = sessions[sender].encrypt(content.encode(), draws)
        recipient = people[1 - sender].device.key
        sealing = people[1 - sender].prekeys[PrekeyKind.SEALING]
        type, inner = InnerType.OPENING if opening else InnerType.MESSAGE, opening + message
        envelope = seal(people[sender].device, recipient, sealing.public.key, type, inner, draws)
        opened = open_envelope(envelope, recipient, [sealing.private])
        assert (opened.type, opened.inner) == (type, inner)
        sessions[1 - sender], plain = sessions[1 - sender].decrypt(message, NOW)
        assert plain == content.encode()
        envelopes.append({
            "from": ("initiator", "acceptor")[sender],
            "random": draws.drawn.hex(),
            "content": content.encode().hex(),
            "message": message.hex(),
            "type": int(type),
            "inner": inner.hex(),
            "envelope": envelope.hex(),
        })  # fmt: skip
    return {"initiator": person(ALICE), "acceptor": person(BOB), "envelopes": envelopes}


def written() -> list[tuple[int, Content]]:
    """Who writes what: Alice twice, Bob a receipt, Alice again."""

    def content(who: Someone, kind: Kind, sequence: int, body: bytes, *, with_key: bool = False) -> Content:
        extensions = [list_extension(who.devices.version, who.devices.hash())]
        if with_key:
            extensions.append((int(Extension.SEALING_KEY), who.prekeys[PrekeyKind.SEALING].public.encode()))
        name = f"conversation {who.account.key.hex()[:8]} {sequence}"
        stream = named(f"conversation stream {who.account.key.hex()[:8]}", 16)
        sent = NOW * 1000 + sequence
        return Content(kind, named(name, 16), stream, sequence, sent, body, tuple(extensions))

    first = content(ALICE, Kind.TEXT, 1, "Hello Bob, grüß dich".encode(), with_key=True)
    receipt = Receipt(first.stream_id, ((1, 2),)).encode()
    return [
        (0, first),
        (0, content(ALICE, Kind.TEXT, 2, b"Are you there?", with_key=True)),
        (1, content(BOB, Kind.RECEIPT, 1, receipt, with_key=True)),
        (0, content(ALICE, Kind.TEXT, 3, b"Good.")),
    ]
