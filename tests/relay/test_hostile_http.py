"""Hostile HTTP against the real relay: requests made from its own description, and bytes that are none."""

import asyncio
import json
import random
import re
import sys
from pathlib import Path

import pytest

from relay import openapi
from tests.relay.raw_websocket import RawSocket, connected
from tests.relay.web import get, metric
from tests.support.relay_process import RelayProcess

COMMITTED = Path(__file__).parents[2] / "docs" / "openapi.json"
pytestmark = pytest.mark.usefixtures("quiet")


def test_the_committed_description_is_current() -> None:
    assert COMMITTED.read_text("utf-8") == openapi.render(), (
        "run: python -m relay.openapi > docs/openapi.json"
    )


async def schemathesis(relay: RelayProcess, document: Path, folder: Path, *flags: str) -> tuple[int, str]:
    """Exit code and output of the program, as anybody would run it; what it remembers goes into `folder`."""
    command = (sys.executable, "-m", "schemathesis.cli", "run", str(document), "--url", relay.http_url)
    how = ("--mode", "all", "--seed", "1", "--max-response-time", "5", "--no-color")
    process = await asyncio.create_subprocess_exec(
        *(*command, *how, *flags),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 100)
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_every_request_that_the_description_suggests_is_answered_as_it_says(
    relay: RelayProcess, tmp_path: Path
) -> None:
    code, output = await schemathesis(
        relay, COMMITTED, tmp_path, "--phases", "coverage,fuzzing", "--max-examples", "20"
    )
    assert code == 0, output
    tried = re.search(r"(\d+) generated, (\d+) passed", output)
    assert tried, output
    assert int(tried[1]) == int(tried[2]) >= 40


async def test_control_an_answer_that_is_not_described_would_be_seen(
    relay: RelayProcess, tmp_path: Path
) -> None:
    document = json.loads(COMMITTED.read_text("utf-8"))
    del document["paths"]["/metrics"]["get"]["responses"]["403"]
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    flags = ("--include-path", "/metrics", "--phases", "coverage")
    code, output = await schemathesis(relay, tmp_path / "openapi.json", tmp_path, *flags)
    assert code == 1, output
    assert "Received: 403" in output


def ask(*headers: str, start: str = "GET /healthz HTTP/1.1", body: bytes = b"") -> bytes:
    return "\r\n".join([start, "Host: a", *headers, "", ""]).encode("latin-1") + body


CHUNKED = "Transfer-Encoding: chunked"
# The status of the answer; 0 where the connection ends without one.
HOSTILE: dict[str, tuple[bytes, int]] = {
    "a head of one endless header": (ask("X: " + "a" * 70_000), 0),
    "a head of very many headers": (ask(*(f"X-{number}: a" for number in range(9000))), 0),
    "an endless target": (ask(start=f"GET /{'a' * 70_000} HTTP/1.1"), 0),
    "an endless method": (b"A" * 70_000, 400),
    "a chunk size that is no number": (ask(CHUNKED, body=b"xyz\r\n"), 400),
    "a negative chunk size": (ask(CHUNKED, body=b"-1\r\n\r\n"), 400),
    "an endless chunk size": (ask(CHUNKED, body=b"f" * 40 + b"\r\n"), 400),
    "a chunk longer than it says": (ask(CHUNKED, body=b"1\r\nabc\r\n0\r\n\r\n"), 400),
    "chunked twice": (ask("Transfer-Encoding: chunked, chunked"), 400),
    "a coding that nobody knows": (ask("Transfer-Encoding: gzip"), 400),
    "two lengths that differ": (ask("Content-Length: 1", "Content-Length: 2"), 400),
    "a length and chunks": (ask("Content-Length: 3", CHUNKED, body=b"0\r\n\r\n"), 400),
    "a negative length": (ask("Content-Length: -1"), 400),
    "a length with a sign": (ask("Content-Length: +1"), 400),
    "an endless length": (ask("Content-Length: 99999999999999999999999"), 400),
    "a body that nobody reads": (ask("Content-Length: 5000000", body=b"a" * 60_000), 200),
    "a body that never comes": (ask("Content-Length: 5", "Expect: 100-continue"), 200),
    "another expectation": (ask("Expect: the impossible"), 200),
    "a space before the colon": (ask("X : a"), 400),
    "a folded header": (ask("X: a", " b"), 400),
    "NUL in a header": (ask("X: \x00"), 400),
    "a line feed alone in a header": (ask("X: a\nY: b"), 400),
    "a header without a name": (ask(": a"), 400),
    "bytes beyond ASCII in a header": (ask("X: \xff\xfe"), 200),
    "an unknown method": (ask(start="BREW /healthz HTTP/1.1"), 400),
    "a method in lower case": (ask(start="get /healthz HTTP/1.1"), 400),
    "POST": (ask("Content-Length: 0", start="POST /healthz HTTP/1.1"), 405),
    "DELETE": (ask(start="DELETE /v1/info HTTP/1.1"), 405),
    "TRACE": (ask(start="TRACE /v1/info HTTP/1.1"), 405),
    "OPTIONS": (ask(start="OPTIONS /v1/info HTTP/1.1"), 405),
    "OPTIONS for the server": (ask(start="OPTIONS * HTTP/1.1"), 404),
    "CONNECT": (ask(start="CONNECT a:1 HTTP/1.1"), 400),
    "HTTP/0.9, which the parser takes": (b"GET /healthz\r\n\r\n", 200),
    "HTTP/1.0": (b"GET /healthz HTTP/1.0\r\n\r\n", 200),
    "HTTP/3.0": (ask(start="GET /healthz HTTP/3.0"), 400),
    "HTTP/9.9": (ask(start="GET /healthz HTTP/9.9"), 400),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 400),
    "HTTP/2 by upgrade": (ask("Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings"), 200),
    "TLS on a plain port": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64), 400),
    "SSH on a plain port": (b"SSH-2.0-OpenSSH_9.9\r\n", 400),
    "a proxy's own line": (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + ask(), 400),
    "NUL in the target": (ask(start="GET /\x00 HTTP/1.1"), 400),
    "bytes beyond ASCII in the target": (ask(start="GET /\xff HTTP/1.1"), 400),
    "an encoded NUL": (ask(start="GET /%00 HTTP/1.1"), 404),
    "encoded bytes that are no text": (ask(start="GET /%ff%fe HTTP/1.1"), 404),
    "a broken encoding": (ask(start="GET /%zz%1 HTTP/1.1"), 404),
    "dots": (ask(start="GET /../../etc/passwd HTTP/1.1"), 404),
    "encoded dots": (ask(start="GET /v1/%2e%2e/%2e%2e/relay.key HTTP/1.1"), 404),
    "two slashes": (ask(start="GET //healthz HTTP/1.1"), 404),
    "a whole URL": (ask(start="GET http://a/healthz HTTP/1.1"), 200),
    "a whole URL of elsewhere": (ask(start="GET http://user:pass@[::1]:99/metrics HTTP/1.1"), 200),
    "a query without end": (ask(start=f"GET /healthz?{'a=b&' * 10_000} HTTP/1.1"), 200),
    "a fragment": (ask(start="GET /healthz#x HTTP/1.1"), 200),
    "no target": (ask(start="GET  HTTP/1.1"), 400),
    "empty lines first": (b"\r\n\r\n" + ask(), 200),
    "nothing but line ends": (b"\r\n" * 40_000, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_request_has_its_answer_or_its_end(relay: RelayProcess, name: str) -> None:
    said, expected = HOSTILE[name]
    async with connected(relay) as socket:
        socket.send(said)
        if not expected:
            assert await socket.ended() == b""
            return
        status, headers = await socket.head()
        assert status == expected
        if status == 400:
            await socket.ended()  # where requests are not told apart any more, nothing follows
        else:
            assert int(headers["content-length"]) < 20_000


async def responses(socket: RawSocket, count: int) -> list[int]:
    found = []
    for _ in range(count):
        status, headers = await socket.head()
        await socket.reader.readexactly(int(headers.get("content-length", "0")))
        found.append(status)
    return found


async def test_pipelined_requests_are_answered_in_their_order(relay: RelayProcess) -> None:
    paths = ["/healthz", "/none", "/v1/info", "/metrics"] * 50
    async with connected(relay) as socket:
        socket.send(*(ask(start=f"GET {path} HTTP/1.1") for path in paths))
        assert await responses(socket, 200) == [200, 404, 200, 200] * 50


async def test_what_is_no_request_behind_one_ends_the_connection(relay: RelayProcess) -> None:
    async with connected(relay) as socket:
        socket.send(ask())
        assert await responses(socket, 1) == [200]
        socket.send(b"\0\1\2 nonsense\r\n\r\n")
        assert await responses(socket, 1) == [400]
        assert await socket.ended() == b""


async def test_noise_is_refused(relay: RelayProcess) -> None:
    noise = random.Random(1)
    for _ in range(60):
        async with connected(relay) as socket:
            socket.send(
                noise.choice((b"", b"GET ", b"GET / HTTP/1.1\r\n")) + noise.randbytes(200) + b"\r\n\r\n"
            )
            status, _ = await socket.head()
            assert status in (400, 404)


async def test_the_relay_has_no_fault_of_its_own_after_all_this(relay: RelayProcess) -> None:
    assert await metric(relay, 'blindpost_dropped_total{reason="fault"}') == 0
    assert (await get(relay, "/healthz")).status == 200
