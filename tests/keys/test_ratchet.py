"""keys.ratchet: every message once, in any order, within limits, and no failure leaves a trace."""

import random as pseudorandom
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.chain import FRESH, ChainKey, MessageKey
from keys.errors import DecryptError, ExpiredError
from keys.primitives import dh, dh_key, hkdf
from keys.ratchet import HEADER, MAX_JUMP, MAX_SKIPPED, MESSAGE_OVERHEAD, SKIPPED_KEEP, Ratchet
from tests.keys.parties import LOW_ORDER, NOW, Seeded, counted, flipped, ratchets


def send(state: Ratchet, count: int, random: Seeded, name: str = "m") -> tuple[Ratchet, list[bytes]]:
    """`count` messages with texts m0, m1, ..."""
    messages = []
    for number in range(count):
        state, message = state.encrypt(f"{name}{number}".encode(), random)
        messages.append(message)
    return state, messages


def receive(state: Ratchet, *messages: bytes, now: int = NOW) -> tuple[Ratchet, list[bytes]]:
    texts = []
    for message in messages:
        state, text = state.decrypt(message, now)
        texts.append(text)
    return state, texts


def refused(state: Ratchet, message: bytes, now: int = NOW) -> None:
    before = state.to_record()
    with pytest.raises(DecryptError):
        state.decrypt(message, now)
    assert state.to_record() == before


def texts(count: int, name: str = "m") -> list[bytes]:
    return [f"{name}{number}".encode() for number in range(count)]


def test_messages_arrive_in_order_both_ways_over_many_turns() -> None:
    (alice, bob), random = ratchets(), Seeded("turns")
    keys = set()
    for turn in range(6):
        alice, there = send(alice, turn % 3 + 1, random, "a")
        bob, got = receive(bob, *there)
        assert got == texts(turn % 3 + 1, "a")
        bob, back = send(bob, turn % 2 + 1, random, "b")
        alice, got = receive(alice, *back)
        assert got == texts(turn % 2 + 1, "b")
        keys |= {there[0][:32], back[0][:32]}
    assert len(keys) == 12, "every turn has a ratchet key of its own"


def test_the_header_is_ratchet_key_previous_length_and_number() -> None:
    (alice, bob), random = ratchets(), Seeded("header")
    alice, messages = send(alice, 3, random)
    bob, _ = receive(bob, *messages)
    bob, (reply,) = send(bob, 1, random)
    alice, _ = receive(alice, reply)
    alice, (later,) = send(alice, 1, random)
    assert [message[32:HEADER] for message in messages] == [bytes(7) + bytes([n]) for n in range(3)]
    assert later[32:HEADER] == bytes.fromhex("0000000300000000")
    assert len(later) == MESSAGE_OVERHEAD + 2
    assert len({messages[0][:32], messages[2][:32], later[:32], reply[:32]}) == 3


def test_the_chains_are_those_of_the_specification() -> None:
    random = Seeded("specification")
    root, associated, signed = random(32), random(32), random(32)
    draws = Seeded("draws")
    state, message = Ratchet.initiate(root, associated, dh_key(signed)).encrypt(b"text", draws)
    repeat = Seeded("draws")
    private, fresh = repeat(32), repeat(FRESH)
    assert message[:32] == dh_key(private)
    assert message[HEADER : HEADER + FRESH] == fresh
    chain = hkdf(salt=root, ikm=dh(private, dh_key(signed)), info=b"blindpost/v1/dr/root\0", size=64)[32:]
    _, key = ChainKey(chain, 0).advance()
    assert key.decrypt(message[HEADER:], associated + message[:HEADER]) == b"text"
    assert state.sending is not None
    assert state.sending.number == 1


def test_the_acceptor_cannot_send_before_it_received() -> None:
    _, bob = ratchets()
    with pytest.raises(ValueError, match="nothing has been received"):
        bob.encrypt(b"too early", Seeded("early"))


@given(st.integers(0, 2**32))
def test_any_order_of_arrival_gives_every_message_exactly_once(seed: int) -> None:
    (alice, bob), random, shuffle = ratchets(), Seeded("order"), pseudorandom.Random(seed)
    alice, first = send(alice, 5, random, "a")
    bob, _ = receive(bob, first[0])
    bob, (reply,) = send(bob, 1, random, "r")
    alice, _ = receive(alice, reply)
    alice, second = send(alice, 5, random, "b")
    waiting = list(zip(first[1:] + second, texts(5, "a")[1:] + texts(5, "b"), strict=True))
    shuffle.shuffle(waiting)
    for message, text in waiting:
        bob, got = receive(bob, message)
        assert got == [text]
    for message in first + second:
        refused(bob, message)
    assert not bob.skipped


def test_what_is_lost_hinders_nothing() -> None:
    (alice, bob), random = ratchets(), Seeded("loss")
    for turn in range(5):
        alice, messages = send(alice, 4, random, f"t{turn}-")
        bob, got = receive(bob, messages[2])
        assert got == [f"t{turn}-2".encode()]
        bob, replies = send(bob, 3, random)
        alice, _ = receive(alice, replies[-1])
    # 2 before the one that came, in each turn; the one behind it once the next turn told of it.
    assert len(bob.skipped) == 5 * 2 + 4 * 1


def test_a_duplicate_is_refused_at_every_later_time() -> None:
    (alice, bob), random = ratchets(), Seeded("duplicates")
    alice, messages = send(alice, 3, random)
    seen: list[bytes] = []
    for message in (messages[0], messages[2], messages[1]):
        bob, _ = receive(bob, message)
        seen.append(message)
        for old in seen:
            refused(bob, old)
    bob, (reply,) = send(bob, 1, random)
    alice, _ = receive(alice, reply)
    refused(alice, reply)
    alice, (later,) = send(alice, 1, random)
    bob, _ = receive(bob, later)
    for old in seen:
        refused(bob, old)


def test_a_late_message_of_an_old_chain_still_opens() -> None:
    (alice, bob), random = ratchets(), Seeded("late")
    alice, (held, *others) = send(alice, 3, random, "old")
    bob, _ = receive(bob, *others)
    for _ in range(3):
        bob, (reply,) = send(bob, 1, random)
        alice, _ = receive(alice, reply)
        alice, (message,) = send(alice, 1, random)
        bob, _ = receive(bob, message)
    bob, got = receive(bob, held)
    assert got == [b"old0"]
    refused(bob, held)


def after(count: int, random: Seeded) -> tuple[Ratchet, Ratchet]:
    """A pair where the next message of the first has number `count`."""
    alice, bob = ratchets()
    alice, (first,) = send(alice, 1, random)
    bob, _ = receive(bob, first)
    alice, _ = send(alice, count - 1, random)
    return alice, bob


def test_a_jump_of_1000_opens_and_one_of_1001_is_refused_before_any_key_is_derived() -> None:
    random = Seeded("jump")
    alice, bob = after(MAX_JUMP + 1, random)
    alice, (edge,) = send(alice, 1, random)
    alice, (over,) = send(alice, 1, random)
    with counted() as calls:
        refused(bob, over)
    assert (calls.mac, calls.hkdf) == (0, 0)
    with counted() as calls:
        bob, got = receive(bob, edge)
    assert got == [b"m0"]
    assert (calls.mac, calls.hkdf) == (2 * (MAX_JUMP + 1), 1)
    assert len(bob.skipped) == MAX_JUMP
    bob, _ = receive(bob, over)


def test_a_jump_over_the_end_of_a_chain_is_bounded_in_each_of_the_two() -> None:
    random = Seeded("two chains")
    alice, bob = ratchets()
    alice, (first,) = send(alice, 1, random)
    bob, _ = receive(bob, first)
    alice, _ = send(alice, MAX_JUMP, random)
    bob, (reply,) = send(bob, 1, random)
    alice, _ = receive(alice, reply)
    alice, messages = send(alice, MAX_JUMP + 2, random)
    with counted() as calls:
        refused(bob, messages[MAX_JUMP + 1])
    assert (calls.mac, calls.hkdf) == (0, 0)
    bob, _ = receive(bob, messages[MAX_JUMP])
    assert len(bob.skipped) == MAX_SKIPPED


@pytest.mark.parametrize(
    ("previous", "number"),
    [(0, 1001), (1002, 0), (0, 2**32 - 1), (2**32 - 1, 0), (2**32 - 1, 2**32 - 1)],
)
def test_a_forged_header_with_a_great_jump_costs_no_derivation(previous: int, number: int) -> None:
    random = Seeded("forged")
    alice, bob = ratchets()
    alice, (first,) = send(alice, 1, random)
    bob, _ = receive(bob, first)
    head = dh_key(b"x" * 32) + previous.to_bytes(4, "big") + number.to_bytes(4, "big")
    with counted() as calls:
        refused(bob, head + first[HEADER:])
    assert (calls.mac, calls.hkdf) == (0, 0)


def test_the_oldest_of_more_than_2000_skipped_keys_go_first() -> None:
    random = Seeded("skipped")
    alice, bob = ratchets()
    held: list[bytes] = []
    for turn in range(3):
        alice, messages = send(alice, 801, random, f"t{turn}-")
        held += messages[:-1]
        bob, _ = receive(bob, messages[-1])
        assert len(bob.skipped) == min(800 * (turn + 1), MAX_SKIPPED)
    for gone in (held[0], held[200], held[399]):
        refused(bob, gone)
    for kept in (held[400], held[1500], held[2399]):
        bob, _ = receive(bob, kept)
    assert len(bob.skipped) == MAX_SKIPPED - 3


def test_skipped_keys_live_thirty_days() -> None:
    random = Seeded("age")
    alice, bob = ratchets()
    alice, messages = send(alice, 5, random)
    bob, _ = receive(bob, messages[2], now=NOW)
    within, _ = receive(bob, messages[3], now=NOW + SKIPPED_KEEP)
    receive(within, messages[0], now=NOW + SKIPPED_KEEP)
    beyond, _ = receive(bob, messages[3], now=NOW + SKIPPED_KEEP + 1)
    assert not any(key for key, _ in beyond.skipped.values())
    refused(beyond, messages[0], now=NOW + SKIPPED_KEEP + 1)
    refused(bob, messages[0], now=NOW + SKIPPED_KEEP + 1)
    assert bob.pruned(NOW + SKIPPED_KEEP, NOW) == bob
    beyond = bob.pruned(NOW + SKIPPED_KEEP + 1, NOW)
    assert not any(key for key, _ in beyond.skipped.values())
    assert Ratchet.from_record(beyond.to_record()) == beyond
    # That it was a skipped one is known for longer than its key.
    with pytest.raises(ExpiredError):
        beyond.decrypt(messages[0], NOW + SKIPPED_KEEP + 1)
    assert not bob.pruned(NOW + SKIPPED_KEEP + 1, NOW + 1).skipped


def test_no_bit_of_a_message_can_change_and_nothing_changes_by_trying() -> None:
    (alice, bob), random = ratchets(), Seeded("tamper")
    alice, messages = send(alice, 3, random)
    bob, _ = receive(bob, messages[1])
    for message in (messages[0], messages[2]):  # one with a stored key, one of the running chain
        for at in range(len(message)):
            refused(bob, flipped(message, at, at % 8))
        for length in range(len(message)):
            with pytest.raises(DecryptError):
                bob.decrypt(message[:length], NOW)
        refused(bob, message + b"\0")
        receive(bob, message)


def test_a_change_in_a_first_message_of_a_new_chain_is_refused() -> None:
    (alice, bob), random = ratchets(), Seeded("step")
    alice, (first,) = send(alice, 1, random)
    bob, _ = receive(bob, first)
    bob, (reply,) = send(bob, 1, random)
    for at in range(len(reply)):
        refused(alice, flipped(reply, at, at % 8))
    receive(alice, reply)


@pytest.mark.parametrize("point", LOW_ORDER, ids=bytes.hex)
def test_a_low_order_ratchet_key_is_refused(point: bytes) -> None:
    (alice, bob), random = ratchets(), Seeded("low")
    alice, (first,) = send(alice, 1, random)
    refused(bob, point + first[32:])
    bob, _ = receive(bob, first)
    refused(bob, point + first[32:])


def test_messages_of_another_session_are_refused() -> None:
    alice, bob = ratchets("one")
    other, _ = ratchets("other")
    _, (message,) = send(other, 1, Seeded("x"))
    refused(bob, message)
    _, (own,) = send(alice, 1, Seeded("x"))
    refused(replace(bob, associated=b"z" * 32), own)
    refused(alice, own)


def test_own_messages_thrown_back_are_refused() -> None:
    (alice, bob), random = ratchets(), Seeded("reflect")
    alice, there = send(alice, 2, random)
    bob, _ = receive(bob, there[0])
    bob, back = send(bob, 2, random)
    for message in there:
        refused(alice, message)
    for message in back:
        refused(bob, message)


def test_a_state_put_back_never_repeats_a_key_and_nonce() -> None:
    (alice, bob), random = ratchets(), Seeded("rollback")
    alice, (first,) = send(alice, 1, random)
    bob, _ = receive(bob, first)
    bob, (reply,) = send(bob, 1, random)
    alice, _ = receive(alice, reply)
    alice, _ = send(alice, 1, random)
    snapshot = alice.to_record()
    once = Ratchet.from_record(snapshot).encrypt(b"the one", random)[1]
    again = Ratchet.from_record(snapshot).encrypt(b"another", random)[1]
    assert once[:HEADER] == again[:HEADER], "the rollback did happen: same chain, same number"
    chain = Ratchet.from_record(snapshot).sending
    assert chain is not None
    message_key = chain.advance()[1].value

    def key_and_nonce(message: bytes) -> bytes:
        fresh = message[HEADER : HEADER + FRESH]
        return hkdf(salt=fresh, ikm=message_key, info=b"blindpost/v1/dr/msg\0", size=56)

    assert key_and_nonce(once)[:32] != key_and_nonce(again)[:32]
    assert key_and_nonce(once)[32:] != key_and_nonce(again)[32:]


def test_a_used_message_key_is_no_longer_in_the_state() -> None:
    (alice, bob), random = ratchets(), Seeded("forward secrecy")
    alice, messages = send(alice, 3, random)
    bob, _ = receive(bob, messages[1])
    places = {place[1]: key.value for place, (key, _) in bob.skipped.items() if key}
    assert set(places) == {0}
    bob, _ = receive(bob, messages[0])
    assert places[0] not in bob.to_record()
    bob, _ = receive(bob, messages[2])
    assert bob.receiving is not None
    chain = bob.receiving
    for _ in range(5):
        chain, key = chain.advance()
        for message in messages:
            with pytest.raises(DecryptError):
                key.decrypt(message[HEADER:], bob.associated + message[:HEADER])


def test_a_round_trip_heals_a_stolen_state() -> None:
    (alice, bob), random = ratchets(), Seeded("healing")
    alice, (first,) = send(alice, 1, random)
    bob, _ = receive(bob, first)
    stolen = Ratchet.from_record(bob.to_record())
    alice, (readable,) = send(alice, 1, random)
    receive(stolen, readable)  # this one the thief can read
    bob, _ = receive(bob, readable)
    bob, (reply,) = send(bob, 1, random)
    alice, _ = receive(alice, reply)
    alice, (healed,) = send(alice, 1, random)
    refused(stolen, healed)
    receive(bob, healed)


def test_a_state_comes_back_from_its_record_at_every_point() -> None:
    (alice, bob), random = ratchets(), Seeded("records")

    def reload(state: Ratchet) -> Ratchet:
        loaded = Ratchet.from_record(state.to_record())
        assert loaded == state
        assert loaded.to_record() == state.to_record()
        assert list(loaded.skipped) == list(state.skipped)
        return loaded

    for _ in range(4):
        alice, messages = send(reload(alice), 3, random)
        bob, _ = receive(reload(bob), messages[2])
        bob, _ = receive(reload(bob), messages[0])
        bob, (reply,) = send(reload(bob), 1, random)
        alice, _ = receive(reload(alice), reply)
    reload(alice), reload(bob)


def test_states_are_immutable() -> None:
    alice, _ = ratchets()
    with pytest.raises(AttributeError):
        alice.previous_length = 5  # type: ignore[misc]  # refused at run time too, as tested
    with pytest.raises(TypeError):
        alice.skipped[(b"k", 1)] = (MessageKey(b"k"), 1)  # type: ignore[index]  # likewise


@given(st.binary(max_size=200) | st.binary(max_size=120).map(lambda tail: bytes(32) + bytes(8) + tail))
def test_any_bytes_give_decrypt_error_and_change_nothing(data: bytes) -> None:
    (alice, bob), random = ratchets(), Seeded("fuzz")
    refused(bob, data)
    alice, (first,) = send(alice, 1, random)
    bob, _ = receive(bob, first)
    refused(bob, data)
    refused(bob, first[:32] + data)
