"""`blindpost send`: one message, or many from stdin."""

import asyncio
import base64
import binascii
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

import click

from clients.cli.output import NotWritten
from clients.cli.program import (
    SECONDS,
    WORD,
    Settings,
    blocking,
    common_options,
    is_terminal,
    pass_settings,
    run,
)
from clients.errors import ClientError, ExitCode, TooLargeError, TrustError, UsageError

if TYPE_CHECKING:
    from clients.messenger import Messenger
    from clients.model import MessageStatus

TEXT_MAX = 65_000
LINE_MAX = 6 * TEXT_MAX + 100  # a text as JSON with every character escaped


def _read_body(stream: BinaryIO) -> str | bytes:
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


def _read_lines(stream: BinaryIO) -> Iterator[str | bytes]:
    """One body a line: {"text": ...} or {"data": base64}."""
    number = 0
    while True:
        with blocking():
            line = stream.readline(LINE_MAX)
        if not line:
            return
        number += 1
        try:
            value = json.loads(line)
            if not isinstance(value, dict) or len(value) != 1:
                raise ValueError
            if isinstance(text := value.get("text"), str):
                text.encode()
                yield text
            else:
                yield base64.b64decode(value["data"], validate=True)
        except (ValueError, KeyError, TypeError, binascii.Error, RecursionError):
            raise UsageError(
                f'Line {number} of stdin is not {{"text": "..."}} or {{"data": "<base64>"}}. '
                f"The lines before it are queued."
            ) from None


@click.command()
@click.argument("name", type=WORD)
@click.argument("text", required=False, type=WORD)
@click.option(
    "--ndjson", is_flag=True, help='Read many messages from stdin: {"text": ...} or {"data": base64} a line.'
)
@click.option(
    "--wait",
    "until",
    type=click.Choice(["queued", "accepted", "delivered"]),
    default="accepted",
    show_default=True,
    help="Return when the messages have come this far.",
)
@click.option(
    "--timeout",
    type=SECONDS,
    default=15.0,
    show_default=True,
    help="Seconds to wait for that; what is not sent then stays queued.",
)
@common_options
@pass_settings
def send(settings: Settings, name: str, text: str | None, ndjson: bool, until: str, timeout: float) -> None:
    """Send TEXT to contact NAME. Without TEXT, or with -, stdin is sent as one message, byte for byte.

    Exit code 0: accepted by the relay. 4: queued safely, the relay was not reachable; it goes out with the
    next command that connects, such as `blindpost listen`.
    """  # fmt: skip
    from clients.messenger import Messenger
    from clients.model import MessageStatus

    if ndjson and text is not None:
        raise UsageError("Give TEXT or --ndjson, not both.")
    if text is None and not ndjson and is_terminal(sys.stdin):
        raise UsageError('What shall be sent? blindpost send NAME "text", or pipe it in.')
    if sys.stdin is None and (ndjson or text in (None, "-")):
        raise UsageError("Nothing can be read: stdin is closed.")
    bodies: Iterator[str | bytes]
    if ndjson:
        bodies = _read_lines(sys.stdin.buffer)
    elif text is None or text == "-":
        body = _read_body(sys.stdin.buffer)
        if not body:
            raise UsageError(f'Stdin is empty. To send an empty message, say so: blindpost send {name} ""')
        bodies = iter([body])
    else:
        bodies = iter([text])

    async def work() -> None:
        async with Messenger.from_config(settings.config()) as me:
            batch = _Batch(settings, me)
            try:
                await batch.queue(name, bodies, timeout)
                behind = await batch.follow(MessageStatus(until), timeout)
            except NotWritten:
                raise  # says itself what has become of them
            except (ClientError, asyncio.CancelledError) as error:
                batch.interrupted(error)
                raise
        if behind:
            raise SystemExit(ExitCode.QUEUED)

    run(work())


class _Batch:
    """The messages of one command, on their way."""

    def __init__(self, settings: Settings, me: "Messenger") -> None:
        self._output = settings.output
        self._as_json = settings.as_json
        self._me = me
        self._ids: list[bytes] = []
        self._told = 0  # of how many the status has been printed

    async def queue(self, name: str, bodies: Iterator[str | bytes], patience: float) -> None:
        """Queue all, in order; a full outbox is given `patience` seconds to empty."""
        for body in bodies:
            await self._me.has_room(patience)
            self._ids.append(await self._me.send(name, body))
            await asyncio.sleep(0)  # what is queued goes out while more is read

    async def follow(self, wanted: "MessageStatus", deadline: float) -> int:
        """Print how far each message is, waiting `deadline` seconds at most; returns how many are behind."""
        from clients.model import MessageStatus

        steps = list(MessageStatus)
        loop = asyncio.get_running_loop()
        end = loop.time() + deadline
        behind = 0
        for message_id in self._ids:
            status = await self._me.wait(message_id, wanted, max(0.0, end - loop.time()))
            behind += steps.index(status) < steps.index(wanted)
            self._tell(message_id, status.value)
        if behind:
            for problem in self._me.problems():
                self._output.note(problem)
            where = "safe at the relay or here" if wanted is MessageStatus.DELIVERED else "queued safely"
            self._output.note(
                f"{behind} of {len(self._ids)} not {wanted.value} yet; {where}, and nothing is lost."
            )
        return behind

    def _tell(self, message_id: bytes, status: str) -> None:
        count = len(self._ids)
        which = "The message is" if count == 1 else f"All {count} messages are"
        self._output.result(
            {"id": message_id.hex(), "status": status},
            status,
            else_do=f"{which} queued safely or sent already: do not send again.",
        )
        self._told += 1

    def interrupted(self, error: BaseException) -> None:
        """The command ends early: say what is queued; with `--json` also which, so that a retry skips it."""
        if not self._ids:
            return
        if self._as_json:
            for message_id in self._ids[self._told :]:
                self._tell(message_id, "queued")
        count = len(self._ids)
        if isinstance(error, TrustError):
            self._output.note(f"{count} queued safely; nothing goes out until this is settled:")
        elif isinstance(error, ClientError):
            self._output.note(f"{count} queued safely before this:")
        else:
            self._output.note(
                f"Interrupted. {count} queued safely, or sent already: the rest goes out with the next "
                "command that connects."
            )
