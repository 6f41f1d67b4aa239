"""History: once by message id, in the sender's order, held behind a gap, handed over until taken."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.model import MessageStatus
from clients.store.history import HOLD_MS
from clients.store.store import Store
from keys.content import Kind
from tests.clients.store.desk import DEVICE, NOW, STREAM, Desk
from wire.addresses import Address


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    store = Store(tmp_path / "store.db", bytes(32))
    yield Desk(store)
    store.close()


def test_messages_come_in_the_order_of_their_stream(desk: Desk) -> None:
    for sequence in (1, 2, 3):
        assert desk.take(sequence)
    assert desk.hand_over() == [(f"text {n}", False, 0, False) for n in (1, 2, 3)]
    assert desk.hand_over() == []


def test_the_same_message_id_is_kept_once(desk: Desk) -> None:
    assert desk.take(1, id=b"x" * 16)
    assert not desk.take(2, id=b"x" * 16)
    assert desk.texts() == ["text 1"]


def test_the_same_sequence_with_another_id_keeps_both(desk: Desk) -> None:
    assert desk.take(1, id=b"x" * 16)
    assert desk.take(1, id=b"y" * 16)
    assert len(desk.hand_over()) == 2


def test_a_message_behind_a_gap_is_held_for_thirty_seconds_and_then_marked(desk: Desk) -> None:
    desk.take(1)
    desk.take(3)
    assert desk.texts() == ["text 1"]
    due = desk.history.held_until(desk.now)
    assert due == desk.now + HOLD_MS == NOW + 2 + 30_000
    desk.now = due - 1
    assert desk.hand_over() == []
    desk.now = due
    assert desk.hand_over() == [("text 3", False, 1, False)]
    assert desk.history.held_until(desk.now) is None


def test_all_behind_one_gap_wait_for_the_same_moment(desk: Desk) -> None:
    desk.take(2)
    desk.now += HOLD_MS // 2
    desk.take(3)
    desk.now = NOW + 1 + HOLD_MS
    assert desk.hand_over() == [("text 2", False, 1, False), ("text 3", False, 0, False)]


def test_a_filled_gap_releases_what_it_held_in_order_and_unmarked(desk: Desk) -> None:
    for sequence in (1, 3, 4):
        desk.take(sequence)
    assert desk.texts() == ["text 1"]
    desk.take(2)
    assert desk.hand_over() == [(f"text {n}", False, 0, False) for n in (2, 3, 4)]


def test_half_a_gap_filled_goes_on_holding(desk: Desk) -> None:
    for sequence in (1, 5, 3):
        desk.take(sequence)
    desk.take(2)
    assert desk.texts() == ["text 1", "text 2", "text 3"]
    desk.take(4)
    assert desk.texts() == ["text 4", "text 5"]


def test_a_late_message_is_inserted_in_its_place_and_marked(desk: Desk) -> None:
    desk.take(1)
    desk.take(3)
    desk.now += HOLD_MS
    assert desk.texts() == ["text 1", "text 3"]
    desk.take(2)
    assert desk.hand_over() == [("text 2", True, 0, False)]
    # And the mark behind it, which said that one was missing, is gone.
    assert desk.conversation() == [(1, False, 0), (2, True, 0), (3, False, 0)]


def test_a_gap_shows_although_a_receipt_came_right_behind_it(desk: Desk) -> None:
    desk.take(1)
    desk.take(3, kind=Kind.RECEIPT)
    desk.take(4)
    desk.now += HOLD_MS
    assert desk.hand_over() == [("text 1", False, 0, False), ("text 4", False, 1, False)]


def test_receipts_between_messages_are_no_gap(desk: Desk) -> None:
    desk.take(1)
    desk.take(2, kind=Kind.RECEIPT)
    desk.take(3)
    assert desk.hand_over() == [("text 1", False, 0, False), ("text 3", False, 0, False)]


@pytest.mark.parametrize("kind", [Kind.PROFILE, 200])
def test_an_unknown_kind_behind_a_gap_lets_nothing_overtake_what_is_held(desk: Desk, kind: int) -> None:
    desk.take(1)
    assert desk.texts() == ["text 1"]
    desk.take(3)
    desk.take(4, kind=kind)
    desk.take(5)
    assert desk.hand_over() == []
    desk.take(2)
    assert desk.texts() == ["text 2", "text 3", "text 5"]


def test_unknown_kinds_are_kept_and_not_shown(desk: Desk) -> None:
    desk.take(1, kind=200)
    assert desk.hand_over() == []
    assert desk.conversation() == []
    assert desk.store.db.execute("SELECT count(*) FROM messages WHERE kind = 200").get == 1


def test_two_streams_of_one_device_have_gaps_of_their_own(desk: Desk) -> None:
    desk.take(1)
    desk.take(5, stream=b"t" * 16, id=b"t" * 16)
    desk.take(2)
    assert desk.texts() == ["text 1", "text 2"]


def test_a_message_not_taken_comes_again_marked(desk: Desk) -> None:
    desk.take(1)
    desk.take(2)
    assert desk.hand_over(take=False) == [("text 1", False, 0, False)]
    # The process dies here, and the next one asks:
    assert desk.hand_over() == [("text 1", False, 0, True), ("text 2", False, 0, False)]


def test_what_a_request_holds_wakes_nobody(desk: Desk) -> None:
    stranger = 77
    with desk.store.transaction() as db:
        db.execute("INSERT INTO contacts (id, name, account_key, relay, status) "
                   "VALUES (?, 'request-1', ?, '', 'request')", (stranger, b"c" * 32))  # fmt: skip
    desk.take(5, contact=stranger, is_request=True)
    assert desk.history.held_until(desk.now) is None
    desk.now += 2 * HOLD_MS
    assert desk.history.held_until(desk.now) is None
    assert desk.hand_over() == []


def test_a_row_is_never_used_again(desk: Desk) -> None:
    desk.take(1)
    found = desk.history.next_message(desk.now)
    assert found is not None
    row = found[0]
    contact = desk.contacts.by_id(desk.bob)
    assert contact is not None
    desk.contacts.remove(contact)
    carol = desk.contacts.add("carol", Address(b"c" * 32)).id
    assert carol != desk.bob
    desk.take(1, stream=b"c" * 16, contact=carol)
    with desk.store.transaction():
        desk.history.taken(row)  # the application has finished with a message that is gone
    assert desk.texts() == ["text 1"]


@pytest.mark.parametrize("first", [1, 2], ids=["in order", "behind a gap"])
def test_a_long_backlog_costs_the_same_per_message(desk: Desk, first: int) -> None:
    """Steps of SQLite's machine for one arrival and one look, with 10 and with 2,000 not taken yet."""

    def steps_of_one(sequence: int) -> int:
        steps = 0

        def count() -> bool:
            nonlocal steps
            steps += 1
            return False

        desk.store.db.set_progress_handler(count, 1)
        desk.take(sequence)
        if first == 1:  # a look past what is held costs more, for the thirty seconds
            desk.history.next_message(desk.now)
        desk.store.db.set_progress_handler(None)
        return steps

    with desk.store.transaction():
        for sequence in range(first, 11):
            desk.take(sequence)
    few = steps_of_one(11)
    with desk.store.transaction():
        for sequence in range(12, 2001):
            desk.take(sequence)
    assert steps_of_one(2001) < 2 * few


def test_outgoing_messages_go_through_their_states_and_never_back(desk: Desk) -> None:
    with desk.store.transaction():
        desk.history.add_outgoing(desk.bob, Kind.TEXT, b"o" * 16, b"hi", NOW)
    (waiting,) = desk.history.unsealed(desk.bob, 10)
    assert desk.history.status(b"o" * 16) is MessageStatus.QUEUED
    desk.history.sealed([waiting.row], {DEVICE: [1]})
    assert desk.history.unsealed(desk.bob, 10) == []
    desk.history.accepted(waiting.row, NOW)
    assert desk.history.status(b"o" * 16) is MessageStatus.ACCEPTED
    assert desk.history.delivered(DEVICE, ((1, 1),)) == 1
    assert desk.history.delivered(DEVICE, ((1, 1),)) == 0
    desk.history.accepted(waiting.row, NOW)
    assert desk.history.status(b"o" * 16) is MessageStatus.DELIVERED
    assert desk.history.status(b"?" * 16) is None


def test_a_receipt_counts_for_the_device_it_came_from_alone(desk: Desk) -> None:
    with desk.store.transaction():
        desk.history.add_outgoing(desk.bob, Kind.TEXT, b"o" * 16, b"hi", NOW)
    (waiting,) = desk.history.unsealed(desk.bob, 10)
    desk.history.sealed([waiting.row], {DEVICE: [1]})
    assert desk.history.delivered(b"e" * 32, ((1, 2**63 - 1),)) == 0
    assert desk.history.status(b"o" * 16) is MessageStatus.QUEUED


def test_the_conversation_is_the_end_of_it_oldest_first(desk: Desk) -> None:
    for sequence in range(1, 6):
        desk.take(sequence)
    assert [message.sequence for message in desk.history.conversation(desk.bob, 3)] == [3, 4, 5]


def test_a_clock_set_back_does_not_reorder(desk: Desk) -> None:
    desk.take(1)
    desk.now -= 3_600_000
    desk.take(2)
    assert desk.conversation() == [(1, False, 0), (2, False, 0)]


def seen(desk: Desk) -> list[bool]:
    return [message.seen for message in desk.history.conversation(desk.bob, 1000)]


def reads(desk: Desk) -> list[tuple[int, int]]:
    rows = desk.store.db.execute("SELECT read_through, read_owed FROM received ORDER BY stream")
    return [(int(row[0]), int(row[1])) for row in rows]


def unread(desk: Desk) -> int:
    """As counted along the way, which must be what is there."""
    row = desk.contacts.by_id(desk.bob)
    assert row is not None
    there = desk.store.db.execute(
        "SELECT count(*) FROM messages WHERE contact = ? AND outgoing = 0 AND seen = 0 AND kind IN (1, 7)",
        (desk.bob,),
    ).get
    assert there == row.unread == row.shown().unread
    return row.unread


def test_what_nobody_has_seen_is_unread_until_somebody_has(desk: Desk) -> None:
    for number in (1, 2, 3):
        desk.take(number)
    desk.take(3, kind=200, id=b"k" * 16)
    desk.take(3)
    desk.send(1)
    assert unread(desk) == 3
    assert seen(desk) == [False, False, False, True]
    with desk.store.transaction():
        marked = desk.history.mark_seen(desk.bob, (2).to_bytes(16, "big"), take=False, owe=True)
    assert marked == [(DEVICE, STREAM, 2)]
    assert (unread(desk), seen(desk), reads(desk)) == (1, [True, True, False, True], [(2, 1)])
    with desk.store.transaction():
        assert desk.history.mark_seen(desk.bob, (1).to_bytes(16, "big"), take=False, owe=True) == []
        assert desk.history.mark_seen(desk.bob, take=False, owe=True) == [(DEVICE, STREAM, 3)]
        assert desk.history.mark_seen(desk.bob, take=False, owe=True) == []
    assert (unread(desk), reads(desk)) == (0, [(3, 1)])
    # Seen by a person, and still to be handed to the application.
    assert desk.texts() == ["text 1", "text 2", "text 3"]


def test_a_person_may_take_the_messages_from_the_application(desk: Desk) -> None:
    desk.take(1)
    desk.take(2)
    with desk.store.transaction():
        desk.history.mark_seen(desk.bob, take=True, owe=False)
    assert reads(desk) == [(2, 0)]
    desk.take(3)
    assert desk.texts() == ["text 3"]


def test_what_a_person_took_counts_as_shown_for_what_comes_then(desk: Desk) -> None:
    desk.take(1)
    desk.take(3)
    with desk.store.transaction():
        desk.history.mark_seen(desk.bob, take=True, owe=False)
    assert desk.history.held(desk.now) == 0
    desk.take(4)  # not held behind the gap, which the person has seen already
    assert desk.texts() == ["text 4"]
    desk.take(2)
    assert desk.hand_over() == [("text 2", True, 0, False)]


def test_a_request_that_was_looked_at_is_still_withheld(desk: Desk) -> None:
    desk.take(1, is_request=True)
    with desk.store.transaction():
        desk.history.mark_seen(desk.bob, take=True, owe=False)
    assert desk.texts() == []
    assert desk.store.db.execute("SELECT handed FROM messages").get == 3


def test_what_a_program_has_taken_is_seen_but_nobody_is_told(desk: Desk) -> None:
    desk.take(1)
    desk.take(2)
    desk.hand_over(take=False)
    assert unread(desk) == 2
    assert desk.texts() == ["text 1", "text 2"]
    assert (unread(desk), seen(desk), reads(desk)) == (0, [True, True], [(0, 0)])


def test_removing_a_contact_leaves_nothing_unread(desk: Desk) -> None:
    desk.take(1)
    row = desk.contacts.by_id(desk.bob)
    assert row is not None
    desk.contacts.remove(row)
    assert unread(desk) == 0


def test_every_row_that_changes_is_told(desk: Desk) -> None:
    told: list[int] = []
    desk.history.touched = told.append

    def rows(*sequences: int) -> list[int]:
        place = "SELECT id FROM messages WHERE outgoing = 0 AND kind = 1 AND sequence = ?"
        found = [desk.store.db.execute(place, (sequence,)).get for sequence in sequences]
        assert sorted(told) == sorted(found)
        told.clear()
        return found

    desk.take(1)
    rows(1)
    desk.take(3)
    rows(3)
    desk.take(4)
    rows(4)
    desk.take(2)
    rows(2, 3, 4, 3)  # new, the two that it releases, and the mark that it corrects
    desk.take(2)
    desk.take(5, kind=200)
    rows()
    with desk.store.transaction():
        desk.history.mark_seen(desk.bob, (2).to_bytes(16, "big"), take=False, owe=False)
    rows(1, 2)
    assert desk.texts() == ["text 1", "text 2", "text 3", "text 4"]
    rows(1, 2, 3, 4)
    with desk.store.transaction():
        desk.history.mark_seen(desk.bob, take=True, owe=False)
        desk.history.taken(1)
    rows()


def test_marking_one_message_costs_the_same_in_a_long_history(desk: Desk) -> None:
    def mark(sequence: int) -> int:
        with desk.store.transaction():
            desk.take(sequence)
            return desk.steps(lambda: desk.history.mark_seen(desk.bob, take=True, owe=True))

    few = mark(1)
    with desk.store.transaction():
        for sequence in range(2, 2000):
            desk.take(sequence)
        desk.history.mark_seen(desk.bob, take=True, owe=True)
    assert mark(2000) < 2 * few


def test_looking_at_a_contact_does_not_count_its_messages(desk: Desk) -> None:
    few = desk.steps(lambda: desk.contacts.by_id(desk.bob))
    with desk.store.transaction():
        for sequence in range(1, 2000):
            desk.take(sequence)
    assert unread(desk) == 1999
    assert desk.steps(lambda: desk.contacts.by_id(desk.bob)) == few
