"""The Python interface, on a real relay: what a program sees that sends and receives."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from clients.clock import now_ms
from clients.config import ClientConfig
from clients.errors import (
    ClientError,
    LockedError,
    NotFoundError,
    StorageError,
    TrustError,
    UsageError,
)
from clients.mailroom import Mailroom
from clients.messenger import Messenger
from clients.model import ContactStatus, MessageStatus
from clients.profile import Profile
from clients.store.contacts import Contacts
from clients.store.history import HOLD_MS
from clients.tasks import end
from keys.content import Content, Kind
from tests.support.relay_process import RelayProcess
from wire.addresses import RelayUrl

WITHIN = 20.0


@asynccontextmanager
async def people(
    directory: Path, relay: RelayProcess, *names: str, acquainted: bool = True
) -> AsyncIterator[list[Messenger]]:
    """Open messengers, connected; each has the others as contacts by name."""
    async with AsyncExitStack() as stack:
        opened = []
        for name in names:
            messenger = Messenger.open(directory / name, relay=relay.origin)
            opened.append(await stack.enter_async_context(messenger))
        for messenger in opened:
            assert await messenger.connected(WITHIN)
        if acquainted:
            for name, messenger in zip(names, opened, strict=True):
                for other_name, other in zip(names, opened, strict=True):
                    if other_name != name:
                        messenger.contacts.add(other_name, other.address)
        yield opened


async def text(messenger: Messenger) -> str:
    message = await messenger.receive(WITHIN)
    assert message is not None, messenger.problems()
    return message.text


async def test_a_message_goes_there_and_is_delivered(tmp_path: Path, relay: RelayProcess) -> None:
    async with people(tmp_path, relay, "alice", "bob") as (alice, bob):
        sent = await alice.send("bob", "hi")
        message = await bob.receive(WITHIN)
        assert message is not None
        assert (message.id, message.text, message.contact) == (sent, "hi", "alice")
        assert await alice.wait(sent, MessageStatus.DELIVERED, WITHIN) is MessageStatus.DELIVERED
        assert await bob.flushed(WITHIN)


async def test_both_directions_at_once_keep_their_order(tmp_path: Path, relay: RelayProcess) -> None:
    async with people(tmp_path, relay, "alice", "bob") as (alice, bob):
        for number in range(60):
            await alice.send("bob", f"a{number}")
            await bob.send("alice", f"b{number}")
        heard = await asyncio.gather(
            *(asyncio.create_task(_texts(messenger, 60)) for messenger in (alice, bob))
        )
        assert heard == [[f"b{n}" for n in range(60)], [f"a{n}" for n in range(60)]]


async def _texts(messenger: Messenger, count: int) -> list[str]:
    return [await text(messenger) for _ in range(count)]


async def test_bytes_arrive_as_bytes(tmp_path: Path, relay: RelayProcess) -> None:
    async with people(tmp_path, relay, "alice", "bob") as (alice, bob):
        await alice.send("bob", bytes(range(256)))
        message = await bob.receive(WITHIN)
        assert message is not None
        assert (message.kind, message.body) == (Kind.DATA, bytes(range(256)))


async def test_more_than_a_session_carries_unanswered_goes_on_with_a_new_one(
    tmp_path: Path, relay: RelayProcess
) -> None:
    async with people(tmp_path, relay, "alice", "bob") as (alice, _):
        pass
    async with Messenger.open(tmp_path / "alice") as alice:
        ids = []
        with alice._profile.store.transaction():
            for number in range(1000):
                ids.append(await alice.send("bob", str(number)))
        assert await alice.flushed(WITHIN), alice.problems()
    async with Messenger.open(tmp_path / "bob") as bob:
        assert [int(message.text) async for message in _first(bob, 1000)] == list(range(1000))


async def _first(messenger: Messenger, count: int):  # type: ignore[no-untyped-def]  # an async generator
    for _ in range(count):
        message = await messenger.receive(WITHIN)
        assert message is not None
        yield message


async def test_a_held_message_is_shown_when_its_time_comes_without_anything_else_happening(
    tmp_path: Path, relay: RelayProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clients.store.history.HOLD_MS", 300)
    async with people(tmp_path, relay, "alice", "bob") as (alice, bob):
        await alice.send("bob", "first")
        assert await text(bob) == "first"
        waiting = asyncio.create_task(bob.receive())  # no deadline of its own
        await asyncio.sleep(0)
        behind_a_gap(bob._mailroom, bob.contacts.all()[0].name)
        bob._bell.ring()
        message = await asyncio.wait_for(waiting, WITHIN)
        assert message is not None
        assert (message.text, message.missing_before) == ("behind a gap", 1)


def behind_a_gap(mailroom: Mailroom, name: str) -> None:
    """As if something had arrived two sequences further on."""
    store, contact = mailroom._store, mailroom.contacts.named(name)
    with store.transaction() as db:
        device, stream = db.execute("SELECT device_key, stream FROM received").fetchall()[0]
        assert isinstance(device, bytes)
        assert isinstance(stream, bytes)
        arrived = mailroom.outbox.arrived(device, stream)
        content = Content(Kind.TEXT, b"g" * 16, stream, arrived.highest + 2, now_ms(), b"behind a gap")
        arrived = arrived.added(content.sequence)
        mailroom.outbox.save_arrived(device, stream, arrived, 1, owes=False)
        is_request = contact.status is ContactStatus.REQUEST
        mailroom.history.add_incoming(contact.id, device, content, arrived, now_ms(), is_request=is_request)


async def test_what_a_stranger_sent_behind_a_gap_costs_no_turns_of_the_loop(
    tmp_path: Path, relay: RelayProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with people(tmp_path, relay, "alice", "bob", acquainted=False) as (alice, bob):
        alice.contacts.add("bob", bob.address)
        sent = await alice.send("bob", "hello")
        await alice.wait(sent, MessageStatus.ACCEPTED, WITHIN)
        while not bob.contacts.all():
            await bob._bell.rung(WITHIN)
        behind_a_gap(bob._mailroom, bob.contacts.all()[0].name)
        later = now_ms() + 2 * HOLD_MS
        monkeypatch.setattr("clients.clock.now_ms", lambda: later)
        looks = 0
        rung = bob._bell.rung

        async def counted(deadline: float | None) -> None:
            nonlocal looks
            looks += 1
            await rung(deadline)

        monkeypatch.setattr(bob._bell, "rung", counted)
        assert await bob.receive(0.2) is None
        assert looks < 5


async def test_a_message_in_hand_when_the_program_fails_comes_again_marked(
    tmp_path: Path, relay: RelayProcess
) -> None:
    async def fail_with_the_second_in_hand() -> None:
        async with people(tmp_path, relay, "alice", "bob") as (alice, bob):
            await alice.send("bob", "one")
            await alice.send("bob", "two")
            assert await text(bob) == "one"
            assert await text(bob) == "two"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_with_the_second_in_hand()
    async with Messenger.open(tmp_path / "bob") as bob:
        message = await bob.receive(WITHIN)
        assert message is not None
        assert (message.text, message.redelivered) == ("two", True)
    async with Messenger.open(tmp_path / "bob") as bob:
        assert await bob.receive(0) is None


@pytest.mark.parametrize("bad", ["a..b", "nowhere.invalid", "127.0.0.1:1"])
async def test_a_contact_on_a_relay_that_is_none_disturbs_nobody_else(
    tmp_path: Path, relay: RelayProcess, bad: str
) -> None:
    async with people(tmp_path, relay, "alice", "bob") as (alice, bob):
        alice.contacts.remove("bob")
        key = bob.address.text.partition("@")[0]
        alice.contacts.add("elsewhere", f"{key}@{bad}")
        stuck = await alice.send("elsewhere", "hi")
        while not alice.problems():
            await alice._bell.rung(WITHIN)
        assert "cannot be reached" in alice.problems()[0]
        assert await alice.wait(stuck, MessageStatus.ACCEPTED, 0) is MessageStatus.QUEUED
        alice.contacts.remove("elsewhere")
        alice.contacts.add("bob", bob.address)
        await alice.send("bob", "hello")
        assert await text(bob) == "hello"


async def test_a_contact_removed_and_another_added_in_one_life_of_the_program(
    tmp_path: Path, relay: RelayProcess
) -> None:
    async with people(tmp_path, relay, "alice", "bob", "carol") as (alice, bob, carol):
        await alice.send("carol", "hello")
        assert await text(carol) == "hello"
        alice.contacts.remove("carol")
        alice.contacts.remove("bob")
        alice.contacts.add("bob", bob.address)
        await alice.send("bob", "to bob alone")
        assert await text(bob) == "to bob alone"


async def test_somebody_who_has_not_published_yet_is_written_to_as_soon_as_it_has(
    tmp_path: Path, relay: RelayProcess
) -> None:
    async with people(tmp_path, relay, "alice") as (alice,):
        profile = Profile.create(ClientConfig(tmp_path / "bob"), RelayUrl.parse(relay.origin), 1)
        address = profile.address
        Contacts(profile.store).add("alice", alice.address)
        profile.close()
        alice.contacts.add("bob", address)
        sent = await alice.send("bob", "early")
        while not alice.problems():
            await alice._bell.rung(WITHIN)
        assert "knows no account of 'bob' (yet)" in alice.problems()[0]
        async with Messenger.open(tmp_path / "bob") as bob:
            assert await text(bob) == "early"
        assert await alice.wait(sent, MessageStatus.ACCEPTED, WITHIN) is not MessageStatus.QUEUED


async def test_a_relay_with_another_key_stops_everything_and_is_named(
    tmp_path: Path, relay: RelayProcess
) -> None:
    async with people(tmp_path, relay, "alice", "bob"):
        pass
    profile = Profile.open(ClientConfig(tmp_path / "alice"))
    with profile.store.transaction() as db:
        db.execute("UPDATE relays SET relay_key = ?", (b"k" * 32,))
    profile.close()
    async with Messenger.open(tmp_path / "alice") as alice:
        sent = await alice.send("bob", "queued")
        with pytest.raises(TrustError, match="another key than before"):
            await alice.wait(sent, MessageStatus.ACCEPTED, WITHIN)
        with pytest.raises(TrustError):
            await alice.send("bob", "refused")
    async with Messenger.open(tmp_path / "alice") as alice:
        assert alice.trust_relay(RelayUrl.parse(relay.origin))
        assert [message.text for message in alice.history("bob")] == ["queued"]


async def test_a_defect_in_a_task_reaches_the_program(
    tmp_path: Path, relay: RelayProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with people(tmp_path, relay, "alice", "bob") as (alice, _):
        monkeypatch.delattr(Mailroom, "frame_accepted")
        sent = await alice.send("bob", "hi")
        with pytest.raises(AttributeError, match="frame_accepted"):
            await alice.wait(sent, MessageStatus.ACCEPTED, WITHIN)
        with pytest.raises(AttributeError, match="frame_accepted"):
            await alice.receive(WITHIN)


async def test_a_receipt_still_owed_when_the_process_ended_goes_out_with_the_next(
    tmp_path: Path, relay: RelayProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with people(tmp_path, relay, "alice", "bob") as (alice, bob):
        monkeypatch.setattr(bob._mailroom.notes, "write_owed", lambda: False)
        sent = await alice.send("bob", "hi")
        assert await text(bob) == "hi"
    async with Messenger.open(tmp_path / "alice") as alice, Messenger.open(tmp_path / "bob"):
        assert await alice.wait(sent, MessageStatus.DELIVERED, WITHIN) is MessageStatus.DELIVERED


async def test_a_full_disk_at_the_end_still_lets_the_profile_go(tmp_path: Path, relay: RelayProcess) -> None:
    async def end_with_a_full_disk() -> None:
        async with people(tmp_path, relay, "alice", "bob") as (alice, bob):
            await alice.send("bob", "hi")
            assert await text(bob) == "hi"
            bob._profile.store.db.execute("PRAGMA query_only = 1")

    with pytest.raises(StorageError, match="cannot be written"):
        await end_with_a_full_disk()
    async with Messenger.open(tmp_path / "bob") as bob:
        message = await bob.receive(WITHIN)
        assert message is not None
        assert (message.text, message.redelivered) == ("hi", True)


async def test_one_profile_is_open_once(tmp_path: Path, relay: RelayProcess) -> None:
    async with people(tmp_path, relay, "alice"):
        with pytest.raises(LockedError):
            async with Messenger.open(tmp_path / "alice"):
                pass


async def test_a_command_that_is_only_passing_is_waited_for(tmp_path: Path, relay: RelayProcess) -> None:
    async with people(tmp_path, relay, "alice"):
        pass

    async def open_and_close() -> None:
        async with Messenger.open(tmp_path / "alice"):
            pass

    async with Messenger.from_config(ClientConfig(tmp_path / "alice"), connect=False):
        waiting = asyncio.create_task(open_and_close())
        await asyncio.sleep(0)
        assert not waiting.done()
    await waiting


async def test_mistakes_of_the_program_are_named(tmp_path: Path, relay: RelayProcess) -> None:
    async with people(tmp_path, relay, "alice", "bob") as (alice, bob):
        with pytest.raises(NotFoundError, match="no contact named"):
            await alice.send("nobody", "hi")
        with pytest.raises(UsageError, match="lone surrogate"):
            await alice.send("bob", "\ud800")
        with pytest.raises(UsageError, match="your own address"):
            alice.contacts.add("me", alice.address)
        with pytest.raises(UsageError):
            alice.contacts.add("x", "bp1nonsense")
        with pytest.raises(NotFoundError, match="no such message"):
            await alice.wait(b"?" * 16, deadline=0)
        assert alice.contacts.safety_number("bob") == bob.contacts.safety_number("alice")
        await alice.send(bob.address, "by address")
        assert await text(bob) == "by address"
    assert issubclass(NotFoundError, ClientError)


async def test_leaving_ends_every_task(tmp_path: Path, relay: RelayProcess) -> None:
    async with people(tmp_path, relay, "alice", "bob") as (alice, bob):
        await alice.send("bob", "hi")
        assert await text(bob) == "hi"
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_whoever_waits_until_all_has_gone_out_is_told_at_once(
    tmp_path: Path, relay: RelayProcess
) -> None:
    async with people(tmp_path, relay, "alice", "bob") as (alice, bob), asyncio.timeout(WITHIN):
        for _ in range(3):
            await alice.send("bob", "hello")
            assert await text(bob) == "hello"
            for each in (alice, bob):
                assert await each.flushed(10 * WITHIN)


async def test_a_flush_ends_while_messages_keep_coming(tmp_path: Path, relay: RelayProcess) -> None:
    async with people(tmp_path, relay, "alice", "bob") as (alice, bob):

        async def talk() -> None:
            while True:
                await asyncio.gather(*(alice.send("bob", "more") for _ in range(16)))

        async def listen() -> None:
            async for _ in bob:
                pass

        await alice.send("bob", "first")
        assert await text(bob) == "first"
        tasks = [asyncio.create_task(talk()), asyncio.create_task(listen())]
        try:
            for _ in range(5):
                assert await bob.flushed(WITHIN), bob.problems()
            assert not any(task.done() for task in tasks)
        finally:
            await end(*tasks)
