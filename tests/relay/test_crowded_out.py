"""A few addresses cannot keep all others out, whatever they hold: real sockets of several addresses."""

import asyncio
import contextlib
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from tests.relay.peers import dial
from tests.relay.web import metric
from tests.support.relay_process import RelayProcess, running_relay
from wire.login import Mode

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="all of 127.0.0.0/8 is this machine's on Linux"
)

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
HERE, THERE, ELSEWHERE = "127.0.0.2", "127.0.0.3", ("127.0.0.4", "127.0.0.5", "127.0.0.6")
Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def sockets(relay: RelayProcess) -> AsyncIterator["Sockets"]:
    opened = Sockets(relay)
    try:
        yield opened
    finally:
        for _, writer in opened.opened:
            writer.transport.abort()


class Sockets:
    def __init__(self, relay: RelayProcess) -> None:
        self._port = relay.port
        self.opened: list[Pair] = []

    async def open(self, address: str) -> Pair:
        self.opened.append(await asyncio.open_connection("127.0.0.1", self._port, local_addr=(address, 0)))
        return self.opened[-1]

    async def idle(self, address: str) -> Pair:
        """One that has been answered and is kept alive."""
        pair = await self.open(address)
        assert await status(pair) == 200
        return pair


async def status(pair: Pair, request: bytes = GET) -> int:
    """The status of the answer; 0 where the connection ends without one."""
    reader, writer = pair
    writer.write(request)
    try:
        async with asyncio.timeout(20):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.partition(b":")[2]))
    except (asyncio.IncompleteReadError, ConnectionError):
        return 0
    return int(head.split()[1])


async def ended(pair: Pair) -> None:
    """Until the relay has ended it, soon."""
    async with asyncio.timeout(20):
        with contextlib.suppress(ConnectionError):
            while await pair[0].read(65_536):
                pass


@pytest.mark.parametrize("speaking", [True, False])
async def test_a_few_addresses_do_not_take_all_places(tmp_path: Path, speaking: bool) -> None:
    caps = {"sockets_before_login": 6, "sockets_per_prefix": 3, "login_deadline": 60}
    with running_relay(tmp_path, **caps) as relay:
        async with sockets(relay) as opened:
            # Idle between two requests, or silent from the start.
            held = [
                await (opened.idle if speaking else opened.open)(place) for place in [HERE] * 3 + [THERE] * 3
            ]
            for place in ELSEWHERE:
                assert await status(await opened.open(place)) == 200
            # Each of the two has lost one or two, its oldest.
            for oldest in (held[0], held[3]):
                await ended(oldest)
            assert await status(held[2]) == await status(held[5]) == 200
            # The one that asks for this is a fourth.
            assert await metric(relay, 'blindpost_dropped_total{reason="too_many_sockets"}') == 4


async def test_idle_sockets_of_an_address_give_way_to_its_own(tmp_path: Path) -> None:
    with running_relay(tmp_path, sockets_per_prefix=2) as relay:
        async with sockets(relay) as opened:
            oldest = await opened.idle(HERE)
            await opened.open(HERE)
            assert await status(await opened.open(HERE)) == 200
            await ended(oldest)


async def test_http_requests_of_an_address_have_a_rate(tmp_path: Path) -> None:
    with running_relay(tmp_path, http_rate="3+1/h") as relay:
        async with sockets(relay) as opened:
            kept = await opened.open(HERE)
            assert [await status(kept) for _ in range(2)] == [200, 200]
            assert await status(await opened.open(HERE)) == 200
            reader, writer = kept
            writer.write(GET)
            answer = await asyncio.wait_for(reader.read(), 20)
            assert answer.startswith(b"HTTP/1.1 429 ")
            assert b"\r\nretry-after: 3600\r\n" in answer
            assert await status(await opened.open(THERE)) == 200
        # What becomes a WebSocket has other rates.
        for _ in range(5):
            async with dial(relay.url) as peer:
                await peer.hello(Mode.SUBMIT)
        assert await metric(relay, 'blindpost_dropped_total{reason="http_rate"}') == 1
        assert await metric(relay, 'blindpost_limited_total{rate="http_rate"}') == 1


async def test_pipelined_requests_count_one_by_one(tmp_path: Path) -> None:
    with running_relay(tmp_path, http_rate="20+1/h") as relay:
        async with sockets(relay) as opened:
            reader, writer = await opened.open(HERE)
            writer.write(GET * 5000)
            answers = b""
            with contextlib.suppress(ConnectionError):
                async with asyncio.timeout(20):
                    while part := await reader.read(65_536):
                        answers += part
            assert answers.count(b"HTTP/1.1 200 ") <= 20
        assert await metric(relay, 'blindpost_limited_total{rate="http_rate"}') == 1


async def test_behind_a_proxy_each_address_has_requests_of_its_own(tmp_path: Path) -> None:
    def ask(place: str) -> bytes:
        return f"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {place}\r\n\r\n".encode()

    with running_relay(tmp_path, http_rate="2+1/h", trusted_proxies="127.0.0.1") as relay:
        async with sockets(relay) as opened:
            proxy = await opened.open("127.0.0.1")
            for place in ("198.51.100.1", "198.51.100.2"):
                assert [await status(proxy, ask(place)) for _ in range(2)] == [200, 200]
            assert await status(proxy, ask("198.51.100.1")) == 429


# --- unfinished TLS handshakes ---


@pytest.fixture
def tls(tmp_path: Path) -> tuple[dict[str, object], ssl.SSLContext]:
    """Settings of a relay that ends TLS itself, and who trusts it."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    return {"tls_certificate": tmp_path / "cert.pem", "tls_key": tmp_path / "key.pem"}, trusting


async def come_in(relay: RelayProcess, trusting: ssl.SSLContext) -> None:
    """Once the relay has noticed that somebody has left."""
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(ConnectionError):
                async with dial(relay.url, trusting) as peer:
                    await peer.hello(Mode.SUBMIT)
                    return


async def test_a_tls_handshake_takes_a_place_from_its_accept_to_its_end(
    tmp_path: Path, tls: tuple[dict[str, object], ssl.SSLContext]
) -> None:
    settings, trusting = tls
    with running_relay(tmp_path, sockets_per_prefix=2, login_deadline=60, **settings) as relay:
        async with sockets(relay) as opened:
            first = await opened.open("127.0.0.1")
            await opened.open("127.0.0.1")
            await ended(await opened.open("127.0.0.1"))
            first[1].transport.abort()
            await come_in(relay, trusting)
            # A handshake that fails gives its place back, and so does what came after one that holds.
            failed = await opened.open("127.0.0.1")
            failed[1].write(b"no TLS at all\r\n\r\n")
            await ended(failed)
            await come_in(relay, trusting)
            for _ in range(3):
                async with dial(relay.url, trusting) as peer:
                    await peer.hello(Mode.SUBMIT)


async def test_unfinished_tls_handshakes_of_a_few_addresses_do_not_take_all_places(
    tmp_path: Path, tls: tuple[dict[str, object], ssl.SSLContext]
) -> None:
    settings, trusting = tls
    caps = {"sockets_before_login": 6, "sockets_per_prefix": 3, "login_deadline": 60}
    with running_relay(tmp_path, **caps, **settings) as relay:
        async with sockets(relay) as opened:
            held = [await opened.open(place) for place in [HERE] * 3 + [THERE] * 3]
            for _ in range(3):
                async with dial(relay.url, trusting) as peer:
                    await peer.hello(Mode.SUBMIT)
            assert not held[2][0].at_eof()
            await ended(held[0])


async def test_tls_handshakes_count_for_the_rate_of_sockets(
    tmp_path: Path, tls: tuple[dict[str, object], ssl.SSLContext]
) -> None:
    settings, _ = tls
    with running_relay(tmp_path, socket_rate="3+1/h", login_deadline=60, **settings) as relay:
        async with sockets(relay) as opened:
            held = [await opened.open(HERE) for _ in range(3)]
            await ended(await opened.open(HERE))
            assert not any(reader.at_eof() for reader, _ in held)
