"""Completeness: everything that a user can type, and all that a client can do, was used by the drive.

Owns what need not be, with a reason for each. What there is comes from the code's own models
(`clients.audit.driving.inputs`), what was used from records (`clients.audit.driving.uses`): a new field,
call, command, kind or message without a use fails the audit.
"""

from collections.abc import Iterator
from typing import Final

from clients.audit.driving.inputs import features, user_fields
from clients.audit.driving.stage import Stage
from clients.audit.driving.uses import uses

_URL: Final = "a relay's URL, which that relay is told as the origin that was dialled"

_KEYRING: Final = "the key of a store, kept by the system: an audit leaves its user's keyring alone"

# What no canary can be typed into, or what is not to be used, and why.
EXEMPT: Final[dict[str, str]] = {
    "trust_relay.relay": _URL,
    "init --relay": _URL,
    "restore --relay": _URL,
    "doctor --relay": _URL,
    "trust-relay URL": _URL,
    "$BLINDPOST_PROXY": "the proxy is the tap itself; a relay is never told of it",
    "export_account.place": "a place that the relay gave out, given back to it",
    "history --since": "a moment; what is none is refused where it is typed",
    "relay ARGUMENTS": "its operator's settings: they are the relay's own",
    "command relay": "it becomes `python -m relay`, which the audit starts by itself or was given",
    "chat /history": "a number",
    "option init --keyring": _KEYRING,
    "option restore --keyring": _KEYRING,
    "option restore --passphrase": "what `init --passphrase` asks for is asked by the same lines",
    "prompt: To delete it, type ": "compared with one word, and forgotten",
}

# Ways into the same field of a call: (way in, the field).
SAME: Final[dict[str, str]] = {
    "contact accept REQUEST": "accept.name",
    "restore --backup-passphrase-file": "backup --backup-passphrase-file",
    "prompt: Passphrase of the backup": "prompt: New passphrase of the backup",
    "Messenger.open profile": "--profile",
    "Messenger.open relay": "init --relay",
    "Messenger.from_config config": "--profile",
    "Messenger.trust_relay relay": "trust_relay.relay",
    "Messenger.open invite": "init --invite",
    "Messenger.send to": "send.to",
    "Messenger.send body": "send.text",
    "Messenger.send key": "send.key",
    "Messenger.send reply_to": "send.reply_to",
    "Messenger.wait message_id": "status.id",
    "Messenger.status message_id": "status.id",
    "Messenger.history name": "history.name",
    "Messenger.history search": "history.search",
    "Messenger.history before": "history.before",
    "Messenger.mark_read name": "read.name",
    "Messenger.mark_read through": "read.through",
    "Messenger.typing name": "typing.name",
    "Messenger.watch name": "watch.name",
    "ContactBook.named name": "contact.name",
    "ContactBook.add name": "add.name",
    "ContactBook.add address": "add.address",
    "ContactBook.accept name": "accept.name",
    "ContactBook.accept as_name": "accept.as",
    "ContactBook.remove name": "remove.name",
    "ContactBook.rename name": "rename.name",
    "ContactBook.rename new": "rename.to",
    "ContactBook.block name": "block.name",
    "ContactBook.unblock name": "unblock.name",
    "ContactBook.replace name": "replace.name",
    "ContactBook.replace address": "replace.address",
    "ContactBook.safety_number name": "safety_number.name",
    "ContactBook.scannable name": "safety_number.name",
    "ContactBook.verify name": "verify.name",
    "ContactBook.verify text": "verify.text",
    "ContactBook.share name": "share.name",
    "ContactBook.set_display_name name": "set_name.display_name",
}


def complaints(used: set[str]) -> list[str]:
    """What is not among `used` and has no reason not to be; and reasons for what there is not."""
    return list(_complaints(used))


def _complaints(used: set[str]) -> Iterator[str]:
    fields, others = user_fields(), features()
    for name, where in fields.items():
        same = SAME.get(name)
        if name not in used and name not in EXEMPT and same not in used and same not in EXEMPT:
            yield f"{name}, {where}, takes text, and no canary was typed into it"
    for name, how in others.items():
        if name not in used and name not in EXEMPT:
            yield f"{name} {how}"
    there_is = fields.keys() | others.keys()
    for name in (*EXEMPT, *SAME, *SAME.values()):
        if name not in there_is:
            yield f"{name} is exempt, and there is no such thing"


def missing(stage: Stage) -> list[str]:
    """What a drive has left out, as sentences; none for a whole one."""
    return complaints(uses(stage))
