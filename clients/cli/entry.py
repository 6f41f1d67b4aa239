"""The entry point of `blindpost`: puts the commands together, and turns errors into exit codes.

Owns the order of the commands in `--help`, and what is said when one fails.
"""

import io
import os
import sys

import click

from clients.cli import contacts, identity, messages, relay
from clients.cli.output import Output, ReaderGone
from clients.cli.program import program
from clients.errors import ClientError, ExitCode


def main() -> None:
    """The entry point of `blindpost`."""
    for command in (
        relay.relay, identity.init, identity.address, contacts.contact, messages.send, messages.listen,
        messages.history, identity.trust_relay,
    ):  # fmt: skip
        program.add_command(command)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # no terminal's character set may stop a message
    as_json = "--json" in sys.argv[1:]
    try:
        program.main(standalone_mode=False)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(ExitCode.USAGE)
    except click.Abort:
        sys.exit(130)
    except ClientError as error:
        Output(as_json=as_json).error(error)
        sys.exit(error.exit_code)
    except ReaderGone:
        # Nothing to say, and nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.OK)
