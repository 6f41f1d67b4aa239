"""Outgoing messages: every way from queued to read or failed, in whatever order reports come."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.model import MessageStatus
from clients.store.outgoing import EXPIRY_MS, NO_RECEIPT
from clients.store.store import Store
from keys.content import Kind
from tests.clients.store.desk import DEVICE, NOW, Desk
from wire.frames import Put

REPLIED = b"r" * 16


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    store = Store(tmp_path / "store.db", bytes(32))
    desk = Desk(store)
    desk.know_device()
    yield desk
    store.close()


def status(desk: Desk, row: int) -> MessageStatus:
    return desk.message(row).status


def test_a_message_keeps_its_key_and_what_it_answers(desk: Desk) -> None:
    with desk.store.transaction():
        row = desk.history.add_outgoing(desk.bob, Kind.TEXT, b"o" * 16, b"hi", NOW, "job-1", REPLIED)
    found = desk.history.by_key(desk.bob, "job-1")
    assert found == desk.message(row) == desk.history.sent(b"o" * 16)
    assert (found.id, found.body, found.reply_to, found.status) == (b"o" * 16, b"hi", REPLIED, "queued")
    assert desk.history.by_key(desk.bob, "job-2") is None
    assert desk.history.by_key(desk.bob + 1, "job-1") is None
    (waiting,) = desk.history.unsealed(desk.bob, 10)
    assert (waiting.row, waiting.reply_to) == (row, REPLIED)


def test_a_request_can_still_be_accepted_and_nothing_goes_back(desk: Desk) -> None:
    row = desk.send(1)
    desk.history.requested(row, NOW)
    assert status(desk, row) is MessageStatus.REQUESTED
    desk.history.accepted(row, NOW)
    assert status(desk, row) is MessageStatus.ACCEPTED
    desk.history.requested(row, NOW)
    assert status(desk, row) is MessageStatus.ACCEPTED
    desk.history.delivered(DEVICE, ((1, 1),))
    desk.history.accepted(row, NOW)
    desk.history.requested(row, NOW)
    assert not desk.history.failed(row, "too late")
    assert (status(desk, row), desk.message(row).failed) == (MessageStatus.DELIVERED, None)


@pytest.mark.parametrize("is_read_first", [False, True])
def test_read_is_what_is_delivered_and_seen_whichever_report_comes_first(
    desk: Desk, is_read_first: bool
) -> None:
    rows = [desk.send(number) for number in (1, 2, 3)]
    if is_read_first:
        assert desk.history.read(DEVICE, 2) == 0
        assert [status(desk, row) for row in rows] == ["queued"] * 3
        assert desk.history.delivered(DEVICE, ((1, 3),)) == 3
    else:
        assert desk.history.delivered(DEVICE, ((1, 3),)) == 3
        assert [status(desk, row) for row in rows] == ["delivered"] * 3
        assert desk.history.read(DEVICE, 2) == 2
    assert [status(desk, row) for row in rows] == ["read", "read", "delivered"]
    assert desk.history.read(DEVICE, 1) == 0
    assert desk.history.delivered(DEVICE, ((1, 3),)) == 0
    assert [status(desk, row) for row in rows] == ["read", "read", "delivered"]
    assert desk.history.read(DEVICE, 2**63 - 1) == 1
    assert desk.store.db.execute("SELECT count(*) FROM sent WHERE delivered < 2").get == 0


def test_what_was_not_delivered_is_not_read(desk: Desk) -> None:
    rows = [desk.send(number) for number in (1, 2)]
    desk.history.delivered(DEVICE, ((2, 2),))
    desk.history.read(DEVICE, 2)
    assert [status(desk, row) for row in rows] == ["queued", "read"]


def test_a_read_mark_counts_for_the_device_it_came_from_alone(desk: Desk) -> None:
    row = desk.send(1)
    desk.history.delivered(DEVICE, ((1, 1),))
    assert desk.history.read(b"e" * 32, 9) == 0
    assert status(desk, row) is MessageStatus.DELIVERED


def test_giving_up_takes_the_message_out_of_the_outbox_and_says_why(desk: Desk) -> None:
    row = desk.send(1)
    with desk.store.transaction():
        desk.outbox.add(desk.bob, Put(b"f" * 16, DEVICE, bytes(1024)), row)
        assert desk.history.failed(row, "because")
    shown = desk.message(row)
    assert (shown.status, shown.failed) == (MessageStatus.FAILED, "because")
    assert desk.outbox.contacts_waiting(0) == []
    assert desk.store.db.execute("SELECT count, bytes FROM waiting").fetchone() == (0, 0)
    desk.history.accepted(row, NOW)
    assert status(desk, row) is MessageStatus.FAILED


def test_only_what_no_relay_has_taken_is_given_up_as_unsent(desk: Desk) -> None:
    accepted, on_its_way = desk.send(1), desk.send(2)
    with desk.store.transaction():
        desk.history.accepted(accepted, NOW)
        desk.outbox.add(desk.bob, Put(b"f" * 16, DEVICE, bytes(1024)), on_its_way)
        desk.outbox.add(desk.bob, Put(b"n" * 16, DEVICE, bytes(1024)), None)
        waiting = desk.history.add_outgoing(desk.bob, Kind.TEXT, b"w" * 16, b"hi", NOW)
        assert desk.history.fail_unsent(desk.bob, "gone") == 2
    assert [status(desk, row) for row in (accepted, on_its_way, waiting)] == ["accepted", "failed", "failed"]
    assert desk.history.unsealed(desk.bob, 10) == []
    assert desk.store.db.execute("SELECT count FROM waiting").get == 0


@pytest.mark.parametrize("as_request", [False, True])
def test_what_nobody_receipts_is_given_up_after_31_days_until_a_receipt_comes(
    desk: Desk, as_request: bool
) -> None:
    row, queued = desk.send(1), desk.send(2)
    (desk.history.requested if as_request else desk.history.accepted)(row, NOW)
    assert desk.history.expire(NOW + EXPIRY_MS) == 0
    assert desk.history.expire(NOW + EXPIRY_MS + 1) == 1
    assert desk.history.expire(NOW + EXPIRY_MS + 1) == 0
    assert (status(desk, row), desk.message(row).failed) == (MessageStatus.FAILED, NO_RECEIPT)
    assert status(desk, queued) is MessageStatus.QUEUED
    assert EXPIRY_MS == 31 * 86_400_000
    assert desk.history.delivered(DEVICE, ((1, 1),)) == 1
    assert (status(desk, row), desk.message(row).failed) == (MessageStatus.DELIVERED, None)


def test_every_change_is_told_once_and_nothing_else(desk: Desk) -> None:
    told: list[int] = []
    desk.history.touched = told.append
    row = desk.send(1)
    desk.history.requested(row, NOW)
    desk.history.accepted(row, NOW)
    desk.history.delivered(DEVICE, ((1, 1),))
    desk.history.read(DEVICE, 1)
    assert told == [row] * 5
    desk.history.accepted(row, NOW)
    desk.history.requested(row, NOW)
    desk.history.delivered(DEVICE, ((1, 1),))
    desk.history.read(DEVICE, 1)
    desk.history.failed(row, "no")
    desk.history.expire(NOW * 2)
    assert told == [row] * 5
    other = desk.send(2)
    desk.history.failed(other, "because")
    old = desk.send(3)
    desk.history.accepted(old, NOW)
    desk.history.expire(NOW * 2)
    assert told[5:] == [other, other, old, old, old]


def test_a_cumulative_receipt_costs_what_is_new_in_it(desk: Desk) -> None:
    def receipt(number: int) -> int:
        desk.send(number)
        return desk.steps(lambda: desk.history.delivered(DEVICE, ((1, number),)))

    few = [receipt(number) for number in range(1, 11)][-1]
    with desk.store.transaction():
        for number in range(11, 2000):
            desk.send(number)
        desk.history.delivered(DEVICE, ((1, 1999),))
    assert receipt(2000) < 2 * few
    desk.history.read(DEVICE, 1990)
    assert desk.steps(lambda: desk.history.read(DEVICE, 1991)) < 10 * few
