"""What a client does when a relay takes its ciphertext for plaintext: by chance, or whatever it sends."""

import asyncio
import sys
from pathlib import Path

import pytest

from clients import backoff
from clients.messenger import Messenger
from clients.model import MessageStatus
from tests.clients.test_messenger import WITHIN, people, text
from tests.clients.test_sender import problem_of
from tests.relay.web import metric
from tests.support.relay_process import RelayProcess

REFUSED = 'blindpost_refused_total{code="PLAINTEXT_SUSPECTED"}'


def suspicious(directory: Path, accused: str) -> RelayProcess:
    """A real relay whose firewall accuses an envelope of which this says so, each time that it comes.

    By its `number` from 1 on; `after(file)` is so of the first one that comes when there is such a file.
    """
    program = f"""
import os
from relay import firewall
numbers, chosen = dict(), []
def looks_like_plaintext(envelope):
    number = numbers.setdefault(envelope, len(numbers) + 1)
    def after(file):
        if os.path.exists(file) and not chosen:
            chosen.append(number)
        return number in chosen
    return {accused}
firewall.looks_like_plaintext = looks_like_plaintext
from relay.__main__ import main
main()
"""
    command = (sys.executable, "-P", "-c", program)
    return RelayProcess(directory, settings={"firewall": "strict"}, command=command)


def presence_of(one: Messenger, other: Messenger) -> bytes | None:
    contact = one._mailroom.contacts.by_account(other.address.account_key)
    assert contact is not None
    return contact.presence


@pytest.mark.parametrize(
    "accused", ["number == 1", "number == 2", "3 <= number < 8", "number == 14", "number == 16"]
)
async def test_what_a_relay_suspects_is_encrypted_anew_and_arrives_once_and_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accused: str
) -> None:
    monkeypatch.setattr(backoff, "FIRST", 0.001)
    with suspicious(tmp_path, accused) as own:
        async with people(tmp_path, own, "alice", "bob") as (alice, bob):
            sent = [await alice.send("bob", str(number)) for number in range(9)]
            heard = list[str]()
            for _ in range(9):
                message = await bob.receive(WITHIN)
                assert message is not None
                assert (message.late, message.missing_before, message.redelivered) == (False, 0, False)
                heard.append(message.text)
            assert heard == [str(number) for number in range(9)]
            for number in range(4):
                await bob.send("alice", f"thank you {number}")
                assert await text(alice) == f"thank you {number}"
            # A receipt that was suspected is owed again.
            for message_id in sent:
                status = await alice.wait(message_id, MessageStatus.DELIVERED, WITHIN)
                assert status is MessageStatus.DELIVERED
            # So is a card, without which nobody sees when the other is there.
            for one, other in ((alice, bob), (bob, alice)):
                async with asyncio.timeout(WITHIN):
                    while presence_of(one, other) is None:
                        await one._bell.rung(WITHIN)
            assert await metric(own, REFUSED) == (5 if "<" in accused else 1)


async def test_a_message_that_is_suspected_needs_none_behind_it_to_arrive(tmp_path: Path) -> None:
    file = tmp_path / "now"
    with suspicious(tmp_path, f"after({str(file)!r})") as own:
        async with people(tmp_path, own, "alice", "bob") as (alice, bob):
            await alice.send("bob", "hello")
            assert await text(bob) == "hello"
            await bob.send("alice", "hello")
            assert await text(alice) == "hello"
            for each in (alice, bob):
                await each.flushed(WITHIN)
            file.touch()
            last = await alice.send("bob", "the last word")
            assert await text(bob) == "the last word"
            assert await alice.wait(last, MessageStatus.DELIVERED, WITHIN) is MessageStatus.DELIVERED
            assert await metric(own, REFUSED) == 1


async def test_a_relay_that_suspects_everything_is_named_and_not_asked_without_end(tmp_path: Path) -> None:
    calmed = tmp_path / "calmed"
    with suspicious(tmp_path, f"not os.path.exists({str(calmed)!r})") as own:
        async with people(tmp_path, own, "alice", "bob") as (alice, bob):
            message_id = await alice.send("bob", "hello")
            await problem_of(alice, "takes what is sent for plaintext")
            assert alice._senders is not None
            (sender,) = alice._senders._all.values()
            assert sender._window.held_until > asyncio.get_running_loop().time()
            assert await alice.wait(message_id, MessageStatus.ACCEPTED, 0) is MessageStatus.QUEUED
            assert await metric(own, REFUSED) < 10
            calmed.touch()
            assert await text(bob) == "hello"
            assert await alice.wait(message_id, MessageStatus.DELIVERED, WITHIN) is MessageStatus.DELIVERED
            assert alice.problems() == []
