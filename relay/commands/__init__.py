"""What `blindpost relay NAME` does besides running the relay: each command in a file of its own.

Owns the table of names. A command takes the arguments behind its name and parses them with
`relay.config.command_parser`; it prints its result to stdout, and raises OperatorError where it cannot do
what it was asked for (one sentence, exit code 2). A function here imports its file only when it is called, so
that the relay itself starts without it.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple


class Command(NamedTuple):
    """`run(arguments)` carries it out; `summary` is its line in `blindpost relay --help`."""

    summary: str
    run: Callable[[Sequence[str]], None]


def _invite(arguments: Sequence[str]) -> None:
    from relay.commands import invite

    invite.make(arguments)


def _invites(arguments: Sequence[str]) -> None:
    from relay.commands import invite

    invite.manage(arguments)


def _backup(arguments: Sequence[str]) -> None:
    from relay.commands import backup

    backup.run(arguments)


def _restore(arguments: Sequence[str]) -> None:
    from relay.commands import restore

    restore.run(arguments)


def _doctor(arguments: Sequence[str]) -> None:
    from relay.commands import doctor

    doctor.run(arguments)


def _ledger(arguments: Sequence[str]) -> None:
    from relay.commands import ledger

    ledger.run(arguments)


COMMANDS: Final[dict[str, Command]] = {
    "invite": Command("make invites", _invite),
    "invites": Command("list or revoke them", _invites),
    "backup": Command("copy database and key, while the relay runs", _backup),
    "restore": Command("put a backup back", _restore),
    "doctor": Command("find what is wrong", _doctor),
    "ledger": Command("what a relay knows, and for how long", _ledger),
}
