"""Posting: one commit for a turn, each post judged by itself, and nothing half queued."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients import posting as posting_module
from clients.errors import NotFoundError, OutboxFullError, StorageError, TooLargeError, UsageError
from clients.posting import Post
from clients.store import outbox as outbox_module
from keys.content import Kind
from tests.support.homes import Home, converse
from wire.limits import TEXT_MAX


class Writing:
    """Alice, who has a session with Bob; `commits` counts what became durable."""

    def __init__(self, directory: Path) -> None:
        self.alice, self.bob = Home(directory, "alice"), Home(directory, "bob")
        converse(self.alice, self.bob)
        self.contact = self.alice.contact(self.bob).id
        self.posting = self.alice.mailroom.posting
        self.commits = 0
        self.alice.profile.store.db.set_commit_hook(self._committing)

    def _committing(self) -> bool:
        self.commits += 1
        return False

    def post(self, text: str, key: str | None = None) -> Post:
        return Post(self.contact, Kind.TEXT, text.encode(), key)

    def outcome(self) -> list[str]:
        """What Bob reads of all that waits for him."""
        self.bob.take_in(*self.alice.send(self.bob))
        return self.bob.texts()


@pytest.fixture
def writing(tmp_path: Path) -> Iterator[Writing]:
    writing = Writing(tmp_path)
    writing.bob.heard()
    yield writing
    writing.alice.close()
    writing.bob.close()


async def test_what_is_posted_in_one_turn_is_one_commit_in_the_order_of_the_calls(writing: Writing) -> None:
    told: list[int] = []
    writing.posting.posted = told.append
    ids = await asyncio.gather(*(writing.posting.post(writing.post(str(number))) for number in range(50)))
    assert writing.commits == 1
    assert len(set(ids)) == 50
    assert told == [writing.contact] * 50
    assert writing.outcome() == [str(number) for number in range(50)]


async def test_a_post_that_is_awaited_alone_is_durable_when_it_returns(writing: Writing) -> None:
    for number in range(3):
        message_id = await writing.posting.post(writing.post(str(number)))
        writing.alice.reopen()
        assert writing.alice.mailroom.history.sent(message_id) is not None
        writing.posting = writing.alice.mailroom.posting
    assert writing.outcome() == ["0", "1", "2"]


async def test_more_than_go_together_are_several_commits_in_order(
    writing: Writing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting_module, "TOGETHER", 10)
    await asyncio.gather(*(writing.posting.post(writing.post(str(number))) for number in range(35)))
    assert writing.commits == 4
    assert writing.outcome() == [str(number) for number in range(35)]


async def test_what_cannot_be_posted_stops_nothing_beside_it(
    writing: Writing, monkeypatch: pytest.MonkeyPatch
) -> None:
    posts = [
        writing.post("first", "k"),
        Post(writing.contact, Kind.TEXT, bytes(TEXT_MAX + 1)),
        writing.post("another", "k"),
        writing.post("first", "k"),
        Post(99, Kind.TEXT, b"to nobody"),
        Post(writing.contact, Kind.TEXT, b"an answer", reply_to=b"i" * 16),
        writing.post("second"),
    ]
    waits = (writing.posting.post(post) for post in posts)
    found = await asyncio.gather(*waits, return_exceptions=True)
    assert [type(each) for each in found] == [
        bytes, TooLargeError, UsageError, bytes, NotFoundError, NotFoundError, bytes,
    ]  # fmt: skip
    assert found[0] == found[3]
    assert writing.outcome() == ["first", "second"]
    monkeypatch.setattr(outbox_module, "MESSAGES_MAX", 2)
    waits = (writing.posting.post(writing.post(text)) for text in ("third", "fourth", "fifth"))
    found = await asyncio.gather(*waits, return_exceptions=True)
    assert [type(each) for each in found] == [bytes, bytes, OutboxFullError]


async def test_who_gives_up_waiting_has_queued_nothing(writing: Writing) -> None:
    kept = asyncio.create_task(writing.posting.post(writing.post("kept")))
    dropped = asyncio.create_task(writing.posting.post(writing.post("dropped")))
    await asyncio.sleep(0)
    dropped.cancel()
    await kept
    assert dropped.cancelled()
    assert writing.outcome() == ["kept"]


async def test_a_commit_that_fails_is_told_to_everybody_and_leaves_nothing(writing: Writing) -> None:
    writing.alice.profile.store.db.set_commit_hook(lambda: True)
    waits = [writing.posting.post(writing.post(str(number))) for number in range(3)]
    found = await asyncio.gather(*waits, return_exceptions=True)
    assert [type(each) for each in found] == [StorageError] * 3
    writing.alice.profile.store.db.set_commit_hook(None)
    assert writing.outcome() == []
    await writing.posting.post(writing.post("again"))
    assert writing.outcome() == ["again"]


async def test_what_waits_for_the_end_of_the_turn_is_written_when_the_client_ends(writing: Writing) -> None:
    task = asyncio.create_task(writing.posting.post(writing.post("last words")))
    await asyncio.sleep(0)
    writing.posting.commit()
    assert writing.commits == 1
    await task
    assert writing.commits == 1
    assert writing.outcome() == ["last words"]
