"""Backoff: waits double up to half a minute, are never equal for all, and begin again after a success."""

from clients.backoff import FIRST, LONGEST, Backoff


def test_each_wait_lies_under_a_bound_that_doubles_up_to_the_longest() -> None:
    backoff = Backoff()
    bound = FIRST
    for _ in range(12):
        assert 0.1 * bound <= backoff.next() < bound
        bound = min(LONGEST, 2 * bound)
    assert bound == LONGEST


def test_waits_are_spread_so_that_clients_do_not_come_back_together() -> None:
    waits = {Backoff().next() for _ in range(200)}
    assert len(waits) > 50
    assert max(waits) - min(waits) > FIRST / 2


def test_a_success_begins_again() -> None:
    backoff = Backoff()
    for _ in range(10):
        backoff.next()
    backoff.reset()
    assert backoff.next() < FIRST


def test_a_connection_that_held_begins_again_and_one_that_fell_at_once_does_not() -> None:
    backoff = Backoff()
    for _ in range(10):
        backoff.next(lasted=1.0)
    assert backoff.next(lasted=1.0) > FIRST
    assert backoff.next(lasted=LONGEST + 1) < FIRST
