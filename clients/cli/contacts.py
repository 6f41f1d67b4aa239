"""`blindpost contact add|list|verify|remove`: names for addresses."""

import click

from clients.cli.output import safe
from clients.cli.program import WORD, Settings, common_options, pass_settings
from clients.errors import UsageError


@click.group()
@common_options
def contact() -> None:
    """Add, list, verify and remove the people and programs you write to."""


@contact.command()
@click.argument("name", type=WORD)
@click.argument("address", type=WORD)
@common_options
@pass_settings
def add(settings: Settings, name: str, address: str) -> None:
    """Add ADDRESS (the line that `blindpost address` prints there) under NAME.

    Also accepts a request: messages that this address has sent already are shown from now on.
    """
    from clients.messenger import parse_address
    from clients.profile import Profile
    from clients.store.contacts import Contacts

    parsed = parse_address(address)
    profile = Profile.open(settings.config())
    try:
        if parsed.account_key == profile.account.key:
            raise UsageError("This is your own address. Ask the other person for theirs.")
        contacts = Contacts(profile.store)
        added = contacts.add(name, parsed)
        contacts.owe_receipts(added)
    finally:
        profile.close()
    shown = added.shown()
    settings.output.result(
        shown.to_json(),
        f"{shown.name} added. Write with: blindpost send {shown.name} TEXT",
        else_do=f"{shown.name} is added all the same.",
    )


@contact.command("list")
@common_options
@pass_settings
def list_contacts(settings: Settings) -> None:
    """List contacts, and requests from addresses that are not contacts yet."""
    from clients.profile import Profile
    from clients.store.contacts import Contacts

    profile = Profile.open(settings.config())
    rows = [row.shown() for row in Contacts(profile.store).all()]
    profile.close()
    for row in rows:
        alarm = f"  ALARM: {row.alarm}" if row.alarm else ""
        text = f"{safe(row.name):20} {row.status.value:9} {row.address.text}{alarm}"
        settings.output.result(row.to_json(), text)
    if not rows:
        settings.output.note("No contacts yet. Add one: blindpost contact add NAME ADDRESS")


@contact.command()
@click.argument("name", type=WORD)
@common_options
@pass_settings
def verify(settings: Settings, name: str) -> None:
    """Print the safety number with NAME: 60 digits, the same on both sides.

    Compare them over the telephone or in person: equal digits mean that nobody is between you.
    """
    from clients.profile import Profile
    from clients.store.contacts import Contacts
    from keys.safety_number import grouped, safety_number

    profile = Profile.open(settings.config())
    try:
        row = Contacts(profile.store).named(name)
    finally:
        profile.close()
    number = safety_number(profile.account.key, row.account_key)
    settings.output.result({"name": row.name, "safety_number": number}, grouped(number))


@contact.command()
@click.argument("name", type=WORD)
@click.option("--yes", is_flag=True, help="Also when there is a history, which is deleted with it.")
@common_options
@pass_settings
def remove(settings: Settings, name: str, yes: bool) -> None:
    """Remove a contact, its sessions and its history."""
    from clients.profile import Profile
    from clients.store.contacts import Contacts
    from clients.store.history import History

    profile = Profile.open(settings.config())
    try:
        contacts = Contacts(profile.store)
        row = contacts.named(name)
        if not yes and History(profile.store).conversation(row.id, 1):
            raise UsageError(f"The history with {row.name!r} would be deleted. To do so, add --yes.")
        count = contacts.remove(row)
    finally:
        profile.close()
    settings.output.result(
        {"removed": row.name, "messages": count},
        f"{row.name} removed, with {count} messages.",
        else_do=f"{row.name} is removed all the same.",
    )
