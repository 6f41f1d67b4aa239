"""Contents: texts, receipts, read marks, and what is none of them."""

from dataclasses import replace

from keys.content import Content, Extension, Kind, ReadMark, Receipt, list_extension
from scripts.make_vectors.people import NOW, UNDECRYPTABLE, File, named, refused
from wire.capabilities import presence_capability


def described(item: Content) -> File:
    """A content and its bytes."""
    return {
        "kind": int(item.kind),
        "message_id": item.message_id.hex(),
        "stream_id": item.stream_id.hex(),
        "sequence": item.sequence,
        "sent_ms": item.sent_ms,
        "body": item.body.hex(),
        "extensions": [[type, value.hex()] for type, value in item.extensions],
        "encoded": item.encode().hex(),
    }


def contents() -> File:
    """All of them."""
    text = Content(
        Kind.TEXT, named("message id", 16), named("stream id", 16), 1, NOW * 1000, "héllo".encode()
    )
    extended = replace(
        text, sequence=2**63 - 1, extensions=(list_extension(3, named("list hash")), (200, b"not known yet"))
    )
    unknown = replace(text, kind=250, body=b"")
    gifts = (
        (int(Extension.TOKEN), named("token", 16)),
        (int(Extension.PRESENCE), presence_capability(named("presence", 16))),
        (int(Extension.RELAY), b"wss://relay.example"),
    )
    card = replace(text, kind=Kind.PROFILE, body="Zoë".encode(), extensions=gifts)
    reply = replace(text, sequence=2, extensions=((int(Extension.REPLY_TO), text.message_id),))
    typing = replace(text, kind=Kind.TYPING, sequence=3, body=b"\x01")
    read = ReadMark(named("stream id", 16), 7)
    receipt = Receipt(named("stream id", 16), ((1, 7), (9, 9), (20, 2**63 - 1)))
    plain = text.encode()
    broken = {
        "sequence zero": replace(text, sequence=0).encode(),
        "truncated body": plain[:-1],
        "extension cut short": plain + b"\x01\0",
        "extension twice": plain + b"\x01\0\0" * 2,
        "extensions out of order": plain + b"\x02\0\0\x01\0\0",
    }
    broken_marks = {
        "cut short": read.encode()[:-1],
        "trailing byte": read.encode() + b"\0",
        "beyond 2^63": read.stream_id + b"\xff" * 8,
    }
    broken_receipts = {
        "no range": receipt.stream_id + b"\0",
        "from zero": replace(receipt, ranges=((0, 1),)).encode(),
        "descending": replace(receipt, ranges=((9, 9), (1, 2))).encode(),
        "trailing byte": receipt.encode() + b"\0",
    }

    def failing(items: dict[str, bytes]) -> list[File]:
        return [refused(UNDECRYPTABLE, why, encoded=item) for why, item in items.items()]

    return {
        "valid": [described(item) for item in (text, extended, unknown, card, reply, typing)],
        "refused": failing(broken),
        "receipts": [
            {
                "stream_id": receipt.stream_id.hex(),
                "ranges": receipt.ranges,
                "encoded": receipt.encode().hex(),
            }
        ],
        "read_marks": [
            {"stream_id": read.stream_id.hex(), "through": read.through, "encoded": read.encode().hex()}
        ],
        "refused_read_marks": failing(broken_marks),
        "refused_receipts": failing(broken_receipts),
    }
