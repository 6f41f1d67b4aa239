"""`blindpost send`, `listen`, `history`: the messages themselves."""

import asyncio
import base64
import binascii
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

import click

from clients.cli.output import safe
from clients.cli.program import Settings, common_options, is_terminal, pass_settings, run
from clients.errors import ClientError, ExitCode, TooLargeError, TrustError, UsageError

if TYPE_CHECKING:
    from clients.messenger import Messenger
    from clients.model import Message, MessageStatus

TEXT_MAX = 65_000
LOOK_EVERY = 5.0  # seconds between looks at what is not working
LAST_WORDS = 2.0  # seconds for the last receipt to go out
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
    while line := stream.readline(LINE_MAX):
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
@click.argument("name")
@click.argument("text", required=False)
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
    type=click.FloatRange(min=0),
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
    else:
        bodies = iter([_read_body(sys.stdin.buffer) if text in (None, "-") else text or ""])

    async def work() -> None:
        async with Messenger.from_config(settings.config()) as me:
            ids = await _queue(settings, me, name, bodies, timeout)
            try:
                behind = await _follow(settings, me, ids, MessageStatus(until), timeout)
            except TrustError:
                settings.output.note(f"{len(ids)} queued safely; nothing goes out until this is settled:")
                raise
        if behind:
            raise SystemExit(ExitCode.QUEUED)

    run(work())


async def _queue(
    settings: Settings, me: "Messenger", name: str, bodies: Iterator[str | bytes], patience: float
) -> list[bytes]:
    """Queue all, in order, and return their ids; a full outbox is given `patience` seconds to empty."""
    ids: list[bytes] = []
    try:
        for body in bodies:
            await me.has_room(patience)
            ids.append(await me.send(name, body))
            await asyncio.sleep(0)  # what is queued goes out while more is read
    except ClientError:
        if ids:
            settings.output.note(f"{len(ids)} queued safely before this:")
        raise
    return ids


async def _follow(
    settings: Settings, me: "Messenger", ids: list[bytes], wanted: "MessageStatus", deadline: float
) -> int:
    """Print how far each message is, waiting `deadline` seconds at most; returns how many are behind."""
    from clients.model import MessageStatus

    steps = list(MessageStatus)
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline
    behind = 0
    for message_id in ids:
        status = await me.wait(message_id, wanted, max(0.0, end - loop.time()))
        behind += steps.index(status) < steps.index(wanted)
        settings.output.result({"id": message_id.hex(), "status": status.value}, status.value)
    if behind:
        for problem in me.problems():
            settings.output.note(problem)
        where = "safe at the relay or here" if wanted is MessageStatus.DELIVERED else "queued safely"
        settings.output.note(f"{behind} of {len(ids)} not {wanted.value} yet; {where}, and nothing is lost.")
    return behind


def _line(message: "Message") -> str:
    marks = []
    if message.missing_before:
        marks.append(f"{message.missing_before} missing before")
    if message.late:
        marks.append("late")
    if message.redelivered:
        marks.append("shown before")
    note = f" [{', '.join(marks)}]" if marks else ""
    when = message.sent.astimezone().strftime("%Y-%m-%d %H:%M")
    who = f"{safe(message.contact)} <-" if message.outgoing else f"{safe(message.contact)}:"
    status = f" ({message.status.value})" if message.outgoing else ""
    from keys.content import Kind

    # Further lines are indented, so that none can pass for a message of somebody else.
    text = safe(message.text).replace("\n", "\n    ")
    body = f"<{len(message.body)} bytes>" if message.kind == Kind.DATA else text
    return f"{when} {who} {body}{note}{status}"


async def _show(settings: Settings, me: "Messenger", count: int | None, idle: float | None) -> None:
    """Print messages, and what is not working whenever that changes, until `count` or `idle` ends it."""
    shown = 0
    said: list[str] = []
    while count is None or shown < count:
        message = await me.receive(LOOK_EVERY if idle is None else idle)
        if message is not None:
            shown += 1
            settings.output.result(message.to_json(), _line(message))
        elif idle is not None:
            return
        if (problems := me.problems()) != said:
            said = problems
            for problem in problems:
                settings.output.note(problem)


@click.command()
@click.option("--count", type=click.IntRange(min=1), help="End after this many messages.")
@click.option("--idle", type=click.FloatRange(min=0), help="End after this many seconds without a message.")
@common_options
@pass_settings
def listen(settings: Settings, count: int | None, idle: float | None) -> None:
    """Receive messages and print them, one a line, until interrupted.

    What was printed but not finished when the program crashed is printed again, marked `redelivered`.
    """
    from clients.messenger import Messenger

    async def work() -> None:
        async with Messenger.from_config(settings.config()) as me:
            settings.output.note(f"Listening as {me.address}")
            try:
                await _show(settings, me, count, idle)
            finally:
                # Also when interrupted: what was shown is receipted, if the relay is there.
                await me.finish(LAST_WORDS)

    run(work())


@click.command()
@click.argument("name")
@click.option(
    "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="How many, from the last."
)
@common_options
@pass_settings
def history(settings: Settings, name: str, limit: int) -> None:
    """Print the conversation with NAME, oldest first."""
    from clients.profile import Profile
    from clients.store.contacts import Contacts
    from clients.store.history import History

    profile = Profile.open(settings.config())
    try:
        messages = History(profile.store).conversation(Contacts(profile.store).named(name).id, limit)
    finally:
        profile.close()
    for message in messages:
        settings.output.result(message.to_json(), _line(message))
