"""`blindpost send`: one message, or many from stdin."""

import asyncio
import contextlib
import secrets
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import click

from clients.cli.bodies import Body, check_key, check_reply, read_body, read_lines
from clients.cli.hints import as_pasted
from clients.cli.output import NotWritten, Output, quoted, typed
from clients.cli.program import (
    CONTACT,
    SECONDS,
    WORD,
    Settings,
    common_options,
    is_terminal,
    pass_settings,
    run,
)
from clients.errors import (
    REMOVED,
    ClientError,
    ExitCode,
    LockedError,
    NotFoundError,
    RelayError,
    TrustError,
    UsageError,
)

if TYPE_CHECKING:
    from clients.local.lasting import LastingLine
    from clients.model import MessageStatus

UNEASY_AFTER = 2.0  # seconds of silence until it is said what is waited for


async def _only(body: Body) -> AsyncIterator[Body]:
    yield body


@click.command()
@click.argument("name", type=CONTACT)
@click.argument("text", required=False, type=WORD)
@click.option(
    "--ndjson",
    is_flag=True,
    help='Read many messages from stdin: {"text": ...} or {"data": base64} a line, with "id" and "reply_to" '
    "if need be.",
)
@click.option(
    "--id", "key", type=WORD, metavar="KEY",
    help="A word of your own for this message: sent once, however often the command is repeated.",
)  # fmt: skip
@click.option("--reply-to", type=WORD, metavar="ID", help="The id of the message that this one answers.")
@click.option(
    "--as", "new_name", type=WORD, metavar="NAME", help="What to call an ADDRESS that is no contact yet."
)
@click.option(
    "--wait",
    "until",
    type=click.Choice(["queued", "accepted", "delivered", "read"]),
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
def send(
    settings: Settings,
    name: str,
    text: str | None,
    ndjson: bool,
    key: str | None,
    reply_to: str | None,
    new_name: str | None,
    until: str,
    timeout: float,
) -> None:
    """Send TEXT to NAME.

    Without TEXT, or with -, stdin is sent as one message, byte for byte.

    NAME may be an address: it becomes a contact first. Where you have no profile yet, one is made at the
    relay that the address names.

    Exit code 0: accepted by the relay. 4: queued safely, the relay was not reachable; it goes out with the
    next command that connects, such as `blindpost listen`. 5: given up, for the reason that is said.

    \b
    Examples:  blindpost send bob "hi"
               uname -a | blindpost send bob --id kernel-report
    """  # fmt: skip
    from clients.cli.recipient import Recipient
    from clients.local.lasting import lasting_access
    from clients.model import MessageStatus

    if ndjson and (text is not None or key is not None or reply_to is not None):
        raise UsageError("With --ndjson, the text, its id and what it answers stand in the lines.")
    if text is None and not ndjson and is_terminal(sys.stdin):
        raise UsageError('What shall be sent? blindpost send NAME "text", or pipe it in.')
    if sys.stdin is None and (ndjson or text in (None, "-")):
        raise UsageError("Nothing can be read: stdin is closed.")
    key = None if key is None else check_key(key)
    reply_to = None if reply_to is None else check_reply(reply_to)
    recipient = Recipient(settings, name, new_name)
    if ndjson:
        bodies = read_lines(sys.stdin.buffer)
    elif text is None or text == "-":
        body = read_body(sys.stdin.buffer)
        if not body:
            raise UsageError(f'Stdin is empty. To send an empty message, say so: blindpost send {name} ""')
        bodies = _only(Body(body, key, reply_to))
    else:
        bodies = _only(Body(text, key, reply_to))

    async def work() -> None:
        config = settings.config()
        is_new = recipient.make_profile(config)
        async with lasting_access(config) as line:
            batch = _Batch(settings, line)
            try:
                await batch.queue(await _checked(line, await recipient.name_in(line), text), bodies, timeout)
                async with _patience(settings.output, MessageStatus(until), timeout):
                    behind = await batch.follow(MessageStatus(until), timeout)
                if is_new:  # until it is registered, nobody can answer
                    await line.call("me", settle=timeout)
            except NotWritten:
                raise  # says itself what has become of them
            except (ClientError, asyncio.CancelledError) as error:
                batch.interrupted(error)
                if batch.has_all and isinstance(error, LockedError):
                    settings.output.note(str(error))
                    raise SystemExit(ExitCode.QUEUED) from None
                raise
            batch.raise_failed()
        if behind:
            raise SystemExit(ExitCode.QUEUED)

    run(work())


async def _checked(line: "LastingLine", name: str, text: str | None) -> str:
    """The name again. Raises NotFoundError where it is nobody's; says it if name and text changed places."""
    try:
        await line.call("contact", name=name)
    except NotFoundError as error:
        try:
            who = (await line.call("contact", name=as_pasted(text or "")))["name"]
        except ClientError:
            raise error from None
        raise NotFoundError(
            f"There is no contact named {quoted(name)}. The name comes first: "
            f"blindpost send {typed(who)} {typed(name)}"
        ) from None
    return name


@contextlib.asynccontextmanager
async def _patience(output: Output, wanted: "MessageStatus", deadline: float) -> AsyncIterator[None]:
    """Says on a terminal what is waited for, if it takes its time."""

    async def say() -> None:
        await asyncio.sleep(UNEASY_AFTER)
        output.note(
            f"Waiting up to {deadline:g} s until it is {wanted.value}. "
            "Ctrl-C ends the waiting, and loses nothing."
        )

    saying = asyncio.ensure_future(say()) if is_terminal(sys.stderr) and deadline > UNEASY_AFTER else None
    try:
        yield
    finally:
        if saying is not None:
            saying.cancel()


class _Batch:
    """The messages of one command, on their way."""

    def __init__(self, settings: Settings, line: "LastingLine") -> None:
        self._output = settings.output
        self._as_json = settings.as_json
        self._line = line
        self._name = ""
        self._ids: list[str] = []
        self._told = 0  # of how many the status has been printed
        self._failures: list[str] = []
        self.has_all = False  # whether everything is queued

    async def queue(self, name: str, bodies: AsyncIterator[Body], patience: float) -> None:
        """Queue all, in order; a full outbox is given `patience` seconds to empty."""
        self._name = name
        async for body in bodies:
            # Another process carries it out: if that one ends meanwhile, asking again must not send it twice.
            key = body.key or (None if self._line.is_owner else secrets.token_hex(16))
            arguments = body.arguments() | ({} if key is None else {"key": key})
            sent = await self._line.call("send", to=name, timeout=patience, **arguments)
            self._ids.append(sent["id"])
            await asyncio.sleep(0)  # what is queued goes out while more is read
        self.has_all = True

    async def follow(self, wanted: "MessageStatus", deadline: float) -> int:
        """Print how far each message is, waiting `deadline` seconds at most; returns how many are behind."""
        from clients.model import MessageStatus

        loop = asyncio.get_running_loop()
        end = loop.time() + deadline
        found = []
        for message_id in self._ids:
            timeout = max(0.0, end - loop.time())
            said = await self._line.call("status", id=message_id, wait=wanted.value, timeout=timeout)
            found.append(MessageStatus(said["status"]))
            if found[-1] is MessageStatus.FAILED:
                self._failures.append(said["failed"] or "it was given up")
            self._tell(message_id, found[-1].value, said["failed"])
        behind = sum(
            not status.is_at_least(wanted) and status is not MessageStatus.FAILED for status in found
        )
        # Who carries it out for others tells its own user.
        if behind or self._line.is_owner:
            about = await self._line.call("me")
            for problem in about["problems" if behind else "notices"]:
                self._output.note(problem)
        if behind:
            is_there = wanted in (MessageStatus.DELIVERED, MessageStatus.READ)
            where = (
                "safe at the relay or here, and nothing is lost."
                if is_there
                else "queued safely, and nothing is lost. It goes out with the next command that connects.\n"
                "To see what is wrong: blindpost doctor"
            )
            count = f"{behind} of {len(self._ids)} not" if self._ids[1:] else "Not"
            self._output.note(f"{count} {wanted.value} yet; {where}")
        if MessageStatus.REQUESTED in found:
            self._output.note(f"{self._name} has not accepted you yet: at the relay as a request.")
        return behind

    def raise_failed(self) -> None:
        """Raises RelayError if some were given up, with the reason."""
        if self._failures:
            raise RelayError(f"{len(self._failures)} of {len(self._ids)} failed: {self._failures[0]}.")

    def _tell(self, message_id: str, status: str, failed: str | None = None) -> None:
        count = len(self._ids)
        which = "The message is" if count == 1 else f"All {count} messages are"
        value: dict[str, object] = {"id": message_id, "status": status}
        self._output.result(
            value | ({} if failed is None else {"failed": failed}),
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
        if str(error) == REMOVED:
            self._output.note(f"{count} not sent, and not to be:")
        elif isinstance(error, TrustError):
            self._output.note(f"{count} queued safely; nothing goes out until this is settled:")
        elif isinstance(error, ClientError):
            self._output.note(f"{count} queued safely before this:")
        else:
            self._output.note(
                f"Interrupted. {count} queued safely, or sent already: the rest goes out with the next "
                "command that connects."
            )
