"""Attacks with what a relay says: old answers, lies, and other doors."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final
from unittest.mock import patch

from websockets.asyncio.client import connect

from clients.config import ClientConfig
from clients.connection import RETRY_AFTER_MAX
from clients.watching import Nearby
from tests.attacks.attack import Attack, Caught, Outcome, Removal, Succeeded, answering, attack, valued
from tests.attacks.evil_relay import EvilConnection, EvilRelay
from tests.attacks.neighbours import neighbours
from tests.attacks.stage import Person, Stage
from tests.clients.repairs import checkpoints, sessions
from wire.addresses import RelayUrl
from wire.control import (
    ControlMessage,
    Login,
    Presence,
    Refused,
    RelayHello,
    Welcome,
)
from wire.errors import ErrorCode
from wire.frames import Put

ANEW_MOST: Final = 40  # ciphertexts of one message
ANEW_WITHIN: Final = 3.0  # seconds


def _say_as_before(relay: EvilRelay, kind: type[ControlMessage]) -> None:
    """Say to everybody what was said to the first one."""
    kept = next(said for said in relay.meddler.said if isinstance(said, kind))
    relay.meddler.on_say = lambda _, message: (kept if isinstance(message, kind) else message,)


# --- old answers --------------------------------------------------------------------------------------


@attack(
    defence="a relay signs its hello over the client's own nonce",
    without=answering("clients.connection.verify_hello", True),
)
async def old_hello(stage: Stage) -> Outcome:
    """Greet a client with the hello that another was greeted with."""
    relay = await stage.relay()
    await stage.person("alice", relay)
    _say_as_before(relay, RelayHello)
    bob = await stage.opened("bob", relay)
    logins = [login for login in relay.meddler.heard if isinstance(login, Login)]

    def look() -> Outcome | None:
        if [login for login in relay.meddler.heard if isinstance(login, Login)] != logins:
            return Succeeded("bob signs a login for who has not proved to be the relay")
        return bob.says("does not prove that it holds its key", "refused before he logs in", 1)

    return await stage.until(look)


@attack(
    defence="a relay signs its welcome over the login that it answers",
    without=answering("clients.connection.verify_welcome", True),
)
async def old_welcome(stage: Stage) -> Outcome:
    """Answer a login with the welcome that another got."""
    relay = await stage.relay()
    await stage.person("alice", relay)
    _say_as_before(relay, Welcome)
    bob = await stage.opened("bob", relay)

    def look() -> Outcome | None:
        if bob.is_connected:
            return Succeeded("bob takes another's welcome for his own")
        return bob.says("answer to the login is not signed by its key", "refused, nothing is sent", 1)

    return await stage.until(look)


@attack(
    defence="a checkpoint that a store remembers to have left shows nothing",
    without=Removal(
        "clients.checkpoints._is_unknown", lambda _: lambda shown, floor, number, ids: shown.number != number
    ),
)
async def old_checkpoint(stage: Stage) -> Outcome:
    """Show a device its own checkpoints of before, or none, so that it takes itself for an old copy."""
    with neighbours(stage.directory, "alice", "bob") as (alice, bob):
        left = [checkpoints(alice).make().checkpoint for _ in range(100)]
        alice.say(bob, "sealed for the session that there is")
        before = sessions(alice, bob)
        for shown in (*left, None, b"", bytes(85)):
            if checkpoints(alice).judge(shown):
                return Succeeded("alice drops all her sessions")
        assert [each.transcript for each in sessions(alice, bob)] == [each.transcript for each in before]
        return Caught("alice", "known; no session is dropped", len(left))


# --- lies ----------------------------------------------------------------------------------------------


@attack(
    defence="a time in the future is no time at which a mailbox can have been full",
    without=valued("clients.standing.CLOCK_SKEW", 2**63),
)
async def absurd_welcome(stage: Stage) -> Outcome:
    """Welcome a device with numbers and times that no calendar has."""
    relay = await stage.relay()
    absurd = {"expired": 2**53 - 1, "full_at": 2**62}
    relay.meddler.on_say = lambda _, message: (
        message.model_copy(update=absurd) if isinstance(message, Welcome) else message,
    )
    bob = await stage.opened("bob", relay)

    def look() -> Outcome | None:
        if bob._crash is not None:
            return Succeeded(f"bob's client ends: {type(bob._crash).__name__}")
        how = "goes on; told of lost messages, as the relay says"
        return bob.says("were lost at the relay", how, 1) if bob.is_connected else None

    return await stage.until(look)


def _believing(original: Callable[..., Any]) -> Callable[..., Any]:
    """Whatever is said of anybody's presence is told."""

    async def hear(sender: Any, connection: Any) -> None:
        receive = connection.receive

        async def told() -> Any:
            while isinstance(message := await receive(), Presence):
                sender._on_presence(sender._contact_id, message.online)
            return message

        connection.receive = told
        await original(sender, connection)

    return hear


@attack(
    defence="presence is believed of a contact that is watched by a capability of its own",
    without=Removal("clients.sender.Sender._hear", _believing),
)
async def presence_of_nobody(stage: Stage) -> Outcome:
    """Say that a contact is online who does not show that, to somebody who has not asked."""
    told, real = list[bool | None](), Nearby.presence

    def presence(nearby: Nearby, contact: int, online: bool | None) -> None:
        told.append(online)
        real(nearby, contact, online)

    def on_put(connection: EvilConnection, put: Put) -> tuple[Put]:
        for ref in range(3):
            connection.say(Presence(ref=ref, online=True))
        return (put,)

    with patch.object(Nearby, "presence", presence):
        relay = await stage.relay()
        alice, _ = await stage.pair(relay)
        with alice.profile.store.transaction() as db:
            db.execute("UPDATE contacts SET presence = NULL")  # as if Bob had never shown it
        relay.meddler.on_put = on_put
        await alice.send("bob", "are you there?")
        await stage.until(lambda: (not alice.mailroom.contacts_waiting()) or None)
    return (
        Succeeded("alice is told that bob is online") if True in told else Caught("alice", "not believed", 3)
    )


@attack(
    defence="no relay makes a client wait for more than five minutes",
    without=tuple(valued(f"clients.{place}.RETRY_AFTER_MAX", 1e12) for place in ("sender", "connection")),
)
async def wait_for_ever(stage: Stage) -> Outcome:
    """Refuse a frame for now, and say to try again in sixty years."""
    relay = await stage.relay()
    alice, bob = await stage.pair(relay)

    def on_put(connection: EvilConnection, put: Put) -> tuple[Put, ...]:
        refused = Refused(frame=put.frame_id, code=ErrorCode.RATE_LIMITED, message="later", retry_after=2**31)
        connection.say(refused)
        return ()

    relay.meddler.on_put = on_put
    await alice.send("bob", "hello")
    assert alice._senders is not None
    sender = alice._senders._all[alice.contact(bob).id]
    wait = await stage.until(lambda: sender._retry_after or None)
    if wait > RETRY_AFTER_MAX:
        return Succeeded(f"alice waits {wait / 86_400:,.0f} days")
    how = f"tries again after {wait:.0f} s, and says that she waits"
    return await stage.until(lambda: alice.says("takes no more for now", how, 1))


@attack(
    defence="what is taken for plaintext is encrypted anew after a wait that doubles, up to half a minute",
    without=answering("clients.backoff.Backoff.next", 0.0),
)
async def suspect_everything(stage: Stage) -> Outcome:
    """Refuse each frame as plaintext, to be given one message in any number of ciphertexts."""
    relay = await stage.relay()
    alice, bob = await stage.pair(relay)
    before = len(relay.meddler.puts)

    def on_put(connection: EvilConnection, put: Put) -> tuple[Put, ...]:
        connection.say(Refused(frame=put.frame_id, code=ErrorCode.PLAINTEXT_SUSPECTED, message="plaintext"))
        return ()

    relay.meddler.on_put = on_put
    await alice.send(bob.name, "hello")
    if await stage.bell.until(lambda: len(relay.meddler.puts) - before > ANEW_MOST or None, ANEW_WITHIN):
        return Succeeded(f"over {ANEW_MOST} ciphertexts of one message in {ANEW_WITHIN:.0f} s, and no end")
    count = len({put.envelope for put in relay.meddler.puts[before:]})
    how = f"{count} ciphertexts in {ANEW_WITHIN:.0f} s, then fewer and fewer"
    return await stage.until(lambda: alice.says("takes what is sent for plaintext", how, 1))


# --- other doors ---------------------------------------------------------------------------------------


@asynccontextmanager
async def _doors(knocked: Callable[[], None]) -> AsyncIterator[RelayUrl]:
    """What leads whoever dials it elsewhere; `knocked` is called when somebody comes there."""

    async def inside(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        knocked()
        writer.close()

    async def outside(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        place = f"ws://127.0.0.1:{other.sockets[0].getsockname()[1]}/"
        writer.write(f"HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async with (
        await asyncio.start_server(inside, "127.0.0.1", 0) as other,
        await asyncio.start_server(outside, "127.0.0.1", 0) as first,
    ):
        yield RelayUrl.parse(f"ws://127.0.0.1:{first.sockets[0].getsockname()[1]}")


@attack(
    defence="no redirect is followed",
    without=Removal("clients.connection._Connect.process_redirect", lambda _: connect.process_redirect),
)
async def redirect(stage: Stage) -> Outcome:
    """Send a client that connects on to a door inside its own network."""
    knocks = 0

    def knocked() -> None:
        nonlocal knocks
        knocks += 1
        stage.bell.ring()

    async with _doors(knocked) as url, Person(ClientConfig(stage.directory / "alice"), url) as alice:
        return await stage.until(
            lambda: (
                Succeeded("alice's client knocks wherever the relay says")
                if knocks
                else alice.says("cannot be reached", "not followed, and said", 1)
            )
        )


ATTACKS: Final[tuple[Attack, ...]] = (
    old_hello, old_welcome, old_checkpoint, absurd_welcome, presence_of_nobody, wait_for_ever,
    suspect_everything, redirect,
)  # fmt: skip
