"""`blindpost relay restore`: put a backup where a relay can run on it.

Owns the command. It overwrites nothing, and says what an older state means.
"""

import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import apsw

from relay import data_directory
from relay.auth import RelayKey
from relay.commands.backup import copy_key, described
from relay.commands.output import Progress, say
from relay.complaints import OperatorError, reason
from relay.config import command_parser, settle
from relay.data_directory import DATABASE, KEY
from relay.store.copies import Contents, copy
from relay.store.life import look, move_ahead
from relay.store.mark import Mark, MarkError, mark_path, read_mark, write_mark
from relay.store.schema import open_writer, sync_directory, unusable


def _refuse_to_overwrite(directory: Path, source: Path) -> None:
    for name in (DATABASE, DATABASE + "-wal"):
        if (directory / name).exists() and (name == DATABASE or (directory / name).stat().st_size):
            raise OperatorError(
                f"{directory / name} is there already, and nothing is overwritten; move it away first, or "
                "choose another --data-directory"
            )
    here, there = directory / KEY, source / KEY
    if here.exists() and there.exists() and RelayKey.load(here).public != RelayKey.load(there).public:
        raise OperatorError(
            f"{here} is another key than the backup's; move it away to take that, or move {there} away to "
            "keep this one"
        )


def _noted(directory: Path) -> Mark | None:
    """How far the store that was here had come, if that is known."""
    with suppress(MarkError):
        return read_mark(mark_path(directory / DATABASE))
    return None


def _place(directory: Path, source: Path, noted: Mark | None) -> tuple[Contents, Mark]:
    """The database last: a relay that is started before finds nothing, or everything."""
    arriving = directory / "arriving"
    shutil.rmtree(arriving, ignore_errors=True)
    arriving.mkdir(0o700)
    try:
        contents = copy(source / DATABASE, arriving / DATABASE, Progress())
        connection, _ = open_writer(arriving / DATABASE)
        try:
            before = look(connection)
            move_ahead(connection, 0 if noted is None else noted.base)
            stored = look(connection)
            connection.execute("UPDATE life SET is_marked = 1")
            connection.pragma("journal_mode", "DELETE")
        except apsw.Error as error:
            raise unusable(arriving / DATABASE, error) from error
        finally:
            connection.close()
        if (source / KEY).exists() and not (directory / KEY).exists():
            copy_key(source / KEY, arriving / KEY)
            (arriving / KEY).rename(directory / KEY)
        (arriving / DATABASE).rename(directory / DATABASE)
        write_mark(mark_path(directory / DATABASE), stored)
        sync_directory(directory)
    finally:
        shutil.rmtree(arriving, ignore_errors=True)
    return contents, before


def run(arguments: Sequence[str]) -> None:
    """Restore a backup."""
    parser = command_parser(
        "restore",
        "Put a backup into a data directory that holds no database. It is read through first. The relay that "
        "ran there must be stopped.",
        ("data_directory",),
    )
    parser.add_argument("source", type=Path, metavar="SOURCE", help="the directory that backup made")
    parser.add_argument("--json", action="store_true", help="print the result as a JSON object")
    flags = parser.parse_args(arguments)
    source: Path = flags.source.absolute()
    directory = settle(vars(flags)).data_directory
    data_directory.prepare(directory)
    with data_directory.only_one(directory):
        _refuse_to_overwrite(directory, source)
        noted = _noted(directory)
        try:
            contents, before = _place(directory, source, noted)
        except OSError as error:
            raise OperatorError(
                f"{directory} cannot be written: {reason(error)}; check its owner, permissions and disk"
            ) from error
    missing = None
    if noted is not None and noted.store == before.store:
        missing = max(noted.frames - before.frames, 0)
    has_key = (directory / KEY).exists()
    if flags.json:
        said = {"event": "restore", "path": str(directory), "key": has_key, "frames_since": missing}
        say(json.dumps(said | {"bytes": contents.bytes, "mailboxes": contents.mailboxes,
                               "frames": contents.frames, "damaged": contents.damaged}))  # fmt: skip
        return
    say(f"Restored in {directory}: {described(contents)}.")
    if missing is not None:
        say(f"{missing:,} frames were accepted after this backup was made.")
    say(
        "Everything is as it was when the backup was made. What arrived since then and was not fetched is "
        "gone; what was fetched since then comes again, and clients drop it. Sequences move ahead, so that "
        "none is given twice."
    )
    if not has_key:
        say(f"There is no {KEY}: the relay makes a new one, which clients refuse until their users agree.")
