"""The tap in TLS: it takes the relay's place before whoever trusts it, and checks the relay as clients do."""

import asyncio
import os
import ssl
from collections.abc import Iterator

import pytest
import trustme

from clients.audit.tap import wiretap
from clients.audit.tap.interception import Upstream
from clients.audit.tap.reading import HEAD_MAX
from clients.audit.tap.transcript import Closed, Event, Opened
from clients.audit.tap.wiretap import HEAD_WITHIN, messages, open_tap
from clients.connection import dial
from clients.errors import RelayError, UsageError
from clients.route import Proxy, Route
from tests.support.http_proxy import Forwarder, running
from tests.support.relay_process import RelayProcess
from wire.addresses import RelayUrl
from wire.login import Mode

WITHIN = 10.0


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def secure(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayUrl]:
    """A relay with TLS, with a certificate of an authority that no system knows."""
    directory = tmp_path_factory.mktemp("secure")
    both = directory / "both.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(both))
    with RelayProcess(directory, settings={"tls-certificate": both, "tls-key": both}) as process:
        yield RelayUrl.parse(process.origin)


def through(proxy: str, ca: bytes | None = None) -> Route:
    return Route(ca, Proxy.parse(proxy, "the test"))


async def greet(relay: RelayUrl, ca: bytes | None, proxy: str) -> bytes:
    """Dial and hang up; the relay's key."""
    async with dial(relay, Mode.SUBMIT, None, os.urandom, through(proxy, ca)) as connection:
        return connection.greeting.relay_key


class Heard(list[Event]):
    """What a tap's listener hears."""

    def __init__(self) -> None:
        super().__init__()
        self._more = asyncio.Event()

    def append(self, event: Event) -> None:
        super().append(event)
        self._more.set()

    async def ended(self, count: int = 1) -> list[str]:
        """Why so many connections have ended, once they have."""
        async with asyncio.timeout(WITHIN):
            while len(whys := [event.why for event in self if isinstance(event, Closed)]) < count:
                self._more.clear()
                await self._more.wait()
        return whys


async def test_what_passes_in_tls_is_read_between(secure: RelayUrl, authority: trustme.CA) -> None:
    upstream = Upstream.of(secure, Route(authority.cert_pem.bytes()))
    async with open_tap(upstream) as tap:
        await greet(secure, upstream.authority, tap.proxy)
        # Whoever does not trust the tap goes no further, and neither does the relay's own authority help.
        for ca in (None, authority.cert_pem.bytes()):
            with pytest.raises(RelayError, match="cannot be verified"):
                await greet(secure, ca, tap.proxy)
    first = tap.connections[0]
    assert messages(first.to_relay, is_masked=True)[0].payload.startswith(b'{"type":"hello"')
    assert messages(first.from_relay, is_masked=False)[0].payload.startswith(b'{"type":"relay_hello"')
    assert [each.target for each in tap.connections] == [f"127.0.0.1:{secure.port}"] * 3
    assert [bool(each.to_relay.pieces) for each in tap.connections] == [True, False, False]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_relay_that_cannot_be_verified_is_not_passed_on_to(secure: RelayUrl) -> None:
    upstream, events = Upstream.of(secure, Route(trustme.CA().cert_pem.bytes())), Heard()
    async with open_tap(upstream, events.append) as tap:
        with pytest.raises(RelayError):
            await greet(secure, upstream.authority, tap.proxy)
        (why,) = await events.ended()
    assert "the relay's certificate cannot be verified" in why


async def test_nothing_but_the_relay_is_dialled(secure: RelayUrl, authority: trustme.CA) -> None:
    events = Heard()
    async with open_tap(Upstream.of(secure, Route(authority.cert_pem.bytes())), events.append) as tap:
        port = int(tap.proxy.rpartition(":")[2])
        for target in ("example.org:443", f"127.0.0.1:{port}", "127.0.0.1:x", "nothing"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"CONNECT {target} HTTP/1.1\r\n\r\n".encode())
            answer = await reader.read()
            writer.close()
            assert answer.split(b" ")[1] in (b"403", b"400")
        await events.ended(4)
    assert {event.target for event in events if isinstance(event, Opened)} > {"example.org:443"}
    assert "example.org:443, which is not the relay" in (await events.ended(4))[0]


async def test_the_way_from_the_tap_to_the_relay_may_lead_through_another_proxy(
    secure: RelayUrl, authority: trustme.CA
) -> None:
    outer = Forwarder(secure.port, wants="me:it")
    async with running(outer) as place:
        upstream = Upstream.of(secure, through(f"http://me:it@{place}", authority.cert_pem.bytes()))
        async with open_tap(upstream) as tap:
            await greet(secure, upstream.authority, tap.proxy)
        events = Heard()
        upstream = Upstream.of(secure, through(f"http://{place}", authority.cert_pem.bytes()))
        async with open_tap(upstream, events.append) as tap:
            with pytest.raises(RelayError, match="status 502"):
                await greet(secure, upstream.authority, tap.proxy)
            assert "the proxy before the relay" in (await events.ended())[0]
    assert outer.asked == [f"127.0.0.1:{secure.port}"] * 2


async def test_who_knows_no_proxies_dials_the_tap_itself(secure: RelayUrl, authority: trustme.CA) -> None:
    async with open_tap(Upstream.of(secure, Route(authority.cert_pem.bytes()))) as tap:
        port = tap.proxy.rpartition(":")[2]
        with pytest.raises(RelayError, match="public_urls"):  # whose relay has not listed this URL
            async with dial(RelayUrl.parse(f"ws://127.0.0.1:{port}"), Mode.SUBMIT, None, os.urandom):
                raise AssertionError
    (connection,) = tap.connections
    assert connection.target == ""
    assert connection.to_relay.data.startswith(b"GET /v1/ws HTTP/1.1\r\n")
    assert messages(connection.to_relay, is_masked=True)


@pytest.mark.parametrize("host", ["a_b.example", "xn--zz.example", "a..b", "a" * 64 + ".example"])
def test_a_name_that_no_certificate_can_have(host: str) -> None:
    with pytest.raises(UsageError, match="No certificate can be made"):
        Upstream.of(RelayUrl.parse(f"wss://{host}"))


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (b"", "no whole request"),
        (b"CONNECT ", "no whole request"),
        (b"CONNECT a:1 HTTP/1.1\r\n" + b"x" * HEAD_MAX, "too long"),
        (b"\x16\x03\x01 nothing of HTTP\r\n\r\n", "no HTTP"),
        (b"GET / HTTP/1.1\r\n\r\n", "no CONNECT"),
    ],
)
async def test_who_asks_for_nothing_does_not_stay(
    head: bytes, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiretap, "HEAD_WITHIN", 0.2)
    events = Heard()
    async with open_tap(None, events.append) as tap:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(tap.proxy.rpartition(":")[2]))
        writer.write(head)
        answer = b"".join([line async for line in reader])
        writer.close()
        assert answer.startswith(b"HTTP/1.1 4")
        assert why in (await events.ended())[0]


async def test_more_connections_than_the_limit_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiretap, "CONNECTIONS_MAX", 1)
    events = Heard()
    async with open_tap(None, events.append) as tap:
        port = int(tap.proxy.rpartition(":")[2])
        _, first = await asyncio.open_connection("127.0.0.1", port)
        reader, second = await asyncio.open_connection("127.0.0.1", port)
        assert (await reader.read()).startswith(b"HTTP/1.1 503")
        for writer in (first, second):
            writer.close()


async def test_a_connection_on_which_nothing_comes_ends(
    relay: RelayProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiretap, "IDLE_MAX", 0.2)
    events = Heard()
    async with (
        open_tap(None, events.append) as tap,
        dial(RelayUrl.parse(relay.origin), Mode.SUBMIT, None, os.urandom, through(tap.proxy)),
    ):
        assert "nothing came" in (await events.ended())[0]


async def test_the_end_of_a_tap_ends_what_goes_through_it(secure: RelayUrl, authority: trustme.CA) -> None:
    upstream = Upstream.of(secure, Route(authority.cert_pem.bytes()))
    context = ssl.create_default_context(cadata=(upstream.authority or b"").decode())
    async with asyncio.timeout(HEAD_WITHIN / 2), open_tap(upstream) as tap:
        port = int(tap.proxy.rpartition(":")[2])
        half, whole = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        whole[1].write(f"CONNECT 127.0.0.1:{secure.port} HTTP/1.1\r\n\r\n".encode())
        assert (await whole[0].readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        await whole[1].start_tls(context, server_hostname="127.0.0.1")
    for reader, writer in (half, whole):
        async with asyncio.timeout(WITHIN):
            with pytest.raises((OSError, AssertionError)):
                assert await reader.read() == b"more"
        writer.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert all(each.ended is not None for each in tap.connections)
