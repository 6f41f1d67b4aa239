"""`blindpost restore`: a profile from a backup, on a new device of the same account."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from clients.cli.backup import BACKUP_FILE, Progress, backup_passphrase, passphrase_option
from clients.cli.output import Output
from clients.cli.program import (
    WORD,
    Settings,
    common_options,
    is_terminal,
    keyring_option,
    pass_settings,
    run,
)
from clients.errors import ExitCode, TrustError, UsageError

if TYPE_CHECKING:
    from clients.config import ClientConfig

CONNECT_WITHIN: Final = 20.0  # seconds to register the new device
TELL_WITHIN: Final = (
    30.0  # seconds to tell contacts of it; the rest is told by the next command that connects
)


@click.command()
@click.argument("file", type=BACKUP_FILE)
@click.option(
    "--relay", "relay_url", type=WORD, metavar="URL", help="Where the relay is now, if it has moved."
)
@click.option(
    "--passphrase", "locked", is_flag=True, help="Lock the new profile with a passphrase, typed twice."
)
@keyring_option
@passphrase_option
@common_options
@pass_settings
def restore(
    settings: Settings, file: Path, relay_url: str | None, locked: bool, keyring: bool, secret: str | None
) -> None:
    """Make a profile from a backup.

    It has your account, contacts and history, and is a new device of the account. The device before is
    revoked: it can send and receive no more. Contacts are told, and send again what did not arrive. Your
    address and the safety numbers stay as they are.

    After an interruption run it again. Where a passphrase for the profile is given by file or variable, the
    new profile is locked with it.

    \b
    Example:  blindpost restore /media/stick/me.blindpost
    """
    from clients.backup.restoring import restore as from_backup
    from clients.cli.identity import chosen_lock
    from clients.config import read_config
    from clients.parsing import parse_relay

    relay = None if relay_url is None else parse_relay(relay_url)
    config = settings.config()
    given = config if settings.passphrase_file is not None else read_config(settings.profile)
    passphrase = backup_passphrase(given, secret, is_new=False)
    config = chosen_lock(config, locked=locked, keyring=keyring)
    if config.passphrase == "":
        raise UsageError("An empty passphrase protects nothing. Choose another, or leave it out.")
    output = settings.output
    is_made = from_backup(config, file, passphrase, relay, Progress(output).seen)
    output.note(f"Profile {'made' if is_made else 'found'} in {config.profile}. Registering its device ...")
    run(_enrol(config, output))


async def _enrol(config: "ClientConfig", output: Output) -> None:
    from clients.enrolment import TakenOverError
    from clients.messenger import Messenger
    from clients.profile import discard

    try:
        async with Messenger.from_config(config) as me:
            is_registered = await me.connected(CONNECT_WITHIN)
            contacts = [contact for contact in me.contacts.all() if contact.status == "approved"]
            result: dict[str, object] = {
                "address": me.address.text,
                "registered": is_registered,
                "contacts": len(contacts),
                "profile": str(config.profile),
            }
            if is_registered:
                result["told"] = await me.flushed(TELL_WITHIN)
            output.result(result, me.address.text, else_do="The profile is restored all the same.")
            if not is_registered:
                for problem in me.problems():
                    output.note(problem)
                output.note(
                    "The account is here, and its new device registers by itself as soon as the relay can be "
                    "reached. Until then the device before it still counts."
                )
                raise SystemExit(ExitCode.QUEUED)
            if not result["told"]:
                output.note(
                    "Not all contacts could be told yet: the next commands that connect go on with it."
                )
            if is_terminal(sys.stderr):
                output.note("This is your address, as before. The device before this one is revoked.")
    except TakenOverError:
        discard(config.profile)
        raise TrustError(
            "The account was restored elsewhere at the same moment, and goes on there. Nothing is left here. "
            "To use it here instead, run the same command again: the other one ends then."
        ) from None
