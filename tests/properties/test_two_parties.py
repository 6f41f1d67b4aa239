"""Two devices with the real keys over a network that does what it likes.

A machine draws sends, drops, swaps, duplicates, tampering, late delivery, simultaneous first messages and
reloads from the stored record. Putting a party back to an older state is not among them: that is a fault of
the device, and its promise is tested in tests/keys/test_ratchet.py.
"""

import os
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from keys.content import Content, Kind, decode_content
from keys.errors import DecryptError
from keys.handshake import HEADER_SIZE, decode_header, initiate
from keys.identities import verify_device_list
from keys.seal import InnerType, open_envelope, seal
from keys.sessions import MAX_SESSIONS, Session, Sessions
from tests.keys.parties import ALICE, BOB, NOW, Person, Seeded, accept_as, flipped
from wire.binary import Reader
from wire.device_lists import LIST_MAX, decode_device_list
from wire.frames import check_envelope
from wire.prekeys import PrekeyKind


@dataclass
class Party:
    """One device, doing with keys/ what a client does, and nothing else."""

    me: Person
    peer: Person
    random: Seeded
    sessions: Sessions = field(default_factory=Sessions)
    sequence: int = 0
    received: dict[bytes, Content] = field(default_factory=dict)

    @property
    def stream(self) -> bytes:
        return self.me.device.key[:16]

    def send(self, body: bytes) -> tuple[Content, bytes]:
        session = self.sessions.sending
        if session is None:
            bundle = self.peer.bundle(one_time=False, one_time_kem=False)
            header, agreement = initiate(self.me.device, self.me.party, self.peer.party, bundle, self.random)
            session = Session.initiate(self.me.devices, header, agreement, bundle.signed.key, NOW)
            self.sessions = self.sessions.initiated(session)
        self.sequence += 1
        content = Content(Kind.TEXT, self.random(16), self.stream, self.sequence, NOW * 1000, body)
        session, message = session.encrypt(content.encode(), self.random)
        self.sessions = self.sessions.sent(session)
        type = InnerType.OPENING if session.opening else InnerType.MESSAGE
        sealing = self.peer.private(PrekeyKind.SEALING).public.key
        envelope = seal(
            self.me.device, self.peer.device.key, sealing, type, session.opening + message, self.random
        )
        check_envelope(envelope)
        return content, envelope

    def receive(self, envelope: bytes) -> Content:
        """Open on copies; only what authenticated is kept. Raises DecryptError."""
        opened = open_envelope(envelope, self.me.device.key, [self.me.private(PrekeyKind.SEALING).private])
        assert (opened.device_key, opened.identity_key) == (
            self.peer.device.key,
            self.peer.device.identity_key,
        )
        if opened.type is InnerType.OPENING:
            reader = Reader(opened.inner, "opening")
            verify_device_list(decode_device_list(reader.lp(LIST_MAX)), self.peer.account.key)
            header, message = decode_header(reader.take(HEADER_SIZE)), reader.rest()
            known = self.sessions.by_ephemeral(header.ephemeral)
            if known is not None:
                session, plain = known.decrypt(message, NOW)
                sessions = self.sessions.heard(session)
            else:
                agreement = accept_as(self.me, self.peer.party, header)
                signed = self.me.private(PrekeyKind.SIGNED).private
                session, plain = Session.accept(header, agreement, signed, NOW).decrypt(message, NOW)
                sessions = self.sessions.accepted(session)
        else:
            sessions, plain = self.sessions.decrypt(opened.inner, NOW)
        content = decode_content(plain)
        assert content.message_id not in self.received, "decrypted twice"
        self.sessions = sessions
        self.received[content.message_id] = content
        return content

    def refuses(self, envelope: bytes) -> None:
        before, received = self.sessions.to_record(), dict(self.received)
        with pytest.raises(DecryptError):
            self.receive(envelope)
        assert self.sessions.to_record() == before
        assert self.received == received


@dataclass(frozen=True)
class Mail:
    """An envelope under way, with what it must open to."""

    to: int
    content: Content
    envelope: bytes = field(repr=False)


class TwoParties(RuleBasedStateMachine):
    """A network between two devices."""

    under_way = Bundle("under_way")
    delivered = Bundle("delivered")

    @initialize(seed=st.integers(0, 2**16))
    def start(self, seed: int) -> None:
        self.parties = (
            Party(ALICE, BOB, Seeded(f"alice {seed}")),
            Party(BOB, ALICE, Seeded(f"bob {seed}")),
        )
        self.waiting: list[Mail] = []
        self.expected: tuple[list[Content], list[Content]] = ([], [])

    @rule(target=under_way, who=st.integers(0, 1), body=st.binary(max_size=1500))
    def send(self, who: int, body: bytes) -> Mail:
        content, envelope = self.parties[who].send(body)
        mail = Mail(1 - who, content, envelope)
        self.waiting.append(mail)
        self.expected[1 - who].append(content)
        return mail

    @rule(target=delivered, mail=consumes(under_way))
    def deliver(self, mail: Mail) -> Mail:
        """In any order, at any later time: the machine draws from all that is under way."""
        self.waiting.remove(mail)
        assert self.parties[mail.to].receive(mail.envelope) == mail.content
        return mail

    @rule(mail=consumes(under_way))
    def drop(self, mail: Mail) -> None:
        self.waiting.remove(mail)
        self.expected[mail.to].remove(mail.content)

    @rule(mail=delivered)
    def duplicate(self, mail: Mail) -> None:
        self.parties[mail.to].refuses(mail.envelope)

    @rule(
        mail=st.one_of(under_way, delivered), place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7)
    )
    def tamper(self, mail: Mail, place: float, bit: int) -> None:
        self.parties[mail.to].refuses(flipped(mail.envelope, int(place * len(mail.envelope)), bit))

    @rule(mail=st.one_of(under_way, delivered))
    def throw_back(self, mail: Mail) -> None:
        self.parties[1 - mail.to].refuses(mail.envelope)

    @rule(
        one=st.one_of(under_way, delivered),
        other=st.one_of(under_way, delivered),
        at=st.sampled_from([33, 113]),
    )
    def splice(self, one: Mail, other: Mail, at: int) -> None:
        if one is not other:
            self.parties[one.to].refuses(one.envelope[:at] + other.envelope[at:])

    @rule(who=st.integers(0, 1))
    def reload(self, who: int) -> None:
        party = self.parties[who]
        party.sessions = Sessions.from_record(party.sessions.to_record())

    @invariant()
    def history_is_what_was_sent_less_what_is_missing(self) -> None:
        if not hasattr(self, "parties"):
            return
        for who, party in enumerate(self.parties):
            missing = {mail.content.message_id for mail in self.waiting if mail.to == who}
            sent = [content for content in self.expected[who] if content.message_id not in missing]
            # The sequence alone puts the history in the order in which it was sent.
            assert sorted(party.received.values(), key=lambda content: content.sequence) == sent
            assert len(list(party.sessions)) <= min(2, MAX_SESSIONS)

    def teardown(self) -> None:
        """What is still under way arrives in the end, backwards; then both sides talk as ever."""
        if not hasattr(self, "parties"):
            return
        for mail in reversed(self.waiting):
            assert self.parties[mail.to].receive(mail.envelope) == mail.content
        self.waiting.clear()
        self.history_is_what_was_sent_less_what_is_missing()
        for _ in range(2):
            for who, party in enumerate(self.parties):
                content, envelope = party.send(b"afterwards")
                assert self.parties[1 - who].receive(envelope) == content


TestTwoParties = TwoParties.TestCase
TestTwoParties.settings = settings(
    max_examples=50,
    stateful_step_count=50,
    deadline=None,
    derandomize=os.environ.get("CI", "").lower() in ("1", "true"),
)
