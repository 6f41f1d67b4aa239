"""The device connection, on a real relay: acknowledged after the commit, published whole, soon back."""

import asyncio
import os
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve

from clients.checkpoints import Checkpoints
from clients.connection import dial
from clients.due import Due
from clients.errors import LockedError, StorageError
from clients.mailroom import Mailroom
from clients.messenger import Messenger
from clients.model import MessageStatus
from tests.clients.test_messenger import WITHIN, people, text
from tests.support.relay_process import RelayProcess
from wire.addresses import RelayUrl
from wire.control import Bundle, Error, Fetch
from wire.errors import ErrorCode
from wire.limits import ONE_TIME_LOW, ONE_TIME_PUBLISHED
from wire.login import Mode


async def fetch(messenger: Messenger) -> Bundle:
    """Take a bundle of this messenger's account, as a stranger would."""
    address = messenger.address
    assert address.relay is not None
    async with dial(address.relay, Mode.SUBMIT, None, os.urandom) as connection:
        await connection.send(Fetch(ref=0, account_key=address.account_key, take=True))
        return await connection.expect(Bundle)


async def test_what_could_not_be_committed_is_not_acknowledged(tmp_path: Path, relay: RelayProcess) -> None:
    async with people(tmp_path, relay, "alice", "bob") as (alice, bob):
        await alice.send("bob", "hello")
        assert await text(bob) == "hello"
        await bob.receive(0)
        db = bob._profile.store.db
        db.pragma("max_page_count", db.pragma("page_count"))
        for number in range(5):
            await alice.send("bob", str(number) + "x" * 60_000)
        while not any("disk is full" in problem for problem in bob.problems()):
            await bob._bell.rung(WITHIN)
        assert await bob.receive(0) is None
        db.pragma("max_page_count", 2**30)
        assert [(await text(bob))[0] for _ in range(5)] == list("01234")
        assert bob._mailroom.undecryptable == 0


async def test_nothing_is_lost_when_the_process_ends_before_the_commit(
    tmp_path: Path, relay: RelayProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with people(tmp_path, relay, "alice", "bob"):
        pass

    def end_here(*_: object) -> None:
        raise KeyError("the process ends here")

    async with Messenger.open(tmp_path / "bob") as bob:
        assert await bob.connected(WITHIN)
        with monkeypatch.context() as patch:
            patch.setattr(Mailroom, "take_in", end_here)
            async with Messenger.open(tmp_path / "alice") as alice:
                sent = await alice.send("bob", "hi")
                await alice.wait(sent, MessageStatus.ACCEPTED, WITHIN)
            with pytest.raises(KeyError):
                await bob.receive(WITHIN)
    async with Messenger.open(tmp_path / "bob") as bob:
        assert await text(bob) == "hi"


async def test_nothing_is_sent_while_it_cannot_be_written_down_that_this_is_an_old_copy(
    tmp_path: Path, relay: RelayProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with people(tmp_path, relay, "alice", "bob") as (alice, bob):
        await alice.send("bob", "hello")
        assert await text(bob) == "hello"
        assert await alice.flushed(WITHIN)
    store = tmp_path / "alice" / "store.db"
    copy = store.read_bytes()
    async with Messenger.open(tmp_path / "alice") as alice:
        assert await alice.connected(WITHIN)
    store.write_bytes(copy)
    judge, judged = Checkpoints.judge, 0

    def full(checkpoints: Checkpoints, shown: bytes | None) -> bool:
        nonlocal judged
        judged += 1
        assert judge(checkpoints, shown)
        if judged == 1:
            raise StorageError("The disk is full.")
        return True

    async with Messenger.open(tmp_path / "bob") as bob:
        assert await bob.connected(WITHIN)
        monkeypatch.setattr(Checkpoints, "judge", full)
        async with Messenger.open(tmp_path / "alice") as alice:
            stream = alice._mailroom.state.stream
            sent = await alice.send("bob", "from the copy")
            async with asyncio.timeout(WITHIN):
                while "The disk is full." not in alice.problems():
                    await alice._bell.rung(WITHIN)
            assert not alice._mailroom.is_judged
            assert alice._mailroom.state.stream == stream
            assert alice.status(sent)[0] is MessageStatus.QUEUED
            assert await text(bob) == "from the copy"
            assert judged == 2
            assert alice._mailroom.state.stream != stream
            assert any("older copy" in notice for notice in alice.notices())


async def test_everything_is_published_before_it_counts_as_connected(
    tmp_path: Path, relay: RelayProcess
) -> None:
    async with people(tmp_path, relay, "alice") as (alice,):
        assert alice._receiver is not None
        assert alice._receiver._stock.unpublished() == []
        bundle = await fetch(alice)
        assert [len(device.prekeys) for device in bundle.devices] == [4]


async def test_taken_prekeys_are_replaced_while_connected(tmp_path: Path, relay: RelayProcess) -> None:
    async with people(tmp_path, relay, "alice") as (alice,):
        newest = "SELECT max(id) FROM prekeys WHERE kind = 3 AND published = 1"
        db = alice._profile.store.db
        assert db.execute(newest).get == ONE_TIME_PUBLISHED
        for _ in range(ONE_TIME_PUBLISHED - ONE_TIME_LOW + 1):
            bundle = await fetch(alice)
            assert len(bundle.devices[0].prekeys) == 4
        async with asyncio.timeout(WITHIN):
            while db.execute(newest).get != 2 * ONE_TIME_PUBLISHED - ONE_TIME_LOW + 1:
                await fetch(alice)


async def test_a_relay_that_comes_back_finds_everybody_again(tmp_path: Path) -> None:
    with RelayProcess(tmp_path) as own:
        async with people(tmp_path, own, "alice", "bob") as (alice, bob):
            await asyncio.to_thread(own.kill)
            while not alice.problems() or not bob.problems():
                await asyncio.wait(
                    [asyncio.create_task(who._bell.rung(WITHIN)) for who in (alice, bob)],
                    return_when=asyncio.FIRST_COMPLETED,
                )
            await alice.send("bob", "while it was away")
            await asyncio.to_thread(own.start)
            assert await text(bob) == "while it was away"
            for who in (alice, bob):
                assert await who.connected(WITHIN)
                assert await who.flushed(WITHIN)
                assert who.problems() == []


async def test_a_newer_connection_of_the_same_device_ends_the_older_for_good(
    tmp_path: Path, relay: RelayProcess
) -> None:
    async with (
        people(tmp_path, relay, "alice") as (alice,),
        dial(alice._profile.relay, Mode.DEVICE, None, os.urandom) as other,
    ):
        await other.log_in(alice._profile.device)
        while not alice.problems():
            await alice._bell.rung(WITHIN)
        with pytest.raises(LockedError, match="connected elsewhere"):
            await alice.receive(WITHIN)
        assert alice._tasks[0].done()


async def test_only_a_relay_that_has_welcomed_us_can_say_that_we_are_connected_elsewhere(
    tmp_path: Path, relay: RelayProcess
) -> None:
    async def say_replaced(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(Error(code=ErrorCode.REPLACED, message="you are elsewhere").encode())

    port = RelayUrl.parse(relay.origin).port
    async with people(tmp_path, relay, "alice", "bob") as (alice, bob):
        await asyncio.to_thread(relay.kill)
        async with serve(say_replaced, "127.0.0.1", port):
            while alice.problems() != ["you are elsewhere"]:
                await alice._bell.rung(WITHIN)
        await asyncio.to_thread(relay.start)
        await bob.send("alice", "still here?")
        assert await text(alice) == "still here?"


async def test_what_a_relay_has_answered_is_waited_for_no_more(
    tmp_path: Path, relay: RelayProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled, real = asyncio.Event(), Due.answered

    def answered(due: Due, ref: int) -> None:
        real(due, ref)
        if not due._until:
            settled.set()

    monkeypatch.setattr(Due, "answered", answered)
    async with people(tmp_path, relay, "alice"), asyncio.timeout(WITHIN):
        await settled.wait()
