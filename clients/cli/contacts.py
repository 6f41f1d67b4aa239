"""`blindpost contact list|requests|add|accept|rename|remove|block|unblock`: who you write to, and who not.

Owns the words. Every decision is carried out by whoever has the profile open.
"""

from typing import TYPE_CHECKING, Any, Final

import click

from clients.cli.asking import Json, all_contacts, ask, with_line
from clients.cli.output import quoted, safe, typed
from clients.cli.program import (
    ADDRESS,
    ANYBODY,
    BLOCKED,
    CONTACT,
    NEW_NAME,
    REQUEST,
    Program,
    Settings,
    common_options,
    pass_settings,
)

if TYPE_CHECKING:
    from clients.local.access import Line

NAME_WIDTH: Final = 20


@click.group(cls=Program)
@common_options
def contact() -> None:
    """The people you write to: add, accept, verify, block.

    \b
    Example:  blindpost contact add bob bp1p...@relay.example
    """


@contact.command("list")
@click.option("--addresses", is_flag=True, help="With the address of each.")
@common_options
@pass_settings
def list_contacts(settings: Settings, addresses: bool) -> None:
    """List contacts, requests and who is blocked.

    What somebody calls itself may be anything: "verified" stands only where you have compared the safety
    number.

    \b
    Example:  blindpost contact list --addresses
    """
    rows = with_line(settings, all_contacts)
    shown = 0
    for status, heading in _GROUPS.items():
        group = [row for row in rows if row["status"] == status]
        if group and heading:
            settings.output.heading(("\n" if shown else "") + settings.output.own(heading))
        for row in group:
            with_address = addresses or status == "request"
            settings.output.result(row, _line(row, with_address=with_address))
        shown += len(group)
    if not rows:
        settings.output.note(
            "No contacts yet. With a line that somebody gave you: blindpost chat LINE\n"
            "Or give away yours: blindpost address"
        )


_GROUPS: Final = {
    "approved": "",
    "request": "Requests (to accept: blindpost contact accept NAME):",
    "blocked": "Blocked (to undo: blindpost contact unblock NAME):",
}


@contact.command()
@common_options
@pass_settings
def requests(settings: Settings) -> None:
    """List who has written to you and is no contact yet.

    They learn nothing of you until you accept: no receipt, not even that you exist.

    \b
    Example:  blindpost contact requests
    """

    async def work(line: "Line") -> tuple[list[Json], bool]:
        return await all_contacts(line), bool((await line.call("me"))["connected"])

    everybody, is_connected = with_line(settings, work)
    rows = [row for row in everybody if row["status"] == "request"]
    for row in rows:
        settings.output.result(row, _line(row, with_address=True))
    if rows:
        settings.output.note(
            "Read what it wrote:  blindpost history NAME\n"
            "Accept it:           blindpost contact accept NAME\n"
            "Refuse it:           blindpost contact block NAME"
        )
    elif is_connected:
        settings.output.note("No requests.")
    else:
        settings.output.note(
            "No requests here. What waits at the relay comes with: blindpost listen --idle 2"
        )


def _line(row: dict[str, Any], *, with_address: bool) -> str:
    """One contact on one line, with its address and its alarm on lines of their own."""
    said = []
    if row["status"] == "approved":
        said.append("verified" if row["verified"] else "not verified")
    if row["online"] is not None:
        said.append("online" if row["online"] else "offline")
    if row["unread"]:
        said.append(f"{row['unread']:,} unread")
    if row["display_name"] and row["display_name"] != row["name"]:
        said.append(f"calls itself {quoted(row['display_name'])}")
    elif row["status"] == "request" and not row["display_name"]:
        said.append("gives no name")
    lines = [f"{safe(row['name'], keep_lines=False):<{NAME_WIDTH}} {', '.join(said)}".rstrip()]
    if with_address:
        lines.append(f"    {safe(row['address'], keep_lines=False)}")
    if row["alarm"]:
        lines.append(f"    ALARM: {safe(row['alarm'], keep_lines=False)}. Nothing is sent there.")
    return "\n".join(lines)


@contact.command()
@click.argument("name", type=NEW_NAME)
@click.argument("address", type=ADDRESS)
@common_options
@pass_settings
def add(settings: Settings, name: str, address: str) -> None:
    """Add ADDRESS under NAME.

    ADDRESS is the line that `blindpost address` prints there. A request from it is accepted with this: what
    it has sent already is shown from now on.

    \b
    Example:  blindpost contact add bob bp1p...@relay.example
    """
    name, address = in_order(name, address)
    row = ask(settings, "add", name=name, address=address)
    settings.output.result(
        row,
        f"{quoted(row['name'])} added. {_write(settings, row)}",
        else_do=f"{quoted(row['name'])} is added all the same.",
    )


def in_order(name: str, address: str) -> tuple[str, str]:
    """A name and an address, also where they were given the other way round: no name begins as an address."""
    return (address, name) if name.startswith("bp1") and not address.startswith("bp1") else (name, address)


def _write(settings: Settings, row: Json) -> str:
    """How to write to somebody, to copy."""
    return settings.output.own(f"Write with: blindpost send {typed(row['name'])} TEXT")


@contact.command()
@click.argument("request", type=REQUEST)
@click.argument("name", type=NEW_NAME, required=False)
@common_options
@pass_settings
def accept(settings: Settings, request: str, name: str | None) -> None:
    """Make a contact of REQUEST.

    It is called NAME then, or else what it calls itself.

    \b
    Example:  blindpost contact requests
              blindpost contact accept request-0123456789ab bob
    """
    row = ask(settings, "accept", name=request, **({} if name is None else {"as": name}))
    settings.output.result(
        row,
        f"{quoted(row['name'])} is a contact now. {_write(settings, row)}",
        else_do=f"{quoted(row['name'])} is accepted all the same.",
    )
    if name is None and not row["display_name"]:
        settings.output.note(
            f"It gives no name. Give it one: blindpost contact rename {typed(row['name'])} NAME"
        )
    settings.output.note(
        "Anybody can call itself anything. To be sure who it is: "
        f"blindpost contact verify {typed(row['name'])}"
    )


@contact.command()
@click.argument("name", type=CONTACT)
@click.argument("new", type=NEW_NAME)
@common_options
@pass_settings
def rename(settings: Settings, name: str, new: str) -> None:
    """Call NAME by another name. Only you see it; history and trust stay.

    \b
    Example:  blindpost contact rename bob robert
    """
    row = ask(settings, "rename", name=name, to=new)
    settings.output.result(
        row, f"{quoted(name)} is called {quoted(row['name'])} now.", else_do="It is done all the same."
    )


@contact.command()
@click.argument("name", type=ANYBODY)
@click.option("--yes", is_flag=True, help="Also when there is a history, which is deleted with it.")
@common_options
@pass_settings
def remove(settings: Settings, name: str, yes: bool) -> None:
    """Remove a contact and its history. If it writes again, it comes as a request.

    Your address line stays good for it. To hear nothing any more, block it instead.

    \b
    Example:  blindpost contact remove bob --yes
    """
    gone = ask(settings, "remove", name=name, force=yes)
    count = "1 message" if gone["messages"] == 1 else f"{gone['messages']:,} messages"
    settings.output.result(
        gone,
        f"{quoted(gone['removed'])} removed, with {count}.",
        else_do=f"{quoted(gone['removed'])} is removed all the same.",
    )


@contact.command()
@click.argument("name", type=ANYBODY)
@common_options
@pass_settings
def block(settings: Settings, name: str) -> None:
    """Drop unread whatever NAME sends, from now on.

    It is not told, and the history stays. The address line that you gave out ends with it, because a copy may
    have got there; your other contacts do not notice.

    \b
    Example:  blindpost contact block mallory
    """
    row = ask(settings, "block", name=name)
    undo = settings.output.own(f"Undo: blindpost contact unblock {typed(row['name'])}")
    settings.output.result(
        row, f"{quoted(row['name'])} is blocked. {undo}", else_do="It is done all the same."
    )
    settings.output.note("The line to give to others is a new one now: blindpost address")


@contact.command()
@click.argument("name", type=BLOCKED)
@common_options
@pass_settings
def unblock(settings: Settings, name: str) -> None:
    """Make NAME a contact again. What it sent meanwhile was dropped, and comes if its program sends it again.

    \b
    Example:  blindpost contact unblock mallory
    """
    row = ask(settings, "unblock", name=name)
    settings.output.result(
        row, f"{quoted(row['name'])} is a contact again.", else_do="It is done all the same."
    )
