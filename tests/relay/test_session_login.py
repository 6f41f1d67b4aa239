"""Hello and login of the session alone: what is signed and told, what does not hold, and the deadline."""

import pytest

from relay.actions import Greeted, Send
from relay.states import State
from relay.store.base import DeviceStatus, StockCount
from tests.relay.devices import NOW, Device
from tests.relay.sessions import (
    BOB,
    CLIENT_NONCE,
    KEY,
    NONCE,
    ORIGIN,
    closes,
    device_session,
    error_of,
    errors,
    hello,
    in_state,
    login,
    new_session,
    say,
)
from wire import control
from wire.errors import CloseCode, ErrorCode
from wire.login import Greeting, Mode


def test_the_hello_is_answered_with_a_signature_that_holds() -> None:
    session = new_session()
    answer, greeted = say(session, hello(Mode.SUBMIT))
    assert isinstance(answer, Send)
    said = answer.message
    assert isinstance(said, control.RelayHello)
    greeting = Greeting(Mode.SUBMIT, ORIGIN, said.relay_key, said.nonce, CLIENT_NONCE, said.time)
    assert said.signature == KEY.sign(greeting.hello_bytes())
    assert (said.time, said.nonce, said.relay_key) == (NOW, NONCE, KEY.public)
    assert greeted == Greeted(Mode.SUBMIT)


@pytest.mark.parametrize(
    ("message", "code", "close"),
    [
        (hello(Mode.DEVICE, "wss://elsewhere.example"), ErrorCode.WRONG_ORIGIN, CloseCode.WRONG_ORIGIN),
        (hello(Mode.DEVICE, ORIGIN + "/"), ErrorCode.WRONG_ORIGIN, CloseCode.WRONG_ORIGIN),
        (hello(Mode.SUBMIT, version=2), ErrorCode.UNSUPPORTED_VERSION, CloseCode.UNSUPPORTED_VERSION),
    ],
)
def test_a_hello_that_cannot_be_met(message: control.Hello, code: ErrorCode, close: CloseCode) -> None:
    actions = say(new_session(), message)
    assert (errors(actions), closes(actions)) == ([code], [close])
    assert "elsewhere" not in str(actions)


def test_wrong_origin_names_the_setting() -> None:
    assert "public_urls" in error_of(say(new_session(), hello(Mode.DEVICE, "ws://other"))).message


def forged_logins() -> dict[str, control.Login]:
    device, other = Device(), Device()
    good = login(device)
    return {
        "another key": control.Login(device_key=other.key, signature=good.signature),
        "zeros": control.Login(device_key=device.key, signature=bytes(64)),
        "another relay's origin": login(device, origin="ws://127.0.0.1:1"),
        "an older challenge": login(device, nonce=bytes(32)),
        "the zero key": control.Login(device_key=bytes(32), signature=bytes(64)),
    }


@pytest.mark.parametrize("which", forged_logins())
def test_a_login_that_does_not_hold(which: str) -> None:
    session = in_state(State.GREETED)
    actions = say(session, forged_logins()[which])
    assert (errors(actions), closes(actions)) == ([ErrorCode.LOGIN_REFUSED], [CloseCode.LOGIN_REFUSED])
    assert session.state is State.CLOSED


def test_the_welcome_tells_what_the_store_knows() -> None:
    session = in_state(State.GREETED)
    message = login(BOB.device)
    say(session, message)
    (action,) = session.welcome(DeviceStatus(True, 7, StockCount(3, 4)))
    assert isinstance(action, Send)
    said = action.message
    assert isinstance(said, control.Welcome)
    assert (said.registered, said.expired, said.stock.one_time, said.stock.one_time_kem) == (True, 7, 3, 4)
    greeting = Greeting(Mode.DEVICE, ORIGIN, KEY.public, NONCE, CLIENT_NONCE, NOW)
    assert said.signature == KEY.sign(greeting.welcome_bytes(BOB.device.key, message.signature))


def test_the_deadline_ends_what_has_not_logged_in_or_registered_and_nothing_else() -> None:
    for state in (State.NEW, State.GREETED):
        actions = in_state(state).time_out()
        assert (errors(actions), closes(actions)) == ([ErrorCode.LOGIN_TIMEOUT], [CloseCode.LOGIN_TIMEOUT])
    for state in (State.DEVICE, State.DELIVERING, State.SUBMIT, State.CLOSED):
        assert in_state(state).time_out() == []
    session = device_session(BOB.device, registered=False)
    actions = session.time_out()
    assert (errors(actions), closes(actions)) == ([ErrorCode.LOGIN_TIMEOUT], [CloseCode.LOGIN_TIMEOUT])
    session = device_session(BOB.device, registered=False)
    session.enrolled(1)
    assert session.time_out() == []
