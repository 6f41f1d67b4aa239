"""keys.sessions: five at most, one that sends, and both sides come to the same one."""

import pytest

from keys.errors import DecryptError
from keys.handshake import HEADER_SIZE, HandshakeHeader, decode_header
from keys.sessions import OPENING_MAX, SILENT_KEEP, Session, Sessions
from tests.keys.parties import ALICE, BOB, NOW, Person, Seeded, accept_as, agree
from wire.binary import Reader
from wire.device_lists import LIST_MAX, decode_device_list
from wire.prekeys import PrekeyKind


def initiated(one: Person, other: Person, seed: str) -> tuple[HandshakeHeader, Session]:
    header, agreement, _ = agree(one, other, seed)
    signed = other.private(PrekeyKind.SIGNED).public.key
    return header, Session.initiate(one.devices, header, agreement, signed, NOW)


def accepted(me: Person, peer: Person, header: HandshakeHeader) -> Session:
    agreement = accept_as(me, peer.party, header)
    return Session.accept(header, agreement, me.private(PrekeyKind.SIGNED).private, NOW)


class Side:
    """One device's sessions with the other, as a client would keep them."""

    def __init__(self, me: Person, peer: Person, seed: str) -> None:
        self.me, self.peer, self.sessions, self.random = me, peer, Sessions(), Seeded(seed)

    def initiate(self, seed: str) -> Session:
        _, session = initiated(self.me, self.peer, seed)
        self.sessions = self.sessions.initiated(session)
        return session

    def send(self, text: bytes) -> bytes:
        session = self.sessions.sending
        assert session is not None
        session, message = session.encrypt(text, self.random)
        self.sessions = self.sessions.sent(session)
        return session.opening + message

    def receive(self, inner: bytes) -> bytes:
        """As a client: an opening that is known maps to its session, a new one makes one."""
        if len(inner) < HEADER_SIZE:
            self.sessions, text = self.sessions.decrypt(inner, NOW)
            return text
        reader = Reader(inner, "opening")
        decode_device_list(reader.lp(LIST_MAX))
        header, message = decode_header(reader.take(HEADER_SIZE)), reader.rest()
        known = self.sessions.by_ephemeral(header.ephemeral)
        if known is not None:
            session, text = known.decrypt(message, NOW)
            self.sessions = self.sessions.heard(session)
        else:
            session, text = accepted(self.me, self.peer, header).decrypt(message, NOW)
            self.sessions = self.sessions.accepted(session)
        return text

    @property
    def transcript(self) -> bytes:
        assert self.sessions.sending is not None
        return self.sessions.sending.transcript


def sides() -> tuple[Side, Side]:
    return Side(ALICE, BOB, "alice sends"), Side(BOB, ALICE, "bob sends")


def test_before_the_first_handshake_nothing_sends_and_nothing_opens() -> None:
    assert Sessions().sending is None
    with pytest.raises(DecryptError):
        Sessions().decrypt(bytes(200), NOW)


def test_the_opening_is_repeated_until_the_reply_and_then_gone() -> None:
    alice, bob = sides()
    opening = alice.initiate("one").opening
    assert 0 < len(opening) <= OPENING_MAX
    inners = [alice.send(b"%d" % n) for n in range(3)]
    assert all(inner.startswith(opening) for inner in inners)
    assert [bob.receive(inner) for inner in inners] == [b"0", b"1", b"2"]
    assert len(list(bob.sessions)) == 1
    reply = bob.send(b"reply")
    assert len(reply) < HEADER_SIZE
    assert alice.receive(reply) == b"reply"
    assert len(alice.send(b"later")) < HEADER_SIZE


def test_an_opening_carries_the_senders_list_and_the_header() -> None:
    header, session = initiated(ALICE, BOB, "one")
    reader = Reader(session.opening, "opening")
    assert reader.lp(LIST_MAX) == ALICE.devices.encode()
    assert reader.rest() == header.encode()


def test_a_first_message_that_comes_late_or_alone_opens_the_session_too() -> None:
    alice, bob = sides()
    alice.initiate("one")
    inners = [alice.send(b"%d" % n) for n in range(4)]
    assert [bob.receive(inners[n]) for n in (2, 0, 3, 1)] == [b"2", b"0", b"3", b"1"]
    assert len(list(bob.sessions)) == 1


def test_a_replayed_opening_maps_to_the_same_session_and_opens_nothing() -> None:
    alice, bob = sides()
    alice.initiate("one")
    first = alice.send(b"first")
    assert bob.receive(first) == b"first"
    before = bob.sessions
    with pytest.raises(DecryptError):
        bob.receive(first)
    assert bob.sessions == before
    bob.send(b"reply")
    with pytest.raises(DecryptError):
        bob.receive(first)
    assert len(list(bob.sessions)) == 1


@pytest.mark.parametrize("seed", range(6))
def test_both_initiating_at_once_converge_on_the_lower_transcript(seed: int) -> None:
    alice, bob = sides()
    ours, theirs = alice.initiate(f"alice {seed}"), bob.initiate(f"bob {seed}")
    there, back = alice.send(b"from alice"), bob.send(b"from bob")
    assert bob.receive(there) == b"from alice"
    assert alice.receive(back) == b"from bob"
    lower = min(ours.transcript, theirs.transcript)
    assert alice.transcript == bob.transcript == lower
    for turn in range(3):
        assert bob.receive(alice.send(b"a%d" % turn)) == b"a%d" % turn
        assert alice.receive(bob.send(b"b%d" % turn)) == b"b%d" % turn
    assert alice.transcript == bob.transcript == lower
    assert len(alice.send(b"short")) < HEADER_SIZE


def test_what_was_sent_on_the_session_that_lost_still_opens() -> None:
    alice, bob = sides()
    alice.initiate("alice"), bob.initiate("bob")
    there = [alice.send(b"a%d" % n) for n in range(3)]
    back = [bob.send(b"b%d" % n) for n in range(3)]
    assert alice.receive(back[0]) == b"b0"
    assert bob.receive(there[0]) == b"a0"
    assert bob.receive(alice.send(b"next")) == b"next"
    assert alice.receive(bob.send(b"next")) == b"next"
    assert [bob.receive(inner) for inner in there[1:]] == [b"a1", b"a2"]
    assert [alice.receive(inner) for inner in back[1:]] == [b"b1", b"b2"]


def test_a_new_session_of_the_peer_sends_once_ours_has_been_answered() -> None:
    alice, bob = sides()
    alice.initiate("one")
    bob.receive(alice.send(b"first"))
    alice.receive(bob.send(b"reply"))
    fresh = Side(BOB, ALICE, "bob anew")
    again = fresh.initiate("bob anew")
    assert alice.receive(fresh.send(b"again")) == b"again"
    assert alice.transcript == again.transcript
    assert fresh.receive(alice.send(b"welcome back")) == b"welcome back"


def test_there_are_five_sessions_at_most_and_the_oldest_goes() -> None:
    alice, bob = sides()
    made, firsts = [], []
    for number in range(7):
        other = Side(BOB, ALICE, f"bob {number}")
        made.append(other.initiate(f"life {number}").transcript)
        firsts.append(other.send(b"%d" % number))
        alice.receive(firsts[-1])
    assert [session.transcript for session in alice.sessions] == made[:1:-1]
    assert alice.transcript == made[-1]
    assert bob.sessions.sending is None


def test_a_message_changes_its_own_session_only_and_a_failure_none() -> None:
    alice, _ = sides()
    lives = [Side(BOB, ALICE, f"bob {number}") for number in range(3)]
    for number, other in enumerate(lives):
        other.initiate(f"life {number}")
        alice.receive(other.send(b"hello"))
    before = {session.transcript: session for session in alice.sessions}
    inner = lives[0].send(b"more")
    broken = inner[:-1] + bytes([inner[-1] ^ 1])
    with pytest.raises(DecryptError):
        alice.receive(broken)
    assert {session.transcript: session for session in alice.sessions} == before
    assert alice.receive(inner) == b"more"
    changed = [s.transcript for s in alice.sessions if before[s.transcript] != s]
    assert changed == [lives[0].transcript]


def both_initiate(*, lower: str) -> tuple[Side, Side]:
    """Alice and Bob, each with a session of its own; `lower` names whose transcript is the lower one."""
    for number in range(50):
        alice, bob = sides()
        ours, theirs = alice.initiate(f"alice {number}"), bob.initiate(f"bob {number}")
        if (ours.transcript < theirs.transcript) == (lower == "alice"):
            return alice, bob
    raise AssertionError("fifty times the same order")


def test_an_opening_that_the_relay_held_back_does_not_stop_the_healing() -> None:
    alice, bob = both_initiate(lower="bob")
    held = alice.send(b"held back by the relay")
    alice.receive(bob.send(b"hi"))
    bob.receive(alice.send(b"answer on the lower session"))
    bob.receive(held)
    ratchet_keys = set()
    for _ in range(5):
        for one, other in ((alice, bob), (bob, alice)):
            other.receive(one.send(b"x"))
            session = one.sessions.sending
            assert session is not None
            ratchet_keys.add(session.ratchet.own_private)
    assert alice.transcript == bob.transcript
    assert len(ratchet_keys) > 5


def test_a_session_that_the_peer_cannot_accept_is_left_once_the_peer_is_heard_on_another() -> None:
    alice, bob = both_initiate(lower="alice")
    alice.send(b"never accepted: the one-time prekey is gone")
    for _ in range(2):
        alice.receive(bob.send(b"made anew"))
    assert bob.receive(alice.send(b"readable")) == b"readable"


def test_a_new_session_of_ours_sends_though_an_unanswered_one_is_lower() -> None:
    for number in range(8):
        alice, _ = sides()
        alice.initiate(f"first {number}")
        second = alice.initiate(f"second {number}")
        assert alice.transcript == second.transcript


def test_a_skipped_key_that_is_used_late_does_not_change_who_sends() -> None:
    alice, bob = sides()
    alice.initiate("one")
    late, first = alice.send(b"late"), alice.send(b"first")
    bob.receive(first)
    newer = Side(ALICE, BOB, "alice anew")
    newer.initiate("two")
    bob.receive(newer.send(b"newer"))
    sending = bob.transcript
    assert bob.receive(late) == b"late"
    assert bob.transcript == sending


def test_silent_sessions_and_old_keys_die_after_their_time_but_the_sending_one_stays() -> None:
    alice, _ = sides()
    for number in range(3):
        other = Side(BOB, ALICE, f"bob {number}")
        other.initiate(f"life {number}")
        other.send(b"skipped")
        alice.receive(other.send(b"hello"))
    signed = [ALICE.private(PrekeyKind.SIGNED).private]
    first, *rest = alice.sessions.tidied(NOW + SILENT_KEEP, NOW + 1, signed)
    assert len(rest) == 2
    assert not any(session.ratchet.skipped for session in (first, *rest))
    assert [s.transcript for s in alice.sessions.tidied(NOW + SILENT_KEEP + 1, NOW, signed)] == [
        first.transcript
    ]
    assert alice.sessions.tidied(NOW, NOW, signed) == alice.sessions


def test_a_session_that_was_never_answered_dies_with_its_signed_prekey() -> None:
    alice, bob = sides()
    alice.initiate("unanswered")
    bob.receive(alice.send(b"one"))
    private = BOB.private(PrekeyKind.SIGNED).private
    assert private in bob.sessions.to_record()
    assert bob.sessions.tidied(NOW, NOW, [private]) == bob.sessions
    assert bob.sessions.tidied(NOW, NOW, []) == Sessions()
    alice.receive(bob.send(b"answer"))
    assert private not in bob.sessions.to_record()
    bob.receive(alice.send(b"two"))
    assert bob.sessions.tidied(NOW, NOW, []) == bob.sessions
    assert alice.sessions.tidied(NOW, NOW, []) == alice.sessions


def test_sessions_come_back_from_their_record() -> None:
    alice, bob = sides()
    alice.initiate("alice"), bob.initiate("bob")
    alice.receive(bob.send(b"b"))
    bob.receive(alice.send(b"a"))
    for side in (alice, bob):
        loaded = Sessions.from_record(side.sessions.to_record())
        assert loaded == side.sessions
        assert loaded.to_record() == side.sessions.to_record()
    assert Sessions.from_record(Sessions().to_record()) == Sessions()


def test_records_of_another_version_or_with_bytes_left_are_refused() -> None:
    alice, _ = sides()
    alice.initiate("one")
    session = alice.sessions.sending
    assert session is not None
    for record, load in (
        (alice.sessions.to_record(), Sessions.from_record), (session.to_record(), Session.from_record)
    ):  # fmt: skip
        for version in (b"\x00", b"\x02"):
            with pytest.raises(ValueError, match="unknown version"):
                load(version + record[1:])
        with pytest.raises(Exception, match="trailing"):
            load(record + b"\0")
