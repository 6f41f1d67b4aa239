"""Targets for relay/: one connection's session, and what a proxy or an operator hands in."""

import atexit
import ipaddress
import os
import tempfile
from collections import Counter
from functools import cache
from hashlib import sha256
from pathlib import Path

from nacl.signing import SigningKey

from relay.actions import Close, LogIn, Say, Send, SendFrames, StartDelivery
from relay.admission import prefix_of
from relay.auth import Authority, RelayKey
from relay.config import ConfigError, read
from relay.lanes import Batch
from relay.session import Session
from relay.states import State
from relay.store.base import DeviceStatus, PutResult, StoredFrame
from tests.fuzz.target import Choices, Target
from tests.relay.devices import NOW, TOKEN, Account, Device
from tests.relay.paces import Slow
from wire import control
from wire.errors import ErrorCode, WireError
from wire.frames import Put, decode_deliver
from wire.limits import UNACKNOWLEDGED_FRAMES
from wire.login import Greeting, Mode
from wire.prekeys import PrekeyKind

ORIGIN, NONCE, KEY = "ws://relay", bytes(32), RelayKey(bytes(32))
BOB = Account(SigningKey(b"a" * 32), [Device(SigningKey(b"d" * 32))])
MAILBOXES = (BOB.device.key, b"m" * 32, b"n" * 32)
PROXIES = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("2001:db8::/32"))


@cache
def words() -> tuple[str, ...]:
    """Every control message that a client can send, as a session with a zero nonce takes it."""
    greeting = Greeting(Mode.DEVICE, ORIGIN, KEY.public, NONCE, NONCE, NOW)
    lasting = (PrekeyKind.SIGNED, PrekeyKind.SEALING, PrekeyKind.LAST_RESORT_KEM)
    prekeys = [BOB.device.prekey(kind, 1, b"k").encode() for kind in lasting]
    said = (
        *(control.Hello(mode=mode, version=1, origin=ORIGIN, nonce=NONCE) for mode in Mode),
        control.Login(
            device_key=BOB.device.key, signature=BOB.device.sign(greeting.login_bytes(BOB.device.key))
        ),
        control.Register(ref=1, device_list=BOB.list().encode()),
        control.Publish(ref=2, prekeys=prekeys),
        control.Pull(),
        control.Acknowledge(through=1),
        control.Acknowledge(through=3),
        control.Fetch(ref=3, account_key=BOB.key, take=True),
        control.Allow(ref=4, tokens=[control.AllowedToken(hash=bytes(32), until=NOW)]),
        control.Appear(secrets=[bytes(16)]),
        control.Attach(mailbox=MAILBOXES[1], token=TOKEN),
        control.Watch(ref=5, capability=bytes(32)),
    )
    return tuple(message.encode() for message in said)


def _id(number: int) -> bytes:
    """A frame id that no input holds by chance."""
    return sha256(b"frame %d" % number).digest()[:16]


class _Relay:
    """The rest of a relay, as far as one session sees it: it answers what it is asked, when it likes."""

    def __init__(self) -> None:
        self.session = Session(Authority(KEY), {ORIGIN}, NONCE, Slow().pace())
        self.batches: list[Batch] = []
        self.answered: Counter[bytes] = Counter()
        self.accepted: list[bytes] = []
        self.closed = False
        self.sequence = 0

    def carry_out(self, actions: list[object]) -> None:
        """What the session wants done; everything it says can be read by a client."""
        for action in actions:
            assert not self.closed, "something was wanted after the end"
            match action:
                case Send(message):
                    self.hear(control.decode_relay_message(message.encode()))
                case Say(text):
                    self.hear(control.decode_relay_message(text))
                case SendFrames(frames):
                    for frame in frames:
                        decode_deliver(frame)
                case Batch():
                    assert action.mailbox not in {item.mailbox for item in self.batches}
                    self.batches.append(action)
                case LogIn():
                    self.carry_out([*self.session.welcome(DeviceStatus(registered=True))])
                case Close():
                    self.closed = True
                case StartDelivery():
                    self.deliver(4)
                case _:
                    pass

    def hear(self, message: control.RelayMessage) -> None:
        """Count the answers to frames."""
        match message:
            case control.Accepted() | control.QueuedAsRequest():
                self.answered.update(message.frames)
                self.accepted += message.frames
            case control.Refused():
                self.answered[message.frame] += 1

    def settle(self, which: int, verdict: int) -> None:
        """The store's answer to one batch: stored, some over the quota, unknown, or a failure of the disk."""
        if not self.batches:
            return
        batch = self.batches.pop(which % len(self.batches))
        count = len(batch.frames)
        stored = [PutResult.STORED, PutResult.REQUESTED, PutResult.DUPLICATE, PutResult.UNKNOWN]
        if verdict < 4:
            results = [stored[verdict]] * count
        else:
            done = verdict % count
            untried = [PutResult.UNTRIED] * (count - done - 1)
            results = [*[PutResult.STORED] * done, PutResult.QUOTA, *untried]
        full = WireError(ErrorCode.STORAGE_FULL, "full")
        self.carry_out([*self.session.settle(batch, full if verdict == 255 else results)])

    def deliver(self, count: int) -> None:
        """As many frames as the window has room for."""
        frames, _ = self.session.room()
        new = range(self.sequence + 1, self.sequence + 1 + min(count, frames))
        self.carry_out([*self.session.deliver([StoredFrame(n, bytes(16), b"\1" * 1024, False) for n in new])])
        if self.session.state is State.DELIVERING:
            self.sequence = max(self.sequence, *new, 0) if new else self.sequence


def session(data: bytes) -> None:
    """`Session`: messages in any order; each frame has one answer, and what it says can always be read."""
    choices, relay = Choices(data), _Relay()
    put: list[bytes] = []
    while choices and not relay.closed:
        match choices.below(10):
            case 0 | 1 | 2:
                said = words()[choices.below(len(words()))]
                relay.carry_out([*relay.session.receive_text(said, NOW)])
            case 3:
                said = choices.spoil(words()[choices.below(len(words()))].encode()).decode("utf-8", "replace")
                relay.carry_out([*relay.session.receive_text(said, NOW)])
            case 4:
                relay.carry_out([*relay.session.receive_text(choices.part().decode("utf-8", "replace"), NOW)])
            case 5:
                relay.carry_out([*relay.session.receive_binary(choices.part()), *relay.session.read()])
            case 6 | 7:
                for _ in range(1 + choices.below(4)):
                    if relay.session.saturated:  # then the shell does not read on
                        break
                    frame = Put(_id(len(put)), MAILBOXES[choices.below(3)], b"\1" * 1024)
                    if relay.session.state is State.SUBMIT:
                        put.append(frame.frame_id)
                    relay.carry_out([*relay.session.receive_binary(frame.encode()), *relay.session.read()])
            case 8:
                relay.settle(choices.below(8), choices.below(256))
            case _:
                relay.deliver(choices.below(20))
    assert relay.session.state is State.CLOSED or not relay.closed
    while relay.batches and not relay.closed:
        relay.settle(0, 0)
    if not relay.closed:
        answered = Counter({id: count for id, count in relay.answered.items() if id in put})
        assert answered == Counter(put), "a frame without its one answer"
    assert len(relay.accepted) == len({*relay.accepted})
    assert sum(len(batch.frames) for batch in relay.batches) <= UNACKNOWLEDGED_FRAMES


def forwarded(data: bytes) -> None:
    """`prefix_of`: whatever X-Forwarded-For holds, the answer is a network or the one word for the rest."""
    values = data.decode("latin-1").split("\n")
    place = prefix_of(values[0], values[1:], PROXIES)
    if place != "unknown":
        network = ipaddress.ip_network(place)
        assert network.prefixlen == (32 if network.version == 4 else 64)


@cache
def _file() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="blindpost-fuzz-")
    atexit.register(folder.cleanup)
    return Path(folder.name) / "relay.toml"


def config_file(data: bytes) -> None:
    """`relay.config.read`: a file of settings is taken, or refused in one sentence."""
    _file().write_bytes(data)
    before = dict(os.environ)
    try:
        config, _ = read(["--config", str(_file())])
    except ConfigError as error:
        assert "\n" not in str(error)
    else:
        config.origins(8760)
        assert config.quota.frames > 0
    assert dict(os.environ) == before


def _scripts() -> list[bytes]:
    submit = b"\0\1"
    device = b"\0\0\0\2"
    return [
        submit + b"\0\x0b\6\3\0\1\2\0\6\1\1\1\x08\0\0\x08\0\5\6\1\0\0\x08\0\xff\x08\0\1",
        submit + b"\0\x08\0\x0c\0\x0b\4\0\2{}\5\0\4\1\1\0\0\5\0\2\2\1",
        device + b"\0\3\0\4\0\x09\0\x0a\0\5\x09\x0a\0\6\0\7\x09\x08",
        submit + b"\6\3\0\0\0\0\x08\0\6" * 30,
        submit + b"\5\0\0" * 25,
        b"\3\1\1\0\x20\1" + submit,
    ]


TARGETS = (
    Target("session", session, _scripts, (b"\0\1", b"\0\0\0\2\0\5", b"\x08\0\xff")),
    Target(
        "forwarded",
        forwarded,
        lambda: [
            b"10.0.0.1\n203.0.113.9, 10.1.1.1",
            b"::1",
            b"2001:db8::1\n::ffff:1.2.3.4",
            b"\n,,\nfe80::1%eth0",
        ],
        (b"::ffff:", b"10.0.0.1", b",", b"\n", b"%", b"2001:db8::1"),
        max_input=300,
    ),
    Target(
        "config_file",
        config_file,
        lambda: [
            b'port = 0\npublic_urls = ["wss://relay.example"]\n',
            b'root_path = "/post"\nlogin_deadline = 1e3\ntrusted_proxies = "10.0.0.0/8"\n',
            b'store = "memory"\n[a]\nb = {c = 1}\n',
            b"mailbox_frames = 99999999999999999999\nsubmit_idle = inf\n",
        ],
        (
            b"port",
            b"host",
            b"root_path",
            b"store",
            b" = ",
            b'"""',
            b"[[",
            b"inf",
            b"nan",
            b"public_urls",
            b"1979-05-27",
        ),
        max_input=600,
    ),
)
