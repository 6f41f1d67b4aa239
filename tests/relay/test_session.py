"""The session alone: every transition of its table, and every refusal, without a socket."""

import json
import os

import pytest

from relay import endings
from relay.actions import (
    Acknowledge,
    Action,
    Close,
    Delete,
    Export,
    Fetch,
    Greeted,
    LogIn,
    Publish,
    Register,
    Say,
    Send,
    SendFrames,
    StartDelivery,
)
from relay.auth import Authority, RelayKey
from relay.lanes import BLOCKED_MAILBOXES, Batch
from relay.metrics import Drop
from relay.session import ERRORS_BEFORE_CLOSE, Session
from relay.states import TRANSITIONS, State
from relay.store.base import DeviceStatus, PutResult, StockCount, StoredFrame
from tests.relay.devices import NOW, Account, Device, envelope
from tests.relay.paces import Slow
from wire import control
from wire.control import ControlMessage
from wire.errors import CloseCode, ErrorCode, WireError
from wire.frames import Put, decode_deliver
from wire.login import Greeting, Mode, deletion_bytes
from wire.prekeys import PrekeyKind

ORIGIN = "ws://127.0.0.1:8760"
NONCE = bytes(range(32))
CLIENT_NONCE = bytes(32)
KEY = RelayKey(bytes(32))


def new_session() -> Session:
    return Session(Authority(KEY), {ORIGIN}, NONCE, Slow().pace())


def say(session: Session, message: ControlMessage) -> list[Action]:
    return session.receive_text(message.encode(), NOW)


def hello(mode: Mode, origin: str = ORIGIN, version: int = 1) -> control.Hello:
    return control.Hello(mode=mode, version=version, origin=origin, nonce=CLIENT_NONCE)


def login(device: Device, origin: str = ORIGIN, nonce: bytes = NONCE) -> control.Login:
    greeting = Greeting(Mode.DEVICE, origin, KEY.public, nonce, CLIENT_NONCE, NOW)
    return control.Login(device_key=device.key, signature=device.sign(greeting.login_bytes(device.key)))


def submit_session() -> Session:
    session = new_session()
    say(session, hello(Mode.SUBMIT))
    return session


def device_session(device: Device, registered: bool = True) -> Session:
    session = new_session()
    say(session, hello(Mode.DEVICE))
    assert say(session, login(device)) == [LogIn(device.key)]
    session.welcome(DeviceStatus(registered))
    return session


def delivering_session(device: Device) -> Session:
    session = device_session(device)
    assert say(session, control.Pull()) == [StartDelivery()]
    return session


def errors(actions: list[Action]) -> list[ErrorCode]:
    said = [action.message for action in actions if isinstance(action, Send)]
    return [m.code for m in said if isinstance(m, control.Error | control.Refused)]


def error_of(actions: list[Action]) -> control.Error:
    first = actions[0]
    assert isinstance(first, Send)
    assert isinstance(first.message, control.Error)
    return first.message


def closes(actions: list[Action]) -> list[CloseCode]:
    return [action.code for action in actions if isinstance(action, Close)]


def stored(count: int, size: int = 1024, first: int = 1) -> list[StoredFrame]:
    return [StoredFrame(first + n, os.urandom(16), envelope(size)) for n in range(count)]


def login_hash(device: Device) -> bytes:
    """Of a login of these tests."""
    greeting = Greeting(Mode.DEVICE, ORIGIN, KEY.public, NONCE, CLIENT_NONCE, NOW)
    return greeting.login_hash(device.key, login(device).signature)


def wish(account: Account, login_hash: bytes) -> control.Delete:
    signature = account.signing.sign(deletion_bytes(account.key, login_hash)).signature
    return control.Delete(ref=7, account_key=account.key, signature=signature)


# --- the table -----------------------------------------------------------------------------------------

BOB = Account()
MESSAGES: dict[str, ControlMessage] = {
    "hello device": hello(Mode.DEVICE),
    "hello submit": hello(Mode.SUBMIT),
    "login": login(BOB.device),
    "register": control.Register(ref=1, device_list=BOB.list().encode()),
    "publish": control.Publish(ref=2, prekeys=[BOB.device.prekey(PrekeyKind.SIGNED, 1).encode()]),
    "pull": control.Pull(),
    "allow": control.Allow(ref=4, tokens=[]),
    "appear": control.Appear(secrets=[]),
    "checkpoint": control.Checkpoint(checkpoint=b"sealed"),
    "attach": control.Attach(mailbox=BOB.device.key, token=bytes(16)),
    "watch": control.Watch(ref=5, capability=bytes(32)),
    "acknowledge": control.Acknowledge(through=0),
    "fetch": control.Fetch(ref=3, account_key=BOB.key, take=True),
    "export": control.Export(ref=6),
    "delete": wish(BOB, login_hash(BOB.device)),
}


def in_state(state: State) -> Session:
    match state:
        case State.NEW:
            return new_session()
        case State.GREETED:
            session = new_session()
            say(session, hello(Mode.DEVICE))
            return session
        case State.DEVICE:
            return device_session(BOB.device)
        case State.DELIVERING:
            return delivering_session(BOB.device)
        case State.SUBMIT:
            return submit_session()
        case State.CLOSED:
            session = submit_session()
            session.end(endings.RESTARTING)
            return session


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


# --- hello and login -----------------------------------------------------------------------------------


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


# --- malformed -----------------------------------------------------------------------------------------

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


# --- requests of a device ------------------------------------------------------------------------------


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


# --- delivery ------------------------------------------------------------------------------------------


def handed(actions: list[Action]) -> list[bytes]:
    return [data for action in actions if isinstance(action, SendFrames) for data in action.frames]


def test_delivery_is_bounded_by_frames_and_bytes() -> None:
    session = delivering_session(BOB.device)
    assert session.room() == (256, 1024 * 1024)
    frames = stored(2, 65_536)
    delivered = [decode_deliver(data) for data in handed(session.deliver(frames))]
    assert [(f.sequence, f.envelope, f.flags) for f in delivered] == [
        (f.sequence, f.envelope, 0) for f in frames
    ]
    assert session.room() == (254, 1024 * 1024 - 2 * 65_536)
    assert session.delivered == 2
    assert say(session, control.Acknowledge(through=1)) == [Acknowledge(1)]
    assert session.room() == (255, 1024 * 1024 - 65_536)


def test_an_acknowledgement_counts_only_for_what_was_delivered_here() -> None:
    session = delivering_session(BOB.device)
    session.deliver(stored(3, first=5))
    actions = say(session, control.Acknowledge(through=8))
    assert error_of(actions).field == "through"
    assert errors(actions) == [ErrorCode.BAD_REQUEST]
    assert say(session, control.Acknowledge(through=4)) == []
    assert say(session, control.Acknowledge(through=7)) == [Acknowledge(7)]
    assert say(session, control.Acknowledge(through=7)) == []


def test_nothing_is_delivered_after_the_end() -> None:
    session = delivering_session(BOB.device)
    session.end(endings.REPLACED)
    assert session.deliver(stored(1)) == []


# --- puts ----------------------------------------------------------------------------------------------


def put(session: Session, mailbox: bytes, frame_id: bytes) -> list[Action]:
    return [
        *session.receive_binary(Put(frame_id * 16, mailbox, envelope()).encode()),
        *session.read(),
    ]


def told(actions: list[Action]) -> dict[bytes, ErrorCode | None]:
    result: dict[bytes, ErrorCode | None] = {}
    for action in actions:
        if isinstance(action, Say):
            accepted = control.decode_relay_message(action.text)
            assert isinstance(accepted, control.Accepted)
            result |= {frame[:1]: None for frame in accepted.frames}
        elif isinstance(action, Send) and isinstance(action.message, control.Accepted):
            result |= {frame[:1]: None for frame in action.message.frames}
        elif isinstance(action, Send) and isinstance(action.message, control.Refused):
            result[action.message.frame[:1]] = action.message.code
    return result


def batch_of(actions: list[Action]) -> Batch:
    (batch,) = [action for action in actions if isinstance(action, Batch)]
    return batch


def test_one_batch_at_a_time_per_mailbox_and_what_waits_forms_the_next() -> None:
    session = submit_session()
    first = batch_of(put(session, BOB.device.key, b"a"))
    assert put(session, BOB.device.key, b"b") == put(session, BOB.device.key, b"c") == []
    other = batch_of(put(session, bytes(32), b"x"))
    assert other.mailbox == bytes(32)
    actions = session.settle(first, [PutResult.STORED])
    assert told(actions) == {b"a": None}
    second = batch_of(actions)
    assert [frame.frame_id[:1] for frame in second.frames] == [b"b", b"c"]
    assert told(session.settle(second, [PutResult.DUPLICATE, PutResult.STORED])) == {
        b"b": None,
        b"c": None,
    }


def test_after_a_refusal_for_now_the_sender_goes_back() -> None:
    session = submit_session()
    box = BOB.device.key
    first = batch_of(put(session, box, b"a"))
    put(session, box, b"b")
    actions = session.settle(first, [PutResult.QUOTA])
    assert told(actions) == {b"a": ErrorCode.QUOTA, b"b": ErrorCode.GO_BACK}
    # A smaller frame might fit now, and would overtake: it must not.
    assert told(put(session, box, b"c")) == {b"c": ErrorCode.GO_BACK}
    # Another mailbox is not concerned.
    batch_of(put(session, bytes(32), b"x"))
    again = batch_of(put(session, box, b"a"))
    assert put(session, box, b"b") == []
    actions = session.settle(again, [PutResult.STORED])
    assert told(actions) == {b"a": None}
    assert [frame.frame_id[:1] for frame in batch_of(actions).frames] == [b"b"]


def test_within_a_batch_nothing_overtakes_the_refused_frame() -> None:
    session = submit_session()
    first = batch_of(put(session, BOB.device.key, b"a"))
    for frame_id in (b"b", b"c", b"d"):
        put(session, BOB.device.key, frame_id)
    second = batch_of(session.settle(first, [PutResult.STORED]))
    results = [PutResult.STORED, PutResult.QUOTA, PutResult.UNTRIED]
    expected = {b"b": None, b"c": ErrorCode.QUOTA, b"d": ErrorCode.GO_BACK}
    assert told(session.settle(second, results)) == expected


@pytest.mark.parametrize("code", [ErrorCode.STORAGE_FULL, ErrorCode.RATE_LIMITED, ErrorCode.INTERNAL])
def test_a_store_that_fails_makes_the_sender_go_back(code: ErrorCode) -> None:
    session = submit_session()
    first = batch_of(put(session, BOB.device.key, b"a"))
    put(session, BOB.device.key, b"b")
    actions = session.settle(first, WireError(code, "for now"))
    assert told(actions) == {b"a": code, b"b": ErrorCode.GO_BACK}
    assert told(put(session, BOB.device.key, b"c")) == {b"c": ErrorCode.GO_BACK}


def test_an_unknown_mailbox_is_final_and_blocks_nothing() -> None:
    session = submit_session()
    first = batch_of(put(session, BOB.device.key, b"a"))
    assert told(session.settle(first, [PutResult.UNKNOWN])) == {b"a": ErrorCode.NOT_FOUND}
    batch_of(put(session, BOB.device.key, b"b"))


def test_a_client_with_too_many_full_mailboxes_is_closed() -> None:
    session = submit_session()
    for number in range(BLOCKED_MAILBOXES + 1):
        batch = batch_of(put(session, bytes([number]) * 32, b"a"))
        actions = session.settle(batch, [PutResult.QUOTA])
        assert bool(closes(actions)) is (number == BLOCKED_MAILBOXES)


def test_a_peer_is_not_read_on_while_256_frames_or_a_mebibyte_have_no_answer() -> None:
    session = submit_session()
    first = batch_of(put(session, BOB.device.key, b"a"))
    seen = []
    for _ in range(255):
        seen.append(session.saturated)
        put(session, BOB.device.key, b"b")
    assert [*seen, session.saturated] == [False] * 255 + [True]
    session.settle(first, [PutResult.STORED])
    assert [session.saturated] == [False]
    session, seen = submit_session(), []
    for _ in range(16):
        seen.append(session.saturated)
        session.receive_binary(Put(os.urandom(16), bytes(32), envelope(65_536)).encode())
    assert [*seen, session.saturated] == [False] * 16 + [True]


# --- ends ----------------------------------------------------------------------------------------------


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
