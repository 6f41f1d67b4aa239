"""Senders: what is owed is written when it can be, and a disk that is full for a while ends nothing."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from clients.bell import Bell
from clients.errors import StorageError
from clients.senders import Senders
from clients.tasks import end
from tests.support.homes import Home, converse


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Home, Home]]:
    one, other = Home(tmp_path, "alice"), Home(tmp_path, "bob")
    converse(one, other)
    yield one, other
    one.close()
    other.close()


async def test_a_disk_that_is_full_for_a_while_only_delays_what_is_owed(
    pair: tuple[Home, Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = pair
    started: list[asyncio.Task[None]] = []

    def start(work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        started.append(asyncio.create_task(work()))
        return started[-1]

    bell = Bell()
    senders = Senders(bob.profile, bob.mailroom, bell, os.urandom, lambda *_: None, start)
    running = start(senders.run)

    def full() -> dict[int, int]:
        raise StorageError("The disk is full.")

    async def until(problems: list[str | None]) -> None:
        async with asyncio.timeout(20):
            while senders.problems()[:1] != problems:
                senders.owed.due()
                await bell.rung(0.05)

    with monkeypatch.context() as patch:
        patch.setattr(bob.mailroom, "owed_to", full)
        await until(["The disk is full."])
    alice.say(bob, "there is room again")
    bob.take_in(*alice.send(bob))
    await until([None])
    assert not running.done()
    assert bob.waiting(alice), "the receipt"
    await end(*started)
