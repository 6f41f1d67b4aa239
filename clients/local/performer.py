"""Carrying out calls on an open messenger: everything that is one question and one answer.

Owns what the answers look like. Events and the stream of messages are `clients.local.session`'s; lines and
sockets are none of its business.
"""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from clients.account import AccountAtRelay
from clients.errors import NotFoundError, RelayError, UsageError
from clients.local import calls
from clients.local.framing import LINE_MAX, encode
from clients.messenger import Messenger
from clients.model import Contact, Json, Sharing
from clients.parsing import parse_address, parse_relay
from clients.version import package_version

ROOM: Final = (
    LINE_MAX - 1000
)  # bytes for a list of answers; the rest of the line is for what stands around it


PAGE_MAX: Final = 100  # messages: a page is read whole before what does not fit is left out


class Performer:
    """Carries out calls on one messenger."""

    def __init__(self, me: Messenger) -> None:
        self._me = me

    async def perform(self, call: calls.Call) -> Any:
        """The result of a call, as JSON. Raises ClientError."""
        book = self._me.contacts
        match call:
            case calls.Me():
                return await self._about(call)
            case calls.Contacts():
                return fitting(contact.to_json() for contact in self._behind(call.after))
            case calls.Contact():
                return self._named(call.name).to_json()
            case calls.Add():
                return book.add(call.name, call.address).to_json()
            case calls.Accept():
                return book.accept(call.name, call.as_name).to_json()
            case calls.Remove():
                return self._remove(call)
            case calls.Rename():
                return book.rename(call.name, call.to).to_json()
            case calls.Block():
                return book.block(call.name).to_json()
            case calls.Unblock():
                return book.unblock(call.name).to_json()
            case calls.Replace():
                return book.replace(call.name, call.address).to_json()
            case calls.Verify():
                return book.verify(call.name, call.text).to_json()
            case calls.SafetyNumber():
                return self._safety_number(call.name)
            case calls.Share():
                return self._share(call)
            case calls.Delay():
                if call.longest is not None:
                    book.set_longest_delay(call.longest)
                return {"longest": book.longest_delay}
            case calls.SetName():
                book.set_display_name(call.display_name)
                return await self._about(calls.Me(ref=call.ref))
            case calls.RenewAddress():
                self._me.renew_address()
                return await self._about(calls.Me(ref=call.ref))
            case calls.TrustRelay():
                relay = parse_relay(call.relay)
                return {"relay": relay.text, "was_known": self._me.trust_relay(relay)}
            case calls.ExportAccount():
                return await self._account().export(call.place)
            case calls.DeleteAccount():
                return await self._account().delete()
            case _:
                return await self._message_call(call)

    async def _message_call(self, call: calls.Call) -> Any:
        match call:
            case calls.Send():
                return await self._send(call)
            case calls.Status():
                return await self._status(call)
            case calls.History():
                return self._history(call)
            case calls.Read():
                through = None if call.through is None else bytes.fromhex(call.through)
                self._me.mark_read(call.name, through)
                return {}
            case calls.Typing():
                await self._me.typing(call.name, call.on)
                return {}
            case calls.Flush():
                return {"flushed": await self._me.flushed(call.timeout)}
            case _:
                raise AssertionError(type(call).__name__)

    # --- who ------------------------------------------------------------------------------------------

    async def _about(self, call: calls.Me) -> Json:
        if call.settle is not None:
            await self._me.settled(call.settle)
        return {
            "address": self._me.address.text,
            "bare_address": self._me.bare_address.text,
            "display_name": self._me.contacts.display_name,
            "relay": str(self._me.address.relay),
            "profile": str(self._me.config.profile),
            "connected": self._me.is_connected,
            "problems": self._me.problems(),
            "notices": self._me.notices(),
            "sharing": self._me.contacts.sharing().to_json(),
            "version": package_version(),
        }

    def _account(self) -> AccountAtRelay:
        if self._me.account is None:
            raise RelayError("Nothing here is connected to the relay. Try again.")
        return self._me.account

    def _behind(self, name: str | None) -> Iterator[Contact]:
        """All contacts, or those that stand behind one of them."""
        contacts = iter(self._me.contacts.all())
        if name is not None and not any(contact.name == name for contact in contacts):
            raise NotFoundError(f"There is no contact named {name!r}.")
        return contacts

    def _named(self, name: str) -> Contact:
        if not name.startswith("bp1"):
            return self._me.contacts.named(name)
        key = parse_address(name).account_key
        for contact in self._me.contacts.all():
            if contact.address.account_key == key:
                return contact
        raise NotFoundError(
            "There is no contact with this address. Add it: blindpost contact add NAME ADDRESS"
        )

    def _remove(self, call: calls.Remove) -> Json:
        name = self._me.contacts.named(call.name).name
        if not call.force and self._me.history(name, 1):
            raise UsageError(f"The history with {name!r} would be deleted. To do so, add --yes.")
        return {"removed": name, "messages": self._me.contacts.remove(name)}

    def _safety_number(self, name: str) -> Json:
        book = self._me.contacts
        contact = book.named(name)
        return {
            "name": contact.name,
            "safety_number": book.safety_number(name),
            "scannable": book.scannable(name),
            "verified": contact.is_verified,
        }

    def _share(self, call: calls.Share) -> Json:
        book = self._me.contacts
        chosen = {field: getattr(call, field) for field in ("presence", "typing", "read")}
        given = {field: choice for field, choice in chosen.items() if field in call.model_fields_set}
        if call.name is None:
            return (book.share_with_all(Sharing(**given)) if given else book.sharing()).to_json()
        contact = book.named(call.name)
        if given:
            contact = book.share(call.name, replace(contact.sharing, **given))
        return {"name": contact.name, **contact.sharing.to_json()}

    # --- messages -------------------------------------------------------------------------------------

    async def _send(self, call: calls.Send) -> Json:
        body: str | bytes
        if call.text is not None:
            body = call.text
        else:
            try:
                body = base64.b64decode(call.data or "", validate=True)
            except (binascii.Error, ValueError):
                raise UsageError("The call 'send': the field 'data' is not base64.") from None
        reply_to = None if call.reply_to is None else bytes.fromhex(call.reply_to)
        if call.timeout:
            await self._me.has_room(call.timeout)
        message_id = await self._me.send(call.to, body, key=call.key, reply_to=reply_to)
        return self._told(message_id)

    async def _status(self, call: calls.Status) -> Json:
        message_id = bytes.fromhex(call.id)
        wanted = calls.status_wanted(call)
        if wanted is not None:
            await self._me.wait(message_id, wanted, call.timeout)
        return self._told(message_id)

    def _told(self, message_id: bytes) -> Json:
        status, failed = self._me.status(message_id)
        return {"id": message_id.hex(), "status": status.value, "failed": failed}

    def _history(self, call: calls.History) -> list[Json]:
        before = None if call.before is None else bytes.fromhex(call.before)
        limit = min(call.limit, PAGE_MAX)
        messages = self._me.history(call.name, limit, call.since_ms, call.search, before)
        # The newest are those that are asked for, where not all fit.
        return fitting(message.to_json() for message in reversed(messages))[::-1]


def fitting(values: Iterator[Json]) -> list[Json]:
    """The first of these, as many as an answer holds; at least one, if there is one."""
    found: list[Json] = []
    room = ROOM
    for value in values:
        room -= len(encode(value))
        if room < 0 and found:
            break
        found.append(value)
    return found
