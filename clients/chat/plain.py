"""A chat without a screen: lines in, lines out, for pipes, dumb terminals and screen readers.

Owns how a message looks as a line, and when such a chat is over. Every line is a text: there are no commands,
so that nothing that is piped in can be taken for one.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from typing import Final

from clients.chat.conversation import Entry
from clients.chat.talk import SEND_PATIENCE, Talk
from clients.chat.wrap import shown
from clients.cli.output import Output, safe, typed
from clients.errors import ClientError, ExitCode, RelayError, TooLargeError
from clients.local.framing import TooLong
from clients.tasks import until_one_ends

LAST_WORDS: Final = 2.0  # seconds for receipts to go out at the end
QUIET: Final = 0.5  # seconds in which nothing new comes, on a connection that stands


def entry_line(entry: Entry, name: str) -> str:
    """When, who, what; further lines of a text are indented, so that none can pass for another message."""
    marks = [f"{entry.missing_before} missing before"] if entry.missing_before else []
    marks += ["late"] if entry.late else []
    note = f" [{', '.join(marks)}]" if marks else ""
    when = entry.sent.astimezone().strftime("%Y-%m-%d %H:%M")
    text = shown(entry.text).replace("\n", "\n    ")
    return f"{when} {safe(name, keep_lines=False)}: {text}{note}"


class Plain:
    """One chat by lines. `lines` are what is typed, without line feeds."""

    def __init__(
        self, talk: Talk, output: Output, lines: AsyncIterator[bytes | TooLong], deadline: float
    ) -> None:
        self._talk = talk
        self._output = output
        self._lines = lines
        self._deadline = deadline
        self._ids: list[str] = []
        self._told: set[str] | None = (
            None  # keys of the messages that were printed; None before the first look
        )
        self._loaded = asyncio.Event()
        self._news = asyncio.Event()
        self._said: list[str] = []  # problems

    async def run(self) -> None:
        """Talk until the input ends and everything is accepted. SystemExit(4) if something is queued then."""
        await until_one_ends(self._talk.run(), self._converse())

    def changed(self) -> None:
        """Print what has not been printed."""
        self._news.set()
        talk = self._talk
        if not talk.is_loaded:
            return
        if self._told is None:
            self._told = {entry.key for entry in talk.conversation.entries if entry.seen or entry.outgoing}
            before = talk.unread - talk.conversation.unseen
            if before > 0:
                self._output.note(f"{before} more came before these: blindpost history {typed(talk.name)}")
        for entry in talk.conversation.entries:
            if entry.key not in self._told and not entry.outgoing:
                self._told.add(entry.key)
                self._output.result({}, entry_line(entry, talk.name), else_do="It is in the history.")
        for problem in [*([f"ALARM: {talk.alarm}"] if talk.alarm else []), *talk.problems]:
            if problem not in self._said:
                self._output.note(problem)
                self._said.append(problem)
        del self._said[:-10]
        self._loaded.set()
        talk.look(is_looked_at=True)

    async def _converse(self) -> None:
        await self._loaded.wait()
        number = 0
        async for line in self._lines:
            number += 1
            if isinstance(line, TooLong):
                raise TooLargeError(
                    f"Line {number} has over 65,000 bytes, and was not sent. {self._so_far()}"
                )
            text = line.decode("utf-8", "replace").removesuffix("\r")
            if text.strip():
                await self._send(text)
        await self._follow()

    async def _send(self, text: str) -> None:
        talk = self._talk
        key = secrets.token_hex(16)
        try:
            sent = await talk.answer("send", to=talk.name, text=text, key=key, timeout=SEND_PATIENCE)
        except ClientError:
            if self._ids:
                self._output.note(self._so_far())
            raise
        self._ids.append(str(sent["id"]))

    def _so_far(self) -> str:
        return f"{len(self._ids)} before it queued safely or sent already." if self._ids else ""

    async def _follow(self) -> None:
        """Wait until everything is accepted, and say what is not."""
        clock = asyncio.get_running_loop().time
        end = clock() + self._deadline
        behind = 0
        for message_id in self._ids:
            left = max(0.0, end - clock())
            said = await self._talk.answer("status", id=message_id, wait="accepted", timeout=left)
            if said["status"] == "failed":
                raise RelayError(f"A message was given up: {said['failed']}.")
            if said["status"] == "requested":
                self._output.note(f"{self._talk.name} has not accepted you yet: at the relay as a request.")
            behind += said["status"] == "queued"
        await self._hear_out()
        await self._talk.answer("flush", timeout=LAST_WORDS)
        if behind:
            self._output.note(
                f"{behind} of {len(self._ids)} not accepted yet; queued safely, nothing is lost."
            )
            raise SystemExit(ExitCode.QUEUED)

    async def _hear_out(self) -> None:
        """What waited at the relay is printed, too: it comes as soon as the connection stands."""
        await self._talk.answer("me", settle=LAST_WORDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS):
                while await self._has_news():
                    pass

    async def _has_news(self) -> bool:
        """Whether anything changes before it has been quiet."""
        self._news.clear()
        try:
            async with asyncio.timeout(QUIET):
                return await self._news.wait()
        except TimeoutError:
            return False
