"""Relays that a doctor has to tell apart: with a clock, a certificate or an answer of the test's choice."""

import os
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from http import HTTPStatus
from pathlib import Path

import trustme
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from keys.primitives import sign, signing_key
from wire.control import Hello, RelayHello, decode_client_message
from wire.limits import PROTOCOL_VERSION
from wire.login import Greeting

SEED = b"s" * 32
KEY = signing_key(SEED)
INFO = b'{"name": "blindpost relay", "version": "9.9", "protocol_versions": [1]}'


@asynccontextmanager
async def pretended(
    *, ahead: float = 0.0, info: bytes | None = INFO, context: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """The port of a relay that signs its hello properly, its clock `ahead` seconds; it knows nothing else."""

    async def answer(connection: ServerConnection) -> None:
        text = await connection.recv()
        assert isinstance(text, str)
        hello = decode_client_message(text)
        assert isinstance(hello, Hello)
        nonce, now = os.urandom(32), int(time.time() + ahead)
        greeting = Greeting(hello.mode, hello.origin, KEY, nonce, hello.nonce, now)
        said = RelayHello(
            version=PROTOCOL_VERSION,
            relay_key=KEY,
            nonce=nonce,
            time=now,
            signature=sign(SEED, greeting.hello_bytes()),
        )
        await connection.send(said.encode())
        await connection.wait_closed()

    def over_http(_: ServerConnection, request: Request) -> Response | None:
        if not request.path.endswith("/v1/info"):
            return None
        if info is None:
            return Response(HTTPStatus.NOT_FOUND, "Not Found", Headers({"Connection": "close"}), b"<html>")
        return Response(HTTPStatus.OK, "OK", Headers({"Connection": "close"}), info)

    async with serve(
        answer, "127.0.0.1", 0, compression=None, process_request=over_http, ssl=context
    ) as server:
        yield next(iter(server.sockets)).getsockname()[1]


class Authority:
    """A certificate authority that no system knows, with its file."""

    def __init__(self, directory: Path) -> None:
        self._ca = trustme.CA()
        self.pem = self._ca.cert_pem.bytes()
        self.file = directory / "authority.pem"
        self.file.write_bytes(self.pem)

    def files(self, directory: Path) -> tuple[Path, Path]:
        """Chain and key of a relay on localhost."""
        made = self._ca.issue_cert("localhost")
        chain, key = directory / "chain.pem", directory / "key.pem"
        chain.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        key.write_bytes(made.private_key_pem.bytes())
        return chain, key

    def context(self, name: str = "localhost", until: datetime | None = None) -> ssl.SSLContext:
        """A server's TLS settings, with a certificate for `name`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(name, not_after=until).configure_cert(context)
        return context
