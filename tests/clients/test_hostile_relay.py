"""What a relay says to a sender without having been asked, and what it gets for it."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve

from clients import sender as sender_module
from clients.backoff import FIRST
from clients.messenger import Messenger
from keys.primitives import sign, signing_key
from tests.clients.test_notes import exchange
from tests.support.homes import Home, converse
from wire.addresses import RelayUrl
from wire.control import ControlMessage, Hello, Presence, QueuedAsRequest, RelayHello, decode_client_message
from wire.limits import PROTOCOL_VERSION
from wire.login import Greeting, Mode

WITHIN = 20.0
SEED = b"r" * 32
KEY = signing_key(SEED)

Say = Callable[[ControlMessage], Awaitable[None]]
Talk = Callable[[Say], Awaitable[None]]


@asynccontextmanager
async def relay_that(talk: Talk) -> AsyncIterator[RelayUrl]:
    """A relay that greets as it should, and then says to submit connections what the test likes."""

    async def answer(connection: ServerConnection) -> None:
        text = await connection.recv()
        assert isinstance(text, str)
        hello = decode_client_message(text)
        assert isinstance(hello, Hello)
        nonce = os.urandom(32)
        greeting = Greeting(hello.mode, hello.origin, KEY, nonce, hello.nonce, 1)

        async def say(message: ControlMessage) -> None:
            await connection.send(message.encode())

        signature = sign(SEED, greeting.hello_bytes())
        await say(
            RelayHello(version=PROTOCOL_VERSION, relay_key=KEY, nonce=nonce, time=1, signature=signature)
        )
        if hello.mode is Mode.SUBMIT:
            await talk(say)
        else:
            await connection.wait_closed()

    async with serve(answer, "127.0.0.1", 0, compression=None) as server:
        yield RelayUrl.parse(f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}")


def alice_with_bob_at(directory: Path, relay: RelayUrl, *, says: bool) -> Home:
    """Two who know each other; bob is said to live at this relay. Closed, for a messenger to open."""
    alice, bob = Home(directory, "alice"), Home(directory, "bob")
    converse(alice, bob)
    exchange(alice, bob)
    with alice.profile.store.transaction():
        alice.mailroom.contacts.set_relay(alice.contact(bob).id, relay)
    if says:
        alice.say(bob, "are you there?")
    alice.close()
    bob.close()
    return alice


def bogus() -> QueuedAsRequest:
    return QueuedAsRequest(frames=[os.urandom(16)])


async def test_an_answer_for_nobodys_frame_is_no_reason_to_connect_faster(tmp_path: Path) -> None:
    connections = 0

    async def talk(say: Say) -> None:
        nonlocal connections
        connections += 1
        await say(bogus())

    async with relay_that(talk) as relay:
        alice = alice_with_bob_at(tmp_path, relay, says=True)
        async with Messenger.from_config(alice.config) as me, asyncio.timeout(WITHIN):
            while connections < 3:
                await me._bell.rung(WITHIN)
            assert me._senders is not None
            (sender,) = me._senders._all.values()
            assert sender._backoff._bound > FIRST


async def test_a_relay_that_answers_nothing_is_said_to_whatever_else_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_module, "ANSWER_DEADLINE", 0.3)
    ended = asyncio.Event()

    async def talk(say: Say) -> None:
        while not ended.is_set():
            await say(bogus())
            await asyncio.sleep(0.02)  # a relay that talks all the time, well within the deadline

    async with relay_that(talk) as relay:
        alice = alice_with_bob_at(tmp_path, relay, says=True)
        async with Messenger.from_config(alice.config) as me, asyncio.timeout(WITHIN):
            while not any("does not answer" in problem for problem in me.problems()):
                await me._bell.rung(WITHIN)
        ended.set()


async def test_presence_that_was_not_asked_for_is_not_believed(tmp_path: Path) -> None:
    said, ended = asyncio.Event(), asyncio.Event()

    async def talk(say: Say) -> None:
        for ref in range(100):
            await say(Presence(ref=ref, online=True))
        said.set()
        await ended.wait()

    async with relay_that(talk) as relay:
        alice = alice_with_bob_at(tmp_path, relay, says=True)
        with alice.open().profile.store.transaction() as db:
            db.execute("UPDATE contacts SET presence = NULL")
        alice.close()
        async with Messenger.from_config(alice.config) as me, me.watch("bob"), asyncio.timeout(WITHIN):
            await said.wait()
            bob = me._mailroom.contacts.named("bob")
            assert me._senders is not None
            sender = me._senders._all[bob.id]
            for _ in range(20):  # all that was said has been heard
                await asyncio.sleep(0)
            assert me._nearby.shown(bob).online is None
            assert sender._watched is None
            ended.set()
