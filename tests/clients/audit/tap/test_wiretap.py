"""The tap passes everything on, and what it kept reads as what both sides have said."""

import asyncio
from pathlib import Path

import pytest
from websockets.frames import Opcode

from clients.audit.tap.reading import NotReadError
from clients.audit.tap.wiretap import Direction, messages, open_tap
from clients.messenger import Messenger
from tests.support.relay_process import RelayProcess
from wire.control import decode_client_message, decode_relay_message
from wire.frames import decode_deliver, decode_put

WITHIN = 20.0


async def test_a_conversation_through_the_tap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RelayProcess(tmp_path) as relay:
        async with open_tap() as tap:
            monkeypatch.setenv("BLINDPOST_PROXY", tap.proxy)
            async with (
                Messenger.open(tmp_path / "alice", relay=relay.origin) as alice,
                Messenger.open(tmp_path / "bob", relay=relay.origin) as bob,
            ):
                for each in (alice, bob):
                    assert await each.connected(WITHIN), each.problems()
                alice.contacts.add("bob", bob.address)
                bob.contacts.add("alice", alice.address)
                await alice.send("bob", "hello")
                got = await bob.receive(WITHIN)
                assert got is not None
                assert got.text == "hello"
                assert await bob.flushed(WITHIN)
    put, delivered, said = set(), set(), set()
    for connection in tap.connections:
        for message in messages(connection.to_relay, is_masked=True):
            if message.opcode is Opcode.BINARY:
                put.add(decode_put(message.payload).envelope)
            elif message.opcode is Opcode.TEXT:
                said.add(type(decode_client_message(message.payload.decode())).__name__)
        for message in messages(connection.from_relay, is_masked=False):
            if message.opcode is Opcode.BINARY:
                delivered.add(decode_deliver(message.payload).envelope)
            elif message.opcode is Opcode.TEXT:
                said.add(type(decode_relay_message(message.payload.decode())).__name__)
    assert delivered
    assert delivered <= put
    assert {"Hello", "RelayHello", "Login", "Welcome", "Register", "Publish", "Fetch", "Bundle"} <= said
    seen = dict(tap.seen())
    assert all(any(envelope in data for data in seen.values()) for envelope in put)
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 101", b"GET / HTTP/1.1\r\n\r\n\xff\xff\xff\xff"])
def test_what_is_no_websocket_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(NotReadError):
        messages(Direction([(0.0, data)]), is_masked=True)
