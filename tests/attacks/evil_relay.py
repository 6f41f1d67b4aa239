"""The evil relay: the real one, with somebody in it who reads, changes, repeats and invents.

Owns the places where it can be meddled with: what a connection hears, and what it says. Everything behind
is the relay as it is: uvicorn, sockets, sessions, SQLite. An attack sets the hooks that it needs; the others
pass everything on.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import cast

from relay import actions, listening, server
from relay.app import Relay, compose, open_store
from relay.auth import RelayKey
from relay.config import Config
from relay.connection import Connection
from relay.metrics import Metrics
from relay.store.base import NewFrame
from relay.surroundings import Surroundings
from wire.addresses import RelayUrl
from wire.control import (
    ClientMessage,
    ControlMessage,
    decode_client_message,
    decode_relay_message,
)
from wire.errors import WireError
from wire.frames import FLAG_REQUEST, Deliver, Put, decode_deliver, decode_put, encode_deliver
from wire.login import Mode

OnHear = Callable[["EvilConnection", ClientMessage], ClientMessage | None]
OnPut = Callable[["EvilConnection", Put], Iterable[Put]]
OnSay = Callable[["EvilConnection", ControlMessage], Iterable[ControlMessage]]
OnDeliver = Callable[["EvilConnection", Deliver], Iterable[Deliver]]


@dataclass
class Meddler:
    """What the attacker inside does, and what it has seen. A hook returns what goes on in place of each."""

    ring: Callable[[], None]
    on_hear: OnHear = lambda connection, message: message
    on_put: OnPut = lambda connection, put: (put,)
    on_say: OnSay = lambda connection, message: (message,)
    on_deliver: OnDeliver = lambda connection, frame: (frame,)
    heard: list[ClientMessage] = field(default_factory=list)
    puts: list[Put] = field(default_factory=list)
    said: list[ControlMessage] = field(default_factory=list)
    delivered: list[Deliver] = field(default_factory=list)
    connections: list["EvilConnection"] = field(default_factory=list)
    unflagged: set[bytes] = field(default_factory=set)  # frame ids that are not to look like a stranger's


@dataclass(frozen=True, slots=True)
class EvilSurroundings(Surroundings):
    """What connections share, and who meddles with them."""

    meddler: Meddler


class EvilConnection(Connection):
    """A connection whose ear and mouth belong to the attacker."""

    @property
    def meddler(self) -> Meddler:
        return cast(EvilSurroundings, self._shared).meddler

    @property
    def mode(self) -> Mode | None:
        """Which kind it is, once it has said so."""
        return self._mode

    @property
    def device_key(self) -> bytes | None:
        """Who has logged in."""
        return self._device_key

    def text(self, message: str) -> None:
        """Hear a control message."""
        if self not in self.meddler.connections:
            self.meddler.connections.append(self)
        try:
            heard = decode_client_message(message)
        except WireError:
            super().text(message)
            return
        self.meddler.heard.append(heard)
        passed = self.meddler.on_hear(self, heard)
        if passed is not None:
            super().text(message if passed is heard else passed.encode())
        self.meddler.ring()

    def binary(self, message: bytes) -> None:
        """Hear a frame."""
        try:
            put = decode_put(message)
        except WireError:
            super().binary(message)
            return
        self.meddler.puts.append(put)
        for each in self.meddler.on_put(self, put):
            super().binary(each.encode())
        self.meddler.ring()

    def _perform(self, wanted: Sequence[actions.Action]) -> None:
        for action in wanted:
            match action:
                case actions.Send(message):
                    self._meddle(message)
                case actions.Say(text):
                    self._meddle(decode_relay_message(text))
                case actions.SendFrames(frames):
                    for data in frames:
                        for each in self.meddler.on_deliver(self, decode_deliver(data)):
                            self.hand_over(each)
                case _:
                    super()._perform([action])
                    continue
            self.meddler.ring()

    def _meddle(self, message: ControlMessage) -> None:
        for each in self.meddler.on_say(self, message):
            self.say(each)

    def say(self, message: ControlMessage) -> None:
        """Say it, whatever an honest relay would say."""
        self.meddler.said.append(message)
        super()._perform([actions.Send(message)])

    def hand_over(self, frame: Deliver) -> None:
        """Hand a frame over, wherever it comes from."""
        flags = frame.flags
        if frame.frame_id in self.meddler.unflagged:
            flags &= ~FLAG_REQUEST
        self.meddler.delivered.append(frame)
        data = encode_deliver(frame.frame_id, frame.mailbox, frame.sequence, flags, frame.envelope)
        super()._perform([actions.SendFrames([data])])


class EvilRelay:
    """A running relay, and the attacker inside. Use `running`."""

    def __init__(self, relay: Relay, url: RelayUrl, meddler: Meddler) -> None:
        self.relay = relay
        self.directory = relay.config.data_directory
        self.url = url
        self.meddler = meddler

    async def inject(self, mailbox: bytes, envelope: bytes, frame_id: bytes) -> None:
        """Put an envelope into a mailbox, as if a contact had brought it."""
        self.meddler.unflagged.add(frame_id)
        frames = [NewFrame(frame_id, envelope)]
        await self.relay.mailboxes.put(mailbox, frames, self.relay.surroundings.now(), None)

    def connection_of(self, device_key: bytes) -> EvilConnection:
        """The newest connection that this device has logged in on."""
        return next(each for each in reversed(self.meddler.connections) if each.device_key == device_key)


@asynccontextmanager
async def running(directory: Path, ring: Callable[[], None], port: int = 0) -> AsyncIterator[EvilRelay]:
    """An evil relay in this process, on a free port or this one. `ring` is called after whatever happens.

    What `directory` holds of a relay already, it goes on with. `entrance.Connection` is to be ours.
    """
    directory.mkdir(exist_ok=True)
    config, metrics = Config(data_directory=directory, port=port), Metrics()
    store = open_store(config, metrics)
    listener = listening.listen(config.host, config.port)
    port = listener.getsockname()[1]
    key = RelayKey.load_or_create(directory / "relay.key")
    relay = compose(config, key, config.origins(port), store, metrics)
    meddler = Meddler(ring)
    shared = relay.surroundings
    relay.surroundings = EvilSurroundings(
        **{each.name: getattr(shared, each.name) for each in fields(shared)}, meddler=meddler
    )
    is_up = asyncio.Event()
    serving = server.make_server(relay, is_up.set)
    serving.capture_signals = contextlib.nullcontext  # type: ignore[assignment, method-assign]  # the runner has its own
    task = asyncio.create_task(serving.serve([listener]))
    try:
        await is_up.wait()
        yield EvilRelay(relay, RelayUrl.parse(f"ws://127.0.0.1:{port}"), meddler)
    finally:
        serving.ask_to_stop()
        await task
        await relay.mailboxes.tails.end_all()
        await store.close()
