"""What a typed line means: a text to send, or a command.

Owns the words behind the slash and their help. Pure: it does nothing but read.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

HISTORY_MAX: Final = 2_000


class Verb(Enum):
    """What there is to do. The value is the word that is typed behind the slash."""

    SAY = ""
    HELP = "help"
    REPLY = "reply"
    ACCEPT = "accept"
    BLOCK = "block"
    SWITCH = "switch"
    CONTACTS = "contacts"
    VERIFY = "verify"
    SEARCH = "search"
    HISTORY = "history"
    QUIT = "quit"
    NOTHING = "nothing"  # an empty line
    WRONG = "wrong"  # `text` says why


@dataclass(frozen=True, slots=True)
class Command:
    """A verb with its words. `number` is that of /reply N and /history N."""

    verb: Verb
    text: str = ""
    number: int | None = None


# Per command: how it is written, and what it does.
USAGES: Final = {
    Verb.REPLY: ("/reply [N [TEXT]]", "answer message N; alone: the last nine. Alt-R: the newest"),
    Verb.SEARCH: ("/search WORDS", "find messages of this conversation"),
    Verb.HISTORY: ("/history N", "load more; PageUp, PageDown, Ctrl-Home, Ctrl-End scroll"),
    Verb.SWITCH: ("/switch NAME", "go to another conversation"),
    Verb.CONTACTS: ("/contacts", "who there is, and who has written"),
    Verb.VERIFY: ("/verify [DIGITS]", "show the safety number, or compare the other side's"),
    Verb.ACCEPT: ("/accept [NAME]", "make this request a contact"),
    Verb.BLOCK: ("/block [NAME]", "drop whatever this contact sends from now on"),
    Verb.HELP: ("/help", "this"),
    Verb.QUIT: ("/quit", "leave; Ctrl-D too, and Ctrl-C on an empty line"),
}
_WORDS: Final = {verb.value: verb for verb in USAGES}
_LEAVING: Final = ("q", "exit", "bye", "leave", "part", "close")  # what other programs call it
_ALONE: Final = (Verb.HELP, Verb.CONTACTS, Verb.QUIT)


def parse(line: str) -> Command:
    """The meaning of a line that was typed, without the line feed that ended it."""
    if not line.strip():
        return Command(Verb.NOTHING)
    if not line.startswith("/"):
        return Command(Verb.SAY, line)
    if line.startswith("//"):
        return Command(Verb.SAY, line[1:])
    word, _, rest = line[1:].partition(" ")
    rest = rest.strip()
    verb = _WORDS.get(word.strip())
    if verb is None and word.strip() in _LEAVING:
        return Command(Verb.WRONG, f"There is no command /{word.strip()}. To leave: /quit, or Ctrl-D.")
    if verb is None:
        return Command(
            Verb.WRONG,
            f"There is no command /{word.split()[0] if word.split() else ''}. /help lists them all; "
            "to send a text that begins with a slash, begin it with two: //",
        )
    if verb in _ALONE and rest:
        return _wrong(verb)
    if verb is Verb.REPLY:
        return _reply(rest)
    if verb is Verb.HISTORY:
        number = _number(rest, HISTORY_MAX)
        return Command(verb, number=number) if number else _wrong(verb, f", with N from 1 to {HISTORY_MAX}")
    if verb in (Verb.SEARCH, Verb.SWITCH) and not rest:
        return _wrong(verb)
    return Command(verb, rest)


def _wrong(verb: Verb, more: str = "") -> Command:
    return Command(Verb.WRONG, f"Say {USAGES[verb][0]}{more}.")


def _number(text: str, most: int) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) < 8):
        return None
    return int(text) if 1 <= int(text) <= most else None


def _reply(rest: str) -> Command:
    if not rest:
        return Command(Verb.REPLY)
    first, _, text = rest.partition(" ")
    number = _number(first, 9)
    if number is None:
        return _wrong(Verb.REPLY, ", with N from 1 to 9, where 1 is the newest")
    return Command(Verb.REPLY, text.strip(), number)


def help_lines() -> list[str]:
    """The commands and keys, one a line."""
    wide = max(len(usage) for usage, _ in USAGES.values())
    return [
        *(f"{usage:{wide}}  {meaning}" for usage, meaning in USAGES.values()),
        f"{'//TEXT':{wide}}  send a text that begins with a slash",
        f"{'Alt-Enter':{wide}}  a new line; Up and Down: what you wrote before",
        f"{'Esc':{wide}}  take these lines away; stop answering",
    ]
