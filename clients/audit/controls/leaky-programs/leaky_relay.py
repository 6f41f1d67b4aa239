"""NOT A RELAY TO USE: the real one, made to leak on purpose, so that an audit can show that it would notice.

    python -P leaky_relay.py LEAK DIRECTORY FLAGS...

serves like `python -m relay FLAGS...`, with one leak. It is a red control of `blindpost audit`, and runs only
in a directory that a control has made and marked, over a data directory inside of it. No flag, variable or
file makes the real relay do any of this. No import statement can name this file: its folder is no package.

A relay gets no plaintext from its users. This one takes it as a relay could on a user's own machine: it opens
the stores of profiles below DIRECTORY whose key lies beside them. What it does with it differs.
"""

import contextlib
import ctypes
import logging
import mmap
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import apsw
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse

from relay import __main__, app, server
from relay.data_directory import DATABASE
from relay.lanes import Batch
from relay.logs import LOGGER
from relay.metrics import Metrics
from relay.submission import Submission

MARK: Final = "red-control"  # a file in the directory
SENT_TEXT: Final = 1  # `Kind.TEXT` in a client's store

# Keeps what it reads until its parent ends, and says so.
KEEPER: Final = """
import sys
kept = []
for line in sys.stdin:
    kept.append(line)
    print("kept", flush=True)
"""

Leak = Callable[[str], None]


def in_the_log(data: Path) -> Leak:
    """A line of the log."""
    return lambda text: logging.getLogger(LOGGER).debug("message: %s", text)


def in_the_log_as_utf_16(data: Path) -> Leak:
    """Written to stderr by a program that takes two bytes for a character."""

    def leak(text: str) -> None:
        sys.stderr.buffer.write(f"{text}\n".encode("utf-16"))
        sys.stderr.buffer.flush()

    return leak


def on_stdout(data: Path) -> Leak:
    """A forgotten print."""
    return lambda text: print("message:", text, flush=True)


def in_a_metric(data: Path) -> Leak:
    """A label of a counter."""
    texts, usual = set[str](), Metrics.render

    def render(self: Metrics) -> bytes:
        for text in texts:
            self._refused.labels(text).inc()
        return usual(self)

    Metrics.render = render  # type: ignore[method-assign]
    return texts.add


def in_an_error(data: Path) -> Leak:
    """The body of 404."""
    texts, usual = list[str](), app.create_app

    async def not_found(request: Request, error: Exception) -> PlainTextResponse:
        return PlainTextResponse(f"nothing here; the last message was {texts[-1:]}\n", 404)

    def create_app(relay: app.Relay) -> FastAPI:
        made = usual(relay)
        made.add_exception_handler(404, not_found)
        return made

    server.create_app = create_app  # type: ignore[attr-defined]  # what it has imported
    return texts.append


def in_a_column(data: Path) -> Leak:
    """A table of its own in the database."""

    def leak(text: str) -> None:
        with _database(data) as database:
            database.execute("CREATE TABLE IF NOT EXISTS notes (text TEXT NOT NULL)")
            database.execute("INSERT INTO notes VALUES (?)", (text,))

    return leak


def in_a_long_row(data: Path) -> Leak:
    """Compressed, behind much else, in a row that takes more than a page of the database."""

    def leak(text: str) -> None:
        value = zlib.compress(repr(list(range(5000))).encode() + text.encode())
        with _database(data) as database:
            database.execute("CREATE TABLE IF NOT EXISTS archive (value BLOB NOT NULL)")
            database.execute("INSERT INTO archive VALUES (?)", (value,))

    return leak


def in_a_deleted_row(data: Path) -> Leak:
    """The same, and deleted at once: no table has it any more, but the pages that were freed, and the log."""

    def leak(text: str) -> None:
        with _database(data) as database:
            database.pragma("secure_delete", "OFF")
            database.execute("CREATE TABLE notes (text TEXT NOT NULL)")
            database.execute("INSERT INTO notes VALUES (?)", (text,))
            database.execute("DROP TABLE notes")

    return leak


def in_a_file_without_a_name(data: Path) -> Leak:
    """A temporary file that no directory knows."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process lives

    def leak(text: str) -> None:
        file.write(text.encode())
        file.flush()

    return leak


def in_memory(data: Path) -> Leak:
    """Kept, and written nowhere."""
    return list[str]().append


def in_memory_out_of_reach(data: Path) -> Leak:
    """In pages that the process may not read itself, until it allows it to itself again."""
    libc = ctypes.CDLL(None, use_errno=True)
    pages: list[mmap.mmap] = []

    def leak(text: str) -> None:
        page = mmap.mmap(-1, mmap.PAGESIZE)  # shared: listed under a name, and told from the heap by it
        page.write(text.encode())
        start = ctypes.addressof(ctypes.c_char.from_buffer(page))
        if libc.mprotect(ctypes.c_void_p(start), ctypes.c_size_t(mmap.PAGESIZE), 0):
            raise OSError(ctypes.get_errno(), "mprotect")
        pages.append(page)

    return leak


def in_a_child(data: Path) -> Leak:
    """Handed to a process of its own, which keeps it."""
    child = subprocess.Popen([sys.executable, "-c", KEEPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    words, answers = child.stdin, child.stdout

    def leak(text: str) -> None:
        words.write(f"{text}\n".encode())
        words.flush()
        answers.readline()

    return leak


def nowhere(data: Path) -> Leak:
    """Forgotten at once: what a control's finding is owed to, is the leak."""
    return lambda text: None


LEAKS: Final[dict[str, Callable[[Path], Leak]]] = {
    leak.__name__: leak
    for leak in (
        in_the_log, in_the_log_as_utf_16, on_stdout, in_a_metric, in_an_error, in_a_column, in_a_long_row,
        in_a_deleted_row, in_a_file_without_a_name, in_memory, in_memory_out_of_reach, in_a_child, nowhere,
    )
}  # fmt: skip


@contextlib.contextmanager
def _database(data: Path) -> Iterator[apsw.Connection]:
    """A connection to the relay's database beside the relay's own."""
    connection = apsw.Connection(str(data / DATABASE))
    connection.set_busy_timeout(5000)
    try:
        yield connection
    finally:
        connection.close()


def texts_below(directory: Path) -> Iterator[str]:
    """All texts in the stores of profiles that their key lies beside of."""
    for key in sorted(directory.rglob("profile.key")):
        store = apsw.Connection(str(key.with_name("store.db")), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            store.pragma("key", f"raw:{key.read_text().strip()}")
            store.pragma("query_only", "ON")
            for (body,) in store.execute("SELECT body FROM messages WHERE kind = ?", (SENT_TEXT,)):
                yield bytes(body).decode()
        finally:
            store.close()


def leak_at_every_put(directory: Path, leak: Leak) -> None:
    """Whenever a frame is put, look for what is new: a receipt is put once its text is in a store."""
    known, usual = set[str](), Submission.put

    def put(self: Submission, batch: Batch) -> None:
        for text in texts_below(directory):
            if text not in known:
                known.add(text)
                leak(text)
        usual(self, batch)

    Submission.put = put  # type: ignore[method-assign]


def main() -> None:
    """Serve with a leak, in the directory of a control."""
    name, directory, *flags = sys.argv[1:]
    data = Path(flags[flags.index("--data-directory") + 1])
    if not (Path(directory) / MARK).is_file() or not data.is_relative_to(directory):
        sys.exit(
            "This relay leaks on purpose: only a control of 'blindpost audit' starts it, in its directory."
        )
    leak_at_every_put(Path(directory), LEAKS[name](data))
    __main__.main(flags)


if __name__ == "__main__":
    main()
