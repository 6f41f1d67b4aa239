"""One connection: against a real relay, against one that lies, and against what is no relay at all."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from websockets.asyncio.server import ServerConnection, serve

from clients import connection as connection_module
from clients.connection import Disconnected, dial
from clients.errors import RelayError, TrustError
from clients.route import Route
from keys.identities import Device
from keys.primitives import sign, signing_key
from tests.support.relay_process import RelayProcess
from wire.addresses import RelayUrl
from wire.control import Error, Hello, Pull, RelayHello, Stock, Welcome, decode_client_message
from wire.errors import CloseCode, ErrorCode
from wire.limits import PROTOCOL_VERSION
from wire.login import Greeting, Mode

DEVICE = Device.generate(os.urandom, 1)
NO_STOCK = Stock(one_time=0, one_time_kem=0)

Answer = Callable[[ServerConnection], Awaitable[None]]


def url(relay: RelayProcess) -> RelayUrl:
    return RelayUrl.parse(relay.origin)


async def greet(relay: RelayUrl, pinned: bytes | None = None, mode: Mode = Mode.SUBMIT) -> bytes:
    """Dial and hang up; the relay's key."""
    async with dial(relay, mode, pinned, os.urandom) as connection:
        return connection.greeting.relay_key


@asynccontextmanager
async def pretender(answer: Answer) -> AsyncIterator[RelayUrl]:
    """A WebSocket server that answers in its own way."""
    async with serve(answer, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield RelayUrl.parse(f"ws://127.0.0.1:{port}")


@asynccontextmanager
async def listening(say: bytes) -> AsyncIterator[RelayUrl]:
    """A TCP server that says the same to everybody, and then nothing."""
    gone = asyncio.Event()

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(say)
        await gone.wait()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield RelayUrl.parse(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        gone.set()


def relay_with(seed: bytes, *, key: bytes | None = None, after: Answer | None = None) -> Answer:
    """A relay that signs its hello with `seed`, claiming `key`; then does `after`."""

    async def answer(socket: ServerConnection) -> None:
        hello = await socket.recv()
        assert isinstance(hello, str)
        message = decode_client_message(hello)
        assert isinstance(message, Hello)
        public, nonce = key or signing_key(seed), os.urandom(32)
        greeting = Greeting(message.mode, message.origin, public, nonce, message.nonce, 1)
        signature = sign(seed, greeting.hello_bytes())
        await socket.send(
            RelayHello(
                version=PROTOCOL_VERSION, relay_key=public, nonce=nonce, time=1, signature=signature
            ).encode()
        )
        if after is not None:
            await after(socket)

    return answer


# --- a real relay -----------------------------------------------------------------------------------


async def test_a_relay_proves_its_key_and_lets_a_device_in(relay: RelayProcess) -> None:
    async with dial(url(relay), Mode.DEVICE, None, os.urandom) as connection:
        welcome = await connection.log_in(DEVICE)
    assert not welcome.registered
    assert connection.greeting.relay_key == await greet(url(relay), connection.greeting.relay_key)


async def test_another_key_than_the_pinned_one_is_a_matter_of_trust(relay: RelayProcess) -> None:
    with pytest.raises(TrustError, match=r"another key than before.*blindpost trust-relay"):
        await greet(url(relay), pinned=b"k" * 32)


async def test_a_relay_that_goes_away_says_so(tmp_path: Path) -> None:
    with RelayProcess(tmp_path) as own:
        async with dial(url(own), Mode.SUBMIT, None, os.urandom) as connection:
            await asyncio.to_thread(own.terminate)
            last = await connection.receive()
            assert isinstance(last, Error)
            with pytest.raises(Disconnected) as ended:
                await connection.receive()
            assert ended.value.error is not None
            assert ended.value.error.code is ErrorCode.RESTARTING
            with pytest.raises(Disconnected):
                await connection.send(Pull())


async def test_a_relay_that_is_killed_ends_the_connection(tmp_path: Path) -> None:
    with RelayProcess(tmp_path) as own:
        async with dial(url(own), Mode.SUBMIT, None, os.urandom) as connection:
            await asyncio.to_thread(own.kill)
            with pytest.raises(Disconnected, match="ended"):
                await connection.receive()


async def test_a_relay_under_tls_is_believed_by_its_authority_alone(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    key.write_bytes(certificate.private_key_pem.bytes())
    with RelayProcess(tmp_path, settings={"tls-certificate": chain, "tls-key": key}) as own:
        place = RelayUrl.parse(f"wss://localhost:{own.port}")
        with pytest.raises(RelayError, match=r"cannot be verified.*--ca"):
            await greet(place)
        ca = authority.cert_pem.bytes()
        async with dial(place, Mode.SUBMIT, None, os.urandom, Route(ca)) as connection:
            assert connection.greeting.origin == place.origin


def test_authorities_are_read_once_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    ca = trustme.CA().cert_pem.bytes()
    monkeypatch.setattr(time, "monotonic", lambda: 7200.0)
    first = connection_module.trusting(ca)
    assert connection_module.trusting(None) is not first
    monkeypatch.setattr(time, "monotonic", lambda: 10_799.9)
    assert connection_module.trusting(ca) is first
    monkeypatch.setattr(time, "monotonic", lambda: 10_800.0)
    assert connection_module.trusting(ca) is not first


# --- a relay that lies ------------------------------------------------------------------------------


async def test_a_key_it_does_not_hold_is_not_believed() -> None:
    async with pretender(relay_with(b"s" * 32, key=signing_key(b"t" * 32))) as place:
        with pytest.raises(RelayError, match="does not prove that it holds its key"):
            await greet(place)


async def test_a_hello_without_a_proof_is_not_believed_whatever_is_pinned() -> None:
    real = signing_key(b"t" * 32)
    async with pretender(relay_with(b"s" * 32, key=real)) as place:
        with pytest.raises(RelayError, match="does not prove"):
            await greet(place, pinned=real)


async def test_a_welcome_that_the_relay_did_not_sign_is_not_believed() -> None:
    async def welcome(socket: ServerConnection) -> None:
        await socket.recv()
        forged = Welcome(signature=b"f" * 64, registered=True, expired=0, stock=NO_STOCK)
        await socket.send(forged.encode())

    async with (
        pretender(relay_with(b"s" * 32, after=welcome)) as place,
        dial(place, Mode.DEVICE, None, os.urandom) as connection,
    ):
        with pytest.raises(RelayError, match="not signed by its key"):
            await connection.log_in(DEVICE)


@pytest.mark.parametrize("said", ["", "[]", "{}", '{"type": "hello"}', "x" * 70_000, b"", b"\x02\x01"])
async def test_anything_else_in_place_of_a_message_ends_the_connection(said: str | bytes) -> None:
    async def babble(socket: ServerConnection) -> None:
        await socket.send(said)
        await socket.wait_closed()

    async with (
        pretender(relay_with(b"s" * 32, after=babble)) as place,
        dial(place, Mode.SUBMIT, None, os.urandom) as connection,
    ):
        with pytest.raises(Disconnected):
            await connection.receive()


async def test_an_answer_out_of_turn_is_refused() -> None:
    async def stock(socket: ServerConnection) -> None:
        await socket.send(NO_STOCK.encode())
        await socket.wait_closed()

    async with (
        pretender(relay_with(b"s" * 32, after=stock)) as place,
        dial(place, Mode.SUBMIT, None, os.urandom) as connection,
    ):
        with pytest.raises(Disconnected, match="out of turn"):
            await connection.expect(Welcome)


# --- no relay at all --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "say", [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"SSH-2.0-OpenSSH_9.2\r\n", b"\0" * 100]
)
async def test_a_server_of_another_kind_cannot_be_reached(
    say: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "LOGIN_DEADLINE", 0.3)  # some wait for us to say more
    async with listening(say) as place:
        with pytest.raises(RelayError, match="cannot be reached"):
            await greet(place)


async def test_a_websocket_server_that_is_no_relay_is_refused() -> None:
    async def echo(socket: ServerConnection) -> None:
        async for message in socket:
            await socket.send(message)

    async with pretender(echo) as place:
        with pytest.raises(RelayError, match="not blindpost"):
            await greet(place)


async def test_a_server_cannot_send_the_client_elsewhere() -> None:
    # Else a relay could have its users knock at doors inside their own networks.
    visitors: list[object] = []

    async def visited(socket: ServerConnection) -> None:
        visitors.append(socket)

    async with pretender(visited) as elsewhere:
        to = f"HTTP/1.1 302 Found\r\nLocation: {elsewhere.websocket}\r\nContent-Length: 0\r\n\r\n"
        async with listening(to.encode()) as place:
            with pytest.raises(RelayError, match="cannot be reached"):
                await greet(place)
    assert visitors == []


async def test_a_server_that_says_nothing_hits_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "LOGIN_DEADLINE", 0.2)
    async with listening(b"") as place:
        with pytest.raises(RelayError, match="cannot be reached"):
            await greet(place)


async def test_a_websocket_server_that_says_nothing_hits_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_module, "LOGIN_DEADLINE", 0.2)

    async def silent(socket: ServerConnection) -> None:
        await socket.wait_closed()

    async with pretender(silent) as place:
        with pytest.raises(RelayError, match="does not answer"):
            await greet(place)


@pytest.mark.parametrize(
    "place", ["ws://127.0.0.1:1", "ws://nowhere.invalid", "a..b", "a" * 70 + ".example", "[::1]:1"]
)
async def test_a_place_that_is_none_cannot_be_reached(place: str) -> None:
    with pytest.raises(RelayError, match="cannot be reached"):
        await greet(RelayUrl.parse(place))


async def test_a_send_that_meets_the_close_first_knows_that_it_was_replaced() -> None:
    async def replace(socket: ServerConnection) -> None:
        await socket.send(Error(code=ErrorCode.REPLACED, message="elsewhere").encode())
        await socket.close(CloseCode.REPLACED)

    async with (
        pretender(relay_with(os.urandom(32), after=replace)) as relay,
        dial(relay, Mode.SUBMIT, None, os.urandom) as connection,
    ):
        await connection._socket.wait_closed()
        with pytest.raises(Disconnected) as caught:
            await connection.send(Pull())
    assert caught.value.error is not None
    assert caught.value.error.code is ErrorCode.REPLACED
