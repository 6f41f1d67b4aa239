"""An old copy of a store that is put back: it is recognised, and what is said afterwards arrives."""

import os

from clients import clock
from keys.sessions import Sessions
from tests.clients.repairs import (
    Clock,
    checkpoints,
    copy_of,
    deliver,
    exchange,
    put_back,
    sessions,
    statuses,
)
from tests.support.homes import Home


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
