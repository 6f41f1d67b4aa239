"""The engine on a state held in memory: openings, large texts, gossip, strangers, replays, tampering."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.engine import Ahead, Alarm, Draft, Received
from keys.content import Content, Kind
from keys.errors import DecryptError, VerificationError
from keys.handshake import HEADER_SIZE
from keys.identities import Account
from keys.prekeys import generate_prekey
from keys.seal import InnerType, open_envelope, seal
from tests.keys.parties import Seeded, flipped
from tests.support.memory_state import MemoryState, Speaker
from wire.binary import lp
from wire.device_lists import DeviceList
from wire.limits import BUCKETS, SIGNED_PREKEY_MAX_AGE, TEXT_MAX
from wire.prekeys import PrekeyKind

NOW = 1_800_000_000
SMALL = 500


class Pair:
    """Alice has begun a session with Bob; nothing has been said."""

    def __init__(self, *, one_time: bool = True) -> None:
        self.alice, self.bob = Speaker(Seeded("alice"), NOW), Speaker(Seeded("bob"), NOW)
        self.alice.approach(self.bob, NOW, self.bob.bundle(one_time=one_time))
        self.said = 0

    def draft(self, body: bytes) -> Draft:
        self.said += 1
        return Draft(Kind.TEXT, self.said.to_bytes(16, "big"), body, NOW * 1000)

    def write(self, sender: Speaker, other: Speaker, body: bytes = b"hi") -> tuple[bytes, ...]:
        return sender.engine.write(sender.devices, other.key, [self.draft(body)])[0].envelopes

    def carry(self, sender: Speaker, other: Speaker, body: bytes = b"hi") -> Received:
        """Write, and open on the other side."""
        (envelope,) = self.write(sender, other, body)
        return other.engine.open(envelope, NOW)

    def answered(self) -> "Pair":
        """Both have heard each other."""
        self.carry(self.alice, self.bob)
        self.carry(self.bob, self.alice)
        return self


def kind_of(envelope: bytes, recipient: Speaker) -> InnerType:
    return open_envelope(envelope, recipient.key, recipient.state.sealing_privates()).type


def refused(speaker: Speaker, envelope: bytes, now: int = NOW) -> None:
    """Opening fails and changes nothing at all."""
    before = speaker.state.copy()
    with pytest.raises(DecryptError):
        speaker.engine.open(envelope, now)
    assert speaker.state == before


@pytest.mark.parametrize("one_time", [True, False])
def test_an_opening_carries_the_first_message(one_time: bool) -> None:
    pair = Pair(one_time=one_time)
    (envelope,) = pair.write(pair.alice, pair.bob, b"first")
    assert kind_of(envelope, pair.bob) is InnerType.OPENING
    received = pair.bob.engine.open(envelope, NOW)
    assert received.content.body == b"first"
    assert received.sender == pair.alice.party
    assert received.content.sequence == 1
    assert (received.alarm, received.newer_list) == (None, 0)


def test_the_opening_is_repeated_until_the_first_reply_and_then_no_more() -> None:
    pair = Pair()
    unanswered = [pair.write(pair.alice, pair.bob)[0] for _ in range(3)]
    assert {kind_of(item, pair.bob) for item in unanswered} == {InnerType.OPENING}
    # Whichever arrives first opens the session; the others are messages of it.
    for envelope in reversed(unanswered):
        pair.bob.engine.open(envelope, NOW)
    assert len(pair.bob.state.handshakes) == 1
    pair.carry(pair.bob, pair.alice)
    (later,) = pair.write(pair.alice, pair.bob)
    assert kind_of(later, pair.bob) is InnerType.MESSAGE
    assert pair.bob.engine.open(later, NOW).content.sequence == 4


@pytest.mark.parametrize("size", [0, 1, SMALL, 30_000, 62_000, 64_000, TEXT_MAX])
def test_a_text_of_any_size_goes_through_as_first_and_as_later_message(size: int) -> None:
    pair = Pair()
    body = bytes(size)
    for _ in range(2):
        bodies = []
        for envelope in pair.write(pair.alice, pair.bob, body):
            assert len(envelope) in BUCKETS
            bodies.append(pair.bob.engine.open(envelope, NOW).content.body)
        assert bodies[-1] == body
        pair.carry(pair.bob, pair.alice)


def test_a_large_first_text_sends_its_opening_ahead() -> None:
    pair = Pair()
    [written] = pair.alice.engine.write(pair.alice.devices, pair.bob.key, [pair.draft(bytes(TEXT_MAX))])
    opening, text = written.envelopes
    assert kind_of(opening, pair.bob) is InnerType.OPENING
    assert kind_of(text, pair.bob) is InnerType.MESSAGE
    assert written.sequence == 2
    first = pair.bob.engine.open(opening, NOW).content
    second = pair.bob.engine.open(text, NOW).content
    assert (first.kind, first.sequence, first.body) == (Kind.OPEN, 1, b"")
    assert (second.kind, second.sequence) == (Kind.TEXT, 2)
    assert first.message_id != second.message_id


def test_one_time_keys_are_spent_exactly_when_the_session_is_kept() -> None:
    pair = Pair()
    (envelope,) = pair.write(pair.alice, pair.bob)
    spent = {(PrekeyKind.ONE_TIME, 1), (PrekeyKind.ONE_TIME_KEM, 1)}
    refused(pair.bob, flipped(envelope, len(envelope) - 40))
    assert spent <= pair.bob.state.prekeys.keys()
    before = set(pair.bob.state.prekeys)
    pair.bob.engine.open(envelope, NOW)
    assert before - set(pair.bob.state.prekeys) == spent


def test_a_last_resort_key_is_not_spent() -> None:
    pair = Pair(one_time=False)
    before = dict(pair.bob.state.prekeys)
    pair.carry(pair.alice, pair.bob)
    assert pair.bob.state.prekeys == before


def test_an_opening_to_a_spent_one_time_key_is_refused() -> None:
    # A relay that hands one key out twice refuses service to the second; it gains nothing else.
    pair = Pair()
    carol = Speaker(Seeded("carol"), NOW)
    carol.approach(pair.bob, NOW)
    pair.carry(pair.alice, pair.bob)
    refused(pair.bob, pair.write(carol, pair.bob)[0])


@pytest.mark.parametrize("one_time", [True, False])
def test_a_replayed_opening_never_makes_a_second_session(one_time: bool) -> None:
    pair = Pair(one_time=one_time)
    (envelope,) = pair.write(pair.alice, pair.bob)
    pair.bob.engine.open(envelope, NOW)
    refused(pair.bob, envelope)
    # Not even when the session it made is long gone.
    pair.bob.state.by_device.clear()
    refused(pair.bob, envelope)


def test_a_replayed_message_is_refused() -> None:
    pair = Pair().answered()
    (envelope,) = pair.write(pair.alice, pair.bob)
    pair.bob.engine.open(envelope, NOW)
    refused(pair.bob, envelope)


@given(st.integers(0, 2047), st.integers(0, 7))
def test_a_tampered_opening_changes_nothing(at: int, bit: int) -> None:
    envelope, alice_bob = TAMPERED
    if at < len(envelope):
        refused(alice_bob, flipped(envelope, at, bit))


def _tampered() -> tuple[bytes, Speaker]:
    pair = Pair()
    return pair.write(pair.alice, pair.bob)[0], pair.bob


TAMPERED = _tampered()


@given(st.integers(0, 1023), st.integers(0, 7))
def test_a_tampered_message_changes_nothing(at: int, bit: int) -> None:
    refused(ANSWERED.bob, flipped(MESSAGE, at, bit))


ANSWERED = Pair().answered()
(MESSAGE,) = ANSWERED.write(ANSWERED.alice, ANSWERED.bob)


@pytest.mark.parametrize("envelope", [b"", bytes(1024), b"\x01" + bytes(1023), b"\x01" * 65_536, bytes(1025)])
def test_garbage_changes_nothing(envelope: bytes) -> None:
    refused(Pair().answered().bob, envelope)


def test_a_stranger_without_an_opening_is_refused() -> None:
    pair = Pair().answered()
    (envelope,) = pair.write(pair.alice, pair.bob)
    stranger_to_alice = Speaker(Seeded("bob"), NOW)  # Bob's keys, but a store that knows nobody
    refused(stranger_to_alice, envelope)


def test_a_stranger_with_an_opening_is_heard_under_its_own_account() -> None:
    pair = Pair()
    received = pair.carry(pair.alice, pair.bob)
    assert pair.bob.state.pinned(pair.alice.account.key) == pair.alice.devices
    assert received.sender.devices.account_key == pair.alice.account.key


def test_an_envelope_for_somebody_else_is_refused() -> None:
    pair = Pair()
    carol = Speaker(Seeded("carol"), NOW)
    refused(carol, pair.write(pair.alice, pair.bob)[0])


def test_one_account_cannot_speak_for_another() -> None:
    # Mallory seals with her own device, and shows Alice's list.
    pair = Pair()
    mallory = Speaker(Seeded("mallory"), NOW)
    mallory.devices = pair.alice.devices
    with pytest.raises(ValueError, match="not in its own list"):
        mallory.approach(pair.bob, NOW)


def test_an_opening_on_a_session_that_is_held_needs_the_identity_key_of_its_device() -> None:
    # Who has a device's signing key and a state of its ratchet, and seals with an identity key of its own.
    pair = Pair()
    pair.carry(pair.alice, pair.bob)
    thief = replace(pair.alice.device, identity_private=Seeded("thief")(32))
    account = Account.generate(Seeded("thief"))
    devices = account.sign_device_list((thief.entry(account.key),), NOW)
    session = pair.alice.state.sessions(pair.bob.key).sending
    assert session is not None
    content = Content(Kind.TEXT, bytes(16), bytes(16), 2, NOW * 1000, b"forged").encode()
    header, (_, message) = session.opening[-HEADER_SIZE:], session.encrypt(content, Seeded("thief"))
    inner = lp(devices.encode()) + header + message
    sealing = pair.bob.state.own_sealing().key
    refused(pair.bob, seal(thief, pair.bob.key, sealing, InnerType.OPENING, inner, Seeded("thief")))
    honest = lp(pair.alice.devices.encode()) + header + message
    envelope = seal(pair.alice.device, pair.bob.key, sealing, InnerType.OPENING, honest, Seeded("thief"))
    assert pair.bob.engine.open(envelope, NOW).content.body == b"forged", "the test forges well"


def test_both_beginning_at_once_converge_on_one_session() -> None:
    pair = Pair()
    pair.bob.approach(pair.alice, NOW)
    (from_alice,) = pair.write(pair.alice, pair.bob, b"from alice")
    (from_bob,) = pair.write(pair.bob, pair.alice, b"from bob")
    assert pair.bob.engine.open(from_alice, NOW).content.body == b"from alice"
    assert pair.alice.engine.open(from_bob, NOW).content.body == b"from bob"
    for number in range(4):
        sender, other = (pair.alice, pair.bob) if number % 2 else (pair.bob, pair.alice)
        (envelope,) = pair.write(sender, other, bytes([number]))
        assert other.engine.open(envelope, NOW).content.body == bytes([number])
    ours = pair.alice.state.sessions(pair.bob.key).sending
    theirs = pair.bob.state.sessions(pair.alice.key).sending
    assert ours is not None
    assert theirs is not None
    assert ours.transcript == theirs.transcript
    assert (ours.opening, theirs.opening) == (b"", b"")


def test_sequences_count_up_for_each_device_apart() -> None:
    pair = Pair()
    carol = Speaker(Seeded("carol"), NOW)
    pair.alice.approach(carol, NOW)
    drafts = [pair.draft(b"x") for _ in range(4)]
    others = (pair.bob, pair.bob, carol, pair.bob)
    written = [
        pair.alice.engine.write(pair.alice.devices, other.key, [draft])[0]
        for other, draft in zip(others, drafts, strict=True)
    ]
    assert [item.sequence for item in written] == [1, 2, 1, 3]


def test_without_a_session_nothing_is_written() -> None:
    alice, bob = Speaker(Seeded("alice"), NOW), Speaker(Seeded("bob"), NOW)
    assert not alice.engine.has_session(bob.key, NOW)
    with pytest.raises(ValueError, match="no session"):
        alice.engine.write(alice.devices, bob.key, [Draft(Kind.TEXT, bytes(16), b"", 0)])


def test_a_state_put_back_after_a_failed_transaction_never_repeats_an_envelope() -> None:
    pair = Pair().answered()
    before = pair.alice.state.copy()
    (first,) = pair.write(pair.alice, pair.bob, b"one")
    pair.alice.restore(before)
    (second,) = pair.write(pair.alice, pair.bob, b"two")
    assert first != second
    assert pair.bob.engine.open(second, NOW).content.body == b"two"


# --- device lists -----------------------------------------------------------------------------------


def next_list(speaker: Speaker, *, seed: str = "phone") -> DeviceList:
    """The signed successor with one device more."""
    phone = Speaker(Seeded(seed), NOW).device
    entries = (speaker.device.entry(speaker.account.key), phone.entry(speaker.account.key))
    return speaker.account.sign_device_list(entries, NOW + 1, speaker.devices)


def hear(pair: Pair) -> Received:
    return pair.carry(pair.alice, pair.bob)


def test_a_newer_list_that_the_sender_mentions_asks_for_a_fetch() -> None:
    pair = Pair().answered()
    pair.alice.devices = next_list(pair.alice)
    received = hear(pair)
    assert received.newer_list == pair.alice.devices.version
    assert received.alarm is None


def test_another_list_of_the_same_version_raises_the_alarm() -> None:
    pair = Pair().answered()
    other = pair.alice.account.sign_device_list((pair.alice.device.entry(pair.alice.account.key),), NOW + 7)
    assert (other.version, other.hash()) != (pair.alice.devices.version, pair.alice.devices.hash())
    pair.alice.devices = other
    received = hear(pair)
    assert received.alarm is not None
    assert received.content.body == b"hi"


def test_a_message_from_before_the_last_change_is_no_alarm() -> None:
    pair = Pair().answered()
    pair.bob.state.pin(next_list(pair.alice))
    received = hear(pair)
    assert (received.alarm, received.newer_list) == (None, 0)


@pytest.mark.parametrize("change", ["fork", "jump"])
def test_an_opening_whose_list_does_not_follow_changes_nothing(change: str) -> None:
    """A fork is an alarm; a list further ahead may be right, once the lists between are known."""
    pair = Pair()
    one, other = next_list(pair.alice), next_list(pair.alice, seed="other phone")
    pair.bob.state.pin(one if change == "fork" else pair.alice.devices)
    pair.alice.devices = other
    if change == "jump":
        pair.alice.devices = pair.alice.account.sign_device_list(other.devices, NOW + 2, other)
    pair.alice.approach(pair.bob, NOW, pair.bob.bundle(2))
    before = pair.bob.state.copy()
    with pytest.raises(Alarm if change == "fork" else Ahead) as found:
        pair.carry(pair.alice, pair.bob)
    assert found.value.account_key == pair.alice.account.key  # type: ignore[attr-defined]  # both have it
    assert pair.bob.state == before


def test_an_opening_with_the_successor_is_believed() -> None:
    pair = Pair()
    pair.bob.state.pin(pair.alice.devices)
    pair.alice.devices = next_list(pair.alice)
    pair.alice.approach(pair.bob, NOW, pair.bob.bundle(2))
    hear(pair)
    assert pair.bob.state.pinned(pair.alice.account.key) == pair.alice.devices


# --- prekeys ----------------------------------------------------------------------------------------


def test_a_bundle_that_goes_back_to_an_older_signed_prekey_is_refused() -> None:
    pair = Pair()
    pair.alice.state.learn_signed(pair.bob.key, 5)
    with pytest.raises(VerificationError, match="rollback"):
        pair.alice.engine.learn_bundle(pair.bob.party, pair.bob.bundle(2), NOW)


def test_a_bundle_of_signed_prekeys_over_ninety_days_old_is_refused() -> None:
    pair = Pair()
    with pytest.raises(VerificationError, match="90 days"):
        pair.alice.engine.learn_bundle(pair.bob.party, pair.bob.bundle(2), NOW + SIGNED_PREKEY_MAX_AGE + 1)


def test_a_new_sealing_key_reaches_the_other_inside_the_next_message_and_is_used() -> None:
    pair = Pair().answered()
    newer = generate_prekey(pair.bob.device, PrekeyKind.SEALING, 2, NOW, pair.bob.random)
    pair.bob.state.prekeys[PrekeyKind.SEALING, 2] = newer
    pair.carry(pair.bob, pair.alice)
    assert pair.alice.state.sealing_key(pair.bob.key) == newer.public.key
    del pair.bob.state.prekeys[PrekeyKind.SEALING, 1]
    hear(pair)
    # The one that is gone is not kept in memory, nor what follows from it.
    assert {private for private, _ in pair.bob.engine._opening._shared} == {newer.private}
    # It is told once, not in every message.
    assert pair.bob.state.sealing_news(pair.alice.key) is None


def test_states_are_compared_by_value() -> None:
    """What `refused` leans on can tell states apart."""
    pair = Pair()
    before = pair.bob.state.copy()
    assert isinstance(before, MemoryState)
    pair.carry(pair.alice, pair.bob)
    assert pair.bob.state != before
