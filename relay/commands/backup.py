"""`blindpost relay backup`: a copy of what a relay holds, made while it runs.

Owns the command and the form of a backup: a directory with relay.db and, unless it is left out, relay.key.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from relay.auth import RelayKey
from relay.commands.output import Progress, say
from relay.complaints import OperatorError, reason
from relay.config import command_parser, settle
from relay.data_directory import DATABASE, KEY
from relay.store.copies import Contents, copy
from relay.store.schema import sync_directory


def copy_key(source: Path, target: Path) -> None:
    """Copy a relay's key durably, 0600. Raises OSError, or OperatorError where it is no key."""
    RelayKey.load(source)
    descriptor = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        os.write(descriptor, source.read_bytes())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make(directory: Path, destination: Path, with_key: bool) -> Contents:
    """Under another name first: what has the name is complete."""
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise OperatorError(f"{destination} is there already; name a directory that is not there yet")
    if with_key and not (directory / KEY).exists():
        raise OperatorError(
            f"{directory / KEY} is not there; name the relay's --data-directory, or leave the key out with "
            "--without-key"
        )
    partial = Path(tempfile.mkdtemp(prefix=f".{destination.name}-", dir=destination.parent))
    try:
        contents = copy(directory / DATABASE, partial / DATABASE, Progress())
        if with_key:
            copy_key(directory / KEY, partial / KEY)
        sync_directory(partial)
        partial.rename(destination)
        sync_directory(destination.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return contents


def run(arguments: Sequence[str]) -> None:
    """Make a backup."""
    parser = command_parser(
        "backup",
        "Copy the relay's database and key into a new directory, while the relay runs or not. The copy is of "
        "one moment, and is read through before it gets its name. To put it back: blindpost relay restore.",
        ("data_directory",),
    )
    parser.add_argument("destination", type=Path, metavar="DEST", help="a directory that is not there yet")
    parser.add_argument(
        "--without-key", action="store_true", help="leave out relay.key, which lets its holder be this relay"
    )
    parser.add_argument("--json", action="store_true", help="print the result as a JSON object")
    flags = parser.parse_args(arguments)
    destination: Path = flags.destination.absolute()
    config = settle(vars(flags))
    try:
        contents = _make(config.data_directory, destination, not flags.without_key)
    except OSError as error:
        raise OperatorError(
            f"{destination} cannot be written: {reason(error)}; choose another directory"
        ) from error
    if flags.json:
        key = not flags.without_key
        say(json.dumps({"event": "backup", "path": str(destination), "key": key, **asdict(contents)}))
        return
    say(f"Backup in {destination}: {described(contents)}, read through.")
    if not flags.without_key:
        say("It holds the relay's key: keep it as safe as the relay itself.")


def described(contents: Contents) -> str:
    """What a copy holds, for people."""
    damaged = f" ({contents.damaged:,} of them damaged)" if contents.damaged else ""
    size = f"{contents.bytes / 1e6:,.1f} MB"
    return f"{contents.mailboxes:,} mailboxes, {contents.frames:,} frames{damaged}, {size}"
