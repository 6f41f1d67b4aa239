"""The frame of the command line: the program, its common options, running a command's coroutine.

Owns what every command shares. The commands are in the modules beside it; they import the client only when
they run, so that `--help` answers at once.
"""

import asyncio
import contextlib
import math
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TextIO, TypeVar

import click

from clients.cli.output import Output
from clients.errors import UsageError

if TYPE_CHECKING:
    from clients.config import ClientConfig

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Settings:
    """The common options, as given before or after the verb."""

    profile: str | None = None
    as_json: bool = False
    passphrase_file: str | None = None

    @property
    def output(self) -> Output:
        """Where results go."""
        return Output(as_json=self.as_json)

    def config(self) -> "ClientConfig":
        """The client's configuration; asks for a passphrase only where one is needed, on a terminal."""
        from clients.config import read_config

        config = read_config(self.profile)
        if self.passphrase_file is not None:
            try:
                text = Path(self.passphrase_file).read_text("utf-8")
            except (OSError, UnicodeDecodeError):
                raise UsageError("The passphrase file cannot be read.") from None
            return replace(config, passphrase=text.rstrip("\r\n"))
        if config.passphrase is None and is_terminal(sys.stdin) and needs_passphrase(config.profile):
            return replace(config, passphrase=click.prompt("Passphrase", hide_input=True, err=True))
        return config


def is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody sits there; a closed stream is None."""
    return stream is not None and stream.isatty()


def needs_passphrase(profile: Path) -> bool:
    """Whether the profile is locked with a passphrase."""
    with contextlib.suppress(OSError):
        return b'"passphrase"' in (profile / "profile.json").read_bytes()
    return False


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


WORD = Word()
SECONDS = Seconds()


class Program(click.Group):
    """Lists commands in the order in which a new user needs them."""

    def list_commands(self, context: click.Context) -> list[str]:
        """In the order of definition, not of the alphabet."""
        return list(self.commands)


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@common_options
@click.version_option(package_name="blindpost", prog_name="blindpost")
def program() -> None:
    """End-to-end encrypted messages through a relay that cannot read them.

    \b
    Start:    blindpost relay                       run a relay
              blindpost init --relay URL            make your profile
              blindpost address                     the line to give to others
              blindpost contact add bob ADDRESS
              blindpost send bob "hi"
              blindpost listen

    \b
    Exit codes: 0 done  2 usage  3 not found  4 queued, relay not reachable  5 relay  6 trust
                7 locked  8 too large  9 outbox full  10 storage
    """


_is_blocked = False  # whether a coroutine waits in a system call, where no cancellation reaches it


@contextlib.contextmanager
def blocking() -> Iterator[None]:
    """Around a read that blocks the loop: a signal ends it like everything else, with CancelledError."""
    global _is_blocked
    _is_blocked = True
    try:
        yield
    finally:
        _is_blocked = False


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a command's coroutine; SIGINT and SIGTERM end it in order, with exit code 130 or 143."""

    async def supervised() -> None:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        caught: list[int] = []

        def catch(number: int, frame: object) -> None:
            caught.append(number)
            if _is_blocked:
                raise asyncio.CancelledError
            loop.call_soon_threadsafe(task.cancel)

        before = {number: signal.signal(number, catch) for number in (signal.SIGINT, signal.SIGTERM)}
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
