"""A store with one contact, and the steps in which messages come into it."""

from collections.abc import Callable

from clients.model import Message
from clients.store.contacts import Contacts
from clients.store.history import History
from clients.store.outbox import Outbox
from clients.store.store import Store
from keys.content import Content, Kind
from wire.addresses import Address

STREAM = b"s" * 16
DEVICE = b"d" * 32
NOW = 1_700_000_000_000


class Desk:
    """A store with one contact, and the three steps in which a content is taken in."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.contacts, self.history, self.outbox = Contacts(store), History(store), Outbox(store)
        self.bob = self.contacts.add("bob", Address(b"b" * 32)).id
        self.now = NOW
        self.sent = 0

    def take(
        self,
        sequence: int,
        *,
        id: bytes | None = None,
        kind: int = Kind.TEXT,
        stream: bytes = STREAM,
        contact: int | None = None,
        is_request: bool = False,
        body: bytes | None = None,
        extensions: tuple[tuple[int, bytes], ...] = (),
    ) -> bool:
        """A content arrives; False for a duplicate."""
        self.now += 1
        message_id = id or sequence.to_bytes(16, "big")
        text = f"text {sequence}".encode() if body is None else body
        content = Content(kind, message_id, stream, sequence, self.now, text, extensions)
        with self.store.transaction():
            arrived = self.outbox.arrived(DEVICE, stream).added(sequence)
            self.outbox.save_arrived(DEVICE, stream, arrived, self.now, owes=False)
            is_new = True
            if kind != Kind.RECEIPT:
                bob = contact or self.bob
                is_new = self.history.add_incoming(
                    bob, DEVICE, content, arrived, self.now, is_request=is_request
                )
            self.history.filled(DEVICE, stream, sequence, arrived)
        return is_new

    def hand_over(self, *, take: bool = True) -> list[tuple[str, bool, int, bool]]:
        """(text, late, missing before, redelivered) of everything that may be shown now."""
        shown = []
        while (found := self.history.next_message(self.now)) is not None:
            row, message = found
            with self.store.transaction():
                self.history.offered(row)
                if take:
                    self.history.taken(row)
            shown.append((message.text, message.late, message.missing_before, message.redelivered))
            if not take:
                break
        return shown

    def texts(self) -> list[str]:
        return [text for text, *_ in self.hand_over()]

    def conversation(self) -> list[tuple[int, bool, int]]:
        found = self.history.conversation(self.bob, 1000)
        return [(message.sequence, message.late, message.missing_before) for message in found]

    def send(self, number: int, *, body: bytes = b"hi", key: str | None = None) -> int:
        """Queue and encrypt our message of this number, which is also its sequence; returns its row."""
        self.now += 1
        with self.store.transaction():
            id = b"o" + number.to_bytes(15, "big")
            row = self.history.add_outgoing(self.bob, Kind.TEXT, id, body, self.now, key)
            self.history.sealed([row], {DEVICE: [number]})
        return row

    def know_device(self) -> None:
        """The contact has a device, as after its first message."""
        with self.store.transaction() as db:
            db.execute("INSERT INTO devices (device_key, contact) VALUES (?, ?)", (DEVICE, self.bob))

    def message(self, row: int) -> Message:
        found = self.history.message(row)
        assert found is not None
        return found

    def steps(self, work: Callable[[], object]) -> int:
        """Steps of SQLite's machine for a piece of work."""
        count = 0

        def step() -> bool:
            nonlocal count
            count += 1
            return False

        self.store.db.set_progress_handler(step, 1)
        work()
        self.store.db.set_progress_handler(None)
        return count
