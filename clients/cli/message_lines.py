"""A message as a line of the terminal, for `listen` and `history`.

Owns how a message looks there. Nothing in it that others wrote can act on the terminal, or pass for a message
of somebody else.
"""

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from clients.cli.output import safe

QUOTED: Final = 30  # characters of the message that is answered


def message_line(message: Mapping[str, Any], answered: str | None = None) -> str:
    """When, who, what, and what is odd about it; further lines of a text are indented.

    `message` is the JSON of a message, `answered` the text that it replies to if that is at hand.
    """
    marks = []
    if message["reply_to"] is not None:
        marks.append("answers " + (f'"{_beginning(answered)}"' if answered else "an earlier message"))
    if message["missing_before"]:
        marks.append(f"{message['missing_before']} missing before")
    if message["late"]:
        marks.append("late")
    if message["redelivered"]:
        marks.append("shown before")
    note = f" [{', '.join(marks)}]" if marks else ""
    when = datetime.fromisoformat(message["sent"]).astimezone().strftime("%Y-%m-%d %H:%M")
    is_ours = message["direction"] == "out"
    who = safe(message["contact"], keep_lines=False) + (" <-" if is_ours else ":")
    status = f" ({message['status']})" if is_ours else ""
    if message["failed"]:
        status = f" (failed: {safe(message['failed'], keep_lines=False)})"
    # Further lines are indented, so that none can pass for a message of somebody else.
    body = safe(words(message)).replace("\n", "\n    ")
    return f"{when} {who} {body}{note}{status}"


def words(message: Mapping[str, Any]) -> str:
    """The text of a message, or how many bytes it is."""
    if "data" in message:
        return f"<{len(base64.b64decode(message['data']))} bytes>"
    return str(message["text"])


def _beginning(text: str) -> str:
    line = " ".join(safe(text, keep_lines=False).split())
    return line if len(line) <= QUOTED else line[: QUOTED - 3] + "..."
