"""The session alone: every transition of its table, what each message asks for, and every end."""

import pytest

from relay import endings
from relay.actions import Close, Delete, Export, Fetch, Publish, Register, Send
from relay.metrics import Drop
from relay.states import TRANSITIONS, State
from tests.relay.devices import Account, Device, envelope
from tests.relay.sessions import (
    BOB,
    MESSAGES,
    closes,
    delivering_session,
    device_session,
    errors,
    in_state,
    login_hash,
    say,
    submit_session,
    wish,
)
from wire import control
from wire.errors import CloseCode, ErrorCode
from wire.frames import Put


@pytest.mark.parametrize("event", [*MESSAGES, "put"])
@pytest.mark.parametrize("state", State)
def test_each_state_takes_what_the_table_lists_and_nothing_else(state: State, event: str) -> None:
    session = in_state(state)
    assert session.state is state
    if event == "put":
        actions = session.receive_binary(Put(bytes(16), bytes(32), envelope()).encode())
    else:
        actions = say(session, MESSAGES[event])
    expected = TRANSITIONS[state].get(event)
    if expected is not None:
        assert session.state is expected
        assert errors(actions) == []
    elif state is State.CLOSED:
        assert actions == []
    else:
        assert errors(actions) == [ErrorCode.OUT_OF_TURN]
        early = state in (State.NEW, State.GREETED)
        assert closes(actions) == ([CloseCode.BAD_REQUEST] if early else [])
        assert session.state is (State.CLOSED if early else state)


def test_what_each_accepted_message_asks_for() -> None:
    session = device_session(BOB.device)
    assert say(session, MESSAGES["register"]) == [Register(1, BOB.list())]
    (action,) = say(session, MESSAGES["publish"])
    assert isinstance(action, Publish)
    assert action.ref == 2
    assert say(submit_session(), MESSAGES["fetch"]) == [Fetch(3, BOB.key, True)]
    assert say(session, control.Export(ref=6, place=b"there")) == [Export(6, b"there")]
    assert say(session, MESSAGES["delete"]) == [Delete(7, BOB.key)]
    since = control.Fetch(ref=4, account_key=BOB.key, take=False, since=7)
    assert say(submit_session(), since) == [Fetch(4, BOB.key, False, 7)]


def test_a_device_without_a_mailbox_may_delete_its_account_and_export_nothing() -> None:
    """It lost the answer, perhaps. Its connection ends with the next one."""
    session = device_session(BOB.device, registered=False)
    assert errors(say(session, MESSAGES["export"])) == [ErrorCode.NOT_REGISTERED]
    assert say(session, MESSAGES["delete"]) == [Delete(7, BOB.key)]
    actions = session.deleted(7, wiped=True)
    assert actions[0] == Send(control.Deleted(ref=7, wiped=True))
    assert closes(actions) == [CloseCode.ACCOUNT_DELETED]
    assert say(session, MESSAGES["register"]) == []


def test_a_wish_to_delete_that_the_account_has_not_signed_for_this_login() -> None:
    session = delivering_session(BOB.device)
    for forged in (wish(Account(), login_hash(BOB.device)), wish(BOB, login_hash(Device()))):
        spoiled = forged.model_copy(update={"account_key": BOB.key})
        assert errors(say(session, spoiled)) == [ErrorCode.LOGIN_REFUSED]
    assert session.state is State.DELIVERING


def test_each_end_has_its_code_and_is_said_once() -> None:
    too_many = endings.too_many()
    ends = {
        endings.REPLACED: (ErrorCode.REPLACED, CloseCode.REPLACED, Drop.REPLACED),
        endings.REMOVED: (ErrorCode.NOT_REGISTERED, CloseCode.LOGIN_REFUSED, Drop.DEVICE_REMOVED),
        endings.RESTARTING: (ErrorCode.RESTARTING, CloseCode.RESTARTING, Drop.RESTARTING),
        too_many: (too_many.error.code, CloseCode.TOO_MANY_CONNECTIONS, Drop.TOO_MANY_SOCKETS),
        endings.FAULT: (ErrorCode.INTERNAL, CloseCode.INTERNAL, Drop.FAULT),
    }
    for ending, (code, close, drop) in ends.items():
        session = delivering_session(BOB.device)
        actions = session.end(ending)
        assert errors(actions) == [code]
        assert actions[-1] == Close(close, drop)
        assert session.end(ending) == []
    session = submit_session()
    assert session.too_slow() == [Close(CloseCode.SLOW_READER, Drop.SLOW_READER)]
    assert session.too_slow() == []
    assert delivering_session(BOB.device).idle() == []
    assert submit_session().idle() == [Close(CloseCode.GOING_AWAY, Drop.IDLE)]
