"""Posting: what the application sends becomes durable, all of one turn of the event loop in one commit.

Owns what may be posted, and the wait for the commit: an fsync costs more than all else about a message, and
one is enough for all that are posted together. Knows no sockets; encrypting is `clients.mailroom`'s.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from clients import clock
from clients.envelopes import check_writable
from clients.errors import (
    ClientError,
    NotFoundError,
    OutboxFullError,
    StorageError,
    TooLargeError,
    UsageError,
)
from clients.model import ContactStatus
from clients.profile import Profile
from clients.store.contacts import ContactRow, Contacts
from clients.store.history import History
from clients.store.outbox import Outbox
from keys.content import MESSAGE_ID, Kind
from keys.primitives import Random
from wire.limits import TEXT_MAX

KEY_MAX: Final = 200
TOGETHER: Final = 64  # posts of one transaction: it may not hold up everything else for long


@dataclass(frozen=True, slots=True)
class Post:
    """What is to be sent to a contact, by its row. See `Messenger.send` for `key` and `reply_to`."""

    contact: int
    kind: Kind
    body: bytes = field(repr=False)
    key: str | None = None
    reply_to: bytes | None = None


class Posting:
    """The posts of one profile. `posted` is called with the contact's row for each that is durable."""

    def __init__(
        self,
        profile: Profile,
        contacts: Contacts,
        history: History,
        outbox: Outbox,
        random: Random,
        seal_waiting: Callable[[int], int],
    ) -> None:
        self._profile = profile
        self._contacts = contacts
        self._history = history
        self._outbox = outbox
        self._random = random
        self._seal_waiting = seal_waiting
        self._waiting: list[tuple[Post, asyncio.Future[bytes]]] = []
        self.posted: Callable[[int], None] = lambda contact: None

    async def post(self, post: Post) -> bytes:
        """Queue a message with all others of this turn; its id, once that is durable.

        Raises what `post_all` returns, or StorageError; then it was not queued. Whoever is cancelled while
        it waits has queued nothing, unless the commit was over.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[bytes] = loop.create_future()
        self._waiting.append((post, done))
        if len(self._waiting) == 1:
            loop.call_soon(self._commit)
        return await done

    def commit(self) -> None:
        """Nothing waits for the end of the turn any more."""
        while self._waiting:
            self._commit()

    def _commit(self) -> None:
        ready, self._waiting = self._waiting[:TOGETHER], self._waiting[TOGETHER:]
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._commit)
        ready = [(post, done) for post, done in ready if not done.cancelled()]
        if not ready:
            return
        outcomes: Sequence[bytes | Exception]
        try:
            outcomes = self.post_all([post for post, _ in ready])
        except Exception as error:  # whatever it is, everybody who waits is told: nobody waits for ever
            outcomes = [error] * len(ready)
        for (post, done), outcome in zip(ready, outcomes, strict=True):
            if isinstance(outcome, Exception):
                done.set_exception(outcome)
            else:
                done.set_result(outcome)
                self.posted(post.contact)

    def post_all(self, posts: Sequence[Post]) -> list[bytes | ClientError]:
        """Queue messages in this order; they are encrypted at once where a session exists.

        Returns the id of each, or why it was not queued: TooLargeError, OutboxFullError, TrustError,
        NotFoundError or UsageError (a contact that is not approved, or a key that stands for another
        message). With a `key` that was used before for this contact, nothing is queued, and the id is that
        message's. Raises StorageError; then nothing was queued.
        """
        outcomes: list[bytes | ClientError] = []
        with self._profile.store.transaction():
            contacts = {id: self._contacts.by_id(id) for id in {post.contact for post in posts}}
            for post in posts:
                try:
                    outcomes.append(self._queue(post, contacts[post.contact]))
                except StorageError:
                    raise
                except ClientError as error:
                    outcomes.append(error)
            for id in contacts:
                self._seal_waiting(id)
        return outcomes

    def _queue(self, post: Post, contact: ContactRow | None) -> bytes:
        """Check a post and put it into the history; until then it leaves no trace."""
        if contact is None or contact.status is ContactStatus.REMOVED:
            raise NotFoundError("This contact has been removed.")
        known = self._known(post, contact)
        if known is not None:
            return known
        check_writable(contact)
        self._profile.check_speaks()
        if self._outbox.is_full():
            raise OutboxFullError(
                "10,000 messages or 256 MiB wait to be sent. Let blindpost listen run until the relay "
                "has taken them."
            )
        message_id = self._random(MESSAGE_ID)
        self._history.add_outgoing(
            contact.id, post.kind, message_id, post.body, clock.now_ms(), post.key, post.reply_to
        )
        return message_id

    def _known(self, post: Post, contact: ContactRow) -> bytes | None:
        """The id of the message that stands under the key of a post already."""
        if len(post.body) > TEXT_MAX:
            raise TooLargeError(f"A message has at most {TEXT_MAX:,} bytes of UTF-8. Send it in parts.")
        if post.reply_to is not None and len(post.reply_to) != MESSAGE_ID:
            raise UsageError("The id of a message has 16 bytes.")
        if post.reply_to is not None and self._history.find(contact.id, post.reply_to) is None:
            raise NotFoundError(f"The conversation with {contact.name!r} has no message with this id.")
        if post.key is None:
            return None
        if not post.key.isprintable() or not 0 < len(post.key) <= KEY_MAX:
            raise UsageError(f"An id of your own has 1 to {KEY_MAX} printable characters.")
        known = self._history.by_key(contact.id, post.key)
        if known is None:
            return None
        if (known.kind, known.body) != (post.kind, post.body):
            raise UsageError(f"The id {post.key!r} stands for another message to {contact.name!r} already.")
        return known.id
