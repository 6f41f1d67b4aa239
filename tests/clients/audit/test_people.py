"""Real clients as processes: what they are asked, what they hand over, and how they end."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from clients.audit.people import Person, PersonError
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
        assert alice.pid != bob.pid
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_command_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(PersonError, match="There is no profile"):
        await Person(tmp_path / "nobody").run("history", "bob")
