"""The stream: what is in hand comes again after a crash, what is done with does not; one commit does both."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.bell import Bell
from clients.errors import StorageError
from clients.stream import Stream
from tests.support.homes import Home, converse


def stream_of(home: Home) -> Stream:
    return Stream(home.profile.store, home.mailroom.history, Bell(), lambda: None)


@pytest.fixture
def bob(tmp_path: Path) -> Iterator[Home]:
    """Somebody to whom Alice has written 0 to 9."""
    alice, bob = Home(tmp_path, "alice"), Home(tmp_path, "bob")
    converse(alice, bob)
    bob.heard()
    for number in range(10):
        alice.say(bob, str(number))
    bob.take_in(*alice.send(bob))
    yield bob
    alice.close()
    bob.close()


async def few(stream: Stream, limit: int) -> list[tuple[str, bool]]:
    return [(message.text, message.redelivered) for message in await stream.next_few(limit, 0)]


async def test_what_is_asked_for_comes_in_order_and_once(bob: Home) -> None:
    stream = stream_of(bob)
    assert await few(stream, 4) == [(str(number), False) for number in range(4)]
    assert await few(stream, 100) == [(str(number), False) for number in range(4, 10)]
    assert await few(stream, 100) == []
    assert await few(stream_of(bob.reopen()), 100) == []


async def test_all_that_is_in_hand_comes_again_marked_and_nothing_else(bob: Home) -> None:
    stream = stream_of(bob)
    await few(stream, 3)
    held = await stream.next_few(2, 0)
    assert all(stream.is_in_hand(message.id) for message in held)
    stream = stream_of(bob.reopen())
    again = [("3", True), ("4", True), *((str(number), False) for number in range(5, 10))]
    assert await few(stream, 100) == again


async def test_being_done_and_the_next_one_are_one_commit(bob: Home) -> None:
    stream, commits = stream_of(bob), 0

    def commit() -> bool:
        nonlocal commits
        commits += 1
        return False

    bob.profile.store.db.set_commit_hook(commit)
    for number in range(10):
        assert await few(stream, 1) == [(str(number), False)]
        assert commits == number + 1
    bob.profile.store.db.set_commit_hook(None)


async def test_a_commit_that_fails_leaves_in_hand_what_was(bob: Home) -> None:
    stream = stream_of(bob)
    (first,) = await stream.next_few(1, 0)
    bob.profile.store.db.set_commit_hook(lambda: True)
    with pytest.raises(StorageError):
        await few(stream, 5)
    bob.profile.store.db.set_commit_hook(None)
    assert stream.is_in_hand(first.id)
    assert await few(stream, 5) == [(str(number), False) for number in range(1, 6)]


async def test_what_has_gone_wrong_is_raised_and_what_was_in_hand_is_done_with(bob: Home) -> None:
    wrong: list[Exception] = []

    def check() -> None:
        for error in wrong:
            raise error

    stream = Stream(bob.profile.store, bob.mailroom.history, Bell(), check)
    await few(stream, 1)
    wrong.append(StorageError("The disk is full."))
    with pytest.raises(StorageError):
        await few(stream, 1)
    assert await few(stream_of(bob.reopen()), 1) == [("1", False)]
