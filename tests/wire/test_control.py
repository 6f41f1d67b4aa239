"""wire.control: strict, closed messages whose refusals name the field and quote nothing."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from tests.wire.control_messages import ALL, CLIENT, HELD, ID, KEY, STOCK, fields, name, refused
from wire.control import (
    AllowedToken,
    Attach,
    ControlMessage,
    OfferedDevice,
    Watch,
    decode_client_message,
    decode_relay_message,
)
from wire.control_values import encode_base64url
from wire.errors import WireError


def test_every_message_of_the_protocol_is_tried_here() -> None:
    tried = {type(message) for _, message in ALL} | {OfferedDevice, AllowedToken, *map(type, HELD)}
    assert tried == set(ControlMessage.__subclasses__())


@pytest.mark.parametrize(("decode", "message"), ALL, ids=name)
def test_every_message_round_trips_and_leaves_out_what_is_none(decode: Any, message: ControlMessage) -> None:
    assert decode(message.encode()) == message
    assert decode(message.encode()).encode() == message.encode()
    assert "null" not in message.encode()


@pytest.mark.parametrize(("decode", "message"), ALL, ids=name)
def test_no_message_of_one_direction_is_read_in_the_other(decode: Any, message: ControlMessage) -> None:
    other = decode_relay_message if decode is decode_client_message else decode_client_message
    assert refused(other, message.encode()).field == "type"


@pytest.mark.parametrize(("decode", "message"), ALL, ids=name)
def test_an_extra_field_is_refused_and_not_repeated(decode: Any, message: ControlMessage) -> None:
    error = refused(decode, {**fields(message), "CANARY": 1})
    assert "CANARY" not in f"{error}{error.field}"
    assert "unknown field" in str(error)


@pytest.mark.parametrize(("decode", "message"), ALL, ids=name)
def test_every_missing_field_is_refused_by_name(decode: Any, message: ControlMessage) -> None:
    model = type(message)
    for field, info in model.model_fields.items():
        value = fields(message)
        value.pop(field, None)
        if field == "type" or info.is_required():
            assert refused(decode, value).field == field
        else:
            assert getattr(decode(json.dumps(value)), field) is None


WRONG: list[object] = [
    None, True, False, -1, 2**32, 2**53, 2**64, 10**400, "", "x", "CANARY", "A" * 100_000, "\ud800", "é",
    [], ["CANARY"], [[]], {}, {"CANARY": "CANARY"}, [None], [1], ["!"],
]  # fmt: skip


@pytest.mark.parametrize(("decode", "message"), ALL, ids=name)
def test_no_wrong_value_gets_past_a_field_unless_it_is_of_the_fields_own_type(
    decode: Any, message: ControlMessage
) -> None:
    for field, good in fields(message).items():
        for wrong in WRONG:
            try:
                after = decode(json.dumps({**fields(message), field: wrong}))
            except WireError as error:
                assert error.field in (field, None) or field in ("stock", "devices", "tokens"), (field, wrong)
                assert "CANARY" not in f"{error}{error.field}"
            else:
                # None is the same as leaving an optional field out.
                optional = wrong is None and not type(message).model_fields[field].is_required()
                assert optional or type(wrong) is type(good), (field, wrong)
                assert json.loads(after.encode()).get(field) == wrong


@pytest.mark.parametrize(("decode", "message"), ALL, ids=name)
def test_a_field_that_occurs_twice_is_refused(decode: Any, message: ControlMessage) -> None:
    for field, value in fields(message).items():
        text = message.encode()[:-1] + f",{json.dumps(field)}:{json.dumps(value)}}}"
        assert "twice" in str(refused(decode, text))


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e999", "1.0", "true", "false", '"1"', "-1"]
)
def test_an_integer_is_an_integer(number: str) -> None:
    for text in (f'{{"type":"acknowledge","through":{number}}}', f'{{"type":"registered","ref":{number}}}'):
        refused(decode_client_message if "through" in text else decode_relay_message, text)


@pytest.mark.parametrize("number", ["0", "1", '"true"', "null", "[]"])
def test_a_boolean_is_a_boolean(number: str) -> None:
    text = f'{{"type":"fetch","ref":1,"account_key":"{encode_base64url(KEY)}","take":{number}}}'
    assert refused(decode_client_message, text).field == "take"


@pytest.mark.parametrize(
    "type", ["", "HELLO", "hello ", "relay_hello\0", "control", None, 1, True, ["hello"], {}]
)
def test_an_unknown_type_is_refused(type: object) -> None:
    assert refused(decode_client_message, {**fields(CLIENT[0]), "type": type}).field == "type"


def test_no_message_prints_a_token_or_a_capability() -> None:
    for message in (Attach(mailbox=KEY, token=ID), Watch(ref=1, capability=ID * 2)):
        assert repr(ID)[2:-1] not in f"{message!r}{message}".replace(repr(KEY), "")


def test_messages_are_immutable() -> None:
    with pytest.raises(ValidationError):
        setattr(STOCK, "one_time", 5)  # noqa: B010 mypy would see an assignment


@pytest.mark.parametrize("text", ["\x1b[31mred", "line\nline", "bell\x07", "\u202ereversed", "caf\u00e9"])
def test_what_a_relay_says_to_people_cannot_move_their_cursor(text: str) -> None:
    line = json.dumps({"type": "error", "code": "QUOTA", "message": text})
    with pytest.raises(WireError):
        decode_relay_message(line)
    line = json.dumps({"type": "refused", "frame": "A" * 22, "code": "QUOTA", "message": text})
    with pytest.raises(WireError):
        decode_relay_message(line)
