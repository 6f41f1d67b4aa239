"""The submit connection, on a real relay: order through refusals, and nothing to whom trust has ended."""

import asyncio
from pathlib import Path

import pytest

from clients import sender as sender_module
from clients.backoff import Backoff
from clients.errors import StorageError
from clients.mailroom import Mailroom
from clients.messenger import Messenger
from clients.model import MessageStatus
from clients.sender import Sender
from clients.store.contacts import ContactRow
from tests.clients.test_messenger import WITHIN, people, text
from tests.relay.web import metric
from tests.support.relay_process import RelayProcess


async def problem_of(messenger: Messenger, words: str) -> None:
    """Wait until something is wrong that says these words."""
    async with asyncio.timeout(WITHIN):
        while not any(words in problem for problem in messenger.problems()):
            await messenger._bell.rung(WITHIN)


async def test_a_full_mailbox_holds_everything_back_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_module, "RETRY_AFTER_MAX", 0.05)
    with RelayProcess(tmp_path, settings={"mailbox-frames": 3}) as own:
        async with people(tmp_path, own, "alice", "bob"):
            pass
        async with Messenger.open(tmp_path / "alice") as alice:
            ids = [await alice.send("bob", str(number)) for number in range(20)]
            await problem_of(alice, "mailbox is full")
            assert await alice.wait(ids[0], MessageStatus.ACCEPTED, WITHIN) is MessageStatus.ACCEPTED
            assert await alice.wait(ids[-1], MessageStatus.ACCEPTED, 0) is MessageStatus.QUEUED
            async with Messenger.open(tmp_path / "bob") as bob:
                heard = []
                for _ in range(20):
                    message = await bob.receive(WITHIN)
                    assert message is not None
                    assert (message.late, message.missing_before, message.redelivered) == (False, 0, False)
                    heard.append(int(message.text))
                assert heard == list(range(20))


async def test_a_relay_that_refuses_is_not_asked_again_at_once(tmp_path: Path) -> None:
    with RelayProcess(tmp_path, settings={"mailbox-frames": 1}) as own:
        async with people(tmp_path, own, "alice", "bob"):
            pass
        async with Messenger.open(tmp_path / "alice") as alice:
            for number in range(2):
                await alice.send("bob", str(number))
            await problem_of(alice, "mailbox is full")
            assert alice._senders is not None
            (sender,) = alice._senders._all.values()
            now = asyncio.get_running_loop().time()
            assert sender._window.held_until - now > 50  # as the relay asked
            assert sender._window.room(now) == 0


async def test_a_rate_holds_a_sender_back_in_order_on_the_same_connection(tmp_path: Path) -> None:
    with RelayProcess(tmp_path, settings={"put-rate-per-token": "5+4/s"}) as own:
        async with people(tmp_path, own, "alice", "bob") as (alice, bob):
            first = await alice.send("bob", "first")  # the session is there: everything else can go at once
            assert await text(bob) == "first"
            assert await alice.wait(first, MessageStatus.DELIVERED, WITHIN) is MessageStatus.DELIVERED
            told = set[str]()
            ids = [await alice.send("bob", str(number)) for number in range(20)]
            await problem_of(alice, "takes no more for now")
            told.update(alice.problems())
            connections = await metric(own, 'blindpost_connections{mode="submit"}')
            heard = []
            for _ in range(20):
                message = await bob.receive(WITHIN)
                told.update(alice.problems())
                assert message is not None
                assert (message.late, message.missing_before, message.redelivered) == (False, 0, False)
                heard.append(int(message.text))
            assert heard == list(range(20))
            assert await alice.wait(ids[-1], MessageStatus.ACCEPTED, WITHIN) is not None
            assert told == {"The relay takes no more for now; it goes on in 1 s."}
            assert alice.problems() == []
            assert await metric(own, 'blindpost_connections{mode="submit"}') == connections
            assert await metric(own, 'blindpost_dropped_total{reason="impatient"}') == 0


async def test_a_device_waits_as_long_as_the_relay_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        waits.append(seconds)
        await sleep(seconds)

    with RelayProcess(tmp_path, settings={"device-rate": "3+20/h"}) as own:
        async with Messenger.open(tmp_path / "alice", relay=own.origin) as alice:
            monkeypatch.setattr(asyncio, "sleep", noted)
            await problem_of(alice, "The relay takes no more for now; it goes on in 1")
            assert not alice.is_connected
            async with asyncio.timeout(WITHIN):
                while not any(170 < wait <= 180 for wait in waits):
                    await sleep(0)
            monkeypatch.undo()


async def test_prekeys_that_are_refused_are_published_later_on_the_same_connection(tmp_path: Path) -> None:
    with RelayProcess(tmp_path, settings={"device-rate": "6+300/min"}) as own:
        async with Messenger.open(tmp_path / "alice", relay=own.origin) as alice:
            await problem_of(alice, "The relay takes no more for now; it goes on in 1 s.")
            assert not alice.is_connected
            assert await alice.connected(WITHIN)
            assert alice.problems() == []
            assert alice._receiver is not None
            assert alice._receiver._stock.unpublished() == []
            assert await metric(own, "blindpost_logins_total") == 1


async def test_a_fetch_that_is_refused_is_made_again_when_the_relay_said(tmp_path: Path) -> None:
    with RelayProcess(tmp_path, settings={"fetch-rate": "1+10/min"}) as own:
        async with people(tmp_path, own, "alice", "bob", "carol", acquainted=False) as (alice, bob, carol):
            alice.contacts.add("bob", bob.address)
            alice.contacts.add("carol", carol.address)
            began = asyncio.get_running_loop().time()
            sent = [await alice.send(name, "hi") for name in ("bob", "carol")]
            await problem_of(alice, "The relay takes no more for now; it goes on in")
            for message_id in sent:
                status = await alice.wait(message_id, MessageStatus.ACCEPTED, WITHIN)
                assert status.is_at_least(MessageStatus.ACCEPTED)
            assert asyncio.get_running_loop().time() - began > 5.9
            assert await metric(own, 'blindpost_limited_total{rate="fetch_rate"}') == 1


async def test_a_relay_that_takes_no_more_connections_says_when(tmp_path: Path) -> None:
    with RelayProcess(tmp_path, settings={"socket-rate": "1+1/min"}) as own:
        async with Messenger.open(tmp_path / "alice", relay=own.origin) as alice:
            assert await alice.connected(WITHIN)
        async with Messenger.open(tmp_path / "alice") as alice:
            await problem_of(alice, "The relay takes no more connections for now; it is tried again in")


async def test_an_alarm_ends_the_connection_and_what_waits_stays(tmp_path: Path, relay: RelayProcess) -> None:
    async with people(tmp_path, relay, "alice", "bob") as (alice, bob):
        await alice.send("bob", "before")
        assert await text(bob) == "before"
        alice._mailroom.contacts.raise_alarm(bob.address.account_key, "who is this")
        contact = alice._mailroom.contacts.named("bob")
        with alice._profile.store.transaction() as db:
            db.execute(
                "INSERT INTO messages (message_id, contact, outgoing, kind, body, sent_ms, sort_ms, status) "
                "VALUES (x'01', ?, 1, 1, 'queued before the alarm', 1, 1, 'queued')",
                (contact.id,),
            )
        assert alice._senders is not None
        alice._senders.wake(contact.id)
        assert await bob.receive(0.3) is None
        assert any("ALARM" in problem for problem in alice.problems())
        assert alice._mailroom.history.status(b"\x01") is MessageStatus.QUEUED


async def test_a_message_the_relay_accepted_twice_is_shown_once(tmp_path: Path, relay: RelayProcess) -> None:
    async with people(tmp_path, relay, "alice", "bob") as (alice, bob):
        await alice.send("bob", "hello")
        assert await text(bob) == "hello"
        outbox = alice._mailroom.outbox
        sent = await alice.send("bob", "once")
        contact = alice._mailroom.contacts.named("bob").id
        *_, kept = outbox.frames(contact, 0, 10)  # a note may go ahead of it
        await alice.wait(sent, MessageStatus.ACCEPTED, WITHIN)
        assert await text(bob) == "once"
        assert await alice.wait(sent, MessageStatus.DELIVERED, WITHIN) is MessageStatus.DELIVERED
        assert await alice.flushed(WITHIN)  # bob's receipt may be quicker than the relay's answer
        with alice._profile.store.transaction():
            outbox.add(contact, kept.frame, None)  # its answer was lost, and bob has acknowledged it long ago
        assert alice._senders is not None
        alice._senders.wake(contact)
        assert await alice.flushed(WITHIN)
        await alice.send("bob", "next")
        assert await text(bob) == "next"
        assert bob._mailroom.replayed == 1


async def test_a_connection_that_brings_nothing_is_followed_by_a_wait(
    tmp_path: Path, relay: RelayProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, connections, enough = 0, 0, asyncio.Event()
    connect = Sender._connect_once

    def wait(backoff: Backoff, lasted: float = 0.0) -> float:
        nonlocal waits
        waits += backoff is before._backoff
        return 0.01

    async def counted(sender: Sender, contact: ContactRow) -> None:
        nonlocal connections
        connections += sender is before
        if connections == 6:
            enough.set()
        await connect(sender, contact)

    async with people(tmp_path, relay, "alice", "bob") as (alice, bob):
        await alice.send("bob", "first")
        assert await text(bob) == "first"
        assert alice._senders is not None
        (before,) = alice._senders._all.values()
        async with asyncio.timeout(WITHIN):
            while not (before._window.is_empty and not alice._mailroom.contacts_waiting()):
                await alice._bell.rung(WITHIN)
        # It ends as if only another session could carry what waits, and the next one can do no more.
        monkeypatch.setattr(Mailroom, "waits_for_bundle", lambda *_: True)
        monkeypatch.setattr(Sender, "_connect_once", counted)
        monkeypatch.setattr(Backoff, "next", wait)
        await alice.send("bob", "second")
        async with asyncio.timeout(WITHIN):
            await enough.wait()
        assert waits >= 5
        assert before.problem is None
        monkeypatch.undo()
        assert await text(bob) == "second"


async def test_it_ends_though_the_store_does_not_take_what_was_accepted(
    tmp_path: Path, relay: RelayProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise StorageError("The disk is full.")

    async with asyncio.timeout(2 * WITHIN), people(tmp_path, relay, "alice", "bob") as (alice, _):
        sent = await alice.send("bob", "hi")
        assert await alice.wait(sent, MessageStatus.DELIVERED, WITHIN) is MessageStatus.DELIVERED
        assert alice._senders is not None
        (sender,) = alice._senders._all.values()
        monkeypatch.setattr(alice._mailroom, "frame_accepted", full)
        sender._accepted = [bytes(16)]
