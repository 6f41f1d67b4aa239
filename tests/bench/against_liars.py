"""The load generator believes an honest relay, and catches every lie: lost, doubled, reordered, altered.

Needs a C compiler: `make bench-check`.
"""

from dataclasses import replace

import pytest

from bench.generator import Figures, Flow, Generator
from bench.verdict import BrokenHarness, BrokenPromise
from tests.bench.lying_relay import Forwarded, Lie, LyingRelay, at, honest

MAILBOX = bytes(range(32))
WINDOW = 8
LIED_AT = 20


def run(lie: Lie, *, swapped: int | None = None, seconds: float = 0.2) -> tuple[Figures, int]:
    with LyingRelay(lie, swapped=swapped) as relay:
        sockets = [relay.sender.dup(), relay.recipient.dup()]
        with Generator("blindpost", 1024, sockets, [Flow(0, 1, MAILBOX)], patience=0.3) as generator:
            figures = generator.run(seconds, WINDOW)
    return figures, relay.acknowledged


def test_an_honest_relay_is_believed_and_every_frame_acknowledged() -> None:
    figures, acknowledged = run(honest)
    assert figures.all > 10 * WINDOW
    assert acknowledged == figures.all
    assert 0 < figures.p50_us <= figures.p99_us < 1e6
    assert figures.rate == pytest.approx(figures.finished / figures.seconds, rel=0.01)


def altered(number: int, forwarded: Forwarded) -> Forwarded:
    if number != LIED_AT:
        return forwarded
    middle = len(forwarded.envelope) // 2
    byte = bytes([forwarded.envelope[middle] ^ 1])
    return replace(forwarded, envelope=forwarded.envelope[:middle] + byte + forwarded.envelope[middle + 1 :])


def another_frames(number: int, forwarded: Forwarded) -> Forwarded:
    """The id of the put before."""
    if number != LIED_AT:
        return forwarded
    before = int.from_bytes(forwarded.frame_id[8:], "little") - 1
    return replace(forwarded, frame_id=forwarded.frame_id[:8] + before.to_bytes(8, "little"))


LIES = {
    "a frame is not delivered": (at(LIED_AT, deliveries=0), r"[1-9]\d* were lost"),
    "a frame is not accepted": (at(LIED_AT, acceptances=0), r"[1-9]\d* were lost"),
    "a frame is delivered twice": (at(LIED_AT, deliveries=2), "1 came twice"),
    "a frame is accepted twice": (at(LIED_AT, acceptances=2), "1 came twice"),
    "a byte is altered": (altered, "1 altered"),
    "a frame id is another's": (another_frames, "1 altered"),
    "another mailbox is named": (at(LIED_AT, mailbox=bytes(32)), "1 altered"),
    "a frame is said to be a request": (at(LIED_AT, flags=1), "1 altered"),
    "the mailbox counts backwards": (at(LIED_AT, sequence=1), "[12] out of order"),
}


@pytest.mark.parametrize(("lie", "caught"), LIES.values(), ids=list(LIES))
def test_a_lie_is_caught(lie: Lie, caught: str) -> None:
    with pytest.raises(BrokenPromise, match=caught):
        run(lie)


def renumbered(number: int, forwarded: Forwarded) -> Forwarded:
    """As if the relay had stored the two in the other order."""
    other = {LIED_AT: 1, LIED_AT + 1: -1}.get(number, 0)
    return replace(forwarded, sequence=forwarded.sequence + other)


def test_two_frames_in_the_wrong_order_are_caught_even_where_the_relay_numbers_them_so() -> None:
    with pytest.raises(BrokenPromise, match="1 out of order"):
        run(renumbered, swapped=LIED_AT)


def test_a_relay_that_ends_a_connection_is_a_broken_harness() -> None:
    relay = LyingRelay(honest)
    with Generator(
        "blindpost", 1024, [relay.sender.dup(), relay.recipient.dup()], [Flow(0, 1, MAILBOX)]
    ) as generator:
        for each in (relay.sender, relay._from_sender):
            each.close()
        with pytest.raises(BrokenHarness, match="connection 0"):
            generator.run(0.1, 1)
    for each in (relay.recipient, relay._to_recipient):
        each.close()


def away(number: int, forwarded: Forwarded) -> Forwarded:
    """Nobody is there to be delivered to."""
    del number
    return replace(forwarded, deliveries=0)


def put(lie: Lie, each: int, patience: float) -> Figures:
    with LyingRelay(lie) as relay:
        flows = [Flow(0, -1, MAILBOX)]
        with Generator("blindpost", 1024, [relay.sender.dup()], flows, patience=patience) as generator:
            return generator.put(each, WINDOW)


def test_puts_count_when_they_are_accepted() -> None:
    assert put(away, 100, 10).finished == 100


def test_a_put_that_is_not_accepted_is_caught() -> None:
    with pytest.raises(BrokenPromise, match=r"[1-9]\d* were lost"):
        put(
            lambda number, forwarded: replace(away(number, forwarded), acceptances=number != LIED_AT),
            100,
            0.1,
        )
