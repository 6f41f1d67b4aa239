"""`blindpost chat`: read and write at once, in a terminal or through pipes.

Owns with whom, and which face the chat gets. The chat itself is clients/chat.
"""

import asyncio
import contextlib
import signal
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from clients.cli.output import Output, quoted, typed
from clients.cli.program import (
    ANYBODY,
    SECONDS,
    WORD,
    Settings,
    common_options,
    is_terminal,
    pass_settings,
    run,
)
from clients.errors import UsageError

if TYPE_CHECKING:
    from clients.chat.profile_line import Caller, OpenLine
    from clients.config import ClientConfig

Json = dict[str, Any]

HUNG_UP = 128 + 1  # the exit code that a shell gives a program that ended with its terminal
SETTLED_WITHIN = 5.0  # seconds for a first connection
FIRST_MAIL_WITHIN = 2.0  # seconds for what waits at the relay
LINE_MAX = 65_001  # bytes of a line, line feed included


@click.command()
@click.argument("name", required=False, type=ANYBODY, metavar="[NAME|ADDRESS]")
@click.option("--as", "new_name", type=WORD, metavar="NAME", help="With an address: the contact's name.")
@click.option("--plain", is_flag=True, help="Lines instead of a screen, as through pipes.")
@click.option(
    "--timeout",
    type=SECONDS,
    default=15.0,
    show_default=True,
    help="Through pipes: seconds at the end for the relay to accept everything.",
)
@common_options
@pass_settings
def chat(settings: Settings, name: str | None, new_name: str | None, plain: bool, timeout: float) -> None:
    """Talk with NAME in this terminal.

    The last messages are shown, and a line to write the next one. Without NAME: where you left off.

    An ADDRESS becomes a contact first. /help in the chat lists its commands. Through pipes, each line of
    stdin is sent, each message comes as a line, and it ends with its input.

    Exit code 4: through pipes, not everything was accepted in time; it is queued safely.

    \b
    Examples:  blindpost chat bob
               blindpost chat bp1...@relay.example --as bob
               tail -f events.log | blindpost chat ops
    """
    if settings.as_json:
        raise UsageError(
            "A chat is for people. For programs: blindpost serve, or send and listen with --json."
        )
    if sys.stdin is None or sys.stdout is None:
        raise UsageError("A chat needs its standard input and output, and one of them is closed.")
    if new_name is not None and name is None:
        raise UsageError("--as gives a name to an address: blindpost chat ADDRESS --as NAME")
    has_screen = not plain and is_terminal(sys.stdin) and is_terminal(sys.stdout) and _is_able()

    async def work() -> None:
        config = settings.config()
        person = await _find(settings, name, new_name)
        if person is None:
            return
        if person["status"] != "approved" and not has_screen:
            raise UsageError(_not_approved(person))
        from clients.local.access import access

        await _until_hung_up(
            settings.output, lambda: access(config), str(person["name"]), has_screen, timeout
        )

    run(work())


def _is_able() -> bool:
    from prompt_toolkit.utils import is_dumb_terminal

    return not is_dumb_terminal()


def _not_approved(person: Json) -> str:
    who = quoted(str(person["name"]))
    if person["status"] == "request":
        return f"{who} is a request. Accept it: blindpost contact accept {typed(str(person['name']))}"
    return f"{who} is {person['status']}. See: blindpost contact list"


async def _find(settings: Settings, name: str | None, new_name: str | None) -> Json | None:
    """The contact to talk with; None if there is no conversation yet, which is said."""
    from clients.cli.recipient import Recipient
    from clients.local.lasting import lasting_access

    config = settings.config()
    recipient = Recipient(settings, name or "", new_name)
    recipient.make_profile(config)
    async with lasting_access(config, connect=False) as line:
        if name is not None:
            found: Json = await line.call("contact", name=await recipient.name_in(line))
            return found
        latest = await _latest(line)
        people = [] if latest else await _people(line)
    if latest is None:
        if not people and is_terminal(sys.stderr):
            settings.output.note("Looking whether somebody has written to you ...")
        people = people or await _first_people(config)
        _list(settings.output, people)
    return latest


async def _people(line: "Caller") -> list[Json]:
    """Contacts and requests."""
    from clients.chat.profile_line import all_contacts

    return [
        dict(person) for person in await all_contacts(line) if person["status"] in ("approved", "request")
    ]


async def _latest(line: "Caller") -> Json | None:
    """The contact of the latest message."""
    now = datetime.now(UTC).isoformat()
    latest: tuple[str, Json] | None = None
    for person in await _people(line):
        if person["status"] == "approved":
            for message in await line.call("history", name=person["name"], limit=1):
                sent = min(str(message["sent"]), now)  # the sender's clock may be ahead
                if latest is None or sent > latest[0]:
                    latest = sent, person
    return None if latest is None else latest[1]


async def _first_people(config: "ClientConfig") -> list[Json]:
    """Who there is once the relay was asked: somebody may have written who is not known here yet."""
    from clients.local.access import access

    async with access(config) as line:
        await line.call("watch", messages=False)
        await line.call("me", settle=SETTLED_WITHIN)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_MAIL_WITHIN):
                async for event in line.events():
                    if event.get("event") == "contact":
                        break
        return await _people(line)


def _list(output: Output, people: list[Json]) -> None:
    """Say with whom one could talk, and how."""
    if not people:
        output.note("No contacts yet. With a line that somebody gave you: blindpost chat LINE")
        output.note("Or give away yours: blindpost address")
    for person in people:
        command = f"blindpost chat {typed(str(person['name']))}"
        is_request = person["status"] == "request"
        output.result(
            person, output.own(f"Somebody wants to talk to you: {command}" if is_request else command)
        )


async def _until_hung_up(
    output: Output, open_line: "OpenLine", name: str, has_screen: bool, patience: float
) -> None:
    """Run the chat; the end of its terminal ends it in order."""
    loop = asyncio.get_running_loop()
    hung_up = asyncio.Event()
    task = asyncio.current_task()
    assert task is not None

    def hang_up() -> None:
        hung_up.set()
        task.cancel()

    is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # `nohup`: it is to go on
    if not is_ignored:
        loop.add_signal_handler(signal.SIGHUP, hang_up)
    try:
        await (_screen(output, open_line, name) if has_screen else _plain(output, open_line, name, patience))
    except asyncio.CancelledError:
        if not hung_up.is_set():
            raise
        raise SystemExit(HUNG_UP) from None
    finally:
        if not is_ignored:
            loop.remove_signal_handler(signal.SIGHUP)


async def _screen(output: Output, open_line: "OpenLine", name: str) -> None:
    from clients.chat.marks import Signs
    from clients.chat.screen import Screen, TerminalGone
    from clients.chat.talk import Talk

    def changed() -> None:
        with contextlib.suppress(NameError):  # the talk begins before its screen is there
            screen.changed()

    talk = Talk(open_line, name, changed=changed, heard=lambda entry: screen.heard(entry))
    screen = Screen(talk, Signs(is_unicode=(sys.stdout.encoding or "").lower().replace("-", "") == "utf8"))
    try:
        await screen.run()
    except TerminalGone:
        raise SystemExit(HUNG_UP) from None
    waiting = talk.waiting
    if waiting:
        output.note(
            f"{waiting} still queued: what you wrote goes out with the next command that reaches the relay."
        )


async def _plain(output: Output, open_line: "OpenLine", name: str, patience: float) -> None:
    from clients.chat.plain import Plain
    from clients.chat.talk import Talk
    from clients.local.stdin import lines

    talk = Talk(open_line, name, changed=lambda: plain.changed())
    plain = Plain(talk, output, lines(sys.stdin.buffer, LINE_MAX), patience)
    await plain.run()
