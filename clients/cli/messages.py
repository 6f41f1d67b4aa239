"""`blindpost listen`: the messages that come."""

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING, Any

import click

from clients.cli.message_lines import message_line
from clients.cli.output import Output, quoted, safe
from clients.cli.program import SECONDS, Settings, common_options, pass_settings, run
from clients.errors import InUseError, RelayError, UsageError

if TYPE_CHECKING:
    from clients.config import ClientConfig
    from clients.local.access import Line

Json = dict[str, Any]

SETTLED_WITHIN = 15.0  # seconds for the first connection, of a command that ends when idle
LAST_WORDS = 2.0  # seconds for the last receipt to go out
COMES_WITHIN = 5.0  # seconds for a message that was announced; it may have been removed with its contact
NAMED_MAX = 3  # new requests that are named; strangers make them, and could fill the screen
REMEMBERED_MAX = 1000  # names of requests that have been told; more are told again


class _Surroundings:
    """What a listener should know besides the messages: problems, requests, messages that are held."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._problems: list[str] = []
        self._requests: dict[str, None] = {}
        self._held = 0

    def state(self, problems: list[str], held: int) -> None:
        """How the connection is now; said where it has changed."""
        if problems != self._problems:
            self._problems = problems
            for problem in problems:
                self._output.note(problem)
        if held > self._held:
            waits = "1 message waits" if held == 1 else f"{held} messages wait"
            self._output.note(f"{waits} for earlier ones, up to 30 s.")
        self._held = held

    def requests(self, rows: list[Json]) -> None:
        """Somebody who is no contact has written."""
        new = [row for row in rows if row["name"] not in self._requests]
        for row in new:
            self._requests[row["name"]] = None
            if len(self._requests) > REMEMBERED_MAX:
                del self._requests[next(iter(self._requests))]
        if len(new) > NAMED_MAX:
            self._output.note(f"{len(new)} new requests: blindpost contact requests")
        else:
            for row in new:
                calls = f" (calls itself {quoted(row['display_name'])})" if row["display_name"] else ""
                who = safe(row["name"], keep_lines=False)
                self._output.note(f"New request from {who}{calls}: blindpost contact requests")


class _Listener:
    """One run of `listen`, perhaps through several owners of the profile."""

    def __init__(self, settings: Settings, count: int | None, idle: float | None) -> None:
        self._output = settings.output
        from clients.local.stdout import Writer

        self._writer = Writer(sys.stdout.buffer)
        self._surroundings = _Surroundings(settings.output)
        self._count = count
        self._idle = idle
        self._shown = 0
        self._quiet_since = 0.0
        self._at_rest = asyncio.Event()  # no message is in hand, and none about to come
        self.was_reached = idle is None

    @property
    def has_all(self) -> bool:
        """Whether as many messages were printed as were asked for."""
        return self._count is not None and self._shown >= self._count

    async def run(self, config: "ClientConfig") -> None:
        """Until it is enough. Where the process that owned the profile ends, this one goes on."""
        from clients.local.access import access
        from clients.local.failures import LineLost

        was_open = False
        while True:
            try:
                async with access(config) as line:
                    try:
                        return await self._listen(line)
                    finally:
                        if line.is_owner:
                            # Also when interrupted: what was shown is receipted, if the relay is there.
                            await line.call("flush", timeout=LAST_WORDS)
            except LineLost:
                was_open = True
                self._output.note("The process that had this profile open has ended; listening goes on.")
            except InUseError:
                if not was_open:
                    raise  # else somebody keeps the profile for a while, and ends

    async def _listen(self, line: "Line") -> None:
        from clients.tasks import until_one_ends

        about = await line.call("me")
        more = (await line.call("listen"))["more"]
        self._output.note(f"Listening as {about['address']}")
        self._rests(not more)
        self._surroundings.requests(await _requests(line))
        await line.call("watch", messages=False)
        idle = [] if self._idle is None else [self._until_idle(line, self._idle)]
        await until_one_ends(self._show(line), *idle)

    async def _show(self, line: "Line") -> None:
        """Print messages, and what else there is to say when it changes, until there are `count`."""
        while not self.has_all:
            event = await line.next_event()
            match event["event"]:
                case "message":
                    await self._show_message(line, dict(event["message"]))
                case "state":
                    self.was_reached = self.was_reached or bool(event["connected"])
                    self._surroundings.state(event["problems"], event["held"])
                case "contact" if event["contact"]["status"] == "request":
                    self._surroundings.requests([event["contact"]])
                case "resync":
                    self._surroundings.requests(await _requests(line))

    async def _show_message(self, line: "Line", message: dict[str, Any]) -> None:
        self._at_rest.clear()
        await self._output.result_in_time(
            self._writer, message, message_line(message), else_do="The next listen shows this message again."
        )
        self._shown += 1
        more = (await line.call("done", id=message["id"]))["more"]
        self._quiet_since = asyncio.get_running_loop().time()
        self._rests(not more)

    def _rests(self, at_rest: bool) -> None:
        if at_rest:
            self._at_rest.set()
        else:
            self._at_rest.clear()

    async def _until_idle(self, line: "Line", idle: float) -> None:
        """Return after `idle` seconds without a message; the first connection is no idleness yet."""
        loop = asyncio.get_running_loop()
        about = await line.call("me", settle=SETTLED_WITHIN)
        self.was_reached = self.was_reached or about["connected"]
        self._quiet_since = loop.time()
        is_over = False
        while not is_over:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(idle, COMES_WITHIN)):
                    await self._at_rest.wait()
            await asyncio.sleep(max(0.0, self._quiet_since + idle - loop.time()))
            about = await line.call("me")
            is_over = loop.time() >= self._quiet_since + idle
        self._surroundings.state(about["problems"], 0)


async def _requests(line: "Line") -> list[Json]:
    from clients.cli.asking import all_contacts

    return [row for row in await all_contacts(line) if row["status"] == "request"]


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
    """Receive messages and print them, one a line.

    It goes on until it is interrupted, or --count or --idle ends it.

    What was printed but not finished when the program crashed is printed again, marked `redelivered`. Other
    commands on the same profile work meanwhile; a second `listen` does not.

    Exit code 0: ended by --count or --idle. 5: ended by --idle, and the relay was never reached. 7: somebody
    listens on this profile already.

    \b
    Example:  blindpost --json listen --count 1
    """
    if sys.stdout is None:
        raise UsageError("Nothing can be printed: stdout is closed.")

    async def work() -> None:
        listener = _Listener(settings, count, idle)
        await listener.run(settings.config())
        if not listener.was_reached and not listener.has_all:
            raise RelayError("Nothing was received: the relay was never reached. Check it, and listen again.")

    run(work())
