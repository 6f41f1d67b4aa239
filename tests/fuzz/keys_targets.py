"""Targets for keys/: one opaque error, unchanged states, and bounded work for whatever a peer sends."""

from functools import cache
from unittest.mock import patch

from keys import seal as seals
from keys.content import (
    Content,
    decode_content,
    decode_read,
    decode_receipt,
    decode_typing,
    read_list_extension,
)
from keys.errors import DecryptError, VerificationError
from keys.handshake import HEADER_SIZE, decode_header, initiate
from keys.identities import verify_device_list
from keys.prekeys import verify_bundle
from keys.primitives import sign, unpad
from keys.ratchet import MAX_JUMP, MAX_SKIPPED, Ratchet
from keys.safety_number import matches, safety_number, scannable
from keys.seal import InnerType, open_envelope, seal
from keys.sessions import Session, Sessions
from tests.fuzz.target import MAX_INPUT, Choices, Target, script
from tests.fuzz.vector_seeds import encoded, load
from tests.keys.parties import ALICE, BOB, NOW, Seeded, agree, counted, ratchets
from wire.device_lists import decode_device_list
from wire.errors import WireError
from wire.limits import BUCKETS, MLKEM_PUBLIC_KEY, PUBLIC_KEY
from wire.prekeys import DeviceBundle, Prekey, PrekeyKind, prekey_signed_bytes


def content(data: bytes) -> None:
    """`decode_content`."""
    try:
        decoded = decode_content(data)
    except DecryptError:
        return
    assert decoded.encode() == data


def receipt(data: bytes) -> None:
    """`decode_receipt`."""
    try:
        decoded = decode_receipt(data)
    except DecryptError:
        return
    assert decoded.encode() == data


def small_bodies(data: bytes) -> None:
    """`decode_read`, `decode_typing`, `read_list_extension` and `unpad`."""
    choices = Choices(data)
    kind, body = choices.below(4), choices.rest()
    try:
        match kind:
            case 0:
                assert decode_read(body).encode() == body
            case 1:
                assert bytes([decode_typing(body)]) == body
            case 2:
                version, hash = read_list_extension(body)
                assert version.to_bytes(8) + hash == body
            case _:
                assert body.startswith(unpad(body))
    except DecryptError:
        return


def handshake_header(data: bytes) -> None:
    """`decode_header`, on the right length half of the time: nothing else gets past its first line."""
    if data[:1] == b"\x01":
        data = data[:HEADER_SIZE].ljust(HEADER_SIZE, b"\0")
    try:
        header = decode_header(data)
    except DecryptError:
        return
    assert header.encode() == data


def _sealed(plain: bytes) -> bytes:
    """An envelope whose second layer is right, and holds `plain` in place of what is padded."""
    fixed = BUCKETS[0] - seals._FIXED
    with patch.object(seals, "pad", lambda _, size: plain[:size].ljust(size, b"\0")):
        size = max(0, min(len(plain), BUCKETS[1] - seals._FIXED) - fixed)
        return _from_alice(bytes(fixed + size - 2))


_SEALING = BOB.private(PrekeyKind.SEALING)


def _from_alice(inner: bytes) -> bytes:
    key = _SEALING.public.key
    return seal(ALICE.device, BOB.device.key, key, InnerType.MESSAGE, inner, Seeded("fuzz"))


def envelope(data: bytes) -> None:
    """`open_envelope`: raw bytes, a good envelope with bytes changed, and one that holds anything at all."""
    choices = Choices(data)
    match choices.below(3):
        case 0:
            size = BUCKETS[choices.below(3)]
            given = b"\x01" + choices.rest()[: size - 1].ljust(size - 1, b"\0")
        case 1:
            whole = _from_alice(b"inside")
            given = choices.spoil(whole)
            if given == whole:
                return
            try:
                open_envelope(given, BOB.device.key, [_SEALING.private])
            except DecryptError:
                return
            # X25519 ignores the highest bit of a public key; but the key is under the tags as it came.
            raise AssertionError("a changed envelope was opened")
        case _:
            given = _sealed(choices.rest())
    try:
        opened = open_envelope(given, BOB.device.key, [BOB.device.identity_private, _SEALING.private])
    except DecryptError:
        return
    assert opened.type in InnerType


@cache
def _pair() -> tuple[Ratchet, Ratchet, tuple[bytes, ...]]:
    """Two ratchets in the middle of a conversation, and messages for the second that it has not seen."""
    random = Seeded("fuzz")
    one, other = ratchets()
    for _ in range(2):
        one, message = one.encrypt(b"one", random)
        other, _ = other.decrypt(message, NOW)
        other, message = other.encrypt(b"other", random)
        one, _ = one.decrypt(message, NOW)
    coming = []
    for _ in range(4):
        one, message = one.encrypt(b"coming", random)
        coming.append(message)
    return one, other, tuple(coming)


def ratchet_message(data: bytes) -> None:
    """`Ratchet.decrypt`: messages changed or made up; a refusal leaves the state and derives little."""
    choices = Choices(data)
    _, state, coming = _pair()
    for _ in range(8):
        if not choices:
            return
        kind = choices.below(3)
        if kind == 0:
            message = choices.part()
        elif kind == 1:
            message = choices.spoil(coming[choices.below(len(coming))])
        else:  # a right key with numbers of the peer's choice: the most work that it can ask for
            whole = coming[choices.below(len(coming))]
            message = whole[:32] + choices.take(8).ljust(8, b"\0") + whole[40:]
        before = state.to_record()
        with counted() as calls:
            try:
                after, plaintext = state.decrypt(message, NOW)
            except DecryptError:
                assert state.to_record() == before
            else:
                assert plaintext == b"coming"
                state = after
        assert calls.mac <= 4 * (MAX_JUMP + 1), "more than two chains' longest jump"
        assert len(state.skipped) <= MAX_SKIPPED


def ratchet_record(data: bytes) -> None:
    """`Ratchet.from_record`: from our own store, so a damaged one is no more than an error."""
    try:
        state = Ratchet.from_record(data)
    except (WireError, ValueError):
        return
    assert Ratchet.from_record(state.to_record()) == state


def sessions_record(data: bytes) -> None:
    """`Sessions.from_record`."""
    try:
        sessions = Sessions.from_record(data)
    except (WireError, ValueError):
        return
    assert Sessions.from_record(sessions.to_record()) == sessions


@cache
def _numbers() -> tuple[str, str]:
    keys = ALICE.account.key, BOB.account.key
    return safety_number(*keys), scannable(*keys[::-1])


def comparison(data: bytes) -> None:
    """`matches`: only the right number or code is right, whatever stands between its characters."""
    text = data.decode("utf-8", "replace")
    # The 20,800 rounds of hashing are the same ones each time.
    with (
        patch("keys.safety_number.safety_number", lambda *_: _numbers()[0]),
        patch("keys.safety_number.scannable", lambda *_: _numbers()[1]),
    ):
        try:
            is_right = matches(ALICE.account.key, BOB.account.key, text)
        except ValueError:
            return
    assert is_right is ("".join(text.split()) in _numbers())


def offered_keys(data: bytes) -> None:
    """`verify_bundle` and `initiate`: a bundle that its owner has signed holds any bytes as keys."""
    choices = Choices(data)

    def prekey(kind: PrekeyKind) -> Prekey:
        size = (
            MLKEM_PUBLIC_KEY if kind in (PrekeyKind.ONE_TIME_KEM, PrekeyKind.LAST_RESORT_KEM) else PUBLIC_KEY
        )
        id, created = choices.number(4), choices.number(5)
        own = BOB.private(kind).public.key
        key = choices.spoil(own) if choices.below(2) else choices.take(size).ljust(size, b"\0")
        signed = prekey_signed_bytes(kind, BOB.device.key, id, created, key)
        return Prekey(kind, id, created, key, sign(BOB.device.seed, signed))

    kem = (PrekeyKind.ONE_TIME_KEM, PrekeyKind.LAST_RESORT_KEM)[choices.below(2)]
    has_one_time = choices.below(2)
    bundle = DeviceBundle(
        BOB.device.key,
        prekey(PrekeyKind.SIGNED),
        prekey(PrekeyKind.SEALING),
        prekey(kem),
        prekey(PrekeyKind.ONE_TIME) if has_one_time else None,
    )
    try:
        verify_bundle(bundle, BOB.entry, NOW)
    except VerificationError:
        return
    initiate(ALICE.device, ALICE.party, BOB.party, bundle, Seeded("fuzz"))  # what was believed can be used


def signed_list(data: bytes) -> None:
    """`verify_device_list`: a list that was changed in any byte does not hold."""
    choices = Choices(data)
    whole = BOB.devices.encode()
    given = choices.spoil(whole)
    try:
        devices = decode_device_list(given)
        verify_device_list(devices, BOB.account.key)
    except (WireError, VerificationError):
        return
    assert given == whole


def _records() -> list[bytes]:
    header, ours, theirs = agree(ALICE, BOB)
    signed = BOB.private(PrekeyKind.SIGNED)
    first = Session.initiate(ALICE.devices, header, ours, signed.public.key, NOW)
    first, message = first.encrypt(b"hello", Seeded("seed"))
    second, _ = Session.accept(header, theirs, signed.private, NOW).decrypt(message, NOW)
    return [
        Sessions((first,)).to_record(),
        Sessions((second,)).to_record(),
        Sessions((first, second)).to_record(),
    ]


def _contents() -> list[bytes]:
    unknown = Content(200, bytes(16), bytes(16), 1, 0, b"", ((1, bytes(40)), (9, b""), (255, b"x")))
    return [*encoded("content", "valid", "refused"), unknown.encode()]


def _messages() -> list[bytes]:
    _, _, coming = _pair()
    jumps = [script(2, 0) + number.to_bytes(8) for number in (0, 1, 999, 1001, 1 << 32, (1000 << 32) | 1000)]
    return [
        script(0, coming[0]),
        script(1, 3, 1) + bytes(2) + b"\x01",
        *jumps,
        script(1, 0, 0, 1, 2, 0, 1, 1, 0),
    ]


TARGETS = (
    Target("content", content, _contents),
    Target("receipt", receipt, lambda: encoded("content", "receipts", "refused_receipts")),
    Target(
        "small_bodies",
        small_bodies,
        lambda: [
            *(b"\0" + body for body in encoded("content", "read_marks", "refused_read_marks")),
            *(b"\1\0", b"\1\1", b"\1\2", b"\2" + bytes(40), b"\2" + b"\xff" * 40, b"\3\x80", b"\3a\x80\0\0"),
        ],
        max_input=200,
    ),
    Target(
        "handshake_header", handshake_header, lambda: encoded("handshake", "valid", "malformed", key="header")
    ),
    Target(
        "envelope",
        envelope,
        lambda: [
            *(
                b"\0\0" + item[1:]
                for item in encoded("seal", "valid", "refused", key="envelope")
                if len(item) == 1024
            ),
            *(
                b"\1\0",
                b"\1\1\0\0\x02",
                b"\1\2\0\x20\x80\0\x21\1",
                b"\2\1\x80",
                b"\2\2abc\x80",
                b"\2\3\x80",
                b"\2",
            ),
        ],
        max_input=2100,
    ),
    Target("ratchet_message", ratchet_message, _messages, max_input=1000),
    Target(
        "ratchet_record", ratchet_record, lambda: [item.to_record() for item in (*ratchets(), *_pair()[:2])]
    ),
    Target("sessions_record", sessions_record, _records, max_input=2 * MAX_INPUT),
    Target(
        "comparison",
        comparison,
        lambda: [
            *(item["number"].encode() for item in load("small_things")["safety_numbers"]),
            *(item["scannable_of_one"].encode() for item in load("small_things")["safety_numbers"]),
            *(text.encode() for text in _numbers()),
        ],
        max_input=300,
    ),
    Target(
        "offered_keys",
        offered_keys,
        lambda: [script(0, 1) + (b"\0\0\0\x01\0\x6b\x49\xd2\0\1\0") * 4, script(1, 0) + bytes(100)],
    ),
    Target(
        "signed_list",
        signed_list,
        lambda: [b"\0", b"\1\0\0\1", b"\2\0\x29\1\0\x53\x80", b"\1\xff\xff\1"],
        max_input=20,
    ),
)
