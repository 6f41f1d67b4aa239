"""The public Python interface: one open profile that sends, receives and keeps itself connected.

    async with Messenger.open("alice", relay="wss://relay.example") as me:
        await me.send("bob", "hi")
        async for message in me:
            print(message.contact, message.text)

Owns the tasks of a running client: one that receives, and one per contact that sends. Knows nothing of
terminals. `contacts` holds the people, see `clients.contact_book`.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from clients import clock
from clients.bell import Bell
from clients.config import ClientConfig, read_config
from clients.contact_book import EVERYBODY, ContactBook
from clients.errors import NotFoundError
from clients.flushing import flushed
from clients.mailroom import Mailroom
from clients.model import Contact, ContactStatus, Message, MessageStatus
from clients.parsing import parse_address, parse_body, parse_relay
from clients.posting import Post
from clients.profile import opened
from clients.store.contacts import ContactRow
from clients.store.pins import Pins
from clients.stream import Stream
from clients.tasks import end
from clients.watching import Nearby, StateEvent, Watch, Watchers
from keys.content import Kind
from wire.addresses import Address, RelayUrl

if TYPE_CHECKING:
    from clients.account import AccountAtRelay
    from clients.local.socket_server import LocalServer
    from clients.receiver import Receiver
    from clients.senders import Senders

IN_USE_FOR = 5.0  # seconds: a command that is only passing lets go of the profile sooner


class Messenger:
    """One open profile. Use `Messenger.open` with `async with`."""

    def __init__(self, config: ClientConfig, relay: RelayUrl | None, *, connect: bool = True) -> None:
        self._config = config
        self._relay = relay
        self._connects = connect
        self._patience = 0.0
        self._bell = Bell()
        self._watchers = Watchers(self._bell)
        self._nearby = Nearby(self._watchers.contact)
        self._tasks: list[asyncio.Task[None]] = []
        self._senders: Senders | None = None
        self._receiver: Receiver | None = None
        self.account: AccountAtRelay | None = None  # where it connects
        self._server: LocalServer | None = None
        self._crash: Exception | None = None

    @classmethod
    def open(
        cls, profile: str | Path | None = None, *, relay: str | None = None, invite: str | None = None
    ) -> Self:
        """The messenger of `profile` (a name or a path), to be entered with `async with`.

        With `relay`, a profile that does not exist yet is made; `invite` is for a relay that wants one.
        Entering raises NotFoundError, LockedError, StorageError or UsageError.
        """
        url = None if relay is None else parse_relay(relay)
        config = read_config(None if profile is None else str(profile))
        me = cls(config if invite is None else replace(config, invite=invite), url)
        me._patience = IN_USE_FOR
        return me

    @classmethod
    def from_config(cls, config: ClientConfig, *, connect: bool = True) -> Self:
        """The messenger of an existing profile; without `connect` what is sent waits in the outbox."""
        return cls(config, None, connect=connect)

    async def __aenter__(self) -> Self:
        self._profile = await opened(self._config, self._relay, self._patience)
        try:
            self._mailroom = room = Mailroom(self._profile, os.urandom)
            room.history.touched = self._watchers.message
            room.notes.on_typing = self._nearby.typing
            room.notes.on_unread = self._watchers.contact
            room.notes.on_contact = self._news_of
            self.stream = Stream(self._profile.store, room.history, self._bell, self._check)
            self.contacts = ContactBook(
                self._profile, room.contacts, room.history, room.cards, self._contact_changed
            )
            if self._connects:
                from clients.account import AccountAtRelay
                from clients.receiver import Receiver  # a command that only reads starts sooner without
                from clients.senders import Senders

                self._senders = Senders(
                    self._profile, room, self._bell, os.urandom, self._nearby.presence, self._start
                )
                room.posting.posted = self._senders.wake
                self._receiver = Receiver(self._profile, room, self._bell, os.urandom, self._senders)
                self.account = AccountAtRelay(self._profile, self._receiver, self._tasks, self._bell)
                self._start(self._receiver.run)
                self._start(self._senders.run)
                await self._serve()
        except BaseException:
            if self._server is not None:
                await self._server.close()
            await end(*self._tasks)
            self._profile.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._server is not None:
                await self._server.close()
            self._mailroom.posting.commit()
            while running := [task for task in self._tasks if not task.done()]:
                await end(*running)  # a task that ends may have started another one
            if kind is None:
                self.stream.done()
        finally:
            self._nearby.end()
            self._profile.close()

    async def _serve(self) -> None:
        """Carry out the calls of other commands on this profile, for as long as it is open here."""
        from clients.local.socket_server import LocalServer  # it performs calls on this very class

        self._server = LocalServer(self, self._profile.path)
        await self._server.start()

    def _start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._guard(work))
        self._tasks.append(task)
        return task

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
        if self._receiver is not None and self._receiver.failure is not None:
            raise self._receiver.failure

    def _owes(self) -> None:
        """Something may be owed to contacts: it goes out after a delay, now or when this client connects."""
        if self._senders is not None:
            self._senders.owed.due()

    def _write_owed(self) -> None:
        if self._mailroom.write_owed() and self._senders is not None:
            self._senders.wake_all()

    def _card_changed(self) -> None:
        """What contacts hold of us, or who may hold it, is not what it was."""
        self._mailroom.notes.card_changed()
        if self._receiver is not None:
            self._receiver.card_changed()
        self._owes()

    def _news_of(self, contact_id: int) -> None:
        """A contact has another name, token or presence for us, or a stranger has become a request."""
        if self._senders is not None:
            self._senders.nudge(contact_id)
        self._watchers.contact(contact_id)

    def _contact_changed(self, contact_id: int) -> None:
        """The user has decided something about a contact, or about everybody."""
        self._card_changed()
        if contact_id != EVERYBODY:
            self._news_of(contact_id)

    # --- who ------------------------------------------------------------------------------------------

    @property
    def config(self) -> ClientConfig:
        """Which profile this is, and how it is unlocked."""
        return self._config

    @property
    def address(self) -> Address:
        """The line to give to others: with a token, so that whoever has it is no stranger to the relay."""
        token = self._mailroom.cards.address_token(clock.now_seconds())
        return Address(self._profile.account.key, self._profile.relay, token)

    @property
    def bare_address(self) -> Address:
        """The address without a token: whoever writes to it begins as a request."""
        return self._profile.address

    def renew_address(self) -> Address:
        """A line with another token; whoever has the former one begins as a request from now on."""
        self._mailroom.cards.renew_address(clock.now_seconds())
        if self._receiver is not None:
            self._receiver.card_changed()
        return self.address

    def trust_relay(self, relay: RelayUrl) -> bool:
        """The user says that this relay's new key is genuine; False if no key was known."""
        return Pins(self._profile.store).forget(relay)

    def _find(self, to: str | Contact | Address) -> ContactRow:
        if isinstance(to, Contact):
            to = to.address
        if isinstance(to, str) and not to.startswith("bp1"):
            return self._mailroom.contacts.named(to)
        return self._mailroom.contacts.addressed(parse_address(to))

    # --- messages -------------------------------------------------------------------------------------

    async def send(
        self,
        to: str | Contact | Address,
        body: str | bytes,
        *,
        key: str | None = None,
        reply_to: bytes | None = None,
    ) -> bytes:
        """Queue a text, or opaque bytes, for a contact; returns its 16-byte id once it is durable.

        Several at once (`asyncio.gather`) become durable together, in the order of the calls. It is sent in
        the background, now or when the relay is reachable. With a `key` that was used before, nothing is sent
        again, and the id is the former one's. `reply_to` is the id of the message that this one answers.
        Raises TooLargeError, OutboxFullError, TrustError, NotFoundError, UsageError or StorageError; then
        nothing was queued.
        """
        self._check()
        kind = Kind.TEXT if isinstance(body, str) else Kind.DATA
        post = Post(self._find(to).id, kind, parse_body(body), key, reply_to)
        return await self._mailroom.posting.post(post)

    async def wait(
        self, message_id: bytes, status: MessageStatus = MessageStatus.ACCEPTED, deadline: float | None = None
    ) -> MessageStatus:
        """Wait until a sent message is as far as `status`, or `deadline` seconds; returns how far it is."""

        def look() -> MessageStatus | None:
            self._check()
            now, _ = self.status(message_id)
            return now if now.is_at_least(status) else None

        return await self._bell.until(look, deadline) or self.status(message_id)[0]

    def status(self, message_id: bytes) -> tuple[MessageStatus, str | None]:
        """How far a sent message is, and why it failed if it did. Raises NotFoundError."""
        message = self._mailroom.history.sent(message_id)
        if message is None:
            raise NotFoundError("There is no such message.")
        return message.status, message.failed

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        """The next message from a contact. Asking for it says that the one before has been dealt with."""
        [message] = await self.receive_few(1)
        return message

    async def receive(self, deadline: float | None = None) -> Message | None:
        """The next message, or None after `deadline` seconds. Raises LockedError if another one listens."""
        return next(iter(await self.receive_few(1, deadline)), None)

    async def receive_few(self, limit: int = 64, deadline: float | None = None) -> list[Message]:
        """The next messages, at most `limit`, none after `deadline` seconds: one commit for all of them.

        They are in hand until the next call, which says that all have been dealt with.
        """
        self.stream.claim(self)
        return await self.stream.next_few(limit, deadline)

    def history(
        self,
        name: str,
        limit: int = 50,
        since_ms: int | None = None,
        search: str | None = None,
        before: bytes | None = None,
    ) -> list[Message]:
        """The last messages with a contact, oldest first.

        Since `since_ms` (Unix milliseconds), with every word of `search`, before the message of id `before`.
        """
        contact = self._mailroom.contacts.named(name)
        return self._mailroom.history.conversation(contact.id, limit, since_ms, search, before)

    def mark_read(self, name: str, through: bytes | None = None) -> None:
        """A person has seen what came from it, to `through` or the end; it is told, if it may know."""
        contact = self._mailroom.contacts.named(name)
        with self._profile.store.transaction():
            owe, take = contact.status is ContactStatus.APPROVED, not self.stream.is_claimed
            self._mailroom.history.mark_seen(contact.id, through, owe=owe, take=take)
        self._owes()
        self._watchers.contact(contact.id)

    async def typing(self, name: str, is_typing: bool = True) -> None:
        """Somebody types to this contact; it is told if it is online and may know."""
        contact = self._mailroom.contacts.named(name)
        near = self._nearby.is_online(contact.id)
        if near and self._mailroom.notes.typing(contact, is_typing=is_typing) and self._senders is not None:
            self._senders.wake(contact.id)

    def watch(self, name: str | None = None) -> Watch:
        """What changes from now on, as events. Use it with `async with`, and iterate.

        With a name, of messages only those of that contact, and whether it is online.
        """
        contact = None if name is None else self._mailroom.contacts.named(name)

        def begin(count: int) -> None:
            if contact is not None and self._senders is not None:
                self._senders.watch(contact.id, count)

        only = None if contact is None else contact.id
        return Watch(self._watchers, self._mailroom.history.message, self._shown, self._state, begin, only)

    def _shown(self, contact_id: int) -> Contact | None:
        contact = self._mailroom.contacts.by_id(contact_id)
        is_there = contact is not None and contact.status is not ContactStatus.REMOVED
        return self._nearby.shown(contact) if contact is not None and is_there else None

    def _state(self) -> StateEvent:
        self._check()
        return StateEvent(self.is_connected, tuple(self.problems()), self.held())

    # --- how it goes ----------------------------------------------------------------------------------

    @property
    def is_connected(self) -> bool:
        """Whether this device is receiving now."""
        return self._receiver is not None and self._receiver.is_connected

    async def _until(self, look: Callable[[], bool], deadline: float | None = None) -> bool:
        def found() -> bool | None:
            self._check()
            return look() or None

        return await self._bell.until(found, deadline) is not None

    async def connected(self, deadline: float) -> bool:
        """Wait until this device is registered, published and receiving, or was refused; False if so."""
        await self._until(lambda: self.is_connected or self.refusal is not None, deadline)
        return self.is_connected

    @property
    def refusal(self) -> str | None:
        """Why the relay does not take this account, if so: a sentence."""
        return None if self._receiver is None else self._receiver.standing.refusal

    async def has_room(self, deadline: float | None = None) -> bool:
        """Wait until the outbox takes another message, or `deadline` seconds."""
        return await self._until(lambda: not self._mailroom.outbox.is_full(), deadline)

    async def flushed(self, deadline: float | None = None) -> bool:
        """Write what is owed, and wait until all that waits now has gone out; False if that takes longer."""
        return await flushed(self._mailroom, self._write_owed, self._until, deadline)

    def notices(self) -> list[str]:
        """What has happened that the user should know, in sentences."""
        receiver = self._receiver
        return [*self._mailroom.lost(), *(receiver.standing.notices if receiver else ())]

    def problems(self) -> list[str]:
        """What is not working now, in sentences."""
        alarms = self._mailroom.contacts.alarms()
        found = [
            *(f"ALARM: {name!r}: {alarm}. Nothing is sent there." for name, alarm in alarms),
            *self.notices(),
            self._receiver.problem if self._receiver else None,
            *(self._senders.problems() if self._senders else ()),
            self._server.problem if self._server else None,
        ]
        return list(dict.fromkeys(problem for problem in found if problem))

    async def settled(self, deadline: float) -> bool:
        """Wait until this device is connected or knows why it is not; False if it is not."""
        receiver = self._receiver
        await self._until(lambda: receiver is None or bool(receiver.problem) or self.is_connected, deadline)
        return self.is_connected

    def held(self) -> int:
        """How many messages of contacts wait for earlier ones, for up to 30 seconds."""
        return self._mailroom.history.held(clock.now_ms())
