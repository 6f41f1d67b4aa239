"""wire.control: where each text, number, list and binary field ends, to the last; and what no repr shows."""

import json
from typing import Any

import pytest

from wire.control import (
    Acknowledge,
    AllowedToken,
    Appear,
    Attach,
    Checkpoint,
    ControlMessage,
    Error,
    Hello,
    Register,
    Stock,
    Watch,
    Welcome,
    decode_client_message,
    decode_relay_message,
)
from wire.control_values import decode_base64url, encode_base64url
from wire.device_lists import LIST_MAX
from wire.errors import ErrorCode, WireError
from wire.limits import CHECKPOINT_MAX, DEVICES_PER_ACCOUNT, RELAY_TEXT_MAX
from wire.login import Mode
from wire.prekeys import PREKEY_MAX

KEY, ID = encode_base64url(bytes(range(32))), encode_base64url(bytes(range(16)))
SIGNATURE = encode_base64url(bytes(64))
STOCK: dict[str, Any] = {"type": "stock", "one_time": 0, "one_time_kem": 0}
DEVICE = {"device_key": KEY, "prekeys": ["AA", "AA", "AA"]}
MESSAGES: dict[str, dict[str, Any]] = {
    "hello": {"mode": "device", "version": 1, "origin": "", "nonce": KEY},
    "register": {"ref": 1, "device_list": "AA"},
    "publish": {"ref": 1, "prekeys": ["AA"]},
    "acknowledge": {"through": 1},
    "allow": {"ref": 1, "tokens": []},
    "checkpoint": {"checkpoint": "AA"},
    "fetch": {"ref": 1, "account_key": KEY, "take": False},
    "relay_hello": {"version": 1, "relay_key": KEY, "nonce": KEY, "time": 1, "signature": SIGNATURE},
    "welcome": {"signature": SIGNATURE, "registered": True, "expired": 0, "stock": STOCK},
    "bundle": {"ref": 1, "device_list": "AA", "devices": []},
    "refused": {"frame": ID, "code": "QUOTA", "message": ""},
    "error": {"code": "QUOTA", "message": ""},
}
RELAY = {"relay_hello", "welcome", "bundle", "refused", "error", "stock"}


def decoded(type: str, **changes: object) -> ControlMessage:
    decode = decode_relay_message if type in RELAY else decode_client_message
    return decode(json.dumps({"type": type, **MESSAGES[type], **changes}))


def ends(type: str, field: str, last: object, over: object) -> None:
    """`last` is read and stays what it is, `over` is refused."""
    assert json.loads(decoded(type, **{field: last}).encode())[field] == last
    with pytest.raises(WireError):
        decoded(type, **{field: over})


@pytest.mark.parametrize(
    ("type", "field", "most"),
    [
        ("hello", "origin", RELAY_TEXT_MAX + len("https://")),
        ("refused", "message", 500),
        ("error", "message", 500),
        ("error", "field", 100),
    ],
)
def test_a_text_ends_at_its_last_character(type: str, field: str, most: int) -> None:
    ends(type, field, "a" * most, "a" * (most + 1))


@pytest.mark.parametrize(
    ("type", "field", "bits"),
    [
        *(("hello", "version", 32), ("relay_hello", "version", 32), ("relay_hello", "time", 63)),
        *(("register", "ref", 32), ("fetch", "since", 63), ("acknowledge", "through", 63)),
        *(("welcome", "expired", 53), ("welcome", "full_at", 63)),
        *(("refused", "retry_after", 53), ("error", "retry_after", 53), ("error", "ref", 32)),
    ],
)
def test_a_number_ends_at_both_ends(type: str, field: str, bits: int) -> None:
    ends(type, field, 2**bits - 1, 2**bits)
    ends(type, field, 0, -1)


@pytest.mark.parametrize(
    ("type", "field", "most"),
    [
        ("register", "device_list", LIST_MAX),
        ("bundle", "device_list", LIST_MAX),
        ("checkpoint", "checkpoint", CHECKPOINT_MAX),
        ("welcome", "checkpoint", CHECKPOINT_MAX),
    ],
)
def test_a_binary_field_has_one_byte_at_least_and_ends_at_its_last(type: str, field: str, most: int) -> None:
    ends(type, field, encode_base64url(bytes(most)), encode_base64url(bytes(most + 1)))
    ends(type, field, encode_base64url(b"x"), "")


def test_the_parts_of_lists_are_bounded_too() -> None:
    longest, longer = (encode_base64url(bytes(size)) for size in (PREKEY_MAX, PREKEY_MAX + 1))
    ends("publish", "prekeys", [longest], [longer])
    ends("publish", "prekeys", ["AA"], [""])
    ends("allow", "tokens", [{"hash": KEY, "until": 2**63 - 1}], [{"hash": KEY, "until": 2**63}])
    ends("bundle", "former", [encode_base64url(bytes(LIST_MAX))], [encode_base64url(bytes(LIST_MAX + 1))])
    ends("bundle", "devices", [DEVICE] * DEVICES_PER_ACCOUNT, [DEVICE] * (DEVICES_PER_ACCOUNT + 1))
    for count in (3, 4):
        decoded("bundle", devices=[{**DEVICE, "prekeys": ["AA"] * count}])
    for count in (2, 5):
        with pytest.raises(WireError):
            decoded("bundle", devices=[{**DEVICE, "prekeys": ["AA"] * count}])


@pytest.mark.parametrize("text", ["Ref", "a b", "a-b", "é", "a\n"])
def test_the_name_of_a_field_is_one_that_a_field_can_have(text: str) -> None:
    with pytest.raises(WireError):
        decoded("error", field=text)


def test_a_mode_and_a_code_are_read_from_their_words_and_are_none_other() -> None:
    hello, error = decoded("hello"), decoded("error")
    assert isinstance(hello, Hello)
    assert isinstance(error, Error)
    assert (hello.mode, error.code) == (Mode.DEVICE, ErrorCode.QUOTA)
    for type, field in (("hello", "mode"), ("error", "code")):
        with pytest.raises(WireError) as refused:
            decoded(type, **{field: "OTHER"})
        assert refused.value.field == field


def test_no_message_prints_what_its_reader_could_use() -> None:
    secret = b"CANARYCANARYCANA"
    for message in (
        Register(ref=1, device_list=b"list", invite=secret),
        Appear(secrets=[secret]),
        Checkpoint(checkpoint=secret),
        Attach(mailbox=bytes(32), token=secret),
        Watch(ref=1, capability=secret * 2),
        Welcome(signature=bytes(64), registered=True, expired=0, stock=Stock(**STOCK), checkpoint=secret),
    ):
        assert "CANARY" not in f"{message!r}{message}"


@pytest.mark.parametrize("text", ["!CANARY", "CANARY\u00e9", "CANARY\ud800", "CANARYCANARYCANARYCAN"])
def test_what_is_not_base64url_is_said_without_quoting_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not (canonical )?base64url$"):
        decode_base64url(text)


@pytest.mark.parametrize("message", [Acknowledge(through=1), AllowedToken(hash=bytes(32))])
def test_a_message_cannot_be_changed_once_it_is_made(message: ControlMessage) -> None:
    (field, *_) = [name for name in type(message).model_fields if name != "type"]
    with pytest.raises(ValueError, match="frozen"):
        setattr(message, field, getattr(message, field))


def test_what_is_wrong_is_said_in_three_ways() -> None:
    for text, said in (
        ('{"type":"acknowledge"}', "a field is missing"),
        ('{"type":"acknowledge","through":1,"more":1}', "an unknown field"),
        ('{"type":"acknowledge","through":"1"}', "a field has a wrong type, size or value"),
        ('{"through":1}', "unknown type"),
    ):
        with pytest.raises(WireError, match=said) as refused:
            decode_client_message(text)
        assert refused.value.code is ErrorCode.BAD_REQUEST


def test_of_two_wrong_fields_the_first_is_named() -> None:
    for changes, named in (
        ({"ref": "x", "take": "x"}, "ref"),
        ({"take": "x", "account_key": "x"}, "account_key"),
    ):
        with pytest.raises(WireError) as refused:
            decoded("fetch", **changes)
        assert refused.value.field == named
