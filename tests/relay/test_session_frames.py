"""Frames in the session alone: how many are delivered, how puts wait their turn, and that order holds."""

import os

import pytest

from relay import endings
from relay.actions import Acknowledge, Action, Say, Send
from relay.lanes import BLOCKED_MAILBOXES
from relay.store.base import PutResult, StoredFrame
from tests.relay.devices import envelope
from tests.relay.sessions import (
    BOB,
    batch_of,
    closes,
    delivering_session,
    error_of,
    errors,
    handed,
    put,
    say,
    submit_session,
)
from wire import control
from wire.errors import ErrorCode, WireError
from wire.frames import Put, decode_deliver


def stored(count: int, size: int = 1024, first: int = 1) -> list[StoredFrame]:
    return [StoredFrame(first + n, os.urandom(16), envelope(size)) for n in range(count)]


def test_delivery_is_bounded_by_frames_and_bytes() -> None:
    session = delivering_session(BOB.device)
    assert session.room() == (256, 1024 * 1024)
    frames = stored(2, 65_536)
    delivered = [decode_deliver(data) for data in handed(session.deliver(frames))]
    assert [(f.sequence, f.envelope, f.flags) for f in delivered] == [
        (f.sequence, f.envelope, 0) for f in frames
    ]
    assert session.room() == (254, 1024 * 1024 - 2 * 65_536)
    assert session.delivered == 2
    assert say(session, control.Acknowledge(through=1)) == [Acknowledge(1)]
    assert session.room() == (255, 1024 * 1024 - 65_536)


def test_an_acknowledgement_counts_only_for_what_was_delivered_here() -> None:
    session = delivering_session(BOB.device)
    session.deliver(stored(3, first=5))
    actions = say(session, control.Acknowledge(through=8))
    assert error_of(actions).field == "through"
    assert errors(actions) == [ErrorCode.BAD_REQUEST]
    assert say(session, control.Acknowledge(through=4)) == []
    assert say(session, control.Acknowledge(through=7)) == [Acknowledge(7)]
    assert say(session, control.Acknowledge(through=7)) == []


def test_nothing_is_delivered_after_the_end() -> None:
    session = delivering_session(BOB.device)
    session.end(endings.REPLACED)
    assert session.deliver(stored(1)) == []


def told(actions: list[Action]) -> dict[bytes, ErrorCode | None]:
    result: dict[bytes, ErrorCode | None] = {}
    for action in actions:
        if isinstance(action, Say):
            accepted = control.decode_relay_message(action.text)
            assert isinstance(accepted, control.Accepted)
            result |= {frame[:1]: None for frame in accepted.frames}
        elif isinstance(action, Send) and isinstance(action.message, control.Accepted):
            result |= {frame[:1]: None for frame in action.message.frames}
        elif isinstance(action, Send) and isinstance(action.message, control.Refused):
            result[action.message.frame[:1]] = action.message.code
    return result


def test_one_batch_at_a_time_per_mailbox_and_what_waits_forms_the_next() -> None:
    session = submit_session()
    first = batch_of(put(session, BOB.device.key, b"a"))
    assert put(session, BOB.device.key, b"b") == put(session, BOB.device.key, b"c") == []
    other = batch_of(put(session, bytes(32), b"x"))
    assert other.mailbox == bytes(32)
    actions = session.settle(first, [PutResult.STORED])
    assert told(actions) == {b"a": None}
    second = batch_of(actions)
    assert [frame.frame_id[:1] for frame in second.frames] == [b"b", b"c"]
    assert told(session.settle(second, [PutResult.DUPLICATE, PutResult.STORED])) == {
        b"b": None,
        b"c": None,
    }


def test_after_a_refusal_for_now_the_sender_goes_back() -> None:
    session = submit_session()
    box = BOB.device.key
    first = batch_of(put(session, box, b"a"))
    put(session, box, b"b")
    actions = session.settle(first, [PutResult.QUOTA])
    assert told(actions) == {b"a": ErrorCode.QUOTA, b"b": ErrorCode.GO_BACK}
    # A smaller frame might fit now, and would overtake: it must not.
    assert told(put(session, box, b"c")) == {b"c": ErrorCode.GO_BACK}
    # Another mailbox is not concerned.
    batch_of(put(session, bytes(32), b"x"))
    again = batch_of(put(session, box, b"a"))
    assert put(session, box, b"b") == []
    actions = session.settle(again, [PutResult.STORED])
    assert told(actions) == {b"a": None}
    assert [frame.frame_id[:1] for frame in batch_of(actions).frames] == [b"b"]


def test_within_a_batch_nothing_overtakes_the_refused_frame() -> None:
    session = submit_session()
    first = batch_of(put(session, BOB.device.key, b"a"))
    for frame_id in (b"b", b"c", b"d"):
        put(session, BOB.device.key, frame_id)
    second = batch_of(session.settle(first, [PutResult.STORED]))
    results = [PutResult.STORED, PutResult.QUOTA, PutResult.UNTRIED]
    expected = {b"b": None, b"c": ErrorCode.QUOTA, b"d": ErrorCode.GO_BACK}
    assert told(session.settle(second, results)) == expected


@pytest.mark.parametrize("code", [ErrorCode.STORAGE_FULL, ErrorCode.RATE_LIMITED, ErrorCode.INTERNAL])
def test_a_store_that_fails_makes_the_sender_go_back(code: ErrorCode) -> None:
    session = submit_session()
    first = batch_of(put(session, BOB.device.key, b"a"))
    put(session, BOB.device.key, b"b")
    actions = session.settle(first, WireError(code, "for now"))
    assert told(actions) == {b"a": code, b"b": ErrorCode.GO_BACK}
    assert told(put(session, BOB.device.key, b"c")) == {b"c": ErrorCode.GO_BACK}


def test_an_unknown_mailbox_is_final_and_blocks_nothing() -> None:
    session = submit_session()
    first = batch_of(put(session, BOB.device.key, b"a"))
    assert told(session.settle(first, [PutResult.UNKNOWN])) == {b"a": ErrorCode.NOT_FOUND}
    batch_of(put(session, BOB.device.key, b"b"))


def test_a_client_with_too_many_full_mailboxes_is_closed() -> None:
    session = submit_session()
    for number in range(BLOCKED_MAILBOXES + 1):
        batch = batch_of(put(session, bytes([number]) * 32, b"a"))
        actions = session.settle(batch, [PutResult.QUOTA])
        assert bool(closes(actions)) is (number == BLOCKED_MAILBOXES)


def test_a_peer_is_not_read_on_while_256_frames_or_a_mebibyte_have_no_answer() -> None:
    session = submit_session()
    first = batch_of(put(session, BOB.device.key, b"a"))
    seen = []
    for _ in range(255):
        seen.append(session.saturated)
        put(session, BOB.device.key, b"b")
    assert [*seen, session.saturated] == [False] * 255 + [True]
    session.settle(first, [PutResult.STORED])
    assert [session.saturated] == [False]
    session, seen = submit_session(), []
    for _ in range(16):
        seen.append(session.saturated)
        session.receive_binary(Put(os.urandom(16), bytes(32), envelope(65_536)).encode())
    assert [*seen, session.saturated] == [False] * 16 + [True]
