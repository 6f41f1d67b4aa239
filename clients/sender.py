"""The submit connection to one contact: fetch a bundle if need be, put frames, and hear what became of them.

Owns the task that sends to one contact, and that watches whether it is online while somebody looks. It never
logs in, and no two contacts share a connection. Frames go out in the order of the outbox and are repeated
byte for byte until the relay has accepted them. Knows nothing of what they hold.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from clients.backoff import Backoff
from clients.bell import Bell
from clients.connection import RETRY_AFTER_MAX, Disconnected, RelayConnection, dial, takes_no_more
from clients.errors import RelayError, StorageError, TrustError
from clients.mailroom import Mailroom
from clients.missed_lists import missed_lists
from clients.model import ContactStatus
from clients.profile import Profile
from clients.spaced import Spaced
from clients.store.contacts import ContactRow
from clients.store.pins import Pins
from clients.tasks import until_one_ends
from clients.window import Window
from keys.errors import DecryptError, VerificationError
from keys.primitives import Random
from wire.control import Accepted, Attach, Bundle, Error, Fetch, Presence, QueuedAsRequest, Refused, Watch
from wire.errors import ErrorCode, WireError
from wire.limits import IDLE_SUBMIT
from wire.login import Mode

ANSWER_DEADLINE: Final = 30.0
HOLD_MAX: Final = IDLE_SUBMIT / 2  # seconds that a connection is kept open until the relay takes more
NOTED_APART: Final = 0.02  # seconds between two commits of what was accepted
WATCH: Final = 1  # the only watch of a connection
HOLDING: Final = (
    ErrorCode.RATE_LIMITED,
    ErrorCode.QUOTA,
    ErrorCode.STORAGE_FULL,
    ErrorCode.GO_BACK,
    ErrorCode.PLAINTEXT_SUSPECTED,
)
WATCH_AGAIN: Final = IDLE_SUBMIT / 2  # so that the relay does not take the connection for idle


class Sender:
    """Sends to one contact. `problem` says in a sentence what it waits for, if it waits."""

    def __init__(
        self,
        contact_id: int,
        profile: Profile,
        mailroom: Mailroom,
        bell: Bell,
        random: Random,
        owes: Callable[[], None],
        on_presence: Callable[[int, bool | None], None],
    ) -> None:
        # Static after construction.
        self._contact_id = contact_id
        self._profile = profile
        self._mailroom = mailroom
        self._pins = Pins(profile.store)
        self._bell = bell
        self._random = random
        self._owes = owes  # perhaps there is a note to be written
        self._on_presence = on_presence
        # Owned by run.
        self._work = asyncio.Event()
        self._attached: bytes | None = None  # the token that the relay has for this connection
        self._watched: bytes | None = None  # the capability that it watches for us
        self._watch_again = 0.0
        self._window = Window()
        self._accepted: list[bytes] = []  # frames, of which the store does not know it yet
        self._noted = Spaced(self._note_accepted, NOTED_APART)
        self._retry_after = 0.0
        self._backoff = Backoff()
        self._got_on = False  # whether a frame was accepted on this connection
        self.problem: str | None = None
        # Set by others.
        self.watchers = 0  # how many look at this contact now

    def wake(self) -> None:
        """Something new waits for this contact."""
        self._work.set()

    def again(self) -> None:
        """Something that was put long ago waits once more."""
        self._window.go_back(asyncio.get_running_loop().time(), 0.0)
        self._work.set()

    async def run(self) -> None:
        """Send whatever comes until cancelled, or until the contact or its trust is gone."""
        loop = asyncio.get_running_loop()
        # An old copy of a store must not send what it has sealed: first our relay is asked.
        await self._bell.until(lambda: self._mailroom.is_judged or None, None)
        while True:
            self._work.clear()
            contact = self._mailroom.contacts.by_id(self._contact_id)
            if contact is None:
                return
            is_mute = contact.alarm is not None or not self._profile.is_enrolled
            if is_mute or not (self._has_work() or self._watches(contact)):
                await self._work.wait()
                continue
            began = loop.time()
            try:
                try:
                    await self._connect_once(contact)
                finally:
                    self._on_presence(self._contact_id, None)
                if self._got_on or not self._has_work():
                    continue
            except (RelayError, StorageError, TrustError) as error:
                if isinstance(error, Disconnected):
                    self._retry_after = error.retry_after
                self._waits(str(error))
            except (VerificationError, DecryptError, WireError) as error:
                self._waits(f"The keys that the relay gave for {contact.name!r} do not hold: {error}.")
            await asyncio.sleep(max(self._backoff.next(loop.time() - began), self._retry_after))
            self._retry_after = 0.0

    def _has_work(self) -> bool:
        return self._contact_id in self._mailroom.contacts_waiting()

    def _watches(self, contact: ContactRow) -> bool:
        is_contact = contact.status is ContactStatus.APPROVED
        return self.watchers > 0 and is_contact and contact.presence is not None

    def _waits(self, problem: str) -> None:
        self.problem = problem
        self._bell.ring()

    async def _connect_once(self, contact: ContactRow) -> None:
        relay = contact.relay or self._profile.relay
        pinned = self._pins.get(relay)
        async with dial(relay, Mode.SUBMIT, pinned, self._random, self._profile.route) as connection:
            self._pins.keep(relay, connection.greeting.relay_key)
            if self._has_work():
                contact = await self._make_ready(connection, contact)
            self._window = Window()
            self._attached, self._watched, self._got_on = None, None, False
            try:
                await until_one_ends(self._put(connection), self._hear(connection), self._noted.run())
            finally:
                with contextlib.suppress(StorageError):  # what ends the connection says more
                    self._note_accepted()

    async def _make_ready(self, connection: RelayConnection, contact: ContactRow) -> ContactRow:
        """Fetch what must be known before this contact can be written to."""
        if self._mailroom.needs_refresh(contact):
            contact = await self._fetch(connection, contact, take=False)
        if self._mailroom.needs_bundle(contact):
            contact = await self._fetch(connection, contact, take=True)
            if contact.is_stale:
                raise RelayError(
                    f"{contact.name!r} has a newer device list than the relay shows. Nothing is sent there "
                    "before it does."
                )
            if self._mailroom.needs_bundle(contact):
                raise RelayError(f"{contact.name!r} has not published any keys yet.")
        return contact

    async def _fetch(self, connection: RelayConnection, contact: ContactRow, *, take: bool) -> ContactRow:
        """Fetch and believe the contact's bundle; returns the contact as it is then."""
        await connection.send(Fetch(ref=0, account_key=contact.account_key, take=take))
        try:
            bundle = await connection.expect(Bundle)
        except Disconnected as error:
            if error.error is not None and error.error.code is ErrorCode.NOT_FOUND:
                raise RelayError(f"The relay knows no account of {contact.name!r} (yet).") from None
            raise
        between = await missed_lists(connection, contact.devices, bundle)
        self._mailroom.learn_bundle(contact, bundle, between, begin=take)
        self._owes()  # openings that waited for a device list are answered now
        self._bell.ring()
        return self._mailroom.contacts.by_id(self._contact_id) or contact

    async def _put(self, connection: RelayConnection) -> None:
        """Keep the window full; end after the idle limit, or when the contact or its trust is gone."""
        loop = asyncio.get_running_loop()
        while True:
            self._work.clear()
            contact = self._mailroom.contacts.by_id(self._contact_id)
            if contact is None or contact.alarm is not None or contact.status is not ContactStatus.APPROVED:
                return
            while self._mailroom.seal_waiting(self._contact_id):
                pass
            window = self._window
            if window.is_empty and self._mailroom.waits_for_bundle(contact):
                return  # the next connection begins with a new session
            if window.goes_back:
                self._note_accepted()  # what begins again with the oldest is to begin behind these
            room = window.room(loop.time())
            frames = self._mailroom.outbox.frames(self._contact_id, window.last_put, room) if room else []
            if frames:
                await self._attach(connection, contact)
                for item in frames:
                    window.put(item.frame.frame_id, item.id, loop.time())
                await connection.send(*(item.frame for item in frames))
                if len(frames) == room:
                    continue
            is_watching = await self._watch(connection, contact)
            until = loop.time() + IDLE_SUBMIT - 10
            if is_watching:
                until = self._watch_again
            is_held = loop.time() < window.held_until
            if is_held:
                until = min(until, window.held_until)
            if not window.is_empty:
                until = window.quiet_since + ANSWER_DEADLINE
            try:
                async with asyncio.timeout_at(until):
                    await self._work.wait()
            except TimeoutError:
                if not window.is_empty:
                    if loop.time() < window.quiet_since + ANSWER_DEADLINE:
                        continue  # it has answered since
                    raise RelayError("The relay does not answer.") from None
                if not is_watching and not is_held:
                    return

    async def _attach(self, connection: RelayConnection, contact: ContactRow) -> None:
        """Show the token that the contact gave us, once on each connection, before the first frame."""
        if contact.token is None or contact.token == self._attached:
            return
        self._attached = contact.token
        for entry in contact.devices.devices if contact.devices else ():
            await connection.send(Attach(mailbox=entry.device_key, token=contact.token))

    async def _watch(self, connection: RelayConnection, contact: ContactRow) -> bool:
        """Ask whether the contact is online, again every minute; False if nobody looks, or may know.

        A watch ends with its connection, so one that nobody needs any more ends with the idle limit.
        """
        if not self._watches(contact) or contact.presence is None:
            self._watched = None
            self._on_presence(self._contact_id, None)
            return False
        now = asyncio.get_running_loop().time()
        if contact.presence != self._watched or now >= self._watch_again:
            self._watched, self._watch_again = contact.presence, now + WATCH_AGAIN
            await connection.send(Watch(ref=WATCH, capability=contact.presence))
        return True

    async def _hear(self, connection: RelayConnection) -> None:
        while True:
            message = await connection.receive()
            match message:
                case Accepted() | QueuedAsRequest():
                    self._settle(message.frames, as_request=isinstance(message, QueuedAsRequest))
                case Presence():
                    if self._watched is not None and message.ref == WATCH:
                        self._on_presence(self._contact_id, message.online)
                case Refused():
                    self._refused(message)
                case Error():
                    raise Disconnected(message.message, message)
                case _:
                    raise Disconnected("The relay answers out of turn.")

    def _settle(self, frame_ids: list[bytes], *, as_request: bool) -> None:
        """The relay has these frames. What it says of others means nothing, not even that it works."""
        held_back = self._window.is_full
        known = self._window.settle(frame_ids, asyncio.get_running_loop().time())
        if not known:
            return
        self._window.widen(len(known))
        self.problem, self._got_on = None, True
        self._backoff.reset()
        if held_back:
            self._work.set()
        if as_request:
            self._mailroom.frame_accepted(known, as_request=True)
            self._bell.ring()
        else:
            self._accepted += known
            self._noted.due()

    def _note_accepted(self) -> None:
        """The store learns what the relay has accepted; frames of which it does not go out again."""
        known, self._accepted = self._accepted, []
        if known:
            self._mailroom.frame_accepted(known)
            self._work.set()
            self._owes()
            self._bell.ring()

    def _refused(self, refused: Refused) -> None:
        """Go on with the oldest frame when the relay takes more; else end the connection, and then so."""
        now = asyncio.get_running_loop().time()
        if not self._window.settle([refused.frame], now):
            return
        self._work.set()
        if refused.code is ErrorCode.GO_BACK and self._window.goes_back:
            return  # the refusal before it has said more
        told = min(float(refused.retry_after or 0), RETRY_AFTER_MAX)
        sentence = f"The relay does not take the message now: {refused.message}"
        if refused.code is ErrorCode.RATE_LIMITED:
            sentence = takes_no_more(told)
        if refused.code is ErrorCode.PLAINTEXT_SUSPECTED:
            # It happens by chance, once in a thousand million; else one of the two programs is broken.
            self._mailroom.frame_not_taken(refused.frame)
            self._owes()
            sentence = (
                "The relay takes what is sent for plaintext, and refuses it. It is encrypted anew; if this "
                "stays, update blindpost, or ask the relay's operator."
            )
        if refused.code in HOLDING and told <= HOLD_MAX:
            self._window.go_back(now, max(told, self._backoff.next()))
            self._waits(sentence)
            return
        if refused.code is ErrorCode.NOT_FOUND:
            self._mailroom.mark_stale(self._contact_id)  # its mailbox is gone: perhaps there is a newer list
        raise Disconnected(sentence, retry_after=told)
