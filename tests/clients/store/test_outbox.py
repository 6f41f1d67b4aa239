"""Outbox: bounded, in order, byte for byte until accepted; receipts owed; envelopes seen before."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.errors import StorageError
from clients.store import outbox as outbox_module
from clients.store.contacts import Contacts
from clients.store.history import History
from clients.store.outbox import RANGES_SENT, Outbox
from clients.store.ranges import Ranges
from clients.store.store import Store
from keys.content import Kind, Receipt
from wire.addresses import Address
from wire.frames import Put

MAILBOX = b"m" * 32
STREAM = b"s" * 16


def frame(number: int, size: int = 1024) -> Put:
    return Put(number.to_bytes(16, "big"), MAILBOX, bytes(size))


class Desk:
    def __init__(self, store: Store) -> None:
        self.store, self.outbox, self.history = store, Outbox(store), History(store)
        self.contacts = Contacts(store)
        self.bob = self.contacts.add("bob", Address(b"b" * 32)).id

    def message(self) -> int:
        """An outgoing message that is encrypted; its row."""
        with self.store.transaction() as db:
            self.history.add_outgoing(self.bob, Kind.TEXT, db.last_insert_rowid().to_bytes(16, "big"), b"", 1)
            row = db.last_insert_rowid()
            self.history.sealed([row], {MAILBOX: [row]})
        return row


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    store = Store(tmp_path / "store.db", bytes(32))
    yield Desk(store)
    store.close()


def test_frames_come_out_in_the_order_they_went_in_byte_for_byte(desk: Desk) -> None:
    frames = [Put(bytes([9 - n]) * 16, MAILBOX, bytes([n]) * 1024) for n in range(5)]
    for item in frames:
        desk.outbox.add(desk.bob, item, None)
    found = desk.outbox.frames(desk.bob, 0, 100)
    assert [item.frame for item in found] == frames
    assert [item.frame.encode() for item in desk.outbox.frames(desk.bob, 0, 2)] == [
        item.encode() for item in frames[:2]
    ]
    assert [item.frame for item in desk.outbox.frames(desk.bob, found[2].id, 100)] == frames[3:]
    # Asking changes nothing: a resend is the same again.
    assert desk.outbox.frames(desk.bob, 0, 100) == found


def test_a_place_in_the_queue_is_never_given_again(desk: Desk) -> None:
    desk.outbox.add(desk.bob, frame(1), None)
    (first,) = desk.outbox.frames(desk.bob, 0, 1)
    desk.outbox.accepted(first.frame.frame_id, keep=False)
    desk.outbox.add(desk.bob, frame(2), None)
    (second,) = desk.outbox.frames(desk.bob, first.id, 1)
    assert second.id > first.id


def test_a_message_is_accepted_when_its_last_frame_is(desk: Desk) -> None:
    row = desk.message()
    for number in (1, 2, 3):
        desk.outbox.add(desk.bob, frame(number), row)
    assert desk.outbox.accepted(frame(2).frame_id, keep=False) is None
    assert desk.outbox.accepted(frame(1).frame_id, keep=False) is None
    assert desk.outbox.accepted(frame(3).frame_id, keep=False) == row
    assert desk.outbox.accepted(frame(3).frame_id, keep=False) is None


def test_an_unknown_frame_id_accepts_nothing(desk: Desk) -> None:
    desk.outbox.add(desk.bob, frame(1), desk.message())
    assert desk.outbox.accepted(b"?" * 16, keep=False) is None
    assert len(desk.outbox.frames(desk.bob, 0, 10)) == 1


def test_is_full_at_the_number_of_messages(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "MESSAGES_MAX", 3)
    row = desk.message()
    desk.outbox.add(desk.bob, frame(1), row)
    with desk.store.transaction():
        desk.history.add_outgoing(desk.bob, Kind.TEXT, b"9" * 16, b"hi", 1)
    desk.outbox.add(desk.bob, frame(3), None)
    assert not desk.outbox.is_full(), "a receipt takes nobody's place"
    desk.outbox.add(desk.bob, frame(2), row)
    assert desk.outbox.is_full()
    desk.outbox.accepted(frame(1).frame_id, keep=False)
    assert not desk.outbox.is_full()


def test_is_full_at_the_number_of_bytes(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "BYTES_MAX", 2048 + 5)
    row = desk.message()
    desk.outbox.add(desk.bob, frame(1), row)
    desk.outbox.add(desk.bob, frame(2), row)
    assert not desk.outbox.is_full()
    with desk.store.transaction():
        desk.history.add_outgoing(desk.bob, Kind.TEXT, b"1" * 16, b"12345", 1)
    assert desk.outbox.is_full()


def test_the_size_of_the_outbox_is_exact_whatever_happens(desk: Desk) -> None:
    """What triggers keep, against what is really there, through every way in and out."""

    def check() -> None:
        kept = desk.store.db.execute("SELECT count, bytes FROM waiting").fetchone()
        there = desk.store.db.execute(
            "SELECT count(*), CAST(total(n) AS INTEGER) FROM (SELECT length(envelope) AS n FROM outbox "
            "UNION ALL SELECT length(body) FROM messages WHERE outgoing = 1 AND sealed = 0)"
        ).fetchone()
        assert kept == there

    row = desk.message()
    check()
    for number in range(4):
        desk.outbox.add(desk.bob, frame(number, 1024 << number), row)
    with desk.store.transaction():
        desk.history.add_outgoing(desk.bob, Kind.TEXT, b"1" * 16, b"waits", 1)
    check()
    desk.outbox.accepted(frame(0).frame_id, keep=False)
    check()

    def twice_the_same_id() -> None:
        with desk.store.transaction():
            for _ in range(2):
                desk.outbox.add(desk.bob, frame(9), None)

    with pytest.raises(StorageError):
        twice_the_same_id()
    check()
    contact = desk.contacts.by_id(desk.bob)
    assert contact is not None
    desk.contacts.remove(contact)
    check()
    assert desk.store.db.execute("SELECT count, bytes FROM waiting").fetchone() == (0, 0)


def test_contacts_waiting_are_those_with_frames_or_messages_not_encrypted_yet(desk: Desk) -> None:
    carol = desk.contacts.add("carol", Address(b"c" * 32)).id
    desk.contacts.add("dave", Address(b"d" * 32))
    assert desk.outbox.contacts_waiting(0) == []
    desk.outbox.add(carol, frame(1), None)
    with desk.store.transaction():
        desk.history.add_outgoing(desk.bob, Kind.TEXT, b"1" * 16, b"hi", 1)
    assert sorted(desk.outbox.contacts_waiting(0)) == [desk.bob, carol]
    desk.outbox.accepted(frame(1).frame_id, keep=False)
    assert desk.outbox.contacts_waiting(0) == [desk.bob]


# --- receipts ---------------------------------------------------------------------------------------


def owe(desk: Desk, ranges: Ranges) -> None:
    with desk.store.transaction() as db:
        db.execute(
            "INSERT INTO devices (device_key, contact) VALUES (?, ?) ON CONFLICT DO NOTHING",
            (MAILBOX, desk.bob),
        )
        desk.outbox.save_arrived(MAILBOX, STREAM, ranges, 1, owes=True)


def test_a_receipt_is_owed_until_it_is_written(desk: Desk) -> None:
    owe(desk, Ranges(((1, 3), (5, 5))))
    assert desk.outbox.receipts_owed() == [(desk.bob, MAILBOX, Receipt(STREAM, ((1, 3), (5, 5))))]
    desk.outbox.receipt_written(MAILBOX, STREAM)
    assert desk.outbox.receipts_owed() == []


def test_what_arrives_without_asking_for_a_receipt_does_not_cancel_one_that_is_owed(desk: Desk) -> None:
    owe(desk, Ranges(((1, 1),)))
    with desk.store.transaction():
        desk.outbox.save_arrived(MAILBOX, STREAM, Ranges(((1, 2),)), 2, owes=False)
    assert [receipt.ranges for *_, receipt in desk.outbox.receipts_owed()] == [((1, 2),)]


def test_one_receipt_a_device_is_on_its_way_at_a_time(desk: Desk) -> None:
    owe(desk, Ranges(((1, 1),)))
    desk.outbox.add(desk.bob, frame(1), None)
    assert desk.outbox.receipts_owed() == []
    desk.outbox.accepted(frame(1).frame_id, keep=False)
    assert len(desk.outbox.receipts_owed()) == 1


def test_a_message_on_its_way_holds_no_receipt_back(desk: Desk) -> None:
    owe(desk, Ranges(((1, 1),)))
    desk.outbox.add(desk.bob, frame(1), desk.message())
    assert len(desk.outbox.receipts_owed()) == 1


@pytest.mark.parametrize("column", ["status = 'request'", "alarm = 'who is this'"])
def test_no_receipt_for_a_request_or_an_alarmed_contact(desk: Desk, column: str) -> None:
    owe(desk, Ranges(((1, 1),)))
    with desk.store.transaction() as db:
        db.execute(f"UPDATE contacts SET {column}")  # noqa: S608 ours
    assert desk.outbox.receipts_owed() == []


def test_a_receipt_names_the_newest_ranges_when_there_are_too_many(desk: Desk) -> None:
    pairs = tuple((n, n) for n in range(1, 2 * RANGES_SENT + 4, 2))
    owe(desk, Ranges(pairs))
    ((_, _, receipt),) = desk.outbox.receipts_owed()
    assert receipt.ranges == pairs[-RANGES_SENT:]
    assert receipt.encode()


# --- what has been taken in -------------------------------------------------------------------------


def test_an_envelope_is_consumed_once_and_remembered_for_sixty_days(desk: Desk) -> None:
    now = 1_700_000_000
    assert desk.outbox.consume(b"h" * 32, now)
    assert not desk.outbox.consume(b"h" * 32, now + 1)
    desk.outbox.forget_consumed(now)
    assert not desk.outbox.consume(b"h" * 32, now + 1)
    desk.outbox.forget_consumed(now + 1)
    assert desk.outbox.consume(b"h" * 32, now + 2)


def test_a_full_outbox_is_known_at_once(desk: Desk) -> None:
    with desk.store.transaction():
        for number in range(2000):
            desk.outbox.add(desk.bob, frame(number), None)
    steps = 0

    def count() -> bool:
        nonlocal steps
        steps += 1
        return False

    desk.store.db.set_progress_handler(count, 1)
    desk.outbox.is_full()
    desk.outbox.contacts_waiting(0)
    assert steps < 200


def test_nothing_of_an_envelope_is_in_a_repr(desk: Desk) -> None:
    desk.outbox.add(desk.bob, Put(b"i" * 16, MAILBOX, b"SECRET" * 10), None)
    assert "SECRET" not in repr(desk.outbox.frames(desk.bob, 0, 1))


def test_devices_that_are_gone_are_dropped_without_looking_at_what_others_wait_for(desk: Desk) -> None:
    gone, steps = b"g" * 32, 0
    with desk.store.transaction():
        rows = [
            desk.history.add_outgoing(desk.bob, Kind.TEXT, number.to_bytes(16, "big"), b"", 1)
            for number in range(1000)
        ]
        for row in rows:
            desk.history.sealed([row], {MAILBOX: [row]})
    with desk.store.transaction() as db:
        for device in (MAILBOX, gone):
            db.execute("INSERT INTO devices (device_key, contact) VALUES (?, ?)", (device, desk.bob))
        for number, row in enumerate(rows):
            desk.outbox.add(desk.bob, frame(number), row)
            if number in (7, 8):
                other = Put(bytes([number]) * 16, gone, bytes(1024))
                desk.outbox.add(desk.bob, other, row)
                db.execute(
                    "INSERT INTO sent (device_key, sequence, message) VALUES (?, ?, ?)",
                    (gone, 1 + number, row),
                )
                desk.outbox.accepted(other.frame_id, keep=number == 7)
            desk.outbox.accepted(frame(number).frame_id, keep=True)

    def count() -> bool:
        nonlocal steps
        steps += 1
        return False

    desk.store.db.set_progress_handler(count, 1)
    with desk.store.transaction():
        assert not desk.outbox.drop_gone(desk.bob, [MAILBOX])
    desk.store.db.set_progress_handler(None)
    assert desk.store.db.execute("SELECT count(*) FROM outbox").get == 1000
    assert desk.store.db.execute("SELECT count(*) FROM sent WHERE device_key = ?", (gone,)).get == 0
    assert steps < 1000
