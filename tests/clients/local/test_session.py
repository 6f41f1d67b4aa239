"""Watching and listening on a line: events as they come, one message in hand."""

import asyncio
import contextlib
from typing import Any

import pytest

from clients.config import ClientConfig
from clients.errors import ClientError, LockedError, NotFoundError, RelayError, UsageError
from clients.local.access import Line, OwnLine, access
from clients.local.session import WATCHES_MAX
from clients.messenger import Messenger
from clients.model import MessageStatus

WITHIN = 10.0


async def event(line: Line, **wanted: Any) -> dict[str, Any]:
    """The next event in which these fields have these values; others are passed over."""
    async with asyncio.timeout(WITHIN):
        while True:
            found = await line.next_event()
            if all(found.get(name) == value for name, value in wanted.items()):
                return found


# --- watch ------------------------------------------------------------------------------------------


async def test_watching_begins_with_the_state_and_tells_what_changes(line: Line, me: Messenger) -> None:
    assert await line.call("watch") == {}
    state = await event(line, event="state")
    assert (state["connected"], state["held"]) == (False, 0)
    sent = await line.call("send", to="bob", text="hi")
    told = await event(line, event="message")
    assert (told["message"]["id"], told["message"]["text"]) == (sent["id"], "hi")
    me.contacts.set_display_name("Alice")
    me.contacts.rename("bob", "bert")
    assert (await event(line, event="contact"))["contact"]["name"] == "bert"
    await line.call("watch", name="bert")
    me.contacts.remove("bert")
    assert await event(line, event="resync") == {"event": "resync"}


async def test_a_watch_without_messages(line: Line, me: Messenger) -> None:
    await line.call("watch", messages=False)
    await me.send("bob", "hi")
    me.contacts.rename("bob", "bert")
    seen: list[dict[str, Any]] = []
    async with asyncio.timeout(WITHIN):
        while not seen or seen[-1]["event"] != "contact":
            seen.append(await line.next_event())
    assert "message" not in [found["event"] for found in seen]


async def test_watching_again_replaces_and_is_bounded(line: Line, me: Messenger) -> None:
    for _ in range(3):
        await line.call("watch")
    for number in range(WATCHES_MAX - 1):
        me.contacts.rename("bob", f"bob{number}")
        await line.call("watch", name=f"bob{number}")
        me.contacts.rename(f"bob{number}", "bob")
    with pytest.raises(UsageError, match="can watch 8"):
        await line.call("watch", name="bob")
    await line.call("watch")


async def test_what_ends_a_watch_is_told(line: Line, me: Messenger, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise RelayError("The background has failed.")

    await line.call("watch")
    await event(line, event="state")
    monkeypatch.setattr(me, "_check", fails)
    me.contacts.rename("bob", "bert")
    with pytest.raises(RelayError, match="background"):
        await event(line, event="never")


# --- listen -----------------------------------------------------------------------------------------


async def test_one_message_is_in_hand_until_it_is_done(line: Line, me: Messenger, bob: Messenger) -> None:
    for text in ("one", "two"):
        await bob.send("alice", text)
    assert await line.call("listen") == {"more": False}
    first = await event(line, event="message")
    assert (first["message"]["text"], first["message"]["redelivered"]) == ("one", False)
    await bob.wait(await bob.send("alice", "three"), MessageStatus.DELIVERED, WITHIN)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await line.next_event()
    with pytest.raises(NotFoundError, match="not in hand"):
        await line.call("done", id="0" * 32)
    assert await line.call("done", id=first["message"]["id"]) == {"more": True}
    second = await event(line, event="message")
    assert second["message"]["text"] == "two"
    assert second["ref"] == first["ref"]
    with pytest.raises(NotFoundError, match="not in hand"):
        await line.call("done", id=first["message"]["id"])


async def test_there_is_one_listener(line: Line, me: Messenger, config: ClientConfig) -> None:
    await line.call("listen")
    with pytest.raises(LockedError, match="listens already"):
        await line.call("listen")
    with pytest.raises(LockedError, match="Another listener"):
        await me.receive(0)
    async with access(config) as other:
        with pytest.raises(LockedError, match="Another listener"):
            await other.call("listen")


async def test_a_program_that_receives_is_the_listener(line: Line, me: Messenger) -> None:
    assert await me.receive(0) is None
    with pytest.raises(LockedError, match="Another listener"):
        await line.call("listen")


@pytest.mark.parametrize("near", [True, False])
async def test_what_was_in_hand_when_the_line_ended_comes_again(
    near: bool, me: Messenger, bob: Messenger, config: ClientConfig
) -> None:
    async def hear() -> dict[str, Any]:
        async with contextlib.AsyncExitStack() as stack:
            if near:
                line: Line = OwnLine(me)
                stack.push_async_callback(line.close)  # type: ignore[attr-defined]  # it is an OwnLine
            else:
                line = await stack.enter_async_context(access(config))
            async with asyncio.timeout(WITHIN):
                while True:  # until the line before has been let go
                    try:
                        await line.call("listen")
                        break
                    except LockedError:
                        await asyncio.sleep(0.01)
            return dict((await event(line, event="message"))["message"])

    await bob.send("alice", "one")
    first, second = await hear(), await hear()
    assert first["id"] == second["id"]
    assert (first["redelivered"], second["redelivered"]) == (False, True)
    async with asyncio.timeout(WITHIN):
        while me.stream.is_claimed:  # noqa: ASYNC110 the owner tells nobody that a line has ended
            await asyncio.sleep(0.01)
    again = await me.receive(WITHIN)
    assert again is not None
    assert (again.text, again.redelivered) == ("one", True)


async def test_a_listener_that_ends_at_once_is_none(me: Messenger) -> None:
    line = OwnLine(me)
    await line.call("listen")
    await line.close()
    assert not me.stream.is_claimed
    assert await me.receive(0) is None


async def test_what_ends_listening_is_told(
    line: Line, me: Messenger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise RelayError("The background has failed.")

    await line.call("listen")
    await asyncio.sleep(0)
    monkeypatch.setattr(me.stream, "_check", fails)
    me.contacts.rename("bob", "bert")
    with pytest.raises(ClientError, match="background"):
        await event(line, event="never")
    assert not me.stream.is_claimed
