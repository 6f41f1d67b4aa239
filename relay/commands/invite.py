"""`blindpost relay invite` and `invites`: make, list and revoke what lets new accounts in.

Owns the two commands. They work on the relay's file, beside the relay if it runs.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final

import apsw

from relay.complaints import OperatorError, reason
from relay.config import command_parser, settle
from relay.data_directory import DATABASE
from relay.store import invites
from relay.store.beside import beside
from relay.store.invites import Invite
from wire.invites import invite_hash, invite_text
from wire.limits import INVITE

SETTINGS: Final = ("data_directory",)
ID: Final = 5  # bytes of the hash: two of 10,000 invites share them once in 20,000 relays
USES_MAX: Final = 10_000
DAYS_MAX: Final = 3650
COUNT_MAX: Final = 1000
DAY: Final = 86_400


def _id(invite: Invite) -> str:
    return invite.hash[:ID].hex()


def _between(most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= most:
            raise argparse.ArgumentTypeError(f"give a whole number from 1 to {most:,}")
        return int(text)

    return number


def _transaction(flags: argparse.Namespace) -> AbstractContextManager[apsw.Connection]:
    """A transaction on the relay's database."""
    config = settle(vars(flags))
    if config.store == "memory":
        raise OperatorError("a relay with --store memory keeps no invites; use --store sqlite")

    return beside(config.data_directory / DATABASE)


def _until(invite: Invite) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(invite.until))


def _print(lines: Sequence[str]) -> None:
    """To stdout."""
    try:
        sys.stdout.write("".join(line + "\n" for line in lines))
        sys.stdout.flush()
    except OSError as error:
        # What is still buffered would fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        raise OperatorError(
            f"stdout cannot be written: {reason(error)}; what there is now says: blindpost relay invites"
        ) from error


def make(arguments: Sequence[str]) -> None:
    """`blindpost relay invite`: print new invites, one per line."""
    parser = command_parser(
        "invite",
        "Make invites for a relay that runs with --registration invite, and print them. Give one to whom you "
        "want to let in: blindpost init --relay URL --invite TOKEN. The relay may run meanwhile.",
        SETTINGS,
    )
    parser.add_argument("--uses", type=_between(USES_MAX), default=1, metavar="N",
                        help="how many accounts each lets in (default: 1)")  # fmt: skip
    parser.add_argument("--days", type=_between(DAYS_MAX), default=7, metavar="N",
                        help="how long each holds (default: 7)")  # fmt: skip
    parser.add_argument("--count", type=_between(COUNT_MAX), default=1, metavar="N",
                        help="how many to make (default: 1)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print a JSON object for each")
    flags = parser.parse_args(arguments)
    until = int(time.time()) + flags.days * DAY
    tokens = [os.urandom(INVITE) for _ in range(flags.count)]
    made = [Invite(invite_hash(token), flags.uses, until) for token in tokens]
    with _transaction(flags) as connection:
        invites.add(connection, made)
    lines = []
    for token, invite in zip(tokens, made, strict=True):
        text = invite_text(token)
        value = {"invite": text, "id": _id(invite), "uses": invite.uses, "until": invite.until}
        lines.append(json.dumps(value) if flags.json else text)
    _print(lines)


def manage(arguments: Sequence[str]) -> None:
    """`blindpost relay invites`: list what there is, or revoke."""
    parser = command_parser(
        "invites",
        "List the invites of a relay: id, how many accounts each still lets in, and until when. What has "
        "ended is forgotten within an hour. With --revoke, delete some, and list what is left; whoever came "
        "in with them stays.",
        SETTINGS,
    )
    parser.add_argument("--revoke", nargs="+", metavar="ID", help="delete these; ids as they are listed")
    parser.add_argument("--json", action="store_true", help="print a JSON object for each")
    flags = parser.parse_args(arguments)
    with _transaction(flags) as connection:
        if flags.revoke:
            _revoke(connection, flags.revoke)
        found = invites.stored(connection)
    lines = []
    for invite in found:
        value = {"id": _id(invite), "uses": invite.uses, "until": invite.until}
        text = f"{_id(invite)}  {invite.uses:>6,} left  until {_until(invite)}"
        lines.append(json.dumps(value) if flags.json else text)
    _print(lines)
    if not found and not flags.json:
        sys.stderr.write("There are no invites. Make one: blindpost relay invite\n")


def _revoke(connection: apsw.Connection, ids: Sequence[str]) -> None:
    """Delete these, or none if one of them is not there."""
    known = {_id(invite): invite for invite in invites.stored(connection)}
    chosen = {id.lower() for id in ids}
    if unknown := chosen - known.keys():
        raise OperatorError(f"no invite has the id {min(unknown)[:20]!r}; see: blindpost relay invites")
    for id in chosen:
        invites.revoke(connection, known[id].hash)
