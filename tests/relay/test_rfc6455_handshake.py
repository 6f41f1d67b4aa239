"""RFC 6455 section 4: opening handshakes by raw socket against the real relay, each case with its section."""

import pytest

from tests.relay.raw_websocket import (
    ACCEPT,
    END,
    KEY,
    PING,
    PONG,
    Heard,
    accept_of,
    connected,
    frame,
    request,
)
from tests.support.relay_process import RelayProcess

pytestmark = pytest.mark.usefixtures("quiet")
OTHER_KEY = "AAAAAAAAAAAAAAAAAAAAAA=="


def without(name: str) -> bytes:
    return request(without=(name,))


ACCEPTED = {
    "1.3 the example": request(),
    "4.1 names of headers in any case": request(without=("upgrade",), extra=("uPGRADE: websocket",)),
    "4.2.1 Upgrade in any case": request(upgrade="WebSocket"),
    "4.2.1 Connection with more than one token": request(connection="keep-alive, Upgrade"),
    "4.2.1 Connection in any case": request(connection="upgrade"),
    "4.1 another key": request(sec_websocket_key=OTHER_KEY),
    "4.1 an Origin, which clients other than browsers need not send": request(
        extra=("Origin: https://a.example",)
    ),
    "4.1 other headers": request(extra=("User-Agent: x", "Cookie: a=b", "Authorization: Basic eA==")),
    "4.1 a query": request("GET /v1/ws?a=b HTTP/1.1"),
    "4.1 an explicit body of nothing": request(extra=("Content-Length: 0",)),
    "9.1 an extension that is not taken": request(
        extra=("Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover",)
    ),
    "4.1 a subprotocol that is not taken": request(extra=("Sec-WebSocket-Protocol: chat, superchat",)),
    "RFC 7230 3.2 space around values": request(host="  relay.example  "),
}

REFUSED = {
    "4.1 the method must be GET": (request("POST /v1/ws HTTP/1.1"), 405),
    "4.1 not HEAD either": (request("HEAD /v1/ws HTTP/1.1"), 405),
    "4.1 nor CONNECT": (request("CONNECT relay.example:443 HTTP/1.1"), 405),
    "4.1 HTTP must be 1.1": (request("GET /v1/ws HTTP/1.0"), 505),
    "4.2.1 Host is needed": (without("host"), 400),
    "RFC 7230 5.4 Host only once": (request(extra=("Host: other.example",)), 400),
    "4.2.1 Upgrade is needed": (without("upgrade"), 404),
    "4.2.1 Upgrade to something else": (request(upgrade="h2c"), 404),
    "4.2.1 Connection is needed": (without("connection"), 404),
    "4.2.1 Connection without Upgrade": (request(connection="keep-alive"), 404),
    "4.2.1 a key is needed": (without("sec-websocket-key"), 400),
    "4.2.1 an empty key": (request(sec_websocket_key=""), 400),
    "4.2.1 a key that is not base64": (request(sec_websocket_key="not base64 at all!!!"), 400),
    "4.2.1 a key of 15 bytes": (request(sec_websocket_key="AAAAAAAAAAAAAAAAAAAA"), 400),
    "4.2.1 a key of 18 bytes": (request(sec_websocket_key="A" * 24), 400),
    "11.3.1 a key only once": (request(extra=(f"Sec-WebSocket-Key: {KEY}",)), 400),
    "4.4 a version is needed": (without("sec-websocket-version"), 426),
    "4.4 an older version": (request(sec_websocket_version="8"), 426),
    "4.4 a newer version": (request(sec_websocket_version="14"), 426),
    "4.4 a list of versions": (request(sec_websocket_version="13, 8"), 426),
    "11.3.5 a version only once": (request(extra=("Sec-WebSocket-Version: 13",)), 426),
    "4.1 a subprotocol that is no token": (request(extra=("Sec-WebSocket-Protocol: ,;",)), 400),
    "4.1 no body": (request(extra=("Content-Length: 5",)) + b"hello", 400),
    "4.1 no body in chunks": (request(extra=("Transfer-Encoding: chunked",)) + b"0\r\n\r\n", 400),
    "4.2.2 a resource that is not there": (request("GET /v1/none HTTP/1.1"), 403),
    "4.2.2 a resource that is no WebSocket": (request("GET /v1/info HTTP/1.1"), 403),
    "10.7 too many headers": (request(extra=tuple(f"X-{number}: a" for number in range(120))), 431),
    "10.7 a header that is too long": (request(extra=("X: " + "a" * 9000,)), 431),
    "10.7 a target that is too long": (request(f"GET /v1/ws?{'a' * 9000} HTTP/1.1"), 431),
}  # fmt: skip


@pytest.mark.parametrize("name", ACCEPTED)
async def test_a_handshake_that_is_accepted(relay: RelayProcess, name: str) -> None:
    async with connected(relay) as socket:
        socket.send(ACCEPTED[name])
        status, headers = await socket.head()
        assert status == 101
        assert headers["upgrade"].lower() == "websocket"
        assert headers["connection"].lower() == "upgrade"
        key = OTHER_KEY if name == "4.1 another key" else KEY
        assert headers["sec-websocket-accept"] == accept_of(key)
        # Neither is offered, so neither may be answered (4.2.2, 9.1).
        assert "sec-websocket-extensions" not in headers
        assert "sec-websocket-protocol" not in headers
        socket.send(frame(PING, b"there?"))
        assert await socket.next() == Heard(PONG, b"there?")


@pytest.mark.parametrize("name", REFUSED)
async def test_a_handshake_that_is_refused(relay: RelayProcess, name: str) -> None:
    said, expected = REFUSED[name]
    async with connected(relay) as socket:
        socket.send(said)
        status, headers = await socket.head()
        assert status == expected
        assert "sec-websocket-accept" not in headers
        if expected == 426:
            assert headers["sec-websocket-version"] == "13"
        if expected == 405:
            assert headers["allow"] == "GET"
        if expected not in (404,):
            await socket.ended()  # nothing else is heard on this connection


async def test_nothing_is_held_for_a_handshake_that_was_refused(relay: RelayProcess) -> None:
    """4.2.2: an answer, and the end. A head the library cannot read used to be held, unanswered, for ever."""
    for said in (request(extra=("Content-Length: 5",)), request(extra=("X: " + "a" * 9000,))):
        async with connected(relay) as socket:
            socket.send(said)
            assert (await socket.head())[0] >= 400
            await socket.ended()
            assert await socket.next() == END


async def test_the_accept_key_of_the_example(relay: RelayProcess) -> None:
    async with connected(relay) as socket:
        socket.send(request())
        assert (await socket.head())[1]["sec-websocket-accept"] == ACCEPT
