"""What to type instead: the next command where one is missing, in the words that the reader can copy.

Owns the mistakes that people make with the words of a command, and how a command is written for a profile
that was chosen with --profile. Knows no command's work.
"""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

_OWN: Final = re.compile(
    r"(?<!`)\bblindpost (?="
    r"(?:init|account|address|settings|contact|chat|send|listen|history|serve|doctor|trust-relay)\b)"
)
_ADDRESS: Final = re.compile(r"bp1", re.IGNORECASE)
_WRAPPING: Final = "<>\"'`,;()[]"
_SHOWN_MAX: Final = 5  # profiles that are named

# What people type, and what it is called here.
_CALLED: Final = {
    "help": "--help",
    "version": "--version",
    "list": "contact list",
    "contacts": "contact list",
    "friends": "contact list",
    "message": "send",
    "msg": "send",
    "write": "send",
    "talk": "chat",
    "read": "listen",
    "receive": "listen",
    "inbox": "listen",
    "log": "history",
    "search": "history NAME --search TEXT",
    "export": "history NAME --export FILE",
    "register": "init",
    "setup": "init",
    "unregister": "account delete",
    "whoami": "address",
    "profile": "--profile NAME",
    "status": "doctor",
    "server": "relay",
}
# What to type where a command got more words than it takes.
_TOO_MANY: Final = {
    "send": 'Put the text between quotes: blindpost send NAME "TEXT"',
    "chat": 'To send one message: blindpost send NAME "TEXT"',
    "init": "The relay comes behind --relay: blindpost init --relay URL",
    "settings": "For example: blindpost settings --presence off",
    "sharing": "For example: blindpost contact sharing NAME --read off",
    "history": "To search: blindpost history NAME --search TEXT",
    "add": "Put a name with blanks between quotes: blindpost contact add 'NAME' ADDRESS",
    "accept": "Put a name with blanks between quotes: blindpost contact accept REQUEST 'NAME'",
    "rename": "Put names with blanks between quotes: blindpost contact rename 'NAME' 'NEW'",
}


def for_profile(text: str, profile: str | None) -> str:
    """`text` with its commands for this profile, to be copied; between backquotes they are of no profile."""
    if not profile:
        return text
    chosen = f"blindpost --profile {shlex.quote(profile)} "
    return _OWN.sub(lambda _: chosen, text)


def profile_given(words: Sequence[str]) -> str | None:
    """What --profile chooses among the words of a command line."""
    given = None
    for index, word in enumerate(words):
        if word == "--":
            break
        if word == "--profile" and index + 1 < len(words):
            given = words[index + 1]
        elif word.startswith("--profile="):
            given = word.removeprefix("--profile=")
    return given


def as_pasted(word: str) -> str:
    """An address without the blanks, line breaks, quotes and capitals that copying gave it; else the word."""
    start = word.lstrip().lstrip(_WRAPPING).lstrip()
    if not _ADDRESS.match(start):
        return word
    bare = "".join(start.split()).strip(_WRAPPING)
    return bare.lower() if bare.isupper() else bare


def on_usage(error: click.ClickException) -> str | None:
    """One more sentence about a mistake with the words of a command, where there is one to say."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = str(context.command.name) if context is not None else ""
    if isinstance(error, click.NoSuchOption):
        if command == "send" and not error.possibilities:
            return "A text that begins with - comes behind --: blindpost send NAME -- TEXT"
        return None
    said = error.format_message()
    if said.startswith("Got unexpected extra argument"):
        return _TOO_MANY.get(command)
    if isinstance(context and context.command, click.Group) and said.startswith("No such command"):
        assert context is not None
        return _instead(context, said)
    return None


def _instead(context: click.Context, said: str) -> str | None:
    """What the command is called that somebody meant."""
    tried = said.split("'")[1] if said.count("'") > 1 else ""
    root = context.find_root().command
    people = root.commands.get("contact") if isinstance(root, click.Group) else None
    if context.command is root and isinstance(people, click.Group) and tried in people.commands:
        return f"Perhaps: blindpost contact {tried}"
    if context.command is root and tried in _CALLED:
        return f"Perhaps: blindpost {_CALLED[tried]}"
    if context.command is not root and isinstance(root, click.Group) and tried in root.commands:
        return f"Perhaps: blindpost {tried}"
    return None


def without_profile(path: Path) -> str:
    """What somebody can do who has no profile in `path`."""
    found = "Or, with a line that somebody gave you: blindpost chat LINE"
    try:
        others = sorted(each.name for each in path.parent.iterdir() if (each / "profile.json").exists())
    except OSError:
        others = []
    if not others:
        return found
    named = ", ".join(others[:_SHOWN_MAX]) + (" and more" if others[_SHOWN_MAX:] else "")
    return f"{found}\nThere are profiles with other names, to choose with --profile: {named}"
