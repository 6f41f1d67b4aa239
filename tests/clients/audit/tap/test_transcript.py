"""A transcript is what it was when it is read again, and one that is not whole says so."""

import hashlib
import json
import os
import stat
from pathlib import Path

import pytest

from clients.audit.tap.transcript import (
    LINE_MAX,
    PIECE_MAX,
    Closed,
    Event,
    Opened,
    Piece,
    Recorded,
    TranscriptError,
    TranscriptFile,
)

EVENTS: list[Event] = [
    Opened(10.5, 0, "relay.example:443"),
    Piece(10.75, 0, True, b"\x00\xff" * 100),
    Piece(11.0, 0, False, os.urandom(PIECE_MAX)),
    Opened(11.25, 1, ""),
    Closed(12.0, 0, ""),
    Closed(12.5, 1, "no whole request came within 10 s"),
]


def written(path: Path, events: list[Event] = EVENTS, size_max: int = 1 << 30) -> str:
    with TranscriptFile(path, "wss://relay.example", 10.0, size_max) as file:
        for event in events:
            file.write(event)
        return file.end(13.0)


def at_zero(event: Event) -> Event:
    match event:
        case Opened(at=at, connection=number, target=target):
            return Opened(at - 10, number, target)
        case Piece(at=at, connection=number, to_relay=to_relay, data=data):
            return Piece(at - 10, number, to_relay, data)
        case Closed(at=at, connection=number, why=why):
            return Closed(at - 10, number, why)


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "seen"
    digest = written(path)
    recorded = Recorded(path)
    assert list(recorded.events()) == [at_zero(event) for event in EVENTS]
    assert recorded.lacks == []
    assert recorded.relay == "wss://relay.example"
    assert digest == recorded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "seen").write_text("mine")
    with pytest.raises(TranscriptError, match="cannot be made"):
        written(tmp_path / "seen")
    assert (tmp_path / "seen").read_text() == "mine"


def test_it_is_bounded_and_says_so(tmp_path: Path) -> None:
    path, piece = tmp_path / "seen", Piece(11.0, 0, True, bytes(PIECE_MAX))
    written(path, [piece] * 20, 4 * LINE_MAX)
    assert path.stat().st_size < 4 * LINE_MAX
    recorded = Recorded(path)
    kept = list(recorded.events())
    assert 1 < len(kept) < 20
    assert len(recorded.lacks) == 1
    assert "was full after" in recorded.lacks[0]


@pytest.mark.parametrize("cut", [1, 40, 5_000])
def test_one_that_was_cut_says_so(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "seen"
    written(path)
    path.write_bytes(path.read_bytes()[:-cut])
    recorded = Recorded(path)
    list(recorded.events())
    assert "was cut" in recorded.lacks[0]


def test_a_line_that_was_taken_out_is_missed(tmp_path: Path) -> None:
    path = tmp_path / "seen"
    written(path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2] + lines[3:]))
    recorded = Recorded(path)
    list(recorded.events())
    assert "counts other events" in recorded.lacks[0]


@pytest.mark.parametrize(
    "line",
    [
        "", "[]", "null", "{}", "not JSON", '{"at": 1}', '{"at": "x", "connection": 0, "closed": ""}',
        '{"at": NaN, "connection": 0, "closed": ""}', '{"at": 1, "connection": 0, "to": "both", "bytes": ""}',
        '{"at": 1, "connection": 0, "to": "relay", "bytes": "?"}', "[" * 100_000, "x" * LINE_MAX,
        json.dumps({"at": 1, "connection": 0, "to": "relay", "bytes": "A" * 88_000}),
    ],
)  # fmt: skip
def test_what_is_no_transcript_is_refused_with_the_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "seen"
    path.write_text('{"transcript": 1, "relay": "wss://a", "began": ""}\n' + line + "\n")
    with pytest.raises(TranscriptError, match="line 2"):
        list(Recorded(path).events())
    path.write_text(line + "\n")
    with pytest.raises(TranscriptError):
        list(Recorded(path).events())


def test_nothing_is_no_transcript(tmp_path: Path) -> None:
    (tmp_path / "seen").touch()
    for name in ("seen", "nowhere", "."):
        with pytest.raises(TranscriptError):
            list(Recorded(tmp_path / name).events())
