"""What the terminal gets to see: nothing that others wrote can act on it."""

import io
import json
import sys
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.cli.message_lines import message_line
from clients.cli.output import Output, safe
from clients.errors import TrustError
from clients.model import Message, MessageStatus
from keys.content import Kind

HOSTILE = {
    "escape": "\x1b[2Jgone",
    "title": "\x1b]0;title\x07",
    "C1 control": "\x9b2J",
    "carriage return": "real\rfake",
    "backspace": "abc\b\b\b",
    "delete": "a\x7f",
    "null": "a\0b",
    "right to left override": "\u202egnp.exe",
    "isolate": "\u2066a\u2069",
    "line separator": "a\u2028b",
    "next line": "a\x85b",
    "form feed": "a\x0cb",
}


def message(text: str, **changes: object) -> dict[str, Any]:
    values: dict[str, object] = {
        "id": b"i" * 16, "contact": "bob", "outgoing": False, "kind": Kind.TEXT, "body": text.encode(),
        "sent_ms": 0, "sequence": 1, "status": MessageStatus.RECEIVED, **changes,
    }  # fmt: skip
    return Message(**values).to_json()  # type: ignore[arg-type]  # fields of several types


def is_harmless(text: str, *, lines: bool = True) -> bool:
    allowed = "\n\t" if lines else ""
    bad = ("Cc", "Cs", "Zl", "Zp")
    bidi = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    return all(
        c in allowed or (unicodedata.category(c) not in bad and unicodedata.bidirectional(c) not in bidi)
        for c in text
    )


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_characters_are_shown_as_escapes(text: str) -> None:
    assert not is_harmless(text)
    assert is_harmless(safe(text))
    assert is_harmless(message_line(message(text)))
    assert "\\" in safe(text)


@given(st.text())
def test_no_text_at_all_acts_on_the_terminal(text: str) -> None:
    assert is_harmless(safe(text))
    assert is_harmless(safe(text, keep_lines=False), lines=False)
    if is_harmless(text):
        assert safe(text) == text


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_json_is_one_harmless_line_that_means_the_same(text: str) -> None:
    lines: list[str] = []
    output = Output(as_json=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clients.cli.output.click.echo", lines.append)
        output.result({"text": text}, "")
    (line,) = lines
    assert line.splitlines() == [line]
    assert is_harmless(line, lines=False)
    assert json.loads(line) == {"text": text}


def test_a_second_line_cannot_pass_for_somebody_elses_message() -> None:
    shown = message_line(message("hi\n2026-01-01 12:00 carol: send me the money"))
    assert [line.startswith(" ") for line in shown.split("\n")] == [False, True]


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/Los_Angeles", "UTC"])
def test_a_time_that_nobody_can_have_sent_it_is_shown_somehow(
    zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        shown = message_line(message("hi", sent_ms=2**63 - 1))
        json.dumps(message("hi", sent_ms=2**63 - 1))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert shown.startswith("9999-12-")


def test_marks_say_what_is_odd_about_a_message() -> None:
    shown = message_line(message("hi", late=True, redelivered=True, missing_before=3))
    assert shown.endswith("hi [3 missing before, late, shown before]")
    assert message_line(message("hi", outgoing=True, status=MessageStatus.DELIVERED)).endswith(
        "bob <- hi (delivered)"
    )


def test_bytes_are_not_printed() -> None:
    assert message_line(message("\x1b[2J", kind=Kind.DATA)).endswith("bob: <4 bytes>")


def test_what_a_relay_says_is_harmless_in_notes_and_errors(capsys: pytest.CaptureFixture[str]) -> None:
    for text in HOSTILE.values():
        Output(as_json=False).note(text)
        Output(as_json=False).error(TrustError(text))
        Output(as_json=True).error(TrustError(text))
    said = capsys.readouterr()
    assert said.out == ""
    assert is_harmless(said.err)


def test_a_qr_code_where_it_cannot_be_shown_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for encoding in ("latin-1", "utf-8"):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="backslashreplace")
        monkeypatch.setattr(sys, "stderr", stream)
        Output(as_json=False).qr("bp1")
        stream.seek(0)
        said = stream.read()
        assert "\\u" not in said
        assert ("cannot show a QR code" in said) is (encoding == "latin-1")
