"""`blindpost history`: the conversation with somebody, searched, limited or written to a file."""

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from clients.cli.asking import Json, messages_backwards, with_line
from clients.cli.message_lines import message_line, words
from clients.cli.moments import LOCAL, MOMENT
from clients.cli.output import Output, quoted
from clients.cli.program import ANYBODY, WORD, Settings, common_options, is_terminal, pass_settings
from clients.errors import StorageError, UsageError

if TYPE_CHECKING:
    from clients.local.access import Line
    from clients.model import Message

USUAL: Final = 50
SAY_EVERY: Final = 1.0  # seconds between words about the progress


@click.command()
@click.argument("name", type=ANYBODY)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    help=f"How many, from the last. Without --since, --search and --export: {USUAL}; else all.",
)
@click.option(
    "--since", type=MOMENT, metavar="WHEN", help="Sent since WHEN: 30m, 2h, 3d, 1w, today, yesterday, a date."
)
@click.option("--search", type=WORD, metavar="TEXT", help="With every word of TEXT in it, in whatever case.")
@click.option(
    "--export",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write them to FILE.html (to read) or FILE.ndjson (for programs), for your eyes alone.",
)
@common_options
@pass_settings
def history(
    settings: Settings,
    name: str,
    limit: int | None,
    since: int | None,
    search: str | None,
    file: Path | None,
) -> None:
    """Print the conversation with NAME, oldest first. It is on this machine alone.

    \b
    Examples:  blindpost history bob --since yesterday
               blindpost history bob --search "train ticket"
               blindpost history bob --export bob.html
    """
    if file is not None and file.suffix not in (".html", ".ndjson"):
        raise UsageError("Which form shall the file have? Name it FILE.html, to read, or FILE.ndjson.")
    if limit is None and since is None and search is None and file is None:
        limit = USUAL
    which = {key: value for key, value in (("since_ms", since), ("search", search)) if value is not None}
    if file is not None:
        _export(settings, name, file, limit, **which)
        return

    async def work(line: "Line") -> list[Json]:
        progress = _Progress(settings.output)
        who = str((await line.call("contact", name=name))["name"])  # it may be given by its address
        return [progress.seen(found) async for found in messages_backwards(line, who, limit, **which)][::-1]

    messages = with_line(settings, work)
    texts: dict[str, str] = {}
    for message in messages:
        settings.output.result(message, message_line(message, texts.get(message["reply_to"] or "")))
        texts[message["id"]] = words(message)
    if not messages and not settings.as_json:
        no = f"No messages with {quoted(name)}"
        settings.output.note(f"{no} are like that." if which else f"{no} yet.")


class _Progress:
    """Says on a terminal how far a long reading is."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._is_watched = is_terminal(sys.stderr)
        self._said = time.monotonic()
        self._count = 0

    def seen(self, message: Json) -> Json:
        """The message itself; it is counted."""
        self._count += 1
        if self._is_watched and time.monotonic() > self._said + SAY_EVERY:
            self._said = time.monotonic()
            self._output.note(f"{self._count:,} messages read ...")
        return message


def _export(settings: Settings, name: str, file: Path, limit: int | None, **which: Any) -> None:
    from clients.export import html_page, ndjson
    from clients.local.values import contact_from, message_from

    encoded: list[bytes] = []  # the newest first; a history in memory is smaller in this form
    places: dict[bytes, int] = {}

    async def work(line: "Line") -> Json:
        progress = _Progress(settings.output)
        contact: Json = await line.call("contact", name=name)
        async for found in messages_backwards(line, contact["name"], limit, **which):
            progress.seen(found)
            places[bytes.fromhex(found["id"])] = len(encoded)
            encoded.append(json.dumps(found).encode())
        return contact

    contact = contact_from(with_line(settings, work))

    def find(message_id: bytes) -> "Message | None":
        place = places.get(message_id)
        return None if place is None else message_from(json.loads(encoded[place]))

    messages = (message_from(json.loads(line)) for line in reversed(encoded))
    is_page = file.suffix == ".html"
    _write_whole(file, html_page(contact, messages, find, LOCAL) if is_page else ndjson(messages))
    count = "1 message" if len(encoded) == 1 else f"{len(encoded):,} messages"
    settings.output.result(
        {"file": str(file), "messages": len(encoded)},
        f"{count} with {quoted(contact.name)} written to {file}. Whoever has the file can read them.",
        else_do="The file is written all the same.",
    )


def _write_whole(file: Path, pieces: Iterator[str]) -> None:
    """Write a file of mode 0600, whole or not at all. Raises StorageError."""
    try:
        descriptor, unfinished = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
        try:
            with open(descriptor, "w", encoding="utf-8") as out:
                out.writelines(pieces)
                out.flush()
                os.fsync(out.fileno())
            os.replace(unfinished, file)
        except BaseException:
            os.unlink(unfinished)
            raise
    except OSError as error:
        raise StorageError(f"The file {file} cannot be written: {error.strerror}.") from None
