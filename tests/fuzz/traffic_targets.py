"""Targets for what an audit reads of traffic: bytes of any client and any relay, transcripts, proxies."""

import atexit
import json
import tempfile
from functools import cache
from pathlib import Path

from websockets.frames import Frame, Opcode

from clients.audit.judging.judge import Judge
from clients.audit.tap.transcript import Closed, Opened, Piece, Recorded, TranscriptError
from clients.errors import UsageError
from clients.route import URL_MAX, Proxy
from tests.fuzz.target import Choices, Target
from wire.addresses import RelayUrl

RELAY = RelayUrl.parse("ws://127.0.0.1:8760")
REQUEST = b"GET /v1/ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n"
ANSWER = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"


def traffic(data: bytes) -> None:
    """`Judge`: any bytes both ways, in pieces of any size; every complaint is a line that can be shown."""
    choices, judge = Choices(data), Judge((), RELAY)
    judge.hear(Opened(0.0, 0, "127.0.0.1:8760"))
    if choices.below(2):
        judge.hear(Piece(0.0, 0, True, REQUEST))
        judge.hear(Piece(0.0, 0, False, ANSWER))
    while choices:
        kind, part = choices.below(8), choices.part()
        if kind > 3:  # framed as it should be: else the fuzzer would have to find that first
            opcode = Opcode.TEXT if kind > 5 else Opcode.BINARY
            part = Frame(opcode, part).serialize(mask=kind % 2 == 0)
        judge.hear(Piece(1.0, 0, kind % 2 == 0, part))
    judge.hear(Closed(2.0, 0))
    verdict = judge.verdict()
    json.dumps(verdict.to_json())
    for complaint in verdict.complaints:
        assert str(complaint).isprintable()
        assert len(str(complaint)) < 1000


def transcript(data: bytes) -> None:
    """`Recorded`: a file as it is; nothing but its own error comes out."""
    path = _folder() / "transcript"
    path.write_bytes(data)
    try:
        for event in Recorded(path).events():
            assert event.at >= 0
    except TranscriptError as error:
        assert "\n" not in str(error)


def proxy(data: bytes) -> None:
    """`Proxy.parse`: what is none is refused without being shown; what is one reads as itself again."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return
    try:
        found = Proxy.parse(text, "it")
    except UsageError as error:
        assert len(text) < 30 or text not in str(error)
        return
    if len(found.url) <= URL_MAX:
        assert Proxy.parse(found.url, "it") == found
    assert "\n" not in found.url + (found.basic or "")


@cache
def _folder() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="blindpost-fuzz-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


def _seen() -> list[bytes]:
    head = b'{"transcript": 1, "relay": "ws://a", "began": ""}\n'
    opened = b'{"at": 0.5, "connection": 0, "opened": "a:1"}\n'
    piece = b'{"at": 1, "connection": 0, "to": "relay", "bytes": "AAAA"}\n'
    end = b'{"at": 2, "connection": 0, "closed": ""}\n{"at": 2, "full": 9}\n{"at": 2, "ended": 3}\n'
    return [head + opened + piece + end, head + b"[" * 4000, head + b'{"at": NaN}\n', b"{}\n", b"\xff"]


def _said() -> list[bytes]:
    text = b'{"type":"hello","x":{"y":[1]}}'
    return [
        b"\1\6" + len(text).to_bytes(2) + text + b"\4\0\3abc\7\0\2[]",
        b"\0\0\0\x10GET / HTTP/1.0\n\n",
        b"\0\2" + len(REQUEST).to_bytes(2) + REQUEST,
        b"\1\2\0\2\x81\xff\3\0\4\xc1\0\x88\0",
    ]


TARGETS = [
    Target("traffic", traffic, _said, (b'"type":', b"HTTP/1.1 101", b"Upgrade: websocket", b"\r\n\r\n")),
    Target("transcript", transcript, _seen, (b'"at":', b'"connection":', b'"bytes":', b'"ended":')),
    Target(
        "proxy",
        proxy,
        lambda: [b"http://me:p%40ss@[::1]:3128/", b"https://a", b"socks5://a:1", b"http://a:b@c:0"],
        (b"http://", b"%0a", b"@", b":"),
        600,
    ),
]
