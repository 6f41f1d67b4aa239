"""`blindpost doctor`: what is wrong, and what to do about it."""

import shutil
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from clients.cli.output import safe
from clients.cli.program import WORD, Settings, common_options, is_terminal, pass_settings, run
from clients.errors import ExitCode

if TYPE_CHECKING:
    from clients.config import ClientConfig
    from clients.doctor import Finding

COLUMN: Final = 9  # width of the verdicts and the space behind them


@click.command()
@click.option("--relay", "relay_url", type=WORD, metavar="URL", help="Look at this relay; needs no profile.")
@click.option(
    "--ca",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="PEM of that relay's own certificate authority.",
)
@common_options
@pass_settings
def doctor(settings: Settings, relay_url: str | None, ca: Path | None) -> None:
    """Find what is wrong with profile or relay, and say what to do.

    One line for each check: ok, warning or FAILED. Nothing is changed, nothing is sent to anybody, and it
    works while `blindpost chat` or `listen` has the profile open. It takes less than 20 seconds.

    With $BLINDPOST_PROXY all of it goes through that proxy, which looks up the relay's name: neither that nor
    the relay's single addresses are checked then.

    \b
    Examples:  blindpost doctor
               blindpost doctor --relay wss://relay.example

    Exit code 0: nothing failed. 3: no profile. 5: the relay. 6: the relay has another key than before. 7: the
    profile is locked. 10: the store or its permissions.
    """  # fmt: skip
    from clients.config import read_proxy
    from clients.doctor import examine
    from clients.doctor.relay_checks import Known
    from clients.errors import UsageError
    from clients.parsing import parse_relay
    from clients.relay_choice import read_authority
    from clients.route import Route

    if ca is not None and relay_url is None:
        raise UsageError("Which relay is this authority for? Give it with --relay URL.")
    if relay_url is None:
        subject: ClientConfig | Known = settings.config()
    else:
        route = Route(None if ca is None else read_authority(ca), read_proxy())
        subject = Known(parse_relay(relay_url), route)

    async def work() -> None:
        code = ExitCode.OK
        async for finding in examine(subject):
            settings.output.result(
                finding.to_json(),
                settings.output.own(_line(finding)),
                else_do="Run it again where there is space.",
            )
            code = code or finding.code
        if code:
            raise SystemExit(code)

    run(work())


def _line(finding: "Finding") -> str:
    """The finding on one line; on a terminal neatly: broken at its width, what to do on a line of its own."""
    verdict = f"{finding.verdict.value:<{COLUMN}}"
    if not is_terminal(sys.stdout):
        return verdict + safe(str(finding), keep_lines=False)
    what = safe(f"{finding.check}: {finding.what}", keep_lines=False)
    width, indent = max(40, shutil.get_terminal_size().columns), " " * COLUMN
    shown = textwrap.fill(
        what, width, initial_indent=verdict, subsequent_indent=indent, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
    if finding.advice is None:
        return shown
    # Not broken: it may hold a command to copy.
    return f"{shown}\n{indent}-> {safe(finding.advice, keep_lines=False)}"
