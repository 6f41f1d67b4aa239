"""The entry point of `blindpost`: puts the commands together, and turns errors into exit codes.

Owns the order of the commands in `--help`, and what is said when one fails.
"""

import contextlib
import errno
import io
import resource
import sys
from typing import Final

import click

from clients.cli import (
    account,
    audit,
    backup,
    chat,
    completion,
    contacts,
    doctor,
    history,
    identity,
    messages,
    relay,
    restore,
    sending,
    serve,
    settings,
    trust,
)
from clients.cli.hints import on_usage, profile_given, without_profile
from clients.cli.output import NotWritten, Output, ReaderGone, silence
from clients.cli.program import PROGRAM_NAME, Program, program
from clients.errors import ClientError, ExitCode, NotFoundError

# What a stream reports that takes no more; anything else would be a bug of ours.
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


# The commands in the order in which a new user needs them; a new command is one more word here.
SECTIONS: Final[dict[str, tuple[click.Command, ...]]] = {
    "You": (
        identity.init,
        identity.address,
        settings.show_settings,
        backup.backup,
        restore.restore,
        account.account,
    ),
    "People": (contacts.contact,),
    "Messages": (chat.chat, sending.send, messages.listen, history.history, serve.serve),
    "Relay": (relay.relay, identity.trust_relay, audit.audit),
    "Help": (doctor.doctor, completion.completion),
}


def assemble() -> Program:
    """The program with all its commands."""
    for command in (trust.verify, trust.replace, trust.sharing):
        contacts.contact.add_command(command)
    for title, commands in SECTIONS.items():
        program.add_section(title, *commands)
    completion.prepare()
    return program


def main() -> None:
    """The entry point of `blindpost`."""
    # No core dump, which would hold keys and texts: a byte is too little for a file, and ends what would go
    # through a pipe to a program that collects dumps, which 0 does not. Its owner and root can read the
    # process all the same, so that it can be audited.
    with contextlib.suppress(ValueError, OSError):
        _, most = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (1, most))
    assemble()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # no terminal's character set may stop a message
    as_json = "--json" in sys.argv[1:]
    profile = profile_given(sys.argv[1:])
    output = Output(as_json=as_json, profile=profile)
    try:
        program.main(prog_name=PROGRAM_NAME, standalone_mode=False)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        _say_usage(error, output)
        sys.exit(ExitCode.USAGE)
    except click.Abort:
        sys.exit(130)
    except ClientError as error:
        if isinstance(error, NotWritten):
            silence(sys.stdout)
        output.error(error, _next_step(error, profile))
        sys.exit(error.exit_code)
    except ReaderGone:
        # Nothing to say, and nobody to say it to.
        silence(sys.stdout)
        sys.exit(ExitCode.OK)
    except OSError as error:
        # Only help texts are printed past `Output`.
        if error.errno not in _NO_ROOM:
            raise
        silence(sys.stdout)
        output.error(NotWritten(error, "Free some space and run it again."))
        sys.exit(ExitCode.STORAGE)


def _next_step(error: ClientError, profile: str | None) -> str:
    """What to do next where the error itself cannot know: nothing, or a sentence."""
    if not isinstance(error, NotFoundError):
        return ""
    from clients.config import chosen_profile

    path = chosen_profile(profile)
    return "" if (path / "profile.json").exists() else without_profile(path)


def _say_usage(error: click.ClickException, output: Output) -> None:
    """What is wrong with the words of the command; with `--json` as one object, like every other error."""
    hint = on_usage(error)
    if not output.as_json:
        error.show()
        if hint is not None:
            output.note(hint)
    elif isinstance(error, click.exceptions.NoArgsIsHelpError):
        output.failed(ExitCode.USAGE, f"A command is missing. See: {error.ctx.command_path} --help")
    else:
        said = error.format_message()
        output.failed(ExitCode.USAGE, said if hint is None else f"{said.rstrip('.')}. {hint}")
