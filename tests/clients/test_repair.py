"""clients.repair: sessions that are made anew, what is asked for and sent again, and what resets nothing."""

import os
from itertools import pairwise
from pathlib import Path

import pytest

from clients import clock
from clients.checkpoints import Checkpoints
from clients.store.repairs import WAITS, Fault
from keys.content import Content, Kind, Receipt
from keys.sessions import Sessions
from tests.clients.test_hostile_peers import craft
from tests.support.homes import Home, converse
from wire.frames import Put


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Home, Home]:
    alice, bob = Home(tmp_path, "alice"), Home(tmp_path, "bob")
    converse(alice, bob)
    exchange(alice, bob)
    return alice, bob


class Clock:
    """Both homes' clock, in Unix seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = clock.now_seconds()
        monkeypatch.setattr("clients.clock.now_seconds", lambda: self.now)
        monkeypatch.setattr("clients.clock.now_ms", lambda: self.now * 1000)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def deliver(sender: Home, to: Home) -> list[Put]:
    """Everything on its way, through a relay that works; fetches a bundle where one is waited for."""
    contact = sender.contact(to)
    if sender.mailroom.needs_bundle(contact):
        sender.mailroom.learn_bundle(contact, to.bundle())
    while sender.mailroom.seal_waiting(contact.id):
        pass
    puts = sender.send(to)
    to.take_in(*puts)
    return puts


def exchange(one: Home, other: Home, rounds: int = 6, *, settle: bool = True) -> int:
    """Let both say what they owe until nothing is left; returns how many envelopes that were."""
    count = 0
    for _ in range(rounds):
        for sender, to in ((one, other), (other, one)):
            sender.mailroom.write_owed()
            count += len(deliver(sender, to))
    assert not settle or not (one.waiting(other) or other.waiting(one))
    return count


def sessions(home: Home, other: Home) -> Sessions:
    return home.mailroom.state.sessions(other.mailbox)


def lose_session(home: Home, other: Home) -> None:
    """As if the record of the sessions were lost, and nothing else."""
    with home.profile.store.transaction():
        home.mailroom.state.save_sessions(other.mailbox, Sessions())


def due(home: Home, other: Home, fault: Fault = Fault.SESSION) -> bool:
    return home.mailroom._repairs.is_due(other.mailbox, fault, clock.now_seconds())


def statuses(home: Home, other: Home) -> list[str]:
    found = home.mailroom.history.conversation(home.contact(other).id, 100)
    return [message.status.value for message in found if message.outgoing]


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


def asks(sender: Home, to: Home, kind: Kind, body: bytes) -> None:
    """A note that no honest client would write now."""
    state = sender.mailroom.state
    with sender.profile.store.transaction():
        sequence = state.next_sequence(to.mailbox)
    content = Content(kind, os.urandom(16), state.stream, sequence, clock.now_ms(), body)
    to.take_in(craft(sender, to, content))


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


# --- an old copy of the store --------------------------------------------------------------------------


def checkpoints(home: Home) -> Checkpoints:
    return Checkpoints(home.profile.device, home.profile.store, home.mailroom, os.urandom)


def copy_of(home: Home) -> bytes:
    home.close()
    data = (home.config.profile / "store.db").read_bytes()
    home.open()
    return data


def put_back(home: Home, copy: bytes) -> None:
    home.close()
    for name in ("store.db-wal", "store.db-shm"):
        (home.config.profile / name).unlink(missing_ok=True)
    (home.config.profile / "store.db").write_bytes(copy)
    home.open()


def test_an_old_copy_is_recognised_and_everything_said_afterwards_arrives(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    copy = copy_of(alice)
    alice.say(bob, "after the copy")
    bob.say(alice, "heard after the copy")
    exchange(alice, bob)
    assert (bob.texts(), alice.texts()) == (["after the copy"], ["heard after the copy"])
    left = checkpoints(alice).make().checkpoint
    assert not checkpoints(alice).judge(left)
    stream = alice.mailroom.state.stream

    put_back(alice, copy)
    assert checkpoints(alice).judge(left)
    alice.stock.begin_anew(clock.now_seconds())
    alice.mailroom.lives.begun_anew()
    assert alice.mailroom.state.stream != stream
    assert "older copy of itself" in alice.mailroom.lost()[0]
    assert sessions(alice, bob) == Sessions()
    assert not checkpoints(alice).judge(left)  # it is ahead now

    bob.say(alice, "to the session that is lost")
    exchange(bob, alice)
    alice.say(bob, "from the copy")
    exchange(alice, bob)
    assert bob.texts() == ["from the copy"]
    # What it had before is asked for, and comes again.
    assert alice.texts() == ["heard after the copy", "to the session that is lost"]
    assert statuses(alice, bob)[-1] == "delivered"


def test_only_our_own_seal_is_believed(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    made = checkpoints(bob).make().checkpoint
    flipped = bytearray(checkpoints(alice).make().checkpoint)
    flipped[40] ^= 1
    for shown in (None, b"", made, bytes(flipped), os.urandom(85), os.urandom(256)):
        assert not checkpoints(alice).judge(shown)
    older = [checkpoints(alice).make().checkpoint for _ in range(100)]
    alice.say(bob, "x")
    for shown in older:
        assert not checkpoints(alice).judge(shown)


def test_a_copy_that_went_on_by_itself_is_recognised_and_no_relay_can_use_that_twice(
    pair: tuple[Home, Home],
) -> None:
    alice, bob = pair
    copy = copy_of(alice)
    elsewhere = [checkpoints(alice).make().checkpoint for _ in range(3)]
    put_back(alice, copy)
    # Its relay withholds the truth for long, and takes what this copy leaves.
    mine = [checkpoints(alice).make().checkpoint for _ in range(10)]
    for number in range(5):
        alice.say(bob, str(number))
    assert not checkpoints(alice).judge(mine[1])
    assert checkpoints(alice).judge(elsewhere[1])
    alice.mailroom.lives.begun_anew()
    for shown in (*elsewhere, *mine):
        assert not checkpoints(alice).judge(shown)
    assert not checkpoints(alice).judge(checkpoints(alice).make().checkpoint)


def test_a_copy_that_is_put_back_twice_is_recognised_twice(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    copy = copy_of(alice)
    alice.say(bob, "x")
    exchange(alice, bob)
    streams = []
    left = checkpoints(alice).make().checkpoint
    for text in ("one", "two"):
        put_back(alice, copy)
        assert checkpoints(alice).judge(left)
        alice.stock.begin_anew(clock.now_seconds())
        alice.mailroom.lives.begun_anew()
        streams.append(alice.mailroom.state.stream)
        alice.say(bob, text)
        exchange(alice, bob)
        left = checkpoints(alice).make().checkpoint
    assert len(set(streams)) == 2
    assert bob.texts() == ["x", "one", "two"]


def test_no_receipt_of_the_store_that_is_gone_counts_for_a_copy_whose_checkpoint_is_withheld(
    pair: tuple[Home, Home], time: Clock
) -> None:
    alice, bob = pair
    shown = checkpoints(alice).make().checkpoint
    alice.say(bob, "before the copy")  # on the sending chain that the copy goes on with
    deliver(alice, bob)
    copy = copy_of(alice)
    alice.say(bob, "said by the store that is gone")
    deliver(alice, bob)
    bob.mailroom.write_owed()
    receipt, said = bob.send(alice), b""
    for withheld in (None, os.urandom(85)):
        put_back(alice, copy)
        before = sessions(alice, bob)
        assert not checkpoints(alice).judge(withheld)
        said = alice.say(bob, "said by the copy, and lost")
        alice.send(bob)
        alice.take_in(*receipt)
        assert alice.mailroom.history.status(said) == "accepted"
        assert [one.transcript for one in sessions(alice, bob)] == [one.transcript for one in before]
    time.now += 60
    alice.say(bob, "said by the copy")
    exchange(alice, bob)
    heard = [message.text for message in bob.heard(at_ms=(time.now + 60) * 1000)]
    assert heard == [
        "before the copy", "said by the store that is gone", "said by the copy, and lost", "said by the copy"
    ]  # fmt: skip
    assert alice.mailroom.history.status(said) == "delivered"
    # One that it knows, be it the last one or not, is no reason for anything.
    stream = alice.mailroom.state.stream
    for known in (checkpoints(alice).make().checkpoint, shown):
        assert not checkpoints(alice).judge(known)
        assert alice.mailroom.state.stream == stream


def test_what_waits_goes_out_once_in_a_new_stream(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    checkpoints(alice).make()
    alice.say(bob, "accepted, and on its way")
    on_its_way = alice.send(bob)
    bob.say(alice, "x")
    deliver(bob, alice)
    alice.mailroom.write_owed()  # a receipt waits, which is as good as before
    alice.say(bob, "not sent yet")
    assert not checkpoints(alice).judge(None)
    bob.take_in(*on_its_way)
    exchange(alice, bob)
    assert bob.texts() == ["accepted, and on its way", "not sent yet"]
    assert statuses(alice, bob)[-2:] == statuses(bob, alice)[-1:] * 2 == ["delivered"] * 2


def test_what_comes_again_in_a_new_stream_behind_later_messages_is_marked(
    pair: tuple[Home, Home], time: Clock
) -> None:
    alice, bob = pair
    time.now += 10
    alice.say(bob, "early, and lost on its way")
    alice.send(bob)
    copy = copy_of(alice)
    time.now += 10
    alice.say(bob, "later")
    deliver(alice, bob)
    (shown,) = bob.heard(at_ms=(time.now + 60) * 1000)
    assert (shown.text, shown.missing_before) == ("later", 1)
    left = checkpoints(alice).make().checkpoint
    put_back(alice, copy)
    assert checkpoints(alice).judge(left)
    alice.stock.begin_anew(clock.now_seconds())
    alice.mailroom.lives.begun_anew()
    time.now += 10
    alice.say(bob, "after the copy")
    exchange(alice, bob)
    heard = bob.heard(at_ms=(time.now + 60) * 1000)
    assert [(message.text, message.late) for message in heard] == [
        ("early, and lost on its way", True),
        ("after the copy", False),
    ]


# --- what was found by breaking it -----------------------------------------------------------------------


def test_a_request_from_a_device_that_cannot_be_written_to_harms_nobody(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    alice.say(bob, "x")
    exchange(alice, bob)
    with alice.profile.store.transaction() as db:
        db.execute("UPDATE devices SET sealing = NULL")
    for kind in (Kind.RESEND, Kind.REPAIR):
        body = Receipt(alice.mailroom.state.stream, ((1, 5),)).encode()
        asks(bob, alice, kind, body)
    assert alice.mailroom.undecryptable == 0
    assert alice.waiting(bob) == []


def test_who_takes_a_contacts_place_gets_nothing_of_what_the_former_was_sent(
    pair: tuple[Home, Home], tmp_path: Path
) -> None:
    alice, bob = pair
    mallory = Home(tmp_path, "mallory")
    for number in range(3):
        alice.say(bob, f"secret for bob {number}")
    exchange(alice, bob)
    with alice.profile.store.transaction():
        alice.mailroom.contacts.replace(alice.contact(bob), mallory.profile.address)
    mallory.add(alice)
    alice.mailroom.learn_bundle(alice.contact(mallory), mallory.bundle())
    alice.say(mallory, "hello, new one")
    exchange(alice, mallory)
    asks(mallory, alice, Kind.RESEND, Receipt(alice.mailroom.state.stream, ((1, 20),)).encode())
    exchange(alice, mallory)
    assert mallory.texts() == ["hello, new one"]


def begin_anew(home: Home, copy: bytes, left: bytes) -> bytes:
    """Put an old copy back, which `left` shows; returns the next checkpoint that it leaves."""
    put_back(home, copy)
    assert checkpoints(home).judge(left)
    home.stock.begin_anew(clock.now_seconds())
    home.mailroom.lives.begun_anew()
    return checkpoints(home).make().checkpoint


def repairs_of(home: Home, other: Home) -> list[Put]:
    """What a home that has lost its sessions says first; a relay may hold it back."""
    home.mailroom.learn_bundle(home.contact(other), other.bundle())
    while home.mailroom.seal_waiting(home.contact(other).id):
        pass
    return home.send(other)


def test_what_was_written_before_the_newest_repair_brings_no_session_back(
    pair: tuple[Home, Home], time: Clock
) -> None:
    alice, bob = pair
    copy = copy_of(bob)
    bob.say(alice, "on the session that is lost")
    held_back = bob.send(alice)
    left = begin_anew(bob, copy, checkpoints(bob).make().checkpoint)
    held_back += repairs_of(bob, alice)
    time.now += 2 * 86_400
    begin_anew(bob, copy, left)
    alice.take_in(*repairs_of(bob, alice))
    exchange(alice, bob)
    sending = sessions(alice, bob).sending
    assert sending is not None
    for put in (*held_back, *held_back):
        alice.take_in(put)
        now = sessions(alice, bob).sending
        assert now is not None
        assert now.transcript == sending.transcript
    assert alice.texts(at_ms=(time.now + 60) * 1000) == ["on the session that is lost"]
    alice.say(bob, "can be read")
    exchange(alice, bob)
    assert bob.texts(at_ms=(time.now + 60) * 1000) == ["can be read"]
    assert (bob.mailroom.undecryptable, bob.mailroom.repair.lines()) == (0, [])


def test_a_repair_by_a_clock_that_was_wrong_does_not_hide_the_next_one(
    pair: tuple[Home, Home], time: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = pair
    copy = copy_of(bob)
    with monkeypatch.context() as patch:
        patch.setattr("clients.clock.now_ms", lambda: (time.now + 400 * 86_400) * 1000)
        left = begin_anew(bob, copy, checkpoints(bob).make().checkpoint)
        alice.take_in(*repairs_of(bob, alice))
    time.now += 60
    begin_anew(bob, copy, left)
    alice.take_in(*repairs_of(bob, alice))
    exchange(alice, bob)
    alice.say(bob, "on the newest session")
    exchange(alice, bob)
    assert bob.texts(at_ms=(time.now + 60) * 1000) == ["on the newest session"]
    assert bob.mailroom.repair.lines() == []


def test_what_was_given_up_is_not_sent_again_and_leaves_no_gap(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    alice.say(bob, "given up")
    alice.send(bob)
    with alice.profile.store.transaction() as db:
        row = int(db.execute("SELECT max(id) FROM messages").get)
        alice.mailroom.history.lacks_all(bob.mailbox)
        alice.mailroom.history.failed(row, "for a test")
    alice.say(bob, "after it")
    exchange(alice, bob)
    (message,) = bob.heard()
    assert (message.text, message.missing_before) == ("after it", 0)


def test_nothing_waits_for_a_blocked_contact_after_a_copy_was_put_back(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    alice.say(bob, "x")
    alice.send(bob)
    with alice.profile.store.transaction() as db:
        db.execute("UPDATE contacts SET status = 'blocked'")
        alice.mailroom.lives.begin_anew(alice.mailroom.state.next_prekeys())
    alice.mailroom.lives.begun_anew()
    assert alice.mailroom.contacts_waiting() == []


def test_what_was_receipted_before_does_not_stay_in_the_outbox(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    for number in range(5):
        alice.say(bob, str(number))
    exchange(alice, bob)
    asks(bob, alice, Kind.RESEND, Receipt(alice.mailroom.state.stream, ((1, 9),)).encode())
    exchange(alice, bob)
    assert alice.profile.store.db.execute("SELECT count(*) FROM outbox").get == 0


def test_a_repair_that_came_too_soon_is_answered_later(pair: tuple[Home, Home], time: Clock) -> None:
    alice, bob = pair
    lose_session(bob, alice)
    alice.say(bob, "first")
    deliver(alice, bob)
    exchange(bob, alice)
    assert bob.texts() == ["first"]
    lose_session(bob, alice)
    alice.say(bob, "second")
    deliver(alice, bob)
    time.now += WAITS[0]
    with alice.profile.store.transaction():
        alice.mailroom._repairs.done(bob.mailbox, Fault.RENEWED, time.now)  # its own wait has not passed
    exchange(bob, alice)
    assert bob.texts() == []
    time.now += 86_400
    exchange(alice, bob)
    assert bob.texts() == ["second"]
