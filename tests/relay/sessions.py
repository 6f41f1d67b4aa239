"""A session without a socket: one in each state, what is said to it, and what its actions say."""

from relay import endings
from relay.actions import Action, Close, LogIn, Send, SendFrames, StartDelivery
from relay.auth import Authority, RelayKey
from relay.lanes import Batch
from relay.session import Session
from relay.states import State
from relay.store.base import DeviceStatus
from tests.relay.devices import NOW, Account, Device, envelope
from tests.relay.paces import Slow
from wire import control
from wire.control import ControlMessage
from wire.errors import CloseCode, ErrorCode
from wire.frames import Put
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


def handed(actions: list[Action]) -> list[bytes]:
    return [data for action in actions if isinstance(action, SendFrames) for data in action.frames]


def login_hash(device: Device) -> bytes:
    """Of a login of these tests."""
    greeting = Greeting(Mode.DEVICE, ORIGIN, KEY.public, NONCE, CLIENT_NONCE, NOW)
    return greeting.login_hash(device.key, login(device).signature)


def wish(account: Account, login_hash: bytes) -> control.Delete:
    signature = account.signing.sign(deletion_bytes(account.key, login_hash)).signature
    return control.Delete(ref=7, account_key=account.key, signature=signature)


def put(session: Session, mailbox: bytes, frame_id: bytes) -> list[Action]:
    return [
        *session.receive_binary(Put(frame_id * 16, mailbox, envelope()).encode()),
        *session.read(),
    ]


def batch_of(actions: list[Action]) -> Batch:
    (batch,) = [action for action in actions if isinstance(action, Batch)]
    return batch


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
