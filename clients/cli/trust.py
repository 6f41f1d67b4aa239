"""`blindpost contact replace|verify|sharing`: how sure you are of somebody, and what it may learn of you.

Owns the words. What is remembered is kept by whoever has the profile open.
"""

import sys
from typing import TYPE_CHECKING, Final

import click

from clients.cli.asking import Json, ask, with_line
from clients.cli.output import quoted, typed
from clients.cli.program import ADDRESS, CONTACT, WORD, Settings, common_options, is_terminal, pass_settings
from clients.errors import UsageError

if TYPE_CHECKING:
    from clients.local.access import Line

SHARING: Final = ("presence", "typing", "read")
CHOICE: Final = click.Choice(["on", "off", "default"])


@click.command()
@click.argument("name", type=CONTACT)
@click.argument("address", type=ADDRESS)
@click.option("--yes", is_flag=True, help="I have asked NAME, and this address is really its own.")
@common_options
@pass_settings
def replace(settings: Settings, name: str, address: str, yes: bool) -> None:
    """Put another ADDRESS under NAME, after asking.

    Somebody has made a new account, or you have found out why there was an alarm.

    \b
    Example:  blindpost contact replace bob bp1p...@relay.example --yes
    """
    from clients.cli.contacts import in_order
    from clients.parsing import parse_address

    name, address = in_order(name, address)
    bare = parse_address(address).bare.text
    row = ask(settings, "contact", name=name)
    if row["address"] == bare and row["alarm"] is None:
        settings.output.result(row, f"{quoted(row['name'])} has this address already: nothing is changed.")
        return
    if not yes:
        raise UsageError(
            f"With this, all that you send to {quoted(row['name'])} goes to another account. The history "
            "stays, what is not sent yet will not be sent, and the new account is not verified. Whoever gave "
            f"you this address may not be {quoted(row['name'])}: ask by another way, then compare safety "
            f"numbers (blindpost contact verify {typed(row['name'])}). If you are sure, add --yes."
        )
    row = ask(settings, "replace", name=name, address=address)
    settings.output.result(
        row, f"{quoted(row['name'])} has another account now.", else_do="It is done all the same."
    )
    settings.output.note(f"Compare safety numbers: blindpost contact verify {typed(row['name'])}")


@click.command()
@click.argument("name", type=CONTACT)
@click.argument("number", type=WORD, nargs=-1, metavar="[NUMBER]")
@click.option(
    "--compare",
    metavar="TEXT",
    type=WORD,
    help="What the other side shows: the 60 digits, or its QR as text.",
)
@click.option(
    "--qr/--no-qr", default=None, help="Show a QR code to be scanned there (default: on a terminal)."
)
@common_options
@pass_settings
def verify(
    settings: Settings, name: str, number: tuple[str, ...], compare: str | None, qr: bool | None
) -> None:
    """Print the safety number with NAME, or compare it.

    It has 60 digits, and is the same on both sides.

    Compare them over the telephone or in person: equal digits mean that nobody is between you. With the
    NUMBER of the other side behind the name, or with --compare, it is done for you, and remembered.

    \b
    Examples:  blindpost contact verify bob
               blindpost contact verify bob 12345 67890 ...

    Exit code 6: the two are different, and NAME counts as not verified.
    """
    if number:  # without quotes, each group of digits is a word of its own
        compare = " ".join((*(() if compare is None else (compare,)), *number))
    if compare is not None:
        if compare.strip() == ask(settings, "safety_number", name=name)["scannable"]:
            raise UsageError(
                "This is your own code, which the other side scans. Scan or paste the one shown there."
            )
        row = ask(settings, "verify", name=name, text=compare)
        settings.output.result(
            row,
            f"{quoted(row['name'])} is verified: nobody is between you.",
            else_do=f"{quoted(row['name'])} is verified all the same.",
        )
        return
    from keys.safety_number import grouped

    found = ask(settings, "safety_number", name=name)
    settings.output.result(found, grouped(found["safety_number"]))
    if qr or (qr is None and not settings.as_json and is_terminal(sys.stderr)):
        settings.output.qr(found["scannable"])
    if found["verified"]:
        settings.output.note(f"{quoted(found['name'])} is verified: you have compared this before.")
    else:
        settings.output.note(
            "Not verified yet. The other side sees the same number with `blindpost contact verify YOU`,\n"
            "YOU being its name for you. Let it be read to you, on the telephone or in person. Then:\n"
            f"blindpost contact verify {typed(found['name'])} NUMBER"
        )


@click.command()
@click.argument("name", type=CONTACT)
@click.option("--presence", type=CHOICE, help="Whether NAME sees when you are online.")
@click.option("--typing", type=CHOICE, help="Whether NAME sees that you type.")
@click.option("--read", type=CHOICE, help="Whether NAME sees that you have read a message.")
@common_options
@pass_settings
def sharing(
    settings: Settings, name: str, presence: str | None, typing: str | None, read: str | None
) -> None:
    """Show or choose what NAME may learn of you.

    `default` is as for all, see: blindpost settings

    \b
    Example:  blindpost contact sharing bob --read off --presence default
    """
    given = zip(SHARING, (presence, typing, read), strict=True)
    chosen = {field: _MEANS[choice] for field, choice in given if choice is not None}

    async def work(line: "Line") -> tuple[Json, Json]:
        return await line.call("share", name=name, **chosen), await line.call("share")

    own, in_all = with_line(settings, work)
    lines = []
    for field in SHARING:
        choice, usual = own[field], "on" if in_all[field] else "off"
        lines.append(
            f"{field:<10}" + (f"{usual} (as for all)" if choice is None else "on" if choice else "off")
        )
    settings.output.result(own, "\n".join(lines), else_do="It is done all the same.")


_MEANS: Final = {"on": True, "off": False, "default": None}
