"""The names of what travels: all that the code can say has one that the ledger knows, and nothing else."""

import json
from typing import Any

import pytest
from websockets.frames import Opcode

from clients.audit.judging.fields import (
    control_frame,
    frame_fields,
    head_fields,
    information_fields,
    message_fields,
    undeclared,
)
from clients.audit.tap.reading import Head
from tests.docs.control_examples import examples
from wire.control import ControlMessage
from wire.frames import Deliver, Put
from wire.ledger import Place, read

LEDGER = read()
ENVELOPE = b"\x01" + bytes(1023)


def strange(text: str) -> list[str]:
    return [field.name for field in message_fields(text) if undeclared(LEDGER, field.place, field.name)]


def test_all_that_control_messages_can_say_is_declared_and_found() -> None:
    seen = set()
    for message in examples():
        assert strange(message.encode()) == []
        seen |= {(field.place, field.name) for field in message_fields(message.encode())}
    json_names = {name for place, name in seen if place is Place.JSON}
    missing = LEDGER.of(Place.JSON).keys() - json_names
    # What is left out where there is nothing to say, and kinds of records that the examples do not show.
    assert all(name.startswith("held_") or not is_required(name) for name in missing), missing
    assert {name for place, name in seen if place is Place.OBJECT} == LEDGER.of(Place.OBJECT).keys()


def is_required(name: str) -> bool:
    of, _, field = name.partition(".")
    for model in ControlMessage.__subclasses__():
        if "type" in model.model_fields and model.model_fields["type"].default == of:
            return model.model_fields[field].is_required()
    return True


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({"type": "login", "who": "alice"}, ["login.who"]),
        ({"type": "whisper", "to": "bob"}, ["whisper.type", "whisper.to"]),
        ({"text": "hello"}, ["untyped.text"]),
        ({"type": "welcome", "stock": {"one_time": 1, "name": "x"}}, ["stock.name"]),
        ({"type": "allow", "tokens": [{"hash": "x", "for": "bob"}]}, ["allowed_token.for"]),
        ({"type": "exported", "records": [{"held": "frame", "from": "x"}]}, ["held_frame.from"]),
        ({"type": "login", "device_key": {"also": 1}}, ["login.device_key.also"]),
        ({"type": "publish", "prekeys": [["x"]]}, ["publish.prekeys.list"]),
        ({"type": "login", "<b>": 1}, ["login.?b?"]),
    ],
)
def test_what_is_not_declared_is_seen_wherever_it_stands(said: dict[str, Any], found: list[str]) -> None:
    assert strange(json.dumps(said)) == found


def test_frames_and_heads_have_the_names_of_the_ledger() -> None:
    names = {field.name for field in frame_fields(Put(b"i" * 16, b"m" * 32, ENVELOPE).encode(), is_put=True)}
    deliver = Deliver(b"i" * 16, b"m" * 32, 7, 1, ENVELOPE)
    names |= {field.name for field in frame_fields(deliver.encode(), is_put=False)}
    names |= {control_frame(opcode, b"").name for opcode in (Opcode.CLOSE, Opcode.PING, Opcode.PONG)}
    assert names == LEDGER.of(Place.FRAME).keys()
    head = Head("GET /v1/ws?token=x HTTP/1.1", (("host", "relay"), ("cookie", "me")))
    assert [field.name for field in head_fields(head, is_request=True)] == [
        "GET /v1/ws",
        "request-header.host",
        "request-header.cookie",
    ]
    assert undeclared(LEDGER, Place.HTTP, "request-header.cookie")
    assert not undeclared(LEDGER, Place.HTTP, "request-header.host")
    assert not undeclared(LEDGER, Place.HTTP, "response-header.date")  # a proxy's
    assert undeclared(LEDGER, Place.HTTP, "request-header.date")
    answered = head_fields(Head("HTTP/1.1 101 Switching", (("upgrade", "websocket"),)), is_request=False)
    assert [field.name for field in answered] == ["response-header.upgrade"]
    about = information_fields(b'{"name": "x", "limits": {"put_rate": 1}}')
    assert [field.name for field in about] == ["info.name", "info.limits", "info.limits.put_rate"]
    assert [*information_fields(b"<html>")] == []
