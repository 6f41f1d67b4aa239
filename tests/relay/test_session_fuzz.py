"""Whatever a peer says, in whatever order: a session answers or closes, and never raises."""

from hypothesis import given
from hypothesis import strategies as st

from relay.actions import Close, Say, Send, SendFrames
from relay.auth import Authority, RelayKey
from relay.lanes import Batch
from relay.session import Session
from relay.states import State
from relay.store.base import DeviceStatus, PutResult
from tests.relay.devices import NOW, Account, envelope
from tests.relay.paces import Slow
from wire import control
from wire.errors import ErrorCode, WireError
from wire.frames import FRAME_MAX, Put
from wire.login import Greeting, Mode

ORIGIN, NONCE, KEY, BOB = "ws://relay", bytes(32), RelayKey(bytes(32)), Account()


def _valid() -> list[str | bytes]:
    hello = {mode: control.Hello(mode=mode, version=1, origin=ORIGIN, nonce=NONCE) for mode in Mode}
    greeting = Greeting(Mode.DEVICE, ORIGIN, KEY.public, NONCE, NONCE, NOW)
    signature = BOB.device.sign(greeting.login_bytes(BOB.device.key))
    prekeys = [prekey.encode() for prekey in BOB.device.lasting()]
    messages = [
        *hello.values(),
        control.Login(device_key=BOB.device.key, signature=signature),
        control.Register(ref=1, device_list=BOB.list().encode()),
        control.Publish(ref=2, prekeys=prekeys),
        control.Pull(),
        control.Acknowledge(through=3),
        control.Fetch(ref=3, account_key=BOB.key, take=True),
        control.Allow(ref=4, tokens=[control.AllowedToken(hash=bytes(32), until=NOW)]),
        control.Appear(secrets=[bytes(16)]),
        control.Attach(mailbox=bytes(32), token=bytes(16)),
        control.Watch(ref=5, capability=bytes(32)),
    ]
    frames = [Put(bytes([n]) * 16, bytes([n % 2]) * 32, envelope()).encode() for n in range(4)]
    return [*(message.encode() for message in messages), *frames]


VALID = _valid()


def _spoiled(said: str | bytes, at: int, by: int) -> str | bytes:
    at %= len(said)
    if isinstance(said, str):
        return said[:at] + chr(by) + said[at + 1 :]
    return said[:at] + bytes([by]) + said[at + 1 :]


said = st.one_of(
    st.sampled_from(VALID),
    st.builds(_spoiled, st.sampled_from(VALID), st.integers(0, FRAME_MAX), st.integers(0, 127)),
    st.text(max_size=50),
    st.binary(max_size=80),
)


@given(st.lists(said, max_size=40), st.integers(1, 5))
def test_a_session_never_raises(sequence: list[str | bytes], fails_every: int) -> None:
    session = Session(Authority(KEY), {ORIGIN}, NONCE, Slow().pace())
    closed, batches = False, 0
    for message in sequence:
        if isinstance(message, str):
            actions = session.receive_text(message, NOW)
        else:
            actions = [*session.receive_binary(message), *session.read()]
        assert not (closed and actions), "something was said after the end"
        while actions:
            action = actions.pop(0)
            if isinstance(action, Send):
                control.decode_relay_message(action.message.encode())
            elif isinstance(action, Say):
                control.decode_relay_message(action.text)
            elif isinstance(action, Batch):
                batches += 1
                stored = [PutResult.STORED] * len(action.frames)
                full = WireError(ErrorCode.STORAGE_FULL, "full")
                actions += session.settle(action, stored if batches % fails_every else full)
            elif isinstance(action, Close):
                closed = True
            else:
                assert not isinstance(action, SendFrames), "nothing was pulled"
                if session.state is State.DEVICE:
                    session.welcome(DeviceStatus(registered=True))
    assert closed is (session.state is State.CLOSED)
