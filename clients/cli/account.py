"""`blindpost account`: what the relay holds about you, to be seen or to be deleted."""

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from clients.cli.program import Program, Settings, common_options, is_terminal, pass_settings, run
from clients.errors import StorageError, UsageError

if TYPE_CHECKING:
    from clients.local.access import Line

Record = dict[str, Any]

WORD: Final = "delete"
KINDS: Final = {1: "signed", 2: "sealing", 3: "one-time", 4: "last-resort KEM", 5: "one-time KEM"}

GOES: Final = (
    "This deletes your account at {relay}: its device list, mailbox, prekeys and delivery tokens, and every "
    "message that waits there. Nobody can write to this address any more, and contacts are not told."
)
STAYS: Final = (
    "What stays: what your contacts have; this profile with your history, in {profile}; and backups that the "
    "relay's operator made before, which hold your keys, device lists, prekeys and waiting envelopes as they "
    "were then, for as long as the operator keeps them."
)


@click.group(cls=Program)
@common_options
def account() -> None:
    """What your relay holds about you: see it, or delete it.

    \b
    Example:  blindpost account export
    """


async def _all_records(line: "Line") -> list[Record]:
    page = await line.call("export_account")
    records: list[Record] = page["records"]
    while page["place"] is not None:
        page = await line.call("export_account", place=page["place"])
        records += page["records"]
    return records


@account.command("export")
@click.option(
    "-o", "--output", "file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Write all of it to FILE, one JSON object per line.",
)  # fmt: skip
@common_options
@pass_settings
def export_account(settings: Settings, file: Path | None) -> None:
    """Show everything that your relay holds about your account.

    A summary to read, or each record as it is with --json or -o FILE: account key and device lists, mailboxes
    with their counts, prekeys, hashes of delivery tokens, the frames that wait (by their hashes: what they
    hold comes by itself), and what is in the relay's memory. The fields: docs/protocol.md, section 8.

    \b
    Example:  blindpost account export -o relay-data.json
    """
    from clients.local.access import access

    config, output = settings.config(), settings.output
    place = None if file is None else str(file.absolute())

    async def work() -> None:
        async with access(config) as line:
            records = await _all_records(line)
        if file is not None:
            _write(file, records)
            output.result(
                {"file": place, "records": len(records)}, f"{len(records)} records written to {file}."
            )
            return
        if not settings.as_json:
            for text in summary(records):
                output.heading(text)
            return
        for record in records:
            output.result(record, "")

    run(work())


def _write(file: Path, records: list[Record]) -> None:
    """For its owner alone: device keys and times are nobody else's business."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as written:
            written.writelines(json.dumps(record) + "\n" for record in records)
    except OSError as error:
        raise StorageError(f"{file} cannot be written: {error.strerror}.") from None


def summary(records: list[Record]) -> list[str]:
    """The records in lines for people."""
    of_kind: dict[str, list[Record]] = {}
    for record in records:
        of_kind.setdefault(record["held"], []).append(record)
    lines = [f"account key   {each['account_key']}" for each in of_kind.get("account", ())]
    lines.append(f"device lists  the newest, and {len(of_kind.get('former_list', ()))} before it")
    for rates in of_kind.get("rates", ()):
        left = f"{rates['lists_left']} device lists and {rates['takes_left']} takes of prekeys"
        lines.append(f"rates         {left} more at once (in memory)")
    for box in of_kind.get("mailbox", ()):
        lines += _of_device(box, of_kind)
    return lines


def _of_device(box: Record, of_kind: dict[str, list[Record]]) -> list[str]:
    def its(kind: str) -> list[Record]:
        return [record for record in of_kind.get(kind, ()) if record["device_key"] == box["device_key"]]

    lines = [
        "",
        f"device {box['device_key']}" + ("" if "dropped_at" not in box else ", dropped from the list"),
    ]
    lines.append(
        f"  mailbox     {box['frames']} frames ({box['bytes']:,} bytes) and {box['request_frames']} requests "
        f"wait; next sequence {box['next_sequence']}, {box['expired']} lost so far"
    )
    kinds = Counter(KINDS[prekey["kind"]] for prekey in its("prekey"))
    if kinds:
        lines.append("  prekeys     " + ", ".join(f"{count} {kind}" for kind, count in kinds.items()))
    if tokens := its("token"):
        ending = sum("until" in token for token in tokens)
        lines.append(f"  tokens      {len(tokens)} by their hashes, {ending} of them with an end")
    if "checkpoint" in box:
        lines.append("  checkpoint  sealed by this device for itself")
    if "full_at" in box:
        lines.append("  full        a sender had to wait, see full_at in --json")
    for seen in its("presence"):
        shown = len(seen["capabilities"])
        is_there = "connected" if seen["connected"] else "not connected"
        lines.append(f"  presence    {is_there}, appears under {shown} capabilities (in memory)")
    return lines


@account.command("delete")
@click.option("--yes", is_flag=True, help="Do not ask: for scripts.")
@common_options
@pass_settings
def delete_account(settings: Settings, yes: bool) -> None:
    """Delete your account at its relay, for good.

    Everything that `account export` shows goes, out of the relay's database and its log. Your profile stays
    with its history, and says from then on that its account is deleted; nobody can write to its address any
    more. A backup that the relay's operator made before still holds what there was. It works while chat or
    listen runs: listen ends, chat says that nothing is sent any more.

    \b
    Example:  blindpost account delete
    """
    from clients.local.access import access

    config, output = settings.config(), settings.output

    async def work() -> None:
        async with access(config) as line:
            me = await line.call("me")
            if not yes:
                _confirm(settings, me)
            done = await line.call("delete_account")
        said = f"Deleted at {me['relay']} on {done['deleted']}. {after(done['wiped'])}"
        output.result(done, said, else_do="It is done all the same.")
        output.note(f"The history is still in {me['profile']}: delete the directory to be rid of it, too.")

    run(work())


def after(wiped: bool | None) -> str:
    """What is left of it in the relay's files."""
    if wiped is None:
        return "Nothing was done now."
    if wiped:
        return "Nothing of it is in the relay's database any more; backups of before keep what they have."
    return (
        "A copy of the relay's database is being made, so its log still holds some of it; the relay empties "
        "it after that. The copy keeps what it has."
    )


def _confirm(settings: Settings, me: Record) -> None:
    if not is_terminal(sys.stdin):
        raise UsageError("Deleting an account wants a yes. To go on without being asked, add --yes.")
    settings.output.note(GOES.format(relay=me["relay"]))
    settings.output.note(STAYS.format(profile=me["profile"]))
    if click.prompt(f"To delete it, type {WORD}", default="", show_default=False, err=True).strip() != WORD:
        raise UsageError("Nothing was deleted.")
