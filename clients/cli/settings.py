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
@click.option(
    "--receipt-delay",
    type=click.FloatRange(0, 60),
    metavar="SECONDS",
    help="How long receipts wait at most, 0 to 60; the true time is drawn anew for each.",
)
@common_options
@pass_settings
def show_settings(
    settings: Settings,
    display_name: str | None,
    presence: str | None,
    typing: str | None,
    read: str | None,
    receipt_delay: float | None,
) -> None:
    """Show or set what contacts may learn of you.

    Strangers learn nothing in any case.

    For one contact alone: blindpost contact sharing NAME. That a message has arrived is always told to its
    sender, because that is how nothing gets lost. It is told after a random time, so that the relay cannot
    tell from it who talks to whom; --receipt-delay 0 tells it at once.

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
        asked = {} if receipt_delay is None else {"longest": receipt_delay}
        delay = (await line.call("delay", **asked))["longest"]
        name = (await line.call("me"))["display_name"]
        return {"display_name": name, **shared, "receipt_delay": delay}

    now = with_line(settings, work)
    name = f"{quoted(now['display_name'])} is what you call yourself" if now["display_name"] else (
        "none: contacts see the name that they gave you; give one with --name"
    )  # fmt: skip
    lines = [f"{'name':<10}{name}"]
    for field, meaning in MEANINGS.items():
        lines.append(f"{field:<10}{'on ' if now[field] else 'off'}  {meaning}")
    delay = now["receipt_delay"]
    lines.append(
        f"{'delay':<10}" + (f"{delay:g} s at most" if delay else "none") + ", before a receipt goes out"
    )
    settings.output.result(now, "\n".join(lines), else_do="It is done all the same.")
