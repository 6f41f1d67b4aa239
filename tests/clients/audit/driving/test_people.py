"""Real clients as processes: what they are asked, what they hand over, and how they end."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from clients.audit.driving.people import Person, PersonError, is_handed_over
from tests.support.relay_process import RelayProcess


async def test_two_people_talk_and_end(tmp_path: Path, relay: RelayProcess) -> None:
    people = [Person(tmp_path / name) for name in ("alice", "bob")]
    alice, bob = people
    addresses = [(await person.run("init", "--relay", relay.origin))[0]["address"] for person in people]
    async with AsyncExitStack() as stack:
        for person in people:
            await person.start()
            stack.push_async_callback(person.stop)
        await alice.call("add", name="bob", address=addresses[1])
        await bob.call("add", name="alice", address=addresses[0])
        sent = await alice.call("send", to="bob", text="hello")
        assert (await bob.message())["text"] == "hello"
        status = await alice.call("status", id=sent["id"], wait="delivered", timeout=20.0)
        assert status["status"] == "delivered"
        with pytest.raises(PersonError, match="no contact"):
            await alice.call("contact", name="nobody")
        assert "contact" not in alice.carried_out
        assert {"send", "status"} <= alice.carried_out
        assert [call["text"] for call in alice.asked if call["call"] == "send"] == ["hello"]
        assert alice.pid != bob.pid
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_what_is_in_hand_keeps_what_is_behind_it(tmp_path: Path, relay: RelayProcess) -> None:
    alice, bob = (Person(tmp_path / name) for name in ("alice", "bob"))
    addresses = [(await person.run("init", "--relay", relay.origin))[0]["address"] for person in (alice, bob)]
    async with AsyncExitStack() as stack:
        for person in (alice, bob):
            await person.start()
            stack.push_async_callback(person.stop)
        await alice.call("add", name="bob", address=addresses[1])
        await bob.call("add", name="alice", address=addresses[0])
        bob.dawdles = True
        sent = [await alice.call("send", to="bob", text=text) for text in ("one", "two")]
        await bob.hears("one")
        await alice.call("status", id=sent[1]["id"], wait="delivered", timeout=20.0)
        assert [event["message"]["text"] for event in bob.heard if is_handed_over(event)] == ["one"]
        bob.go_on()
        await bob.hears("two")
        assert [(await bob.message())["text"] for _ in range(2)] == ["one", "two"]


async def test_a_command_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(PersonError, match="There is no profile"):
        await Person(tmp_path / "nobody").run("history", "bob")
