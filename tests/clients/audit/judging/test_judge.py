"""The judge finds each thing that a client or a relay could do otherwise, and nothing in the rest."""

import base64
import itertools
import json
import os
from collections.abc import Iterator
from typing import Final

import pytest
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from clients.audit.canaries.search import Canary
from clients.audit.judging import complaints, judge, repeats
from clients.audit.judging.complaints import Rule
from clients.audit.judging.figures import Verdict
from clients.audit.judging.judge import Judge
from clients.audit.tap.transcript import PIECE_MAX, Closed, Event, Opened, Piece
from wire.addresses import RelayUrl
from wire.control import Attach, Checkpoint, Hello, Register, RelayHello
from wire.frames import Deliver, Put
from wire.login import Mode

RELAY: Final = RelayUrl.parse("ws://127.0.0.1:8760")
TEXT: Final = b"the quick brown fox jumps over it"
REQUEST: Final = (
    b"GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1:8760\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
ANSWER: Final = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
Said = str | bytes


def envelope(size: int = 1024) -> bytes:
    return b"\x01" + os.urandom(size - 1)


def put(content: bytes, frame_id: bytes | None = None) -> bytes:
    return Put(frame_id or os.urandom(16), b"m" * 32, content).encode()


def hello(nonce: bytes | None = None) -> str:
    return Hello(mode=Mode.SUBMIT, version=1, origin=RELAY.origin, nonce=nonce or os.urandom(32)).encode()


def framed(said: Said, *, mask: bool) -> bytes:
    opcode, data = (Opcode.TEXT, said.encode()) if isinstance(said, str) else (Opcode.BINARY, said)
    return Frame(opcode, data).serialize(mask=mask)


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def line(
    *to_relay: Said, from_relay: tuple[Said, ...] = (), number: int = 0, size: int = PIECE_MAX
) -> list[Event]:
    """One WebSocket connection on which this is said, in pieces of so many bytes."""
    client = REQUEST + b"".join(framed(each, mask=True) for each in to_relay)
    relay = ANSWER + b"".join(framed(each, mask=False) for each in from_relay)
    return [
        Opened(0.5, number, "127.0.0.1:8760"),
        *(Piece(1.5, number, True, piece) for piece in pieces(client, size)),
        *(Piece(2.5, number, False, piece) for piece in pieces(relay, size)),
        Closed(3.5, number),
    ]


def judged(*events: list[Event], canaries: tuple[Canary, ...] = ()) -> Verdict:
    start = Closed(0.0, 99)  # so that the times of complaints are those of the events
    return judge.judged(itertools.chain([start], *events), canaries, RELAY)


def rules(verdict: Verdict) -> set[Rule]:
    return {complaint.rule for complaint in verdict.complaints}


# --- what is fine -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [PIECE_MAX, 1000, 7])
def test_an_honest_line_in_any_pieces(size: int) -> None:
    sent, frame_id = envelope(), os.urandom(16)
    delivered = Deliver(frame_id, b"m" * 32, 1, 0, sent).encode()
    verdict = judged(
        line(hello(), put(sent, frame_id), put(sent, frame_id), put(envelope(4096)), size=size),
        line(hello(), from_relay=(delivered, delivered), number=1, size=size),
    )
    assert verdict.complaints == ()
    assert verdict.is_fine
    figures = verdict.figures
    assert (figures.put, figures.delivered, figures.again) == (3, 2, 3)
    assert figures.sizes == {1024: 4, 4096: 1}
    assert figures.messages == {"hello": 2}
    assert (figures.connections, figures.websockets, figures.requests["GET /v1/ws"]) == (2, 2, 2)
    json.dumps(verdict.to_json())


def test_where_no_envelope_passed_nothing_is_shown() -> None:
    verdict = judged(line(hello()))
    assert verdict.complaints == ()
    assert not verdict.is_fine
    assert "No envelope" in verdict.lacks[0]


# --- what is not ----------------------------------------------------------------------------------------


def repeated_block() -> list[Said]:
    first, second = bytearray(envelope(2048)), bytearray(envelope())
    second[1 + 16 * 7 : 1 + 16 * 8] = first[1 + 16 * 90 : 1 + 16 * 91]
    return [put(bytes(first)), put(bytes(second))]


def used_key() -> list[Said]:
    first = envelope()
    return [put(first), put(first[:33] + os.urandom(991))]


def again_elsewhere() -> list[Said]:
    first = envelope()
    return [put(first), put(first)]  # under another id


def electronic_codebook() -> list[Said]:
    block = os.urandom(16)
    return [put(b"\x01" + os.urandom(512) + block + os.urandom(16) + block + os.urandom(463))]


def with_text(where: int) -> list[Said]:
    whole = bytearray(envelope(4096))
    whole[where : where + 40] = b"Meet me at noon behind the old station.."
    return [put(bytes(whole))]


BAD: Final[dict[str, tuple[list[Said], Rule, str]]] = {
    "a block of another envelope": (repeated_block(), Rule.REPEAT, "a block of 16 bytes of this envelope"),
    "a block twice": (electronic_codebook(), Rule.REPEAT, "comes twice in this envelope"),
    "an ephemeral key again": (used_key(), Rule.REPEAT, "the ephemeral key of this envelope was used before"),
    "an envelope again": (again_elsewhere(), Rule.REPEAT, "the ephemeral key"),
    "a nonce again": ([hello(b"n" * 8 + TEXT[:24])] * 2, Rule.REPEAT, "the nonce of hello"),
    "text inside": (with_text(2000), Rule.RANDOM, "looks like plaintext: it has a run of text"),
    "a file": ([put(b"\x01%PDF-1.7" + os.urandom(1015))], Rule.RANDOM, "it begins like a file"),
    "zeros": ([put(b"\x01" + bytes(1023))], Rule.RANDOM, "it repeats itself"),
    "no bucket": ([put(envelope(1025))], Rule.FRAME, "a binary message of 1,075 bytes is no PUT"),
    "another version": ([put(b"\x02" + os.urandom(1023))], Rule.FRAME, "is no PUT"),
    "no frame": ([b"hello, relay"], Rule.FRAME, "a binary message of 12 bytes is no PUT"),
    "a chat in plain text": (["hi bob, it is me"], Rule.MESSAGE, "a text of 16 bytes is no control message"),
    "a chat in JSON": (
        ['{"type":"say","to":"bob","text":"hi"}'], Rule.LEDGER, "does not name: say.type, say.to, say.text",
    ),
    "one more field": ([hello()[:-1] + ',"client":"me/1.0"}'], Rule.LEDGER, "does not name: hello.client"),
    "a field missing": (['{"type":"hello"}'], Rule.MESSAGE, "is no control message"),
    "text in an opaque value": (
        [Checkpoint(checkpoint=TEXT).encode()], Rule.RANDOM, "text stands in checkpoint.checkpoint",
    ),
    "a nonce of letters": ([hello(TEXT[:32])], Rule.RANDOM, "text stands in hello.nonce"),
    "a list that is none": (
        [Register(ref=1, device_list=os.urandom(200)).encode()], Rule.MESSAGE, "what is signed in register",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_each_breach_is_complained_of(name: str) -> None:
    said, rule, words = BAD[name]
    verdict = judged(line(hello(), put(envelope()), *said))
    (found, *_) = [each for each in verdict.complaints if each.rule is rule and words in str(each)]
    assert str(found).startswith("Connection 0, 1.500 s, to the relay: ")
    assert not verdict.is_fine


@pytest.mark.parametrize("way", ["raw", "base64", "base64 over two messages", "in a close"])
def test_a_canary_is_seen_however_it_passes(way: str) -> None:
    value = os.urandom(12).hex().encode()
    canary = Canary("1", value, is_text=True)
    encoded = base64.b64encode(b"my " + value).decode()
    events = {
        "raw": line(put(envelope()), json.dumps({"type": "say", "text": value.decode()})),
        "base64": line(put(envelope()), json.dumps({"type": "say", "text": encoded}), size=11),
        "base64 over two messages": line(put(envelope()), encoded[:15], encoded[15:], size=16),
        "in a close": [
            *line(put(envelope()))[:-1],
            Piece(3.0, 0, True, Frame(Opcode.CLOSE, b"\x03\xe8" + value).serialize(mask=True)),
            Closed(3.5, 0),
        ],
    }[way]
    verdict = judged(events, canaries=(canary,))
    found = [str(each) for each in verdict.complaints if each.rule is Rule.CANARY]
    assert any("the canary 1 is seen" in each for each in found)
    assert not any(value.decode() in each for each in found)
    assert not [each for each in judged(events).complaints if each.rule is Rule.CANARY]
    looking = Judge((canary,), RELAY)
    for event in events:
        looking.hear(event)
        looking.catch_up()  # as a proxy does every second
    assert [each.what for each in looking.complaints if each.rule is Rule.CANARY]


def test_a_chat_with_compressed_messages_is_read() -> None:
    client, frame = PerMessageDeflate(False, False, 12, 12), Frame(Opcode.TEXT, b"they say " + TEXT)
    first, second = (frame.serialize(mask=True, extensions=(client,)) for _ in range(2))
    assert len(second) < len(TEXT)
    for data in (first, first + second):
        passed: list[Event] = [Opened(0.5, 0, ""), Piece(1.5, 0, True, REQUEST + data), Closed(3.5, 0)]
        verdict = judged(passed, canaries=(Canary("1", TEXT, is_text=True),))
        assert verdict.counts[Rule.CANARY] > 0
        assert verdict.counts[Rule.FRAME] == 1
        assert "messages are compressed" in " ".join(map(str, verdict.complaints))


def test_what_the_relay_says_is_judged_as_well() -> None:
    bad = Deliver(os.urandom(16), b"m" * 32, 1, 0, b"\x01" + TEXT * 30).encode()
    nonce = os.urandom(32)
    greeting = RelayHello(version=1, relay_key=b"k" * 32, nonce=nonce, time=1, signature=os.urandom(64))
    said = (greeting.encode(), greeting.encode(), bad, '{"type":"welcome","ip":"203.0.113.7"}')
    verdict = judged(line(put(envelope()), from_relay=said))
    assert rules(verdict) >= {Rule.FRAME, Rule.LEDGER, Rule.REPEAT}
    assert {each.to_relay for each in verdict.complaints} == {False}


def test_what_is_no_websocket_and_who_is_called_besides() -> None:
    telemetry = b"POST /collect?id=7 HTTP/1.1\r\nHost: a\r\nUser-Agent: x/1\r\nContent-Length: 5\r\n\r\nhello"
    verdict = judged(
        line(put(envelope())),
        [Opened(4.0, 1, "stats.example:443"), Piece(4.1, 1, True, telemetry), Closed(4.2, 1)],
        [Opened(5.0, 2, ""), Piece(5.1, 2, True, b"\x16\x03" * 9000), Closed(5.2, 2, "it went")],
    )
    said = "\n".join(map(str, verdict.complaints))
    assert "it asked for stats.example:443, which is not the relay" in said
    assert "the request header user-agent is not in the ledger" in said
    assert "the request POST /collect is not in the ledger" in said
    assert "5 bytes stand in the body of a request" in said
    assert "has a query" in said
    assert "neither HTTP nor WebSocket" in said
    assert verdict.figures.ended_early == {"it went": 1}


# --- bounds -----------------------------------------------------------------------------------------------


def test_complaints_are_bounded_and_counted() -> None:
    texts = [f"number {number}" for number in range(complaints.KEPT_PER_RULE + 5)]
    verdict = judged(line(*texts, put(envelope(1025))))
    assert verdict.counts == {Rule.MESSAGE: complaints.KEPT_PER_RULE + 5, Rule.FRAME: 1}
    assert len(verdict.complaints) == complaints.KEPT_PER_RULE + 1
    assert rules(verdict) == {Rule.MESSAGE, Rule.FRAME}


def test_more_than_can_be_remembered_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "KEYS_MAX", 2)
    verdict = judged(line(*(put(envelope()) for _ in range(3))))
    assert verdict.complaints == ()
    assert not verdict.is_fine
    assert "more envelopes than can be compared" in verdict.lacks[0]


def test_connections_without_end_are_bounded() -> None:
    opened: list[Event] = [Opened(0.0, number, "") for number in range(judge.OPEN_MAX + 1)]
    heard: list[Event] = [Piece(0.1, judge.OPEN_MAX, True, REQUEST)]
    assert any("open at a time" in sentence for sentence in judged(opened, heard).lacks)
    assert not any("open at a time" in sentence for sentence in judged(opened).lacks)


def test_names_that_peers_choose_are_few_and_short() -> None:
    heads = b"".join(f"GET /{number}{'x' * 300} HTTP/1.1\r\n\r\n".encode() for number in range(300))
    verdict = judged([Opened(0.0, 0, ""), Piece(0.1, 0, True, heads), Closed(0.2, 0)])
    assert len(verdict.figures.requests) < 110
    assert max(map(len, verdict.figures.requests)) < 100
    assert verdict.figures.requests.total() == 300


def test_a_message_that_is_larger_than_any_ends_the_reading() -> None:
    data = REQUEST + Frame(Opcode.BINARY, bytes(3 << 20)).serialize(mask=True)
    events: list[Event] = [
        Opened(0.0, 0, ""),
        *(Piece(0.1, 0, True, piece) for piece in pieces(data, PIECE_MAX)),
    ]
    assert "neither HTTP nor WebSocket" in str(judged(events).complaints[0])


def test_a_token_that_is_random_is_nobodys_business() -> None:
    attach = Attach(mailbox=os.urandom(32), token=os.urandom(16)).encode()
    assert judged(line(attach, put(envelope()))).is_fine
