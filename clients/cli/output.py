"""What the terminal gets to see.

Owns printing: one JSON object a line with `--json`, else text in which nothing that others wrote can move the
cursor, change colours or reverse the reading direction.
"""

import contextlib
import io
import json
import os
import shlex
import sys
import textwrap
import unicodedata
from typing import TYPE_CHECKING, Final, TextIO

import click

from clients.cli.hints import for_profile
from clients.errors import ClientError, ExitCode, StorageError

if TYPE_CHECKING:
    from clients.local.stdout import Writer

_BIDI: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def safe(text: str, *, keep_lines: bool = True) -> str:
    """`text` with control and bidi characters shown as escapes; line feeds and tabs stay if `keep_lines`."""
    kept = "\n\t" if keep_lines else ""

    def shown(c: str) -> str:
        if c in kept or (unicodedata.category(c) not in ("Cc", "Cs", "Zl", "Zp") and c not in _BIDI):
            return c
        return f"\\u{ord(c):04x}" if ord(c) > 0xFF else f"\\x{ord(c):02x}"

    return text if text.isprintable() else "".join(map(shown, text))


def quoted(name: str) -> str:
    """A name in a sentence: on one line, harmless, between quotation marks."""
    shown = safe(name, keep_lines=False)
    return f'"{shown}"' if "'" in shown else f"'{shown}'"


def typed(name: str) -> str:
    """A name in a command that a reader may copy, as a shell takes it."""
    return shlex.quote(safe(name, keep_lines=False))


def fitted(text: str, width: int) -> str:
    """`text` broken between words for a terminal; a command at the end stays whole, to be copied."""
    rows: list[str] = []
    for line in text.split("\n"):
        head, colon, command = line.rpartition(": blindpost ")
        if not colon:
            head, command = line, ""
        broken = textwrap.wrap(f"{head}:" if colon else head, width, break_long_words=False,
                               break_on_hyphens=False) or [""]  # fmt: skip
        if colon:
            command = f"blindpost {command}"
            if len(broken[-1]) + 1 + len(command) <= width:
                broken[-1] += f" {command}"
            else:
                broken.append(command)
        rows += [line] if len(line) <= width else broken
    return "\n".join(rows)


class ReaderGone(Exception):
    """Whoever read our output has closed it, as `head` does."""


class NotWritten(StorageError):
    """Stdout takes no more: a full disk, most often. What the command did is done."""

    def __init__(self, error: OSError, then: str) -> None:
        super().__init__(f"The output cannot be written: {error.strerror}. {then}")


def silence(stream: TextIO | None) -> None:
    """What is written there from now on, and what is still in its buffer, goes nowhere."""
    with contextlib.suppress(AttributeError, OSError, io.UnsupportedOperation):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())  # type: ignore[union-attr]  # it was open a moment ago
        os.close(null)


def _safe_json(value: dict[str, object]) -> str:
    """JSON on one line for every reader: what `safe` escapes is escaped the way of JSON."""
    encoding = getattr(sys.stdout, "encoding", None) or ""
    text = json.dumps(value, ensure_ascii=encoding.lower() not in ("utf-8", "utf8"))
    return text if text.isprintable() else "".join(c if safe(c) == c else f"\\u{ord(c):04x}" for c in text)


class Output:
    """Where a command's results go."""

    def __init__(self, *, as_json: bool, profile: str | None = None) -> None:
        self.as_json = as_json
        self._profile = profile  # as --profile chose it

    def own(self, text: str) -> str:
        """A sentence of ours, with its commands for the profile that was chosen."""
        return for_profile(text, self._profile)

    def result(
        self, value: dict[str, object], text: str, *, else_do: str = "Free some space and run it again."
    ) -> None:
        """One result: the object with `--json`, else the text. On stdout, flushed.

        Raises ReaderGone, or NotWritten, which ends with `else_do`: what to do when it cannot be written.
        """
        self._print(_safe_json(value) if self.as_json else text, else_do)

    async def result_in_time(
        self, writer: "Writer", value: dict[str, object], text: str, *, else_do: str
    ) -> None:
        """As `result`, holding up nothing else while nobody reads stdout."""
        line = (_safe_json(value) if self.as_json else text) + "\n"
        try:
            sys.stdout.flush()
            await writer.write(line.encode(sys.stdout.encoding or "ascii", "backslashreplace"))
        except BrokenPipeError:
            raise ReaderGone from None
        except OSError as error:
            raise NotWritten(error, else_do) from None

    def heading(self, text: str) -> None:
        """A line between results that only people need."""
        if not self.as_json:
            self._print(text, "Free some space and run it again.")

    def _print(self, line: str, else_do: str) -> None:
        try:
            click.echo(line)
        except BrokenPipeError:
            raise ReaderGone from None
        except OSError as error:
            raise NotWritten(error, else_do) from None

    def note(self, text: str, *, is_theirs: bool = False) -> None:
        """A diagnostic for people, on stderr. Part of it may be a relay's words.

        `is_theirs`: the command in it is for somebody else to type.
        """
        try:
            width = os.get_terminal_size(sys.stderr.fileno()).columns
        except (AttributeError, OSError, ValueError):
            width = 0  # no terminal
        said = safe(text if is_theirs else self.own(text))
        self._say(fitted(said, width) if width else said)

    def _say(self, text: str) -> None:
        try:
            click.echo(text, err=True)
        except OSError:
            silence(sys.stderr)  # nobody can be told

    def error(self, error: ClientError, next_step: str = "") -> None:
        """Why the command failed, on stderr, and what to do next where the error does not say it."""
        if self.as_json:
            self.failed(error.exit_code, f"{error} {next_step}".replace("\n", " ").rstrip())
        else:
            self.note(f"blindpost: {error}\n{next_step}".rstrip())

    def failed(self, code: ExitCode, message: str) -> None:
        """An error as an object, on stderr."""
        said = {"error": code.name, "exit_code": int(code), "message": self.own(message)}
        self._say(safe(json.dumps(said)))

    def qr(self, text: str) -> None:
        """A QR code for a phone or another terminal, on stderr."""
        import segno

        try:
            "█▀▄".encode(getattr(sys.stderr, "encoding", None) or "ascii")
        except UnicodeEncodeError:
            self.note("This terminal cannot show a QR code, which needs UTF-8. Use the text.")
            return
        self.note("")
        segno.make(text, error="l", micro=False).terminal(out=sys.stderr, compact=True, border=2)
