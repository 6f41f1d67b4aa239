"""What `blindpost send` is given to send: one message from stdin, or one a line.

Owns the form of a line of --ndjson: {"text": ...} or {"data": base64}, with "id" and "reply_to" where wanted.
"""

import base64
import binascii
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final

from clients.errors import TooLargeError, UsageError

TEXT_MAX: Final = 65_000
LINE_MAX: Final = (
    6 * TEXT_MAX + 1000
)  # a text as JSON with every character escaped, and what may stand beside it
_MESSAGE_ID: Final = re.compile(r"[0-9a-f]{32}")
LINE_FIELDS: Final = {"text", "data", "id", "reply_to"}


@dataclass(frozen=True, slots=True)
class Body:
    """One message to send."""

    body: str | bytes = field(repr=False)
    key: str | None = None  # of the sender's choice: sent once, however often it is asked for
    reply_to: str | None = None  # hex

    def arguments(self) -> dict[str, object]:
        """As arguments of the call `send`."""
        arguments: dict[str, object] = {}
        if isinstance(self.body, str):
            arguments["text"] = self.body
        else:
            arguments["data"] = base64.b64encode(self.body).decode("ascii")
        if self.reply_to is not None:
            arguments["reply_to"] = self.reply_to
        return arguments


def read_body(stream: BinaryIO) -> str | bytes:
    """All of stdin, as text if it is UTF-8; refused over the limit without reading on."""
    data = stream.read(TEXT_MAX + 1)
    if len(data) > TEXT_MAX:
        raise TooLargeError(
            f"A message has at most {TEXT_MAX:,} bytes. Send it in parts, for example with split."
        )
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def check_reply(text: str) -> str:
    """A message id as `history --json` prints it. Raises UsageError."""
    text = text.strip().lower()
    if not _MESSAGE_ID.fullmatch(text):
        raise UsageError(
            "A message's id has 32 hexadecimal digits; blindpost --json history NAME prints them."
        )
    return text


def check_key(text: str) -> str:
    """What a message is sent once under. Raises UsageError."""
    if not 0 < len(text) <= 200:
        raise UsageError("The id of a message to send has 1 to 200 characters.")
    return text


def _body(value: Any) -> Body:
    """The message of one line. Raises ValueError, KeyError, TypeError, binascii.Error or UsageError."""
    if (
        not isinstance(value, dict)
        or not value.keys() <= LINE_FIELDS
        or ("text" in value) == ("data" in value)
    ):
        raise ValueError
    key, reply_to = value.get("id"), value.get("reply_to")
    if not isinstance(key, str | None) or not isinstance(reply_to, str | None):
        raise TypeError
    body: str | bytes
    if isinstance(text := value.get("text"), str):
        text.encode()
        body = text
    else:
        body = base64.b64decode(value["data"], validate=True)
    return Body(
        body, None if key is None else check_key(key), None if reply_to is None else check_reply(reply_to)
    )


async def read_lines(stream: BinaryIO) -> AsyncIterator[Body]:
    """The messages of --ndjson, one a line, as they come."""
    from clients.local.framing import TooLong
    from clients.local.stdin import lines

    number = 0
    async for line in lines(stream, LINE_MAX):
        number += 1
        try:
            if isinstance(line, TooLong):
                raise ValueError
            body = _body(json.loads(line))
        except (ValueError, KeyError, TypeError, binascii.Error, RecursionError, UsageError):
            raise UsageError(
                f'Line {number} of stdin is not {{"text": "..."}} or {{"data": "<base64>"}}, with "id" and '
                '"reply_to" if need be. The lines before it are queued.'
            ) from None
        yield body
