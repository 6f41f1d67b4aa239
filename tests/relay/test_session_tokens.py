"""Tokens, requests and watches in the session alone: what is noted, what is asked for, what is answered."""

import os

import pytest

from relay.actions import Action, Allow, Appear, Say, Send, Watch
from relay.lanes import Batch
from relay.store.base import PutResult, StoredFrame, Token
from tests.relay.devices import NOW, Account, envelope
from tests.relay.sessions import (
    batch_of,
    delivering_session,
    device_session,
    error_of,
    errors,
    handed,
    put,
    say,
    submit_session,
)
from wire import control
from wire.capabilities import presence_capability, token_hash
from wire.control_values import encode_base64url
from wire.errors import ErrorCode
from wire.frames import decode_deliver
from wire.limits import ATTACHED_MAX, CAPABILITIES_MAX, TOKENS_MAX, WATCHES_MAX

BOX, OTHER, TOKEN = b"m" * 32, b"o" * 32, b"t" * 16


def attach(mailbox: bytes, token: bytes = TOKEN) -> control.Attach:
    return control.Attach(mailbox=mailbox, token=token)


def told(actions: list[Action]) -> list[str]:
    """In order: `accepted` and `queued` with the first letters of the ids, refusals by their code."""
    lines = []
    for action in actions:
        match Send(control.decode_relay_message(action.text)) if isinstance(action, Say) else action:
            case Send(control.Accepted(frames=frames)):
                lines.append("accepted " + b"".join(frame[:1] for frame in frames).decode())
            case Send(control.QueuedAsRequest(frames=frames)):
                lines.append("queued " + b"".join(frame[:1] for frame in frames).decode())
            case Send(control.Refused(frame=frame, code=code)):
                lines.append(f"{code} {frame[:1].decode()}")
    return lines


# --- the device's side ---------------------------------------------------------------------------------


def test_what_a_device_allows_and_appears_under() -> None:
    device = Account().device
    for session in (device_session(device), delivering_session(device)):
        hashes = [os.urandom(32) for _ in range(TOKENS_MAX)]
        tokens = [control.AllowedToken(hash=hash, until=None if n else 7) for n, hash in enumerate(hashes)]
        (action,) = say(session, control.Allow(ref=3, tokens=tokens))
        assert action == Allow(3, tuple(Token(hash, None if n else 7) for n, hash in enumerate(hashes)))
        secrets = [os.urandom(16) for _ in range(CAPABILITIES_MAX)]
        shown = tuple(map(presence_capability, secrets))
        assert say(session, control.Appear(secrets=secrets)) == [Appear(shown)]
        assert say(session, control.Appear(secrets=[])) == [Appear(())]


@pytest.mark.parametrize("message", [control.Allow(ref=9, tokens=[]), control.Appear(secrets=[])])
def test_an_unregistered_device_allows_and_shows_nothing(message: control.Allow | control.Appear) -> None:
    error = error_of(say(device_session(Account().device, registered=False), message))
    assert error.code is ErrorCode.NOT_REGISTERED
    assert error.ref == getattr(message, "ref", None)


def test_a_token_twice_in_one_set_is_refused() -> None:
    twice = [control.AllowedToken(hash=bytes(32)), control.AllowedToken(hash=bytes(32), until=5)]
    error = error_of(say(device_session(Account().device), control.Allow(ref=9, tokens=twice)))
    assert (error.code, error.field, error.ref) == (ErrorCode.BAD_REQUEST, "tokens", 9)


def test_more_tokens_or_capabilities_than_are_kept_are_refused_by_name() -> None:
    hash = encode_base64url(bytes(32))
    sets = {
        "tokens": '{"type":"allow","ref":1,"tokens":['
        + ",".join([f'{{"hash":"{hash}"}}'] * (TOKENS_MAX + 1)) + "]}",
        "secrets": '{"type":"appear","secrets":['
        + ",".join([f'"{encode_base64url(bytes(16))}"'] * (CAPABILITIES_MAX + 1)) + "]}",
    }  # fmt: skip
    for field, text in sets.items():
        error = error_of(device_session(Account().device).receive_text(text, NOW))
        assert (error.code, error.field) == (ErrorCode.BAD_REQUEST, field)


def test_a_request_is_delivered_with_its_flag() -> None:
    session = delivering_session(Account().device)
    frames = [StoredFrame(n, os.urandom(16), envelope(), is_request=n == 2) for n in (1, 2, 3)]
    sent = handed(session.deliver(frames))
    assert [decode_deliver(data).flags for data in sent] == [0, 1, 0]


# --- attachments ---------------------------------------------------------------------------------------


def test_a_token_counts_for_later_frames_to_its_mailbox() -> None:
    session = submit_session()
    assert batch_of(put(session, BOX, b"a")).token_hash is None
    session.settle(batch_of(put(session, OTHER, b"x")), [PutResult.REQUESTED])
    assert say(session, attach(OTHER)) == []
    assert say(session, attach(OTHER, b"later attached: ")) == []
    assert batch_of(put(session, OTHER, b"y")).token_hash == token_hash(b"later attached: ")


def test_a_batch_holds_no_frames_from_before_and_after_an_attachment() -> None:
    session = submit_session()
    first = batch_of(put(session, BOX, b"a"))
    put(session, BOX, b"b")
    say(session, attach(BOX))
    put(session, BOX, b"c")
    put(session, BOX, b"d")
    say(session, attach(BOX, b"u" * 16))
    put(session, BOX, b"e")
    seen, batch = [], first
    for _ in range(4):
        seen.append((b"".join(frame.frame_id[:1] for frame in batch.frames), batch.token_hash))
        actions = session.settle(batch, [PutResult.STORED] * len(batch.frames))
        following = [action for action in actions if isinstance(action, Batch)]
        batch = following[0] if following else batch
    after = token_hash(TOKEN), token_hash(b"u" * 16)
    assert seen == [(b"a", None), (b"b", None), (b"cd", after[0]), (b"e", after[1])]


def test_no_answer_tells_a_good_token_from_a_bad_one() -> None:
    session = submit_session()
    for token in (bytes(16), TOKEN, os.urandom(16)):
        assert say(session, attach(BOX, token)) == []


def test_tokens_for_64_mailboxes_and_no_more() -> None:
    session = submit_session()
    for number in range(ATTACHED_MAX):
        assert say(session, attach(bytes([number]) * 32)) == []
    error = error_of(say(session, attach(BOX)))
    assert (error.code, error.field) == (ErrorCode.TOO_LARGE, "mailbox")
    assert batch_of(put(session, BOX, b"a")).token_hash is None
    # Another token for one of the 64 still replaces its own.
    assert say(session, attach(bytes(32), b"u" * 16)) == []
    assert batch_of(put(session, bytes(32), b"b")).token_hash == token_hash(b"u" * 16)


def test_eight_watches_and_no_more() -> None:
    session = submit_session()
    for ref in range(WATCHES_MAX):
        (action,) = say(session, control.Watch(ref=ref, capability=bytes([ref]) * 32))
        assert action == Watch(ref, bytes([ref]) * 32)
    error = error_of(say(session, control.Watch(ref=WATCHES_MAX, capability=b"w" * 32)))
    assert (error.code, error.ref) == (ErrorCode.TOO_LARGE, WATCHES_MAX)
    again = b"c" * 32
    assert say(session, control.Watch(ref=0, capability=again)) == [Watch(0, again)]


def test_a_connection_watches_a_capability_once() -> None:
    session = submit_session()
    watch = control.Watch(ref=1, capability=b"w" * 32)
    assert say(session, watch) == say(session, watch) == [Watch(1, b"w" * 32)]
    error = error_of(say(session, control.Watch(ref=2, capability=b"w" * 32)))
    assert (error.code, error.field, error.ref) == (ErrorCode.BAD_REQUEST, "capability", 2)
    # The refused one is not kept, and the first may be moved on.
    assert say(session, control.Watch(ref=1, capability=b"c" * 32)) == [Watch(1, b"c" * 32)]
    assert say(session, control.Watch(ref=2, capability=b"w" * 32)) == [Watch(2, b"w" * 32)]


def test_nothing_prints_a_token_a_capability_or_a_hash() -> None:
    session, device = submit_session(), Account().device
    say(session, attach(BOX))
    shown = [
        *put(session, BOX, b"a"),
        *say(session, control.Watch(ref=0, capability=b"w" * 32)),
        *say(device_session(device), control.Appear(secrets=[TOKEN])),
        *say(device_session(device), control.Allow(ref=1, tokens=[control.AllowedToken(hash=b"h" * 32)])),
        attach(BOX),
        control.Watch(ref=0, capability=b"w" * 32),
        control.Appear(secrets=[TOKEN]),
    ]
    for secret in (TOKEN, token_hash(TOKEN), presence_capability(TOKEN), b"h" * 32, b"w" * 32):
        assert repr(secret)[2:-1] not in repr(shown)


# --- answers and going back ----------------------------------------------------------------------------


def test_answers_keep_the_order_of_the_frames() -> None:
    session = submit_session()
    first = batch_of(put(session, BOX, b"x"))
    for frame_id in (b"a", b"b", b"c", b"d", b"e", b"f"):
        put(session, BOX, frame_id)
    second = batch_of(session.settle(first, [PutResult.REQUESTED]))
    results = [
        PutResult.DUPLICATE,
        PutResult.REQUESTED,
        PutResult.REQUESTED_BEFORE,
        PutResult.DUPLICATE,
        PutResult.QUOTA,
        PutResult.UNTRIED,
    ]
    expected = ["accepted a", "queued bc", "accepted d", "QUOTA e", "GO_BACK f"]
    assert told(session.settle(second, results)) == expected


def test_an_answer_names_at_most_256_frames() -> None:
    session = submit_session()
    first = batch_of(put(session, BOX, b"x"))
    for _ in range(255):
        put(session, BOX, b"a")
    second = batch_of(session.settle(first, [PutResult.REQUESTED]))
    (answer,) = told(session.settle(second, [PutResult.REQUESTED] * 255))
    assert answer == "queued " + "a" * 255


def test_behind_a_request_that_did_not_fit_nothing_overtakes_token_or_not() -> None:
    session = submit_session()
    first = batch_of(put(session, BOX, b"a"))
    say(session, attach(BOX))
    put(session, BOX, b"b")
    assert told(session.settle(first, [PutResult.QUOTA])) == ["QUOTA a", "GO_BACK b"]
    assert told(put(session, BOX, b"b")) == ["GO_BACK b"]
    # Put again it comes with the token, and what follows it may follow.
    again = batch_of(put(session, BOX, b"a"))
    assert again.token_hash == token_hash(TOKEN)
    put(session, BOX, b"b")
    actions = session.settle(again, [PutResult.STORED])
    assert told(actions) == ["accepted a"]
    assert told(session.settle(batch_of(actions), [PutResult.STORED])) == ["accepted b"]


def test_a_request_blocks_nothing_behind_it() -> None:
    session = submit_session()
    first = batch_of(put(session, BOX, b"a"))
    assert told(session.settle(first, [PutResult.REQUESTED])) == ["queued a"]
    assert errors(put(session, BOX, b"b")) == []
