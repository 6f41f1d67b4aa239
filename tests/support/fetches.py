"""A relay that says to whoever fetches what a test likes, and nothing else."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.server import ServerConnection, serve

from keys.primitives import sign, signing_key
from wire.addresses import RelayUrl
from wire.control import Bundle, Error, Fetch, Hello, RelayHello, decode_client_message
from wire.limits import PROTOCOL_VERSION
from wire.login import Greeting

SEED = b"r" * 32


@asynccontextmanager
async def relay_that_shows(*answers: Bundle | Error) -> AsyncIterator[tuple[RelayUrl, list[Fetch]]]:
    """Its URL, and what it was asked. It answers one fetch after the other, with the last one for ever."""
    asked: list[Fetch] = []

    async def answer(connection: ServerConnection) -> None:
        hello = decode_client_message(str(await connection.recv()))
        assert isinstance(hello, Hello)
        nonce = os.urandom(32)
        greeting = Greeting(hello.mode, hello.origin, signing_key(SEED), nonce, hello.nonce, 1)
        signature = sign(SEED, greeting.hello_bytes())
        said = RelayHello(
            version=PROTOCOL_VERSION, relay_key=greeting.relay_key, nonce=nonce, time=1, signature=signature
        )
        await connection.send(said.encode())
        async for message in connection:
            fetch = decode_client_message(str(message))
            assert isinstance(fetch, Fetch)
            asked.append(fetch)
            await connection.send(answers[min(len(asked), len(answers)) - 1].encode())

    async with serve(answer, "127.0.0.1", 0, compression=None) as server:
        yield RelayUrl.parse(f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"), asked
