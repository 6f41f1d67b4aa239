"""The public Python interface: one open profile that sends, receives and keeps itself connected.

    async with Messenger.open("alice", relay="wss://relay.example") as me:
        await me.send("bob", "hi")
        async for message in me:
            print(message.contact, message.text)

Owns the tasks of a running client: one that receives, and one per contact that sends. Knows nothing of
terminals.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from clients.bell import Bell
from clients.config import ClientConfig, read_config
from clients.errors import ClientError, NotFoundError, TooLargeError, UsageError
from clients.mailroom import Mailroom, now_ms, now_seconds
from clients.model import Contact, ContactStatus, Message, MessageStatus
from clients.profile import Profile
from clients.receiver import Receiver
from clients.sender import Sender
from clients.store.contacts import ContactRow
from clients.store.pins import Pins
from clients.tasks import end
from keys.content import Kind
from keys.safety_number import safety_number
from wire.addresses import Address, RelayUrl
from wire.errors import WireError
from wire.limits import TEXT_MAX


class Messenger:
    """One open profile. Use `Messenger.open` with `async with`."""

    def __init__(self, config: ClientConfig, relay: RelayUrl | None) -> None:
        self._config = config
        self._relay = relay
        self._bell = Bell()
        self._tasks: list[asyncio.Task[None]] = []
        self._senders: dict[int, Sender] = {}
        self._crash: Exception | None = None
        self._in_hand: int | None = None  # history row of the message the application has now

    @classmethod
    def open(cls, profile: str | Path | None = None, *, relay: str | None = None) -> Self:
        """The messenger of `profile` (a name or a path), to be entered with `async with`.

        With `relay`, a profile that does not exist yet is made. Entering raises NotFoundError, LockedError
        or StorageError.
        """
        url = None if relay is None else parse_relay(relay)
        return cls(read_config(None if profile is None else str(profile)), url)

    @classmethod
    def from_config(cls, config: ClientConfig) -> Self:
        """The messenger of an existing profile, for programs that have read a configuration."""
        return cls(config, None)

    async def __aenter__(self) -> Self:
        is_new = self._relay is not None and not (self._config.profile / "profile.json").exists()
        if is_new and self._relay is not None:
            self._profile = Profile.create(self._config, self._relay, now_seconds())
        else:
            self._profile = Profile.open(self._config)
        try:
            self._mailroom = Mailroom(self._profile, os.urandom)
            self._receiver = Receiver(
                self._profile, self._mailroom, self._bell, os.urandom, self._wake_senders
            )
            self._start(self._receiver.run)
            self._mailroom.write_receipts()
            self._wake_senders()
        except BaseException:
            await end(*self._tasks)
            self._profile.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await end(*self._tasks)
            if kind is None:
                self._finish_in_hand()
        finally:
            self._profile.close()

    def _start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._tasks.append(asyncio.create_task(self._guard(work)))

    async def _guard(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """A task that fails makes the next call of the application fail: nothing dies unseen."""
        try:
            await work()
        except Exception as error:  # whatever it is, it is raised again in `_check`
            self._crash = error
            self._bell.ring()

    def _check(self) -> None:
        if self._crash is not None:
            raise self._crash
        if self._receiver.failure is not None:
            raise self._receiver.failure

    def _wake_senders(self) -> None:
        """See to it that every contact with something waiting has a sender, awake."""
        for contact_id in self._mailroom.outbox.contacts_waiting():
            self._wake_sender(contact_id)

    def _wake_sender(self, contact_id: int) -> None:
        sender = self._senders.get(contact_id)
        if sender is None:
            sender = Sender(
                contact_id, self._profile, self._mailroom, self._bell, os.urandom, self._wake_senders
            )
            self._senders[contact_id] = sender
            self._start(sender.run)
        sender.wake()

    # --- who ------------------------------------------------------------------------------------------

    @property
    def address(self) -> Address:
        """The address to give to others."""
        return self._profile.address

    def contacts(self) -> list[Contact]:
        """Every contact and request, by name."""
        return [row.shown() for row in self._mailroom.contacts.all()]

    def add_contact(self, name: str, address: str | Address) -> Contact:
        """Add a contact, or approve the request from this address. Raises UsageError."""
        address = parse_address(address)
        if address.account_key == self._profile.account.key:
            raise UsageError("This is your own address. Ask the other person for theirs: blindpost address")
        row = self._mailroom.contacts.add(name, address)
        self._mailroom.contacts.owe_receipts(row)
        if self._mailroom.write_receipts():
            self._wake_senders()
        self._bell.ring()
        return row.shown()

    def remove_contact(self, name: str) -> int:
        """Remove a contact with its history; returns how many messages went with it."""
        row = self._mailroom.contacts.named(name)
        count = self._mailroom.contacts.remove(row)
        self._wake_sender(row.id)
        return count

    def safety_number(self, name: str) -> str:
        """The 60 digits to compare with a contact."""
        return safety_number(self._profile.account.key, self._mailroom.contacts.named(name).account_key)

    def trust_relay(self, relay: RelayUrl) -> bool:
        """The user says that this relay's new key is genuine; False if no key was known."""
        return Pins(self._profile.store).forget(relay)

    def _find(self, to: str | Contact | Address) -> ContactRow:
        if isinstance(to, Contact):
            to = to.address
        if isinstance(to, str) and not to.startswith("bp1"):
            return self._mailroom.contacts.named(to)
        address = parse_address(to)
        found = self._mailroom.contacts.by_account(address.account_key)
        if found is None or found.status is ContactStatus.REMOVED:
            raise NotFoundError(
                "This address is not among your contacts. Add it: blindpost contact add NAME ADDRESS"
            )
        return found

    # --- messages -------------------------------------------------------------------------------------

    async def send(self, to: str | Contact | Address, body: str | bytes) -> bytes:
        """Queue a text, or opaque bytes, for a contact; returns its 16-byte id once it is durable.

        It is sent in the background, now or when the relay is reachable. Raises TooLargeError,
        OutboxFullError, TrustError, NotFoundError or StorageError; then nothing was queued.
        """
        self._check()
        contact = self._find(to)
        try:
            data = body.encode() if isinstance(body, str) else body
        except UnicodeEncodeError:
            raise UsageError("The text contains half a character (a lone surrogate).") from None
        if len(data) > TEXT_MAX:
            raise TooLargeError(f"A message has at most {TEXT_MAX:,} bytes of UTF-8. Send it in parts.")
        message_id = self._mailroom.post(contact, Kind.TEXT if isinstance(body, str) else Kind.DATA, data)
        self._wake_sender(contact.id)
        return message_id

    async def wait(
        self, message_id: bytes, status: MessageStatus = MessageStatus.ACCEPTED, deadline: float | None = None
    ) -> MessageStatus:
        """Wait until a sent message is as far as `status`, or `deadline` seconds; returns how far it is."""

        def look() -> MessageStatus | None:
            self._check()
            now = self._status(message_id)
            return now if now.is_at_least(status) else None

        return await self._bell.until(look, deadline) or self._status(message_id)

    def _status(self, message_id: bytes) -> MessageStatus:
        status = self._mailroom.history.status(message_id)
        if status is None:
            raise NotFoundError("There is no such message.")
        return status

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        """The next message from a contact. Asking for it says that the one before has been dealt with."""
        message = await self.receive()
        assert message is not None
        return message

    async def receive(self, deadline: float | None = None) -> Message | None:
        """The next message, or None after `deadline` seconds."""
        self._finish_in_hand()
        loop = asyncio.get_running_loop()
        end_at = None if deadline is None else loop.time() + deadline
        while True:
            self._check()
            now = now_ms()
            found = self._mailroom.history.next_message(now)
            if found is not None:
                return self._hand_over(*found)
            if end_at is not None and loop.time() >= end_at:
                return None
            # A ring may bring a message that is held, and so another time to wake up by itself.
            held = self._mailroom.history.held_until(now)
            waits = [] if held is None else [(held - now) / 1000]
            waits += [] if end_at is None else [end_at - loop.time()]
            await self._bell.rung(min(waits, default=None))

    def _hand_over(self, row: int, message: Message) -> Message:
        with self._profile.store.transaction():
            self._mailroom.history.offered(row)
        self._in_hand = row
        return message

    def _finish_in_hand(self) -> None:
        if self._in_hand is not None:
            with self._profile.store.transaction():
                self._mailroom.history.taken(self._in_hand)
            self._in_hand = None

    def history(self, name: str, limit: int = 50) -> list[Message]:
        """The last messages with a contact, oldest first."""
        return self._mailroom.history.conversation(self._mailroom.contacts.named(name).id, limit)

    # --- how it goes ----------------------------------------------------------------------------------

    async def connected(self, deadline: float) -> bool:
        """Wait until this device is registered, published and receiving."""

        def look() -> bool | None:
            self._check()
            return True if self._receiver.is_connected else None

        return await self._bell.until(look, deadline) is not None

    async def has_room(self, deadline: float | None = None) -> bool:
        """Wait until the outbox takes another message, or `deadline` seconds."""

        def look() -> bool | None:
            self._check()
            return True if not self._mailroom.outbox.is_full() else None

        return await self._bell.until(look, deadline) is not None

    async def flushed(self, deadline: float | None = None) -> bool:
        """Wait until nothing waits to be sent any more, receipts included."""

        def look() -> bool | None:
            self._check()
            return True if not self._mailroom.outbox.contacts_waiting() else None

        return await self._bell.until(look, deadline) is not None

    async def finish(self, deadline: float) -> bool:
        """Write the receipts that are owed, and wait until everything has gone out."""
        if self._mailroom.write_receipts():
            self._wake_senders()
        return await self.flushed(deadline)

    def problems(self) -> list[str]:
        """What is not working now, in sentences."""
        alarms = self._mailroom.contacts.alarms()
        found = [
            *(f"ALARM: {name!r}: {alarm}. Nothing is sent there." for name, alarm in alarms),
            self._mailroom.unopened(),
            self._receiver.problem,
            self._receiver.expired,
            *(sender.problem for sender in self._senders.values()),
        ]
        return list(dict.fromkeys(problem for problem in found if problem))

    async def settled(self, deadline: float) -> bool:
        """Wait until this device is connected or knows why it is not; False if it is not."""

        def look() -> bool | None:
            self._check()
            return True if self._receiver.is_connected or self._receiver.problem else None

        await self._bell.until(look, deadline)
        return self._receiver.is_connected

    def held(self) -> int:
        """How many messages of contacts wait for earlier ones, for up to 30 seconds."""
        return self._mailroom.history.held(now_ms())


def _sentence(error: WireError) -> str:
    text = str(error)
    return f"{text[0].upper()}{text[1:]}."


def parse_relay(text: str) -> RelayUrl:
    """A relay's URL as people type it. Raises UsageError."""
    try:
        return RelayUrl.parse(text)
    except WireError as error:
        raise UsageError(
            f"{str(error).capitalize()}. Example: wss://relay.example or ws://127.0.0.1:8760"
        ) from None


def parse_address(address: str | Address) -> Address:
    """An address as people paste it. Raises UsageError."""
    if isinstance(address, Address):
        return address
    try:
        return Address.parse(address)
    except WireError as error:
        raise UsageError(_sentence(error)) from None


__all__ = ["ClientError", "Messenger", "parse_address", "parse_relay"]
