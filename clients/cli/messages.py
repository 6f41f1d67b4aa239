"""`blindpost listen`, `history`: the messages that have come."""

import asyncio
import sys
from typing import TYPE_CHECKING

import click

from clients.cli.output import Output, safe
from clients.cli.program import SECONDS, WORD, Settings, common_options, pass_settings, run
from clients.errors import RelayError, UsageError

if TYPE_CHECKING:
    from clients.messenger import Messenger
    from clients.model import Message

LOOK_EVERY = 2.0  # seconds between looks at what else there is to say
SETTLED_WITHIN = 15.0  # seconds for the first connection, of a command that ends when idle
LAST_WORDS = 2.0  # seconds for the last receipt to go out
NAMED_MAX = 3  # new requests that are named; strangers make them, and could fill the screen


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


class _Surroundings:
    """What a listener should know besides the messages: problems, requests, messages that are held."""

    def __init__(self, output: Output, me: "Messenger") -> None:
        self._output = output
        self._me = me
        self._problems: list[str] = []
        self._requests: set[str] = set()
        self._held = 0

    def look(self) -> None:
        """Say what has changed since the last look."""
        from clients.model import ContactStatus

        problems = self._me.problems()
        if problems != self._problems:
            self._problems = problems
            for problem in problems:
                self._output.note(problem)
        requests = {row.name for row in self._me.contacts() if row.status is ContactStatus.REQUEST}
        new = sorted(requests - self._requests)
        self._requests |= requests
        if len(new) > NAMED_MAX:
            self._output.note(f"{len(new)} new requests: blindpost contact list")
        else:
            for name in new:
                self._output.note(f"New request from {name}: blindpost contact list")
        held = self._me.held()
        if held > self._held:
            waits = "1 message waits" if held == 1 else f"{held} messages wait"
            self._output.note(f"{waits} for earlier ones, up to 30 s.")
        self._held = held


async def _show(settings: Settings, me: "Messenger", count: int | None, idle: float | None) -> bool:
    """Print messages, and what else there is to say whenever it changes, until `count` or `idle` ends it.

    False if it was `idle`, and the relay was never reached.
    """
    loop = asyncio.get_running_loop()
    surroundings = _Surroundings(settings.output, me)
    shown = 0
    idle_since = loop.time()
    was_settled = idle is None
    was_reached = False
    while count is None or shown < count:
        left = LOOK_EVERY if was_settled else 0.0
        if idle is not None and was_settled:
            left = max(0.0, min(LOOK_EVERY, idle_since + idle - loop.time()))
        message = await me.receive(left)
        if message is not None:
            settings.output.result(
                message.to_json(), _line(message), else_do="The next listen shows this message again."
            )
            shown += 1
            idle_since = loop.time()
        elif not was_settled:
            # The first connection takes a moment, which is no idleness yet.
            was_settled = True
            if await me.settled(SETTLED_WITHIN):
                was_reached, idle_since = True, loop.time()
        elif idle is not None and loop.time() >= idle_since + idle:
            surroundings.look()
            return was_reached
        if message is None or shown % 100 == 0:
            was_reached = was_reached or await me.connected(0)
            surroundings.look()
    return True


@click.command()
@click.option("--count", type=click.IntRange(min=1), help="End after this many messages.")
@click.option(
    "--idle",
    type=SECONDS,
    help="End after this many seconds without a message, the first connection not counted.",
)
@common_options
@pass_settings
def listen(settings: Settings, count: int | None, idle: float | None) -> None:
    """Receive messages and print them, one a line, until interrupted.

    What was printed but not finished when the program crashed is printed again, marked `redelivered`.

    Exit code 0: ended by --count or --idle. 5: ended by --idle, and the relay was never reached.
    """
    from clients.messenger import Messenger

    if sys.stdout is None:
        raise UsageError("Nothing can be printed: stdout is closed.")

    async def work() -> None:
        async with Messenger.from_config(settings.config()) as me:
            settings.output.note(f"Listening as {me.address}")
            try:
                was_reached = await _show(settings, me, count, idle)
            finally:
                # Also when interrupted: what was shown is receipted, if the relay is there.
                await me.finish(LAST_WORDS)
        if not was_reached:
            raise RelayError("Nothing was received: the relay was never reached. Check it, and listen again.")

    run(work())


@click.command()
@click.argument("name", type=WORD)
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
