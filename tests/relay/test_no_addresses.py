"""No address of anybody in the relay's files, log or metrics, in whatever form an address may be written."""

import asyncio
import contextlib
import hashlib
import ipaddress
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
import trustme
from nacl.signing import SigningKey
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from clients.audit.proving.tripwires import program
from relay import heads
from relay.heads import HeadDeadline
from tests.relay.answers import REQUESTS
from tests.relay.devices import HELD, Account, Device
from tests.relay.peers import Peer
from tests.relay.web import get
from tests.support.relay_process import RelayProcess
from wire import control
from wire.errors import ErrorCode
from wire.frames import Put
from wire.login import Mode
from wire.prekeys import PrekeyKind

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

PROXY: Final = "127.83.5.9"
DIALLING: Final = tuple(f"127.83.{201 + number}.47" for number in range(8))
BEHIND: Final = ("203.0.113.77", "198.51.100.201", "2001:db8:5e:7:a1b2:c3d4:e5f6:1234", "2001:db8:77:9::abcd")
FAULT: Final = 4711
FILL: Final = b"\x01" + bytes(1023)  # no random bytes, among which any four may be somebody's address


def forms(text: str) -> set[bytes]:
    """Every way to write an address that a program might have at hand, and of its prefix likewise."""
    address = ipaddress.ip_address(text)
    found = set[bytes]()
    addresses: list[Address] = [address]
    if isinstance(address, ipaddress.IPv4Address):
        addresses.append(ipaddress.IPv6Address(b"\0" * 10 + b"\xff\xff" + address.packed))
    else:
        addresses.append(ipaddress.IPv6Address(address.packed[:8] + bytes(8)))
        found.add(address.packed[:8])
        found.add(address.packed[:8].hex().encode())
    for each in addresses:
        packed = each.packed
        texts = {
            str(each),
            each.exploded,
            packed.hex(),
            packed.hex(":"),
            str(int(each)),
            each.reverse_pointer,
        }
        texts |= {text.upper() for text in texts}
        found |= {text.encode() for text in texts} | {packed, packed[::-1]}
        found |= {text.encode("utf-16-le") for text in texts}
    return found


def pages(log: bytes) -> bytes:
    """What a -wal file holds but for SQLite's own heads, with check sums that nobody can know beforehand."""
    size = int.from_bytes(log[8:12], "big")
    return b"".join(log[at + 24 : at + 24 + size] for at in range(32, len(log), 24 + size))


def guilty(content: bytes) -> list[str]:
    """Which addresses stand in it."""
    return [text for text in (PROXY, *DIALLING, *BEHIND) if any(form in content for form in forms(text))]


@asynccontextmanager
async def dialled(relay: RelayProcess, place: str, behind: str | None = None) -> AsyncIterator[Peer]:
    """A connection from an address of this machine, or from one behind the proxy that is there."""
    headers = {"User-Agent": f"somebody at {place}", "Origin": f"http://{place}"}
    if behind is not None:
        headers["X-Forwarded-For"] = f"{behind}, {place}"
    async with connect(
        relay.url, compression=None, proxy=None, additional_headers=headers, local_addr=(place, 0)
    ) as websocket:
        yield Peer(websocket, relay.origin)


def known(what: str, size: int = 32) -> bytes:
    """The same at every run: among 25,000 bytes drawn anew some four are an address in one run of 8,000."""
    return hashlib.sha256(what.encode()).digest()[:size]


def seeded(place: str) -> Account:
    account, device = (SigningKey(known(f"{what} at {place}")) for what in ("account", "device"))
    return Account(account, [Device(device)])


async def use(relay: RelayProcess, place: str, behind: str | None) -> None:
    """What clients do in ordinary life."""
    owner = seeded(behind or place)
    async with dialled(relay, place, behind) as device, dialled(relay, place, behind) as sender:
        await device.log_in(owner.device)
        await device.register(owner)
        await device.allow(control.AllowedToken(hash=HELD))
        prekeys = [owner.device.prekey(kind, 1, b"p").encode() for kind in PrekeyKind]
        await device.send(control.Publish(ref=9, prekeys=prekeys))
        await device.next(control.Published)
        await device.send(control.Checkpoint(checkpoint=b"sealed"))
        await device.send(control.Appear(secrets=[owner.key[:16]]))
        await sender.hello(Mode.SUBMIT)
        await sender.fetch(owner.key, take=True)
        for number in range(3):
            await sender.put(owner.device.key, FILL, known(f"{number} for {behind or place}", 16))
        async with asyncio.timeout(10):
            for _ in range(2):
                await sender.websocket.recv()
        await device.send(control.Pull())
        async with asyncio.timeout(10):
            while isinstance(await device.websocket.recv(), str):
                pass  # until a frame is delivered
    async with dialled(relay, place, behind) as stranger:  # waits in the mailbox when the relay is killed
        await stranger.hello(Mode.SUBMIT)
        for number in range(3, 5):
            frame_id = known(f"{number} for {behind or place}", 16)
            await stranger.put(owner.device.key, FILL, frame_id, as_stranger=True)
            await stranger.websocket.recv()


async def misuse(relay: RelayProcess, place: str, behind: str | None) -> None:
    """Everything that is refused, some of it until the connection is closed."""
    put = Put(b"i" * 16, b"m" * 32, FILL).encode()
    spoken: list[str | bytes] = ["no JSON", '{"type":"nothing"}', "{}", b"\x01\x01", put]
    for origin, words in (("ws://elsewhere.example", spoken), (None, spoken * 8), (None, [b"\x07" * 70_000])):
        async with dialled(relay, place, behind) as peer:
            with contextlib.suppress(WebSocketException, AssertionError):
                await peer.hello(Mode.SUBMIT, origin)
                for word in words:
                    await peer.websocket.send(word)
                async with asyncio.timeout(20):
                    for _ in words:
                        await peer.websocket.recv()
    async with dialled(relay, place, behind) as unlucky:
        await unlucky.hello(Mode.SUBMIT)
        await unlucky.send(control.Fetch(ref=1, account_key=b"k" * 32, take=False, since=FAULT))
        assert (await unlucky.next(control.Error)).code is ErrorCode.INTERNAL
    async with dialled(relay, place, behind) as thief:
        with contextlib.suppress(WebSocketException, AssertionError):
            await thief.hello(Mode.DEVICE)
            await thief.send(control.Login(device_key=b"k" * 32, signature=bytes(64)))
            await thief.next(control.Welcome)
    endless = "GET /v1/ws HTTP/1.1\r\n" + "X-Pad: y\r\n" * 9000 + "\r\n"
    for request in (*REQUESTS, endless, "GET / HTTP/1.1\r\nHo"):
        head = request.replace("\r\n", f"\r\nX-Forwarded-For: {behind or place}\r\nCookie: {place}\r\n", 1)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            reader, writer = await asyncio.open_connection("127.0.0.1", relay.port, local_addr=(place, 0))
            writer.write(head.encode())
            writer.write_eof()
            async with asyncio.timeout(20):
                await reader.read(100_000)
            writer.close()


async def loopback_of_ipv6(relay: RelayProcess) -> bool:
    """A client at ::1, if this machine has that."""
    try:
        async with connect(
            relay.url.replace("127.0.0.1", "[::1]"), compression=None, proxy=None
        ) as websocket:
            peer = Peer(websocket, relay.origin)
            await peer.hello(Mode.SUBMIT)
            for _ in range(9):
                await peer.send_text("no JSON")
                await peer.next(control.Error)
    except OSError:
        return False
    return True


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


# A relay with a defect: what it raises names whom it was serving.
FAULTY: Final = """
import runpy
from relay.directory import Directory
fetch = Directory.fetch
async def failing(self, wanted, pace):
    if wanted.since == 4711:
        raise OSError(113, f"no route to {pace._prefix}", pace._prefix)
    return await fetch(self, wanted, pace)
Directory.fetch = failing
runpy.run_module("relay", run_name="__main__", alter_sys=True)
"""

SETTINGS: Final = {
    "log-level": "debug",
    "log-format": "json",
    "trusted-proxies": PROXY,
    "mailbox-frames": 2,
    "request-rate": "1+1/h",
    "take-rate": "1+1/h",
    "http-rate": "4+1/h",
    "host": "::" if has_ipv6() else "127.0.0.1",
}


async def test_no_address_is_in_files_log_or_metrics(tmp_path: Path) -> None:
    command = tuple(program(then=FAULTY))
    with RelayProcess(tmp_path, settings=SETTINGS, command=command) as relay:
        for place in DIALLING[:4]:
            await use(relay, place, None)
        for behind in BEHIND:
            await use(relay, PROXY, behind)
        for place in DIALLING[4:]:
            await misuse(relay, place, None)
        for behind in BEHIND:
            await misuse(relay, PROXY, behind)
        came_by_ipv6 = await loopback_of_ipv6(relay)
        metrics = (await get(relay, "/metrics")).text
        relay.kill()  # with what was written in the -wal file
        found = {path.name: path.read_bytes() for path in relay.data_dir.iterdir()}
    found["relay.db-wal"] = pages(found["relay.db-wal"])
    assert {"relay.db", "relay.db-wal", "relay.mark", "relay.key", "relay.lock"} <= set(found)
    lines = [line for line in relay.log.splitlines() if '"listening"' not in line]
    found |= {"the log": "\n".join(lines).encode(), "metrics": metrics.encode()}
    assert {name: guilty(content) for name, content in found.items() if guilty(content)} == {}
    if came_by_ipv6:
        assert not re.search(r"::1\b|::/64", metrics + "".join(lines))
    # And all of this took place.
    for sample in (
        'blindpost_forwarded_total{believed="yes"}', 'blindpost_limited_total{rate="request_rate"}',
        'blindpost_limited_total{rate="http_rate"}', 'blindpost_refused_total{code="BAD_REQUEST"}',
        'blindpost_refused_total{code="QUOTA"}', 'blindpost_refused_total{code="LOGIN_REFUSED"}',
        'blindpost_refused_total{code="WRONG_ORIGIN"}', 'blindpost_dropped_total{reason="too_many_errors"}',
        "blindpost_frames_accepted_total", "blindpost_frames_delivered_total",
        "blindpost_bundles_served_total",
    ):  # fmt: skip
        assert re.search(rf"^{re.escape(sample)} [1-9]", metrics, re.MULTILINE), sample
    assert len(lines) > 100
    assert sum('"a connection failed", "error": "OSError at' in line for line in lines) == len(DIALLING)
    assert FILL[:200] in found["relay.db"] + found["relay.db-wal"], "what was put is in what was searched"


def shake_hands_badly(port: int, place: str, trusting: ssl.SSLContext) -> None:
    """TLS as it fails: none at all, a certificate that is not believed, a reset in the middle."""
    address, source = ("127.0.0.1", port), (place, 0)
    with contextlib.suppress(OSError), socket.create_connection(address, 5, source) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
        plain.recv(100)
    for context, name in ((ssl.create_default_context(), "127.0.0.1"), (trusting, "elsewhere.example")):
        with contextlib.suppress(OSError), socket.create_connection(address, 5, source) as doubting:
            context.wrap_socket(doubting, server_hostname=name)
    for words in (b"\x16\x03\x01\x02\x00", b""):
        with contextlib.suppress(OSError), socket.create_connection(address, 5, source) as rude:
            rude.sendall(words)
            rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError), socket.create_connection(address, 5, source) as rude:
        inside = trusting.wrap_socket(rude, server_hostname="127.0.0.1")
        inside.sendall(b"GET /v1/info HTTP/1.1\r\nHost: h\r\n\r\n")
        inside.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        inside.close()


async def test_no_address_is_in_the_log_where_tls_fails(tmp_path: Path) -> None:
    authority, both = trustme.CA(), tmp_path / "both.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(both)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    settings = {"tls-certificate": both, "tls-key": both, "log-level": "debug", "login-deadline": 2}
    with RelayProcess(tmp_path, settings=settings) as relay:
        for place in DIALLING:
            await asyncio.to_thread(shake_hands_badly, relay.port, place, trusting)
            async with connect(
                relay.url, ssl=trusting, compression=None, proxy=None, local_addr=(place, 0)
            ) as websocket:
                await Peer(websocket, relay.origin).log_in(seeded(place).device)
        metrics = (await get(relay, "/metrics", tls=trusting)).text
        relay.terminate()
        found = {path.name: path.read_bytes() for path in (relay.log_path, *relay.data_dir.iterdir())}
    assert f"blindpost_logins_total {len(DIALLING)}.0" in metrics
    found["metrics"] = metrics.encode()
    assert {name: guilty(content) for name, content in found.items() if guilty(content)} == {}


@pytest.mark.parametrize("text", [DIALLING[0], BEHIND[2]])
def test_an_address_that_is_planted_is_found_in_every_form(text: str) -> None:
    address = ipaddress.ip_address(text)
    planted = [
        text, f"{text}/32 put_rate", repr((text, 4711)), str(int(address)), address.exploded,
        address.packed.hex(), address.packed.hex().upper(), address.reverse_pointer,
    ]  # fmt: skip
    contents = [each.encode() for each in planted] + [address.packed, b"\0\1" + address.packed[::-1] + b"\2"]
    if address.version == 4:
        mapped = socket.inet_pton(socket.AF_INET6, f"::ffff:{text}")
        contents += [mapped, mapped.hex().encode(), f"::ffff:{text}".encode()]
    else:
        contents += [address.packed[:8] + b"/64", b"prefix 2001:db8:5e:7::/64", b"20010DB8005E0007".lower()]
    for content in contents:
        assert guilty(b"before " + content + b" behind") == [text], content
    assert guilty(b"127.83.201.4 and 2001:db8::5e") == []


def test_a_header_that_is_not_declared_reaches_no_code() -> None:
    http = object.__new__(HeadDeadline)
    http.headers = []
    names = (b"User-Agent", b"Cookie", b"Origin", b"X-Client-IP", b"Sec-WebSocket-Extensions")
    for name in names:
        http.on_header(name, b"192.0.2.7")
    assert http.headers == [(b"", bytes(len(name) + 9)) for name in names]
    http.headers = []
    for name in heads.READ:
        http.on_header(name.upper(), b"value")
    assert http.headers == [(name, b"value") for name in heads.READ]
