"""What `send` reads from stdin: the form of its lines, and their bounds."""

import io

import pytest

from clients.cli.bodies import LINE_MAX, Body, check_key, check_reply, read_body, read_lines
from clients.errors import TooLargeError, UsageError

ID = "0123456789abcdef" * 2


class Endless(io.BytesIO):
    """A stdin that never ends, and counts what is read of it."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        self.taken += size
        return b"x" * size


async def bodies(data: bytes) -> list[Body]:
    return [body async for body in read_lines(io.BytesIO(data))]


def test_oversize_is_refused_without_reading_on() -> None:
    endless = Endless()
    with pytest.raises(TooLargeError):
        read_body(endless)
    assert endless.taken == 65_001


async def test_a_line_that_is_too_long_is_refused_without_being_kept() -> None:
    assert (await bodies(b'{"text": "%s"}\n' % (b"x" * (LINE_MAX - 14))))[0].body == "x" * (LINE_MAX - 14)
    with pytest.raises(UsageError, match="Line 1 of stdin"):
        await bodies(b'{"text": "%s"}\n' % (b"x" * LINE_MAX))


async def test_a_line_has_a_text_or_bytes_and_may_have_an_id_and_what_it_answers() -> None:
    lines = b'{"text": "a"}\n{"data": "/w==", "id": "k"}\n{"text": "c", "reply_to": "%s", "id": null}'
    found = await bodies(lines % ID.encode())
    assert found == [Body("a"), Body(b"\xff", "k"), Body("c", None, ID)]
    assert [body.arguments() for body in found] == [
        {"text": "a"},
        {"data": "/w=="},
        {"text": "c", "reply_to": ID},
    ]


@pytest.mark.parametrize(
    "line",
    [b'{"text": "a", "id": 1}', b'{"text": "a", "id": ""}', b'{"text": "a", "reply_to": "x"}',
     b'{"text": "a", "reply-to": "x"}', b'{"text": null}', b"{}", b'{"id": "k"}'],
)  # fmt: skip
async def test_what_is_no_message_is_refused_by_its_number(line: bytes) -> None:
    with pytest.raises(UsageError, match="Line 2 of stdin"):
        await bodies(b'{"text": "a"}\n' + line)


def test_what_a_person_types_as_id() -> None:
    assert check_reply(f" {ID.upper()}\n") == ID
    assert check_key("k" * 200) == "k" * 200
    for wrong in ("", ID[1:], ID + "0", "g" * 32):
        with pytest.raises(UsageError, match="32 hexadecimal"):
            check_reply(wrong)
    for wrong in ("", "k" * 201):
        with pytest.raises(UsageError, match="1 to 200"):
            check_key(wrong)
