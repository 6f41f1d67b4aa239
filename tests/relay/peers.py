"""A client of the relay's tests: one python-websockets connection that speaks the protocol by hand."""

import contextlib
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.relay.devices import HELD, TOKEN, Account, Device
from wire import control
from wire.control import ControlMessage
from wire.frames import Deliver, Put, decode_deliver
from wire.limits import PROTOCOL_VERSION
from wire.login import Greeting, Mode

Message = TypeVar("Message", bound=ControlMessage)


class Peer:
    def __init__(self, websocket: ClientConnection, origin: str) -> None:
        self.websocket = websocket
        self.origin = origin
        self.greeting: Greeting | None = None
        self.ref = 0
        self.attached: set[bytes] = set()

    async def send(self, message: ControlMessage) -> None:
        await self.websocket.send(message.encode())

    async def send_text(self, text: str) -> None:
        await self.websocket.send(text)

    async def put(
        self, mailbox: bytes, envelope: bytes, frame_id: bytes | None = None, *, as_stranger: bool = False
    ) -> bytes:
        """Put a frame, the first one to a mailbox behind the token that it allows in these tests."""
        frame_id = frame_id or os.urandom(16)
        if not as_stranger and mailbox not in self.attached:
            self.attached.add(mailbox)
            await self.send(control.Attach(mailbox=mailbox, token=TOKEN))
        await self.websocket.send(Put(frame_id, mailbox, envelope).encode())
        return frame_id

    async def next(self, kind: type[Message]) -> Message:
        text = await self.websocket.recv()
        assert isinstance(text, str), "a frame instead of a control message"
        message = control.decode_relay_message(text)
        assert isinstance(message, kind), message
        return message

    async def next_frame(self) -> Deliver:
        data = await self.websocket.recv()
        assert isinstance(data, bytes), data
        return decode_deliver(data)

    async def close_code(self) -> int:
        """Read until the relay closes."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self.websocket.recv()
        code = self.websocket.close_code
        assert code is not None
        return code

    async def hello(self, mode: Mode, origin: str | None = None) -> control.RelayHello:
        nonce = os.urandom(32)
        origin = origin or self.origin
        await self.send(control.Hello(mode=mode, version=PROTOCOL_VERSION, origin=origin, nonce=nonce))
        answer = await self.next(control.RelayHello)
        self.greeting = Greeting(mode, origin, answer.relay_key, answer.nonce, nonce, answer.time)
        return answer

    async def log_in(self, device: Device) -> control.Welcome:
        await self.hello(Mode.DEVICE)
        assert self.greeting is not None
        signature = device.sign(self.greeting.login_bytes(device.key))
        await self.send(control.Login(device_key=device.key, signature=signature))
        return await self.next(control.Welcome)

    async def register(self, account: Account) -> None:
        self.ref += 1
        await self.send(control.Register(ref=self.ref, device_list=account.list().encode()))
        assert (await self.next(control.Registered)).ref == self.ref

    async def allow(self, *tokens: control.AllowedToken) -> None:
        self.ref += 1
        await self.send(control.Allow(ref=self.ref, tokens=list(tokens)))
        assert (await self.next(control.Allowed)).ref == self.ref

    async def publish(self, device: Device, one_time: int = 5) -> control.Stock:
        self.ref += 1
        prekeys = [*device.lasting(), *device.one_time(1, one_time)]
        await self.send(control.Publish(ref=self.ref, prekeys=[prekey.encode() for prekey in prekeys]))
        return (await self.next(control.Published)).stock

    async def fetch(self, account_key: bytes, take: bool) -> control.Bundle:
        self.ref += 1
        await self.send(control.Fetch(ref=self.ref, account_key=account_key, take=take))
        return await self.next(control.Bundle)


@asynccontextmanager
async def dial(url: str, tls: ssl.SSLContext | None = None, place: str | None = None) -> AsyncIterator[Peer]:
    """`place`: the address that a trusted proxy says this comes from."""
    origin = url.removesuffix("/v1/ws")
    headers = {} if place is None else {"X-Forwarded-For": place}
    async with connect(
        url, ssl=tls, compression=None, proxy=None, max_size=None, additional_headers=headers
    ) as websocket:
        yield Peer(websocket, origin)


@asynccontextmanager
async def submitting(url: str) -> AsyncIterator[Peer]:
    async with dial(url) as peer:
        await peer.hello(Mode.SUBMIT)
        yield peer


@asynccontextmanager
async def logged_in(url: str, account: Account, pull: bool = True) -> AsyncIterator[Peer]:
    """The account's first device: registered, logged in, allowing the token of these tests, and pulling."""
    async with dial(url) as peer:
        await peer.log_in(account.device)
        await peer.register(account)
        await peer.allow(control.AllowedToken(hash=HELD))
        if pull:
            await peer.send(control.Pull())
        yield peer
