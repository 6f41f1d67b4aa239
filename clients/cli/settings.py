"""`blindpost settings`: what contacts may learn of you."""

from typing import TYPE_CHECKING

import click

from clients.cli.asking import Json, with_line
from clients.cli.output import quoted
from clients.cli.program import WORD, Settings, common_options, pass_settings

if TYPE_CHECKING:
    from clients.local.access import Line

CHOICE = click.Choice(["on", "off"])
MEANINGS = {
    "presence": "whether contacts see when you are online",
    "typing": "whether contacts see that you type",
    "read": "whether contacts see that you have read a message",
}


@click.command("settings")
@click.option(
    "--name", "display_name", type=WORD, metavar="DISPLAY", help='What you call yourself; "" for nothing.'
)
@click.option("--presence", type=CHOICE, help="Whether contacts see when you are online; off is invisible.")
@click.option("--typing", type=CHOICE, help="Whether contacts see that you type.")
@click.option("--read", type=CHOICE, help="Whether contacts see that you have read a message.")
@common_options
@pass_settings
def show_settings(
    settings: Settings, display_name: str | None, presence: str | None, typing: str | None, read: str | None
) -> None:
    """Show or set what contacts may learn of you.

    Strangers learn nothing in any case.

    For one contact alone: blindpost contact sharing NAME. That a message has arrived is always told to its
    sender, because that is how nothing gets lost.

    \b
    Examples:  blindpost settings --name "Alice"
               blindpost settings --presence off      be invisible
    """
    given = zip(MEANINGS, (presence, typing, read), strict=True)
    chosen = {field: choice == "on" for field, choice in given if choice is not None}

    async def work(line: "Line") -> Json:
        if display_name is not None:
            await line.call("set_name", display_name=display_name)
        shared = await line.call("share", **chosen)
        return {"display_name": (await line.call("me"))["display_name"], **shared}

    now = with_line(settings, work)
    name = f"{quoted(now['display_name'])} is what you call yourself" if now["display_name"] else (
        "none: contacts see the name that they gave you; give one with --name"
    )  # fmt: skip
    lines = [f"{'name':<10}{name}"]
    for field, meaning in MEANINGS.items():
        lines.append(f"{field:<10}{'on ' if now[field] else 'off'}  {meaning}")
    settings.output.result(now, "\n".join(lines), else_do="It is done all the same.")
