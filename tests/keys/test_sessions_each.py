"""keys.sessions, one operation at a time: which session it changes, which it moves, and which it leaves."""

from dataclasses import replace

import pytest

from keys.errors import DecryptError, ExpiredError
from keys.handshake import HEADER_SIZE
from keys.identities import Device
from keys.ratchet import MAX_JUMP, MAX_SKIPPED, SKIPPED_KEEP
from keys.sessions import MAX_SESSIONS, OPENING_MAX, SIMULTANEOUS, Session, Sessions
from tests.keys.parties import ALICE, BOB, NOW, Person, Seeded, accept_as, agree, with_list
from wire.device_lists import LIST_MAX
from wire.limits import DEVICES_PER_ACCOUNT
from wire.prekeys import PrekeyKind


def pair(seed: str, one: Person = ALICE, other: Person = BOB) -> tuple[Session, Session]:
    """A new session, as its initiator and its acceptor have it."""
    header, agreement, _ = agree(one, other, seed)
    signed = other.private(PrekeyKind.SIGNED)
    ours = Session.initiate(one.devices, header, agreement, signed.public.key, NOW)
    theirs = Session.accept(header, accept_as(other, one.party, header), signed.private, NOW)
    return ours, theirs


def several(count: int) -> list[tuple[Session, Session]]:
    """By transcript, ascending."""
    return sorted((pair(f"session {number}") for number in range(count)), key=lambda both: both[0].transcript)


def transcripts(sessions: Sessions) -> list[bytes]:
    return [session.transcript for session in sessions]


def everybody() -> Person:
    """Alice with as many devices as an account can have."""
    others = [Device.generate(Seeded(f"device {number}"), NOW) for number in range(DEVICES_PER_ACCOUNT - 1)]
    entries = tuple(device.entry(ALICE.account.key) for device in (ALICE.device, *others))
    devices = ALICE.account.sign_device_list(entries, NOW, ALICE.devices)
    return with_list(ALICE, devices)


def test_the_opening_of_an_account_with_all_its_devices_has_just_room() -> None:
    header, agreement, _ = agree(ALICE, BOB)
    devices = everybody().devices
    session = Session.initiate(devices, header, agreement, BOB.bundle().signed.key, NOW)
    assert len(session.opening) == OPENING_MAX == 4 + LIST_MAX + HEADER_SIZE
    assert Session.from_record(session.to_record()) == session


def test_a_session_that_was_accepted_has_nothing_to_open() -> None:
    _, theirs = pair("accepted")
    assert theirs.opening == b""


def test_records_are_laid_out_as_stores_hold_them() -> None:
    ours, theirs = pair("layout")
    record = ours.to_record()
    size = len(ours.opening).to_bytes(4, "big")
    head = b"\x01" + ours.transcript + ours.ephemeral + size + ours.opening + NOW.to_bytes(8, "big")
    assert record == head + ours.ratchet.to_record()
    both = b"".join(len(one).to_bytes(4, "big") + one for one in (record, theirs.to_record()))
    assert Sessions((ours, theirs)).to_record() == b"\x01\x02" + both


def test_what_is_received_is_when_it_was_heard() -> None:
    ours, theirs = pair("heard")
    _, message = ours.encrypt(b"text", Seeded("heard"))
    after, _ = theirs.decrypt(message, NOW + 77)
    assert after.heard == NOW + 77


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize("at", range(3))
def test_what_was_sent_changes_its_session_where_it_stands(order: tuple[int, ...], at: int) -> None:
    made = several(3)
    before = tuple(made[place][0] for place in order)
    sent, _ = before[at].encrypt(b"text", Seeded("sent"))
    assert sent != before[at]
    assert Sessions(before).sent(sent).all == (*before[:at], sent, *before[at + 1 :])


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize("at", range(3))
def test_what_was_heard_comes_first_and_the_others_keep_their_order(order: tuple[int, ...], at: int) -> None:
    made = several(3)
    before = tuple(made[place][1] for place in order)
    _, message = made[order[at]][0].encrypt(b"text", Seeded("heard"))
    heard, _ = before[at].decrypt(message, NOW)
    others = (*before[:at], *before[at + 1 :])
    assert Sessions(before).heard(heard).all == (heard, *others)
    chosen = before[at]
    assert Sessions(before).preferring(chosen.ephemeral).all == (chosen, *others)


@pytest.mark.parametrize("seed", range(8))
def test_a_session_comes_first_whatever_the_next_ratchet_key_is(seed: int) -> None:
    (ours, theirs), (other, _), random = pair("turns"), pair("other"), Seeded(f"turns {seed}")
    for _ in range(2):
        ours, message = ours.encrypt(b"there", random)
        theirs, _ = theirs.decrypt(message, NOW)
        theirs, message = theirs.encrypt(b"back", random)
        heard, _ = ours.decrypt(message, NOW)
        assert transcripts(Sessions((other, ours)).heard(heard)) == [ours.transcript, other.transcript]
        ours = heard


def test_a_handshake_that_is_not_known_is_preferred_to_nothing() -> None:
    made = Sessions(tuple(ours for ours, _ in several(3)))
    assert made.preferring(bytes(32)) is made
    assert made.by_ephemeral(bytes(32)) is None


def test_one_of_ours_that_is_unanswered_lower_and_young_goes_on_sending() -> None:
    (low, _), (high, _) = several(2)
    young = replace(high, opening=b"", heard=low.heard + SIMULTANEOUS)
    old = replace(high, opening=b"", heard=low.heard + SIMULTANEOUS + 1)
    answered = replace(low, opening=b"")
    assert Sessions((low,)).accepted(young).all == (low, young)
    assert Sessions((low,)).accepted(old).all == (old, low)
    assert Sessions((answered,)).accepted(young).all == (young, answered)
    assert Sessions((high,)).accepted(low).all == (low, high)
    assert Sessions(()).accepted(low).all == (low,)


def test_the_sixth_session_pushes_out_the_last_of_five_wherever_it_enters() -> None:
    first, *others = (ours for ours, _ in several(MAX_SESSIONS + 1))
    *rest, sixth = others
    five = (first, *rest)
    theirs = replace(sixth, opening=b"")
    assert Sessions(five).initiated(sixth).all == (sixth, *five[:4])
    assert Sessions(five).accepted(theirs).all == (first, theirs, *rest[:3])


def test_a_message_whose_key_was_dropped_is_told_from_one_that_never_was() -> None:
    (ours, theirs), (_, other), random = pair("expired"), pair("other"), Seeded("expired")
    ours, late = ours.encrypt(b"late", random)
    ours, message = ours.encrypt(b"message", random)
    theirs, _ = theirs.decrypt(message, NOW)
    for order in ((theirs, other), (other, theirs)):
        with pytest.raises(ExpiredError):
            Sessions(order).decrypt(late, NOW + SKIPPED_KEEP + 1)
        with pytest.raises(DecryptError) as refused:
            Sessions(order).decrypt(message, NOW)
        assert type(refused.value) is DecryptError


def test_a_session_full_of_skipped_keys_comes_back_from_its_record() -> None:
    (ours, theirs), random = pair("full"), Seeded("full")
    for _ in range(2):
        for _ in range(MAX_JUMP):
            ours, _ = ours.encrypt(b"held", random)
        ours, message = ours.encrypt(b"message", random)
        theirs, _ = theirs.decrypt(message, NOW)
    assert len(theirs.ratchet.skipped) == MAX_SKIPPED
    full = Sessions((theirs,) * MAX_SESSIONS)
    assert Sessions.from_record(full.to_record()) == full
