"""What the session alone refuses: what is malformed, and what a device may not ask for."""

import json

import pytest

from relay.actions import Close, Send, StartDelivery
from relay.metrics import Drop
from relay.session import ERRORS_BEFORE_CLOSE
from tests.relay.devices import NOW, Device
from tests.relay.sessions import (
    BOB,
    MESSAGES,
    closes,
    device_session,
    error_of,
    errors,
    new_session,
    say,
    submit_session,
)
from wire import control
from wire.errors import CloseCode, ErrorCode
from wire.frames import Put
from wire.prekeys import PrekeyKind

GARBAGE = [
    ("", None),
    ("{", None),
    ("[]", None),
    ('{"type":"nonsense"}', "type"),
    ('{"type":"fetch","ref":1,"account_key":"AA","take":true}', "account_key"),
    ('{"type":"fetch","ref":1,"ref":2}', None),
    ('{"type":"fetch","ref":1.5}', None),
    ('{"type":"acknowledge","through":-1}', "through"),
    ('{"type":"pull","extra_secret":1}', None),
]


@pytest.mark.parametrize(("text", "field"), GARBAGE)
def test_garbage_names_the_field_and_keeps_a_greeted_connection(text: str, field: str | None) -> None:
    actions = submit_session().receive_text(text, NOW)
    error = error_of(actions)
    assert (error.code, error.field) == (ErrorCode.BAD_REQUEST, field)
    assert closes(actions) == []
    assert "secret" not in error.encode()
    assert "nonsense" not in error.encode()
    early = new_session().receive_text(text, NOW)
    assert closes(early) == [CloseCode.BAD_REQUEST]


def test_the_error_of_a_malformed_request_says_which_one() -> None:
    text = json.dumps({"type": "fetch", "ref": 77, "account_key": "AA", "take": True})
    assert error_of(submit_session().receive_text(text, NOW)).ref == 77


def test_too_long_a_text_is_named_so() -> None:
    assert error_of(submit_session().receive_text("x" * 65_537, NOW)).code is ErrorCode.TOO_LARGE


def test_a_peer_that_keeps_breaking_the_protocol_is_closed() -> None:
    session = submit_session()
    for _ in range(ERRORS_BEFORE_CLOSE - 1):
        assert closes(session.receive_text("{", NOW)) == []
    actions = session.receive_text("{", NOW)
    assert actions[-1] == Close(CloseCode.BAD_REQUEST, Drop.TOO_MANY_ERRORS)
    assert session.receive_text("{", NOW) == []


def test_a_frame_of_no_bucket_is_refused_by_its_id() -> None:
    (action,) = submit_session().receive_binary(Put(b"i" * 16, bytes(32), bytes(1000)).encode())
    assert isinstance(action, Send)
    assert isinstance(action.message, control.Refused)
    assert (action.message.frame, action.message.code) == (b"i" * 16, ErrorCode.BAD_ENVELOPE)


def test_a_frame_without_a_header_gets_an_error() -> None:
    assert error_of(submit_session().receive_binary(b"\x01")).code is ErrorCode.BAD_FRAME


def test_a_list_without_this_device_is_refused() -> None:
    session = device_session(Device())
    error = error_of(say(session, MESSAGES["register"]))
    assert (error.code, error.ref) == (ErrorCode.REGISTRATION_REFUSED, 1)


@pytest.mark.parametrize("spoiled", ["account", "device"])
def test_a_list_with_a_signature_that_does_not_hold_is_refused(spoiled: str) -> None:
    encoded = bytearray(BOB.list().encode())
    encoded[-1 if spoiled == "account" else 82 + 135] ^= 1
    session = device_session(BOB.device)
    actions = say(session, control.Register(ref=1, device_list=bytes(encoded)))
    assert errors(actions) == [ErrorCode.REGISTRATION_REFUSED]


def test_a_prekey_signed_by_somebody_else_is_refused() -> None:
    prekeys = [Device().prekey(PrekeyKind.SIGNED, 1).encode()]
    actions = say(device_session(BOB.device), control.Publish(ref=9, prekeys=prekeys))
    assert errors(actions) == [ErrorCode.BAD_PREKEY]
    assert error_of(actions).ref == 9


def test_a_prekey_presented_as_another_kind_is_refused() -> None:
    encoded = bytearray(BOB.device.prekey(PrekeyKind.SIGNED, 1).encode())
    encoded[0] = PrekeyKind.SEALING
    actions = say(device_session(BOB.device), control.Publish(ref=9, prekeys=[bytes(encoded)]))
    assert errors(actions) == [ErrorCode.BAD_PREKEY]


def test_pull_needs_a_registration() -> None:
    session = device_session(BOB.device, registered=False)
    assert errors(say(session, control.Pull())) == [ErrorCode.NOT_REGISTERED]
    session.enrolled(1)
    assert say(session, control.Pull()) == [StartDelivery()]
