"""`blindpost serve`: a profile for programs in any language, by lines of JSON."""

import json
import sys

import click

from clients.cli.output import NotWritten, ReaderGone
from clients.cli.program import Settings, common_options, is_terminal, pass_settings, run
from clients.errors import UsageError


@click.command()
@common_options
@pass_settings
def serve(settings: Settings) -> None:
    """Carry out calls from stdin, for programs.

    One JSON object a line; answers and events are printed in the same way.

    \b
    Example:  blindpost serve
    {"call": "send", "ref": 1, "to": "bob", "text": "hi"}
                              {"ref": 1, "result": {"id": ...}}
    {"call": "watch", "ref": 2}
                              {"event": "message", ...} and so on
    {"call": "listen", "ref": 3}
                              {"event": "message", "ref": 3, ...}
    {"call": "done", "ref": 4, "id": ...}
                              the next message comes

    All calls: docs/calls.md. It ends when stdin does, after the last answer. What is wrong with a line is
    said in its answer, {"ref": ..., "error": {"code", "exit_code", "message"}}, and ends nothing.
    """
    from clients.local.framing import LINE_MAX
    from clients.local.stdin import lines
    from clients.local.stdio import Serving
    from clients.local.stdout import Writer
    from clients.model import Json

    if sys.stdout is None or sys.stdin is None:
        raise UsageError("Nothing can be served: stdin or stdout is closed.")
    if is_terminal(sys.stdin):
        settings.output.note('Type calls, such as {"call": "me", "ref": 1}, and end with Ctrl-D.')
    writer = Writer(sys.stdout.buffer)

    async def say(value: Json) -> None:
        try:
            # In ASCII, so that nothing in it can act on a terminal.
            await writer.write(json.dumps(value, separators=(",", ":")).encode() + b"\n")
        except BrokenPipeError:
            raise ReaderGone from None
        except OSError as error:
            raise NotWritten(error, "What was asked for may be done all the same.") from None

    run(Serving(settings.config(), lines(sys.stdin.buffer, LINE_MAX), say).run())
