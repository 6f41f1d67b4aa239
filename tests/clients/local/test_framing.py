"""Bytes to lines to objects: whole, bounded, one reading only."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.errors import TooLargeError, UsageError
from clients.local.framing import LINE_MAX, Splitter, TooLong, decode, encode


def split(*chunks: bytes, limit: int = LINE_MAX) -> list[bytes | None]:
    splitter = Splitter(limit)
    found = [line for chunk in chunks for line in splitter.feed(chunk)]
    found += splitter.rest()
    return [None if isinstance(line, TooLong) else line for line in found]


@given(st.lists(st.binary(max_size=12).filter(lambda line: b"\n" not in line)), st.integers(1, 7))
def test_lines_come_whole_however_they_are_cut(lines: list[bytes], size: int) -> None:
    data = b"".join(line + b"\n" for line in lines)
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    expected = [None if len(line) >= 8 else line for line in lines]
    assert split(*chunks, limit=8) == expected


def test_the_last_line_needs_no_end() -> None:
    assert split(b"a\nb") == [b"a", b"b"]
    assert split(b"a\n", b"") == [b"a"]
    assert split() == []


def test_a_line_that_is_too_long_is_skipped_and_never_kept() -> None:
    splitter = Splitter(100)
    for _ in range(1000):
        assert list(splitter.feed(b"x" * 99)) == []
        assert len(splitter._begun) < 100
    (skipped, line) = splitter.feed(b"x\nok\n")
    assert isinstance(skipped, TooLong)
    assert line == b"ok"
    assert split(b"x" * 100, limit=100) == [None]
    with pytest.raises(TooLargeError, match="524,288"):
        decode(skipped)


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none() | st.lists(st.booleans())))
def test_what_is_encoded_is_one_line_that_decodes_to_it(value: dict[str, object]) -> None:
    line = encode(value)
    assert line.count(b"\n") == 1
    assert decode(line[:-1]) == value


def test_half_a_character_travels_as_json_escapes() -> None:
    assert decode(encode({"text": "\ud800"})) == {"text": "\ud800"}


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"[1]", b"1", b'"me"', b'{"a": 1, "a": 2}', b'{"a": NaN}', b'{"a": Infinity}', b"\xff",
     b'{"a":' * 100_000, b"[" * 100_000, b'{"a": 1} {}'],
)  # fmt: skip
def test_what_is_no_object_is_refused(line: bytes) -> None:
    with pytest.raises(UsageError):
        decode(line)


def test_a_message_of_the_largest_size_fits() -> None:
    assert len(encode({"call": "send", "text": "\x01" * 65_000, "ref": 2**53 - 1})) < LINE_MAX
    assert json.loads(encode({"text": "é"})) == {"text": "é"}
