"""The frame of the command line: the program, its common options, running a command's coroutine.

Owns what every command shares. The commands are in the modules beside it; they import the client only when
they run, so that `--help` answers at once.
"""

import asyncio
import contextlib
import fcntl
import math
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TextIO, TypeVar

import click

from clients.cli.hints import as_pasted
from clients.cli.output import Output
from clients.errors import UsageError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from clients.config import ClientConfig

P = ParamSpec("P")
R = TypeVar("R")

PROGRAM_NAME: Final = "blindpost"


@dataclass(frozen=True, slots=True)
class Settings:
    """The common options, as given before or after the verb."""

    profile: str | None = None
    as_json: bool = False
    passphrase_file: str | None = None

    @property
    def output(self) -> Output:
        """Where results go."""
        return Output(as_json=self.as_json, profile=self.profile)

    def config(self) -> "ClientConfig":
        """The client's configuration; asks for a passphrase only where one is needed, on a terminal."""
        from clients.config import read_config

        config = read_config(self.profile)
        _say_deleted(config.profile, self.profile)
        if self.passphrase_file is not None:
            return replace(config, passphrase=passphrase_in(self.passphrase_file))
        if config.passphrase is None and is_terminal(sys.stdin) and _must_unlock(config.profile):
            return replace(config, passphrase=_typed_passphrase(config.profile))
        return config


@cache
def _say_deleted(profile: Path, chosen: str | None) -> None:
    """Once for a command: that the account of this profile is no more."""
    from clients.profile_files import deletion

    if (when := deletion(profile)) is not None:
        what = "deletion was begun" if when == "begun" else f"account was deleted at its relay on {when[:10]}"
        Output(as_json=False, profile=chosen).note(f"This profile's {what}.")


def passphrase_in(file: str) -> str:
    """What a passphrase file says, without the line feed at its end. Raises UsageError."""
    try:
        text = Path(file).read_text("utf-8")
    except OSError as error:
        raise UsageError(f"The passphrase file {file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UsageError(f"The passphrase file {file} is not UTF-8.") from None
    if not (passphrase := text.rstrip("\r\n")):
        raise UsageError(f"The passphrase file {file} is empty.")
    return passphrase


@cache
def _typed_passphrase(profile: Path) -> str:
    """What somebody types, once for a command, however often it opens the profile."""
    return str(click.prompt("Passphrase", hide_input=True, err=True))


def is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody sits there; a closed stream is None."""
    return stream is not None and stream.isatty()


def needs_passphrase(profile: Path) -> bool:
    """Whether the profile is locked with a passphrase."""
    with contextlib.suppress(OSError):
        return b'"passphrase"' in (profile / "profile.json").read_bytes()
    return False


def _must_unlock(profile: Path) -> bool:
    """Whether a passphrase is needed: whoever has the profile open has unlocked it for others, too."""
    if not needs_passphrase(profile):
        return False
    try:
        descriptor = os.open(profile / "lock", os.O_RDWR)
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)


def _merge(context: click.Context, parameter: click.Parameter, value: object) -> object:
    if value not in (None, False):
        settings = context.ensure_object(Settings)
        changed: dict[str, Any] = {str(parameter.name): value}
        context.obj = replace(settings, **changed)
    return value


def common_options(command: Callable[P, R]) -> Callable[P, R]:
    """`--profile`, `--json` and `--passphrase-file`, accepted before and after the verb."""
    options = (
        click.option("--profile", metavar="NAME|DIR", expose_value=False, callback=_merge,
                     help="Which profile to use; else $BLINDPOST_PROFILE, else `default`."),
        click.option("--json", "as_json", is_flag=True, expose_value=False, callback=_merge,
                     help="One JSON object per line."),
        click.option("--passphrase-file", metavar="FILE", expose_value=False, callback=_merge,
                     help="Read the profile's passphrase from FILE; else $BLINDPOST_PASSPHRASE."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


keyring_option = click.option(
    "--keyring", is_flag=True, help="Keep the new profile's key in the system keyring, not in a file."
)
pass_settings = click.make_pass_decorator(Settings, ensure=True)


class Word(click.ParamType[str]):
    """A name or an address: any text, but text."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The word as it is; bytes that are not UTF-8 are refused."""
        word = str(value)
        if not word.isascii() and any("\ud800" <= c <= "\udfff" for c in word):
            self.fail(f"{word!r} is not UTF-8. Type it in a UTF-8 terminal.", param, ctx)
        return word


class Seconds(click.FloatRange):
    """A number of seconds, 0 or more; `nan` is none."""

    def __init__(self) -> None:
        super().__init__(min=0)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        seconds = float(super().convert(value, param, ctx))
        if math.isnan(seconds):
            self.fail(f"{value!r} is not a number of seconds.", param, ctx)
        return seconds


class AddressLine(Word):
    """An address as people paste it: with blanks, line breaks or quotes that do not belong there."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The address; what is none is left as it is."""
        return as_pasted(super().convert(value, param, ctx))


class Name(AddressLine):
    """The name or address of somebody. A shell completes it: with names of this status, or with all."""

    def __init__(self, status: str | None = "approved") -> None:
        self._status = status

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name; nobody has an empty one."""
        word = super().convert(value, param, ctx)
        if not word.strip():
            self.fail("The name is empty. Who there is: blindpost contact list", param, ctx)
        return word

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> "list[CompletionItem[str]]":
        """Names that begin like this; none where they cannot be had at once."""
        from click.shell_completion import CompletionItem

        from clients.cli.names import names_at_once

        settings = ctx.find_object(Settings) or Settings()
        found = names_at_once(settings.profile, self._status)
        return [CompletionItem(name) for name in found if name.casefold().startswith(incomplete.casefold())]


class NewName(AddressLine):
    """A name to give to somebody."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name as it is; whether it can be one is known to the profile."""
        word = super().convert(value, param, ctx)
        if not word.strip():
            self.fail("The new name is empty. It has 1 to 64 characters.", param, ctx)
        return word


WORD, ADDRESS, NEW_NAME = Word(), AddressLine(), NewName()
SECONDS = Seconds()
CONTACT, REQUEST, BLOCKED, ANYBODY = Name(), Name("request"), Name("blocked"), Name(None)


class Program(click.Group):
    """Lists commands in the order in which a new user needs them, in sections where there are any."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.sections: dict[str, list[str]] = {}

    def add_section(self, title: str, *commands: click.Command) -> None:
        """Commands under a title of their own."""
        self.sections[title] = [str(command.name) for command in commands]
        for command in commands:
            self.add_command(command)

    def list_commands(self, context: click.Context) -> list[str]:
        """In the order of definition, not of the alphabet."""
        return list(self.commands)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """One table for each section; all of one width."""
        sections = self.sections or {"Commands": self.list_commands(context)}
        width = max(map(len, self.commands), default=0)
        room = max(30, formatter.width - 6 - width)
        for title, names in sections.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(name.ljust(width), self.commands[name].get_short_help_str(room)) for name in names]
                )


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@common_options
@click.version_option(package_name="blindpost", prog_name="blindpost")
def program() -> None:
    """End-to-end encrypted messages through a relay that cannot read them.

    \b
    Start:  blindpost init --relay URL     prints the line to give to others
            blindpost chat LINE            with the line that somebody gave you
            blindpost doctor               when something does not work

    \b
    Through an HTTP proxy:  BLINDPOST_PROXY=http://[USER:PASSWORD@]HOST:PORT blindpost ...

    \b
    Exit codes:  0 done  2 usage  3 not found  4 queued, relay not reachable
                 5 relay  6 trust  7 locked  8 too large  9 outbox full  10 storage
                 11 audit
    """


def _ending() -> list[signal.Signals]:
    """The signals that end a command."""
    hangup: signal.Signals | None = getattr(signal, "SIGHUP", None)  # Windows has none
    is_heard = hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([hangup] if hangup is not None and is_heard else [])]


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a command's coroutine; SIGINT, SIGTERM and a lost terminal end it in order.

    The exit code is 128 and the signal's number: 130, 143 or 129. With nohup no terminal is lost.
    """

    async def supervised() -> None:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        caught: list[int] = []

        def catch(number: int, frame: object) -> None:
            caught.append(number)
            loop.call_soon_threadsafe(task.cancel)

        before = {number: signal.signal(number, catch) for number in _ending()}
        try:
            await task
        except asyncio.CancelledError:
            if not caught:
                raise
            sys.exit(128 + caught[0])
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    asyncio.run(supervised())
