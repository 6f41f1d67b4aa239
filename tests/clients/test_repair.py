"""clients.repair: sessions that are made anew, what is asked for and sent again, and what resets nothing."""

import os
from itertools import pairwise
from pathlib import Path

from clients.store.repairs import WAITS, Fault
from keys.content import Kind, Receipt
from tests.clients.repairs import Clock, asks, deliver, due, exchange, lose_session, sessions, statuses
from tests.support.homes import Home
from wire.frames import Put

# --- a session that cannot decrypt ---------------------------------------------------------------------


def test_what_could_not_be_decrypted_comes_again_on_a_new_session(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    lose_session(bob, alice)
    for text in ("one", "two", "three"):
        alice.say(bob, text)
    deliver(alice, bob)
    assert bob.texts() == []
    assert due(bob, alice)
    assert bob.mailroom.lost() == [
        "3 messages of 'alice' could not be decrypted. "
        "The session is made anew, and what is missing is asked for."
    ]
    exchange(bob, alice)
    assert bob.texts() == ["one", "two", "three"]
    assert not due(bob, alice)
    assert statuses(alice, bob)[-3:] == ["delivered"] * 3
    found = bob.mailroom.history.conversation(bob.contact(alice).id, 100)
    assert [message.missing_before for message in found] == [0] * len(found)
    # Both go on as before.
    alice.say(bob, "four")
    bob.say(alice, "five")
    exchange(alice, bob)
    assert (bob.texts(), alice.texts()) == (["four"], ["five"])


def test_it_works_the_same_when_both_have_lost_their_sessions(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    alice.say(bob, "sealed before")
    bob.say(alice, "this too")
    to_bob, to_alice = alice.send(bob), bob.send(alice)
    lose_session(alice, bob)
    lose_session(bob, alice)
    bob.take_in(*to_bob)
    alice.take_in(*to_alice)
    exchange(alice, bob)
    assert (bob.texts(), alice.texts()) == (["sealed before"], ["this too"])
    assert statuses(alice, bob)[-1] == statuses(bob, alice)[-1] == "delivered"


def test_an_opening_that_cannot_be_accepted_is_answered_by_a_session_from_the_other_side(
    tmp_path: Path,
) -> None:
    alice, bob = Home(tmp_path, "alice"), Home(tmp_path, "bob")
    alice.meet(bob)
    bob.add(alice)
    bob.mailroom.learn_bundle(bob.contact(alice), alice.bundle(one_time=False), begin=False)
    with bob.profile.store.transaction() as db:
        db.execute("DELETE FROM prekeys WHERE kind IN (3, 5)")
    alice.say(bob, "the key for this is gone")
    deliver(alice, bob)
    assert bob.texts() == []
    exchange(bob, alice)
    assert bob.texts() == ["the key for this is gone"]
    assert statuses(alice, bob) == ["delivered"]


def test_what_waits_in_the_outbox_is_encrypted_anew_too(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    lose_session(bob, alice)
    alice.say(bob, "lost")
    deliver(alice, bob)
    alice.say(bob, "sealed for the session that is lost, not sent yet")
    exchange(bob, alice)
    assert bob.texts() == ["lost", "sealed for the session that is lost, not sent yet"]
    assert bob.mailroom.undecryptable == 0


# --- what resets nothing -------------------------------------------------------------------------------


def test_garbage_and_replays_reset_nothing(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    alice.say(bob, "hi")
    puts = deliver(alice, bob)
    assert bob.texts() == ["hi"]
    before = sessions(bob, alice).to_record()
    flipped = bytearray(puts[0].envelope)
    flipped[500] ^= 1
    garbage = [Put(os.urandom(16), bob.mailbox, b"\x01" + os.urandom(1023)) for _ in range(3)]
    bob.take_in(*garbage, Put(os.urandom(16), bob.mailbox, bytes(flipped)), *puts, *puts)
    assert sessions(bob, alice).to_record() == before
    assert not due(bob, alice)
    assert bob.mailroom.undecryptable == 4
    assert bob.mailroom.replayed == 2


def test_frames_withheld_until_their_keys_are_gone_reset_nothing(
    pair: tuple[Home, Home], time: Clock
) -> None:
    alice, bob = pair
    for text in ("withheld", "this too"):
        alice.say(bob, text)
    withheld = alice.send(bob)
    for _ in range(40):
        time.now += 86_400
        for home, other in ((alice, bob), (bob, alice)):
            home.stock.rotate(time.now)
            home.mailroom.tidy()
            home.say(other, "x")
        exchange(alice, bob)
    assert {"withheld", "this too"} < set(bob.texts(at_ms=time.now * 1000))  # they were asked for
    for put in withheld:
        bob.take_in(put)
        assert not due(bob, alice)
        time.now += 86_400
    assert bob.mailroom.undecryptable == 2
    # A session that is lost is told from that.
    lose_session(bob, alice)
    alice.say(bob, "on what is lost")
    deliver(alice, bob)
    assert due(bob, alice)


def test_a_stranger_and_somebody_removed_or_blocked_cause_no_repair(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    for status in ("request", "removed", "blocked"):
        with bob.profile.store.transaction() as db:
            db.execute("UPDATE contacts SET status = ?", (status,))
        lose_session(bob, alice)
        alice.say(bob, "for nobody")
        deliver(alice, bob)
        assert not due(bob, alice)
    assert bob.mailroom.undecryptable == 3
    assert bob.mailroom.repair.lines() == []


def test_repairs_of_a_contact_that_never_stops_become_rare(pair: tuple[Home, Home], time: Clock) -> None:
    alice, bob = pair
    begun = []
    for _ in range(6 * 60):  # six hours
        alice.say(bob, "x")
        deliver(alice, bob)
        lose_session(bob, alice)
        if due(bob, alice):
            bob.mailroom.learn_bundle(bob.contact(alice), alice.bundle())
            begun.append(time.now)
        time.now += 60
    waits = [later - earlier for earlier, later in pairwise(begun)]
    assert len(begun) <= 7
    assert all(wait >= least for wait, least in zip(waits, WAITS, strict=False))
    # After a quiet day the first one is at once again.
    time.now += 3 * 86_400
    alice.say(bob, "x")
    deliver(alice, bob)
    assert due(bob, alice)


def test_a_clock_that_was_wrong_does_not_put_off_a_repair(pair: tuple[Home, Home], time: Clock) -> None:
    alice, bob = pair
    time.now += 400 * 86_400
    with bob.profile.store.transaction():
        bob.mailroom._repairs.done(alice.mailbox, Fault.SESSION, time.now)
        bob.mailroom._repairs.owe(alice.mailbox, Fault.SESSION)
    assert not due(bob, alice)
    time.now -= 400 * 86_400
    assert due(bob, alice)


# --- what is missing -----------------------------------------------------------------------------------


def test_a_frame_that_the_relay_has_lost_is_asked_for_at_the_next_one(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    alice.say(bob, "lost")
    alice.send(bob)  # accepted, and never delivered
    alice.say(bob, "next")
    deliver(alice, bob)
    assert bob.texts() == []  # held behind the gap
    exchange(bob, alice)
    assert bob.texts() == ["lost", "next"]
    assert statuses(alice, bob)[-2:] == ["delivered"] * 2


def test_a_lost_note_leaves_no_gap_for_ever(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    with alice.profile.store.transaction():
        alice.mailroom.outbox.owe_receipt(bob.mailbox)
    alice.mailroom.write_owed()
    assert len(alice.send(bob)) == 1  # a receipt that is lost
    alice.say(bob, "after it")
    deliver(alice, bob)
    assert bob.texts() == []
    exchange(bob, alice)
    (message,) = bob.heard()
    assert (message.text, message.missing_before) == ("after it", 0)


def test_a_receipt_that_passes_over_a_message_brings_it_again(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    lost = alice.say(bob, "lost")
    alice.send(bob)
    alice.say(bob, "next")
    deliver(alice, bob)
    with bob.profile.store.transaction() as db:  # bob does not ask
        db.execute("DELETE FROM repairs")
    bob.mailroom.write_owed()
    deliver(bob, alice)
    deliver(alice, bob)
    assert bob.texts() == ["lost", "next"]
    exchange(alice, bob)
    assert alice.mailroom.history.status(lost) == "delivered"


def test_what_was_read_can_be_asked_for_by_a_device_that_has_forgotten_it(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    first = alice.mailroom.state.last_sequence(bob.mailbox) + 1
    alice.say(bob, "read long ago")
    exchange(alice, bob)
    with bob.profile.store.transaction():
        bob.mailroom.history.mark_seen(bob.contact(alice).id, take=True, owe=True)
    exchange(alice, bob)
    assert statuses(alice, bob)[-1] == "read"
    with bob.profile.store.transaction() as db:
        db.execute("DELETE FROM messages WHERE body = ?", (b"read long ago",))
    wanted = Receipt(alice.mailroom.state.stream, ((first, first),))
    asks(bob, alice, Kind.RESEND, wanted.encode())
    exchange(alice, bob)
    assert bob.texts() == ["read long ago"]


def test_nobody_is_made_to_work_without_end(pair: tuple[Home, Home], time: Clock) -> None:
    alice, bob = pair
    for number in range(700):
        alice.say(bob, str(number))
    exchange(alice, bob, 3)
    everything = Receipt(alice.mailroom.state.stream, ((1, 2**63 - 1),)).encode()
    asks(bob, alice, Kind.RESEND, everything)
    alice.mailroom.seal_waiting(alice.contact(bob).id)
    count = len(deliver(alice, bob))
    assert 400 < count <= 501
    asks(bob, alice, Kind.RESEND, everything)
    assert deliver(alice, bob) == []
    asks(bob, alice, Kind.REPAIR, b"")
    assert len(deliver(alice, bob)) <= count
    asks(bob, alice, Kind.REPAIR, b"")
    assert deliver(alice, bob) == []
    time.now += WAITS[0]
    asks(bob, alice, Kind.RESEND, everything)
    assert len(deliver(alice, bob)) == count


def test_another_stream_or_a_stranger_is_answered_nothing(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    alice.say(bob, "mine")
    exchange(alice, bob)
    asks(bob, alice, Kind.RESEND, Receipt(os.urandom(16), ((1, 5),)).encode())
    assert alice.waiting(bob) == []
    with alice.profile.store.transaction() as db:
        db.execute("UPDATE contacts SET status = 'request'")
    asks(bob, alice, Kind.RESEND, Receipt(alice.mailroom.state.stream, ((1, 5),)).encode())
    asks(bob, alice, Kind.REPAIR, b"")
    assert alice.mailroom.contacts_waiting() == []


# --- what nobody receipted -----------------------------------------------------------------------------


def test_the_same_bytes_are_put_again_after_an_hour_six_and_a_day(
    pair: tuple[Home, Home], time: Clock
) -> None:
    alice, bob = pair
    alice.say(bob, "hello?")
    (first,) = alice.send(bob)
    began, repeated = time.now, []
    for _ in range(4 * 24 * 12):  # four days, looked at every five minutes
        time.now += 300
        if alice.mailroom.repeat():
            assert alice.waiting(bob) == [first]
            repeated.append((time.now - began) // 3600)
            alice.send(bob)
    assert repeated == [1, 6, 24]
    bob.take_in(first)
    bob.texts()
    exchange(alice, bob)
    assert statuses(alice, bob)[-1] == "delivered"
    with alice.profile.store.transaction() as db:
        assert db.execute("SELECT count(*) FROM outbox").get == 0


def test_a_receipt_that_was_lost_is_given_again_to_who_repeats(pair: tuple[Home, Home], time: Clock) -> None:
    alice, bob = pair
    alice.say(bob, "hi")
    puts = deliver(alice, bob)
    bob.mailroom.write_owed()
    assert len(bob.send(alice)) == 1  # the receipt is lost
    time.now += 3700
    assert alice.mailroom.repeat()
    assert deliver(alice, bob) == puts
    exchange(alice, bob)
    assert statuses(alice, bob)[-1] == "delivered"
    assert bob.texts() == ["hi"]
    # Whoever repeats more gets no more.
    bob.take_in(*puts)
    assert bob.mailroom.outbox.receipts_owed() == []


def test_the_outbox_counts_only_what_no_relay_has(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    waiting = "SELECT count, bytes FROM waiting"
    for _ in range(3):
        alice.say(bob, "x")
    assert alice.profile.store.db.execute(waiting).fetchone() == (3, 3 * 1024)
    puts = alice.send(bob)
    assert alice.profile.store.db.execute(waiting).fetchone() == (0, 0)
    with alice.profile.store.transaction() as db:
        db.execute("UPDATE outbox SET accepted = 0")
    assert alice.profile.store.db.execute(waiting).fetchone() == (3, 3 * 1024)
    bob.take_in(*puts)
    exchange(alice, bob)
    assert alice.profile.store.db.execute(waiting).fetchone() == (0, 0)
