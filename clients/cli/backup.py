"""`blindpost backup`: everything that makes you who you are here, in one encrypted file."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from clients.cli.asking import Json
from clients.cli.output import Output
from clients.cli.program import Settings, common_options, is_terminal, pass_settings, passphrase_in, run
from clients.errors import UsageError

if TYPE_CHECKING:
    from clients.config import ClientConfig

SAY_EVERY: Final = 1.0  # seconds between words about the progress
BACKUP_FILE: Final = click.Path(dir_okay=False, path_type=Path)
passphrase_option = click.option(
    "--backup-passphrase-file",
    "secret",
    metavar="FILE",
    help="Read the backup's passphrase from FILE; else $BLINDPOST_BACKUP_PASSPHRASE, else the profile's "
    "passphrase where that is given by file or variable.",
)


class Progress:
    """Words about how far it is, now and then, for somebody who waits at a terminal."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._is_watched = is_terminal(sys.stderr) and not output.as_json
        self._said = time.monotonic()

    def seen(self, messages: int, of: int) -> None:
        """So many messages are done."""
        if self._is_watched and time.monotonic() - self._said >= SAY_EVERY:
            self._said = time.monotonic()
            self._output.note(f"{messages:,} of {of:,} messages ...")


def backup_passphrase(config: "ClientConfig", secret: str | None, *, is_new: bool) -> str:
    """The passphrase of a backup: from a file, a variable, or typed; a new one is typed twice."""
    if secret is not None:
        return passphrase_in(secret)
    given = config.backup_passphrase if config.backup_passphrase is not None else config.passphrase
    if given is not None:
        return given
    if not is_terminal(sys.stdin):
        raise UsageError(
            "A backup has a passphrase: use --backup-passphrase-file, set BLINDPOST_BACKUP_PASSPHRASE, "
            "or run blindpost in a terminal."
        )
    return str(
        click.prompt(
            "New passphrase of the backup" if is_new else "Passphrase of the backup",
            hide_input=True,
            confirmation_prompt=is_new,
            err=True,
        )
    )


@click.command()
@click.argument("file", type=BACKUP_FILE)
@passphrase_option
@common_options
@pass_settings
def backup(settings: Settings, file: Path, secret: str | None) -> None:
    """Write your account, contacts and history to FILE, encrypted.

    Whoever has FILE and its passphrase can be you, and read your history: keep both well, and apart. It works
    while chat or listen runs. An older backup in FILE is replaced, once the new one is whole.

    No session is in it, so it opens no recorded message. Make one now and then: what comes after it is not in
    it. On another machine: blindpost restore FILE

    \b
    Example:  blindpost backup /media/stick/me.blindpost
    """
    from clients.backup.passphrases import check_passphrase
    from clients.config import read_config
    from clients.local.access import access

    # Before the profile is unlocked: a passphrase that was typed for the profile is not the backup's.
    given = read_config(settings.profile)
    if settings.passphrase_file is not None:
        given = settings.config()
    passphrase = backup_passphrase(given, secret, is_new=True)
    check_passphrase(passphrase)
    config, path, output = settings.config(), file.absolute(), settings.output
    progress = Progress(output)

    async def work() -> Json:
        async with access(config, connect=False) as line:
            ref = line.new_ref()
            await line.ask(ref, "backup", {"file": str(path), "passphrase": passphrase})
            async for event in line.events():
                if event.get("ref") == ref:
                    if event["written"]:
                        return {"file": str(path), "messages": event["messages"]}
                    progress.seen(event["messages"], event["of"])
        raise AssertionError("events end with an error")

    async def tell() -> None:
        done = await work()
        count = "1 message" if done["messages"] == 1 else f"{done['messages']:,} messages"
        output.result(
            done,
            f"Account, contacts and {count} written to {path}. Nobody can open it without its passphrase.",
            else_do="The backup is written all the same.",
        )

    run(tell())
