"""keys.ratchet at its edges: the last numbers of a chain, the shortest message, the time before a reply."""

from dataclasses import replace

import pytest

from keys.chain import ChainKey
from keys.errors import DecryptError, ExpiredError
from keys.primitives import dh_key
from keys.ratchet import HEADER, MAX_JUMP, MAX_SKIPPED, MESSAGE_OVERHEAD, SKIPPED_KEEP, Ratchet
from tests.keys.parties import NOW, Seeded, counted, ratchets

LAST = 2**32 - 2  # the highest number a message has


def at_the_end() -> tuple[Ratchet, Ratchet]:
    """A pair in whose one chain the next message is the last but one."""
    (alice, bob), random = ratchets(), Seeded("end")
    alice, first = alice.encrypt(b"first", random)
    bob, _ = bob.decrypt(first, NOW)
    assert alice.sending is not None
    near = ChainKey(alice.sending.value, LAST - 1)
    return replace(alice, sending=near), replace(bob, receiving=near)


def test_the_last_number_of_a_chain_is_used_and_none_behind_it() -> None:
    (alice, bob), random = at_the_end(), Seeded("last")
    alice, before = alice.encrypt(b"last but one", random)
    alice, last = alice.encrypt(b"last", random)
    assert last[36:HEADER] == LAST.to_bytes(4, "big")
    with pytest.raises(ValueError, match="exhausted"):
        alice.encrypt(b"one too many", random)
    bob, _ = bob.decrypt(before, NOW)
    ended, text = bob.decrypt(last, NOW)
    assert text == b"last"
    # The chain goes on with the next ratchet key: a reply is all that it takes.
    ended, reply = ended.encrypt(b"reply", random)
    alice, _ = alice.decrypt(reply, NOW)
    _, again = alice.encrypt(b"again", random)
    assert ended.decrypt(again, NOW)[1] == b"again"


def test_a_message_behind_the_last_number_is_refused_though_it_would_authenticate() -> None:
    (alice, bob), random = at_the_end(), Seeded("behind")
    assert bob.receiving is not None
    chain = bob.receiving
    while chain.number <= LAST:
        chain, _ = chain.advance()
    _, key = chain.advance()
    header = dh_key(alice.own_private) + bytes(4) + (LAST + 1).to_bytes(4, "big")
    forged = header + key.encrypt(b"behind", bob.associated + header, random)
    with counted() as calls, pytest.raises(DecryptError):
        bob.decrypt(forged, NOW)
    assert (calls.mac, calls.hkdf) == (0, 0)


def test_a_message_of_nothing_opens_and_a_shorter_one_costs_no_derivation() -> None:
    (alice, bob), random = ratchets(), Seeded("short")
    _, message = alice.encrypt(b"", random)
    assert len(message) == MESSAGE_OVERHEAD
    assert bob.decrypt(message, NOW)[1] == b""
    for length in range(MESSAGE_OVERHEAD):
        with counted() as calls, pytest.raises(DecryptError):
            bob.decrypt(message[:length], NOW)
        assert (calls.mac, calls.hkdf) == (0, 0)


def test_what_came_last_again_costs_no_derivation() -> None:
    (alice, bob), random = ratchets(), Seeded("again")
    alice, first = alice.encrypt(b"first", random)
    bob, _ = bob.decrypt(first, NOW)
    _, message = alice.encrypt(b"once", random)
    bob, _ = bob.decrypt(message, NOW)
    with counted() as calls, pytest.raises(DecryptError):
        bob.decrypt(message, NOW)
    assert (calls.mac, calls.hkdf) == (0, 0)


def test_a_message_under_the_peers_prekey_is_refused_by_an_initiator_without_a_reply() -> None:
    # The one ratchet key that it knows already, and has no chain of.
    (alice, _), random = ratchets(), Seeded("prekey")
    alice, message = alice.encrypt(b"first", random)
    assert alice.remote is not None
    for number in range(3):
        header = alice.remote + bytes(4) + number.to_bytes(4, "big")
        with pytest.raises(DecryptError):
            alice.decrypt(header + message[HEADER:], NOW)


def test_how_far_each_side_has_come_is_told_from_the_first_moment() -> None:
    (alice, bob), random = ratchets(), Seeded("far")
    assert (alice.received, alice.unanswered) == ((alice.remote, 0), 0)
    assert (bob.received, bob.unanswered) == ((None, 0), 0)
    for count in (1, 2):
        alice, message = alice.encrypt(b"text", random)
        bob, _ = bob.decrypt(message, NOW)
        assert alice.unanswered == count
        assert bob.received == (message[:32], count)
    bob, reply = bob.encrypt(b"reply", random)
    alice, _ = alice.decrypt(reply, NOW)
    assert alice.unanswered == 0


def test_the_acceptor_holds_its_signed_prekey_until_it_answers_and_an_initiator_never_does() -> None:
    (alice, bob), random = ratchets(), Seeded("signed")
    signed = bob.own_private
    assert alice.signed_private is None
    assert bob.signed_private == signed
    for _ in range(2):
        alice, message = alice.encrypt(b"text", random)
        bob, _ = bob.decrypt(message, NOW)
        assert (alice.signed_private, bob.signed_private) == (None, signed)
    bob, reply = bob.encrypt(b"reply", random)
    assert bob.signed_private is None
    alice, _ = alice.decrypt(reply, NOW)
    alice, message = alice.encrypt(b"again", random)
    bob, _ = bob.decrypt(message, NOW)
    assert (alice.signed_private, bob.signed_private) == (None, None)


def test_a_key_that_was_dropped_stays_so_when_the_clock_is_put_back() -> None:
    (alice, bob), random = ratchets(), Seeded("clock")
    alice, late = alice.encrypt(b"late", random)
    alice, message = alice.encrypt(b"message", random)
    bob, _ = bob.decrypt(message, NOW)
    pruned = bob.pruned(NOW + SKIPPED_KEEP + 1, NOW)
    with pytest.raises(ExpiredError):
        pruned.decrypt(late, NOW)


def test_a_record_is_laid_out_as_stores_hold_it() -> None:
    (alice, bob), random = ratchets(), Seeded("layout")
    assert alice.remote is not None
    fixed = alice.root.value + alice.associated + bytes(32) + alice.remote
    assert alice.to_record() == b"\x01" + fixed + bytes(2 * 37 + 4 + 4)
    alice, _ = alice.encrypt(b"skipped", random)
    alice, message = alice.encrypt(b"message", random)
    bob, _ = bob.decrypt(message, NOW)
    bob, _ = bob.encrypt(b"reply", random)
    assert bob.remote is not None
    assert bob.sending is not None
    assert bob.receiving is not None
    ((place, (key, at)),) = bob.skipped.items()
    assert key is not None
    expected = (
        *(b"\x01", bob.root.value, bob.associated, bob.own_private, bob.remote),
        *(b"\x01", bob.sending.value, (1).to_bytes(4, "big")),
        *(b"\x01", bob.receiving.value, (2).to_bytes(4, "big"), bytes(4), (1).to_bytes(4, "big")),
        *(place[0], bytes(4), key.value, at.to_bytes(8, "big")),
    )
    assert bob.to_record() == b"".join(expected)


def test_a_record_of_another_version_or_with_bytes_left_is_refused() -> None:
    alice, _ = ratchets()
    record = alice.to_record()
    for version in (b"\x00", b"\x02", b"\xff"):
        with pytest.raises(ValueError, match="unknown version"):
            Ratchet.from_record(version + record[1:])
    with pytest.raises(Exception, match="trailing"):
        Ratchet.from_record(record + b"\0")


def test_one_skipped_key_over_2000_is_one_that_goes() -> None:
    (alice, bob), random = ratchets(), Seeded("one over")
    held: list[bytes] = []
    for size in (1000, 1000, 1):
        for _ in range(size):
            alice, message = alice.encrypt(b"held", random)
            held.append(message)
        alice, message = alice.encrypt(b"message", random)
        bob, _ = bob.decrypt(message, NOW)
    assert len(bob.skipped) == MAX_SKIPPED
    with pytest.raises(DecryptError):
        bob.decrypt(held[0], NOW)
    assert bob.decrypt(held[1], NOW)[1] == b"held"


def test_a_forged_jump_costs_one_derivation_a_number_and_nothing_for_the_chain_before() -> None:
    (alice, bob), random = ratchets(), Seeded("costly")
    alice, first = alice.encrypt(b"first", random)
    bob, _ = bob.decrypt(first, NOW)
    head = dh_key(b"x" * 32) + MAX_JUMP.to_bytes(4, "big") * 2
    with counted() as calls, pytest.raises(DecryptError):
        bob.decrypt(head + first[HEADER:], NOW)
    # To each number, there the next chain key and the message key; the root, and what opens the message.
    assert (calls.mac, calls.hkdf) == (MAX_JUMP + 2, 2)
