"""Targets for wire/: each decoder refuses with its one error, and what it accepts has one encoding."""

import json

from relay.answers import error_message
from tests.fuzz.target import MAX_INPUT, Choices, Target, script
from tests.fuzz.vector_seeds import encoded, texts
from wire import bech32m, strict_json
from wire.addresses import Address, RelayUrl
from wire.control import ControlMessage, decode_client_message, decode_relay_message
from wire.control_values import decode_base64url, encode_base64url
from wire.device_lists import decode_device_list
from wire.errors import WireError
from wire.frames import FRAME_MAX, Deliver, Put, decode_deliver, decode_put
from wire.limits import CONTROL_MAX
from wire.prekeys import decode_device_bundle, decode_prekey

WORDS_OF_JSON = (
    b'{"type":"', b'","', b'":"', b'":[', b'":{', b"true", b"false", b"null", b"NaN", b"Infinity", b"-1",
    b"1e9", b"18446744073709551616", b"9223372036854775808", b"\\ud800", b"\\u0000", b'"ref":', b'"type":"',
)  # fmt: skip


def refused(error: WireError) -> None:
    """A refusal can be sent to whoever caused it: a short sentence, a field that is known."""
    answer = error_message(error)
    assert decode_relay_message(answer.encode()) == answer


def as_text(data: bytes) -> str:
    """Text as a WebSocket gives it: nothing but UTF-8."""
    return data.decode("utf-8", "replace")


def put(data: bytes) -> None:
    """`decode_put`."""
    try:
        frame = decode_put(data)
    except WireError as error:
        return refused(error)
    assert frame.encode() == data


def deliver(data: bytes) -> None:
    """`decode_deliver`."""
    try:
        frame = decode_deliver(data)
    except WireError as error:
        return refused(error)
    assert frame.encode() == data


def client_message(data: bytes) -> None:
    """`decode_client_message`."""
    try:
        message: ControlMessage = decode_client_message(as_text(data))
    except WireError as error:
        return refused(error)
    assert decode_client_message(message.encode()) == message


def relay_message(data: bytes) -> None:
    """`decode_relay_message`."""
    try:
        message: ControlMessage = decode_relay_message(as_text(data))
    except WireError as error:
        return refused(error)
    assert decode_relay_message(message.encode()) == message


def json_text(data: bytes) -> None:
    """`strict_json.parse`: never more lenient than the library without its extensions."""
    text = as_text(data)
    try:
        value = strict_json.parse(text)
    except WireError as error:
        return refused(error)
    assert len(text.encode()) <= CONTROL_MAX
    assert json.loads(text) == value
    assert strict_json.parse(json.dumps(value, ensure_ascii=False)) == value


def device_list(data: bytes) -> None:
    """`decode_device_list`."""
    try:
        devices = decode_device_list(data)
    except WireError as error:
        return refused(error)
    assert devices.encode() == data
    assert len(devices.hash()) == 32


def prekey(data: bytes) -> None:
    """`decode_prekey`."""
    try:
        made = decode_prekey(data)
    except WireError as error:
        return refused(error)
    assert made.encode() == data


def device_bundle(data: bytes) -> None:
    """`decode_device_bundle`: the prekeys behind their lengths."""
    choices = Choices(data)
    given: list[bytes] = []
    while choices and len(given) < 6:
        given.append(choices.part())
    try:
        bundle = decode_device_bundle(bytes(32), given)
    except WireError as error:
        return refused(error)
    assert [item.encode() for item in bundle.prekeys()] == given


def address(data: bytes) -> None:
    """`Address.parse`: its text parses to it again."""
    try:
        parsed = Address.parse(as_text(data))
    except WireError as error:
        return refused(error)
    assert Address.parse(parsed.text) == parsed
    assert Address.parse(parsed.bare.text) == parsed.bare


def relay_url(data: bytes) -> None:
    """`RelayUrl.parse`: text, origin and endpoint name the same relay."""
    try:
        parsed = RelayUrl.parse(as_text(data))
    except WireError as error:
        return refused(error)
    assert RelayUrl.parse(parsed.text) == parsed == RelayUrl.parse(parsed.origin)
    assert parsed.websocket.isascii()
    assert parsed.websocket.isprintable()
    assert 0 < parsed.port < 65536


def bech32m_text(data: bytes) -> None:
    """`bech32m.decode`, with and without a right checksum."""
    choices = Choices(data)
    size, is_right = choices.below(49), choices.below(2)
    if is_right:
        version, inside = choices.below(32), choices.rest()[:size].ljust(size, b"\0")
        assert bech32m.decode("bp", bech32m.encode("bp", version, inside).upper(), size) == (version, inside)
        return
    text = as_text(choices.rest())
    try:
        version, inside = bech32m.decode("bp", text, size)
    except ValueError as error:
        assert str(error).isascii()
    else:
        assert bech32m.encode("bp", version, inside) == text.lower()


def base64url(data: bytes) -> None:
    """`decode_base64url`."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        value = decode_base64url(text)
    except ValueError:
        return
    assert encode_base64url(value) == text


def _bundles() -> list[bytes]:
    one = encoded("prekeys", "valid")
    return [script(one[0], one[1], one[3]), script(one[0], one[1], one[4], one[2]), script(*one), script(b"")]


def _frames() -> list[bytes]:
    envelope = b"\x01" + bytes(1023)
    sent, delivered = Put(bytes(16), bytes(32), envelope), Deliver(bytes(16), bytes(32), 1, 1, envelope)
    return [sent.encode(), delivered.encode(), sent.encode() + b"\0" * 1024, sent.encode()[:49]]


TARGETS = (
    Target("put", put, _frames, max_input=FRAME_MAX + 1),
    Target("deliver", deliver, _frames, max_input=FRAME_MAX + 1),
    Target(
        "client_message",
        client_message,
        lambda: texts("control", "client", "refused_of_a_client"),
        WORDS_OF_JSON,
    ),
    Target("relay_message", relay_message, lambda: texts("control", "relay"), WORDS_OF_JSON),
    Target(
        "strict_json",
        json_text,
        lambda: [
            b'{"a":[1,{"b":null}],"c":"\\ud83d\\ude00"}',
            b"[" * 100,
            b'{"a":1,"a":2}',
            b'{"a":1.5}',
            b"9" * 4400,
        ],
        WORDS_OF_JSON,
        max_input=6000,
    ),
    Target("device_list", device_list, lambda: encoded("device_lists", "valid", "malformed", "not_holding")),
    Target("prekey", prekey, lambda: encoded("prekeys", "valid", "malformed", "not_holding")),
    Target("device_bundle", device_bundle, _bundles, max_input=2 * MAX_INPUT),
    Target(
        "address", address, lambda: texts("addresses", "valid", "invalid"), (b"bp1", b"@", b"[::1]", b"://")
    ),
    Target(
        "relay_url",
        relay_url,
        lambda: [
            b"relay.example",
            b"wss://relay.example:8760/post",
            b"[::1]:1",
            b"http://127.0.0.1",
            b"[v1.a]/",
        ],
        (b"wss://", b"ws://", b"[::", b"]", b":0", b":65536", b"%25", b"/..", b"//", b"@", b"xn--"),
        max_input=300,
    ),
    Target(
        "bech32m",
        bech32m_text,
        lambda: [script(32, 0) + t for t in texts("addresses", "valid")],
        max_input=200,
    ),
    Target("base64url", base64url, lambda: [b"", b"AA", b"AB", b"-_8", b"AAAA", b"AA=="], max_input=200),
)
