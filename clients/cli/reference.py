"""`python -m clients.cli.reference`: docs/cli.md, written from the program itself.

Owns the form of that page. What stands in it is the help of each command: nothing is described twice.
"""

import inspect
import textwrap
from typing import Any, Final

import click

from clients.cli.program import PROGRAM_NAME
from clients.errors import ExitCode

COMMON: Final = ("profile", "as_json", "passphrase_file", "help", "version")
MEANINGS: Final = {
    ExitCode.OK: "done",
    ExitCode.INTERNAL: "a bug of ours",
    ExitCode.USAGE: "wrong usage",
    ExitCode.NOT_FOUND: "no such profile, contact or account",
    ExitCode.QUEUED: "queued safely, the relay has not accepted yet",
    ExitCode.RELAY: "the relay cannot be reached, or refused",
    ExitCode.TRUST: "a key or device list is not the one known before, a safety number is another, "
    "or a report is not what was signed",
    ExitCode.LOCKED: "wrong passphrase, or the profile is in use",
    ExitCode.TOO_LARGE: "over 65,000 bytes",
    ExitCode.OUTBOX_FULL: "10,000 messages or 256 MiB wait to be sent already",
    ExitCode.STORAGE: "the store, or the output, cannot be written or read",
    ExitCode.AUDIT: "an audit found something, or could not see everything",
}
HEAD: Final = """# The command line

Written by `python -m clients.cli.reference` from the program: `blindpost COMMAND --help` says the same.

Messages and results go to stdout, everything else to stderr. These options may stand before or after the name
of any command but `relay`:

"""
PROXY: Final = """## A proxy

With `BLINDPOST_PROXY=http://[USER:PASSWORD@]HOST:PORT` in the environment, every connection of a client, to
any relay, goes through this HTTP proxy (by CONNECT; with `https://` it is spoken to in TLS itself), which
also looks up the relay's name. Nothing is dialled past it: where it does not connect, nothing is sent.
`doctor` goes through it, too. `@` and `%` in a password are written as `%40` and `%25`. SOCKS proxies are
not supported; Tor has an HTTP one (`HTTPTunnelPort`). Where another process of the same profile runs
(`chat`, `listen`, `serve`), the commands beside it use its connections, and so its proxy.
"""
SIGNALS: Final = "| 129, 130, 143 | its terminal was closed, interrupted (Ctrl-C), terminated |"


def page(program: click.Group) -> str:
    """The whole page."""
    context = click.Context(program, info_name=PROGRAM_NAME, terminal_width=100)
    common = [param for param in program.params if param.name in COMMON]
    parts = [HEAD + _options(context, common), PROXY]
    codes = "\n".join(f"| {int(code)} | {MEANINGS[code]} |" for code in ExitCode)
    parts.append(f"## Exit codes\n\n| code | |\n|---:|---|\n{codes}\n{SIGNALS}\n")
    sections = getattr(program, "sections", {}) or {"Commands": program.list_commands(context)}
    for title, names in sections.items():
        parts.append(f"## {title}\n")
        for name in names:
            parts += _command(program.commands[name], context)
    return "\n".join(parts)


def _command(command: click.Command, parent: click.Context) -> list[str]:
    """A command, or each command of a group behind what the group says of itself."""
    context = click.Context(command, info_name=command.name, parent=parent, terminal_width=100)
    own = [param for param in command.params if isinstance(param, click.Option) and param.name not in COMMON]
    usage = " ".join(command.collect_usage_pieces(context))
    part = f"### {context.command_path}\n\n```text\n{context.command_path} {usage}\n```\n\n{_help(command)}"
    if own:
        part += "\n" + _options(context, own)
    parts = [part]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            parts += _command(command.commands[name], context)
    return parts


def _help(command: click.Command) -> str:
    """Paragraphs in lines of the page; what click prints as it stands, in a box."""
    shown = []
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        if paragraph.startswith("\b"):
            shown.append("```text\n" + textwrap.dedent(paragraph.removeprefix("\b\n")).rstrip() + "\n```\n")
        else:
            words = " ".join(paragraph.split())
            shown.append(textwrap.fill(words, 120, break_long_words=False, break_on_hyphens=False) + "\n")
    return "\n".join(shown)


def _options(context: click.Context, params: list[Any]) -> str:
    records = [record for param in params if (record := param.get_help_record(context))]
    lines = [f"| `{_cell(words)}` | {_cell(text)} |" for words, text in records]
    return "| option | |\n|---|---|\n" + "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    from clients.cli.entry import assemble

    click.echo(page(assemble()), nl=False)
