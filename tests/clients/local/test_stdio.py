"""`serve`: lines in, lines out, through whoever owns the profile; nothing in a line ends it."""

import asyncio
import contextlib
import io
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from clients.cli.output import ReaderGone
from clients.config import ClientConfig
from clients.errors import NotFoundError
from clients.local.access import access
from clients.local.calls import CALLS
from clients.local.framing import LINE_MAX, TooLong, encode
from clients.local.stdin import lines
from clients.local.stdio import Serving
from clients.local.stdout import Writer
from clients.messenger import Messenger
from clients.model import Json
from tests.clients.local.conftest import FAR
from wire.addresses import Address, RelayUrl

WITHIN = 10.0
CAROL = Address(b"c" * 32, RelayUrl.parse("ws://127.0.0.1:1")).text
NOBODY = "0" * 32

# One of each, with what the answer holds, or the code of its error.
EVERY_CALL: dict[str, tuple[Json, str]] = {
    "me": ({}, "version"), "contacts": ({}, ""), "contact": ({"name": "bob"}, "address"),
    "add": ({"name": "carol", "address": CAROL}, "name"), "accept": ({"name": "carol"}, "USAGE"),
    "rename": ({"name": "carol", "to": "cc"}, "name"), "block": ({"name": "cc"}, "status"),
    "unblock": ({"name": "cc"}, "status"), "replace": ({"name": "cc", "address": CAROL}, "name"),
    "remove": ({"name": "cc", "force": True}, "removed"), "safety_number": ({"name": "bob"}, "scannable"),
    "verify": ({"name": "bob", "text": "1" * 60}, "TRUST"), "share": ({"name": "bob", "read": False}, "read"),
    "delay": ({"longest": 2}, "longest"), "set_name": ({"display_name": "Alice"}, "display_name"),
    "renew_address": ({}, "address"), "trust_relay": ({"relay": "wss://relay.example"}, "was_known"),
    "send": ({"to": "bob", "text": "hi"}, "id"),
    "status": ({"id": NOBODY}, "NOT_FOUND"), "history": ({"name": "bob", "limit": 5}, ""),
    "read": ({"name": "bob"}, ""), "typing": ({"name": "bob", "on": True}, ""),
    "flush": ({"timeout": 0}, "flushed"), "watch": ({}, ""), "listen": ({}, "more"),
    "export_account": ({}, "RELAY"), "delete_account": ({}, "RELAY"),  # which nobody here reaches
    "done": ({"id": NOBODY}, "NOT_FOUND"), "backup": ({"file": "/x", "passphrase": "weak"}, "USAGE"),
}  # fmt: skip


class Talk:
    """Both ends of one `serve` in this process."""

    def __init__(self, config: ClientConfig) -> None:
        self._in: asyncio.Queue[bytes | TooLong | None] = asyncio.Queue()
        self._out: asyncio.Queue[Json] = asyncio.Queue()
        self.serving = asyncio.create_task(Serving(config, self._lines(), self._out.put).run())

    async def _lines(self) -> AsyncIterator[bytes | TooLong]:
        while (line := await self._in.get()) is not None:
            yield line

    def say(self, line: bytes | TooLong | Json | None) -> None:
        self._in.put_nowait(encode(line)[:-1] if isinstance(line, dict) else line)

    async def hear(self, wanted: Callable[[dict[str, Any]], object] = bool) -> dict[str, Any]:
        """The next object of this kind; others are passed over."""
        async with asyncio.timeout(WITHIN):
            while True:
                found = dict(await self._out.get())
                if wanted(found):
                    return found

    async def ask(self, ref: int, call: str, **arguments: object) -> dict[str, Any]:
        self.say({"call": call, "ref": ref, **arguments})
        return await self.hear(lambda said: said.get("ref") == ref and "event" not in said)

    async def end(self) -> list[Json]:
        """End of stdin; what was still said."""
        self.say(None)
        async with asyncio.timeout(WITHIN):
            await self.serving
        return [self._out.get_nowait() for _ in range(self._out.qsize())]


@pytest.fixture(params=["owner", "through another owner"])
async def talk(request: pytest.FixtureRequest, config: ClientConfig) -> AsyncIterator[Talk]:
    async with contextlib.AsyncExitStack() as stack:
        messenger = Messenger.from_config(config, connect=False)
        async with messenger as me:
            me.contacts.add("bob", FAR)
        if request.param != "owner":
            await stack.enter_async_context(Messenger.from_config(config))
        talk = Talk(config)
        assert (await talk.hear())["protocol"] == 1
        yield talk
        talk.serving.cancel()
        await asyncio.gather(talk.serving, return_exceptions=True)


async def test_every_call(talk: Talk) -> None:
    assert EVERY_CALL.keys() == CALLS.keys()
    for ref, (call, (arguments, expected)) in enumerate(EVERY_CALL.items()):
        answer = await talk.ask(ref, call, **arguments)
        if expected.isupper():
            assert answer["error"]["code"] == expected, call
        else:
            assert "error" not in answer, call
            assert not expected or expected in answer["result"], call


async def test_bad_lines_end_nothing(talk: Talk) -> None:
    for bad in (b"no json", b"[]", b"\xff", TooLong(), b'{"call": "sned"}', b"{}"):
        talk.say(bad)
        assert (await talk.hear())["error"]["exit_code"] in (2, 8)
    talk.say(b" \t\r")
    assert (await talk.ask(1, "contact", name="bob"))["result"]["name"] == "bob"
    assert (await talk.ask(2, "contact", nmae="bob"))["error"]["message"].count("'nmae'") <= 1


async def test_it_ends_after_the_last_answer(talk: Talk) -> None:
    for number in range(100):
        talk.say({"call": "send", "ref": number, "to": "bob", "text": str(number)})
    talk.say({"call": "flush", "ref": 100, "timeout": 0.2})
    said = await talk.end()
    assert [one["ref"] for one in said] == list(range(101))
    assert all("result" in one for one in said)


async def test_a_watch_is_answered_before_its_events(talk: Talk) -> None:
    talk.say({"call": "watch", "ref": 5})
    assert await talk.hear() == {"ref": 5, "result": {}}
    assert (await talk.hear())["event"] == "state"
    await talk.ask(6, "send", to="bob", text="hi")
    assert (await talk.ask(7, "rename", name="bob", to="bert"))["result"]["name"] == "bert"
    assert (await talk.hear(lambda said: said.get("event") == "contact"))["contact"]["name"] == "bert"


async def test_a_backup_is_told_of_until_it_is_written(talk: Talk, tmp_path: Path) -> None:
    wanted = {"file": str(tmp_path / "whole"), "passphrase": "correct horse battery staple"}
    assert (await talk.ask(7, "backup", **wanted))["result"] == {}
    last = await talk.hear(lambda said: said.get("event") == "backup" and bool(said["written"]))
    assert (last["ref"], last["file"], last["messages"]) == (7, wanted["file"], last["of"])
    assert (tmp_path / "whole").stat().st_size > 100
    (tmp_path / "thesis").write_text("mine")
    await talk.ask(8, "backup", **{**wanted, "file": str(tmp_path / "thesis")})
    failed = await talk.hear(lambda said: said.get("event") == "failed")
    assert (failed["ref"], failed["error"]["code"]) == (8, "USAGE")
    relative = await talk.ask(9, "backup", **{**wanted, "file": "whole"})
    assert "whole path" in relative["error"]["message"]


async def test_the_owner_ends_and_it_goes_on(me: Messenger, config: ClientConfig) -> None:
    talk = Talk(config)
    await talk.ask(1, "watch")
    await talk.ask(2, "watch", name="bob")
    await talk.ask(3, "listen")
    await me.__aexit__(None, None, None)
    await talk.hear(lambda said: said.get("event") == "resync")
    assert (await talk.ask(4, "listen"))["error"]["code"] == "LOCKED"  # it listens again already
    await talk.ask(5, "rename", name="bob", to="bert")
    await talk.hear(lambda said: said.get("event") == "contact")
    await talk.end()
    await me.__aenter__()  # for the fixture to end


async def test_what_no_owner_answered_is_asked_of_the_next_one(me: Messenger, config: ClientConfig) -> None:
    talk = Talk(config)
    sent = (await talk.ask(1, "send", to="bob", text="hi"))["result"]["id"]
    talk.say({"call": "status", "ref": 2, "id": sent, "wait": "delivered", "timeout": 1.0})
    await talk.ask(3, "contact", name="bob")  # by now the owner waits for the status
    await me.__aexit__(None, None, None)
    talk.say({"call": "send", "ref": 4, "to": "bob", "text": "on", "key": "k"})
    answers = [await talk.hear(lambda said: said.get("ref") in (2, 4)) for _ in range(2)]
    assert {answer["ref"]: answer.get("error") for answer in answers} == {2: None, 4: None}
    await talk.end()
    await me.__aenter__()  # for the fixture to end


async def test_messages_carry_the_ref_of_the_listener(
    me: Messenger, bob: Messenger, config: ClientConfig
) -> None:
    talk = Talk(config)
    await talk.ask(77, "listen")
    for text in ("one", "two"):
        await bob.send("alice", text)
        heard = await talk.hear(lambda said: said.get("event") == "message")
        assert (heard["ref"], heard["message"]["text"]) == (77, text)
        assert "result" in await talk.ask(78, "done", id=heard["message"]["id"])
    await talk.end()


async def test_without_a_profile_it_does_not_begin(tmp_path: Path) -> None:
    talk = Talk(ClientConfig(tmp_path / "nobody"))
    with pytest.raises(NotFoundError):
        await talk.serving


@pytest.mark.parametrize("line", [b"no json", b'{"call": "contacts", "ref": 1}'])
async def test_a_reader_that_goes_away_ends_it(config: ClientConfig, line: bytes) -> None:
    async def forever() -> AsyncIterator[bytes | TooLong]:
        yield line
        while True:
            await asyncio.sleep(0)
            yield b'{"call": "contacts", "ref": 2}'

    async def say(value: Json) -> None:
        if "ref" in value:
            raise ReaderGone

    async with asyncio.timeout(WITHIN):
        with pytest.raises(ReaderGone):
            await Serving(config, forever(), say).run()


async def test_a_reader_that_stops_holds_up_no_other_command(config: ClientConfig) -> None:
    async with Messenger.from_config(config, connect=False) as messenger:
        messenger.contacts.add("bob", FAR)
    stuck = asyncio.Event()

    async def forever() -> AsyncIterator[bytes | TooLong]:
        while True:
            yield b'{"call": "contacts", "ref": 2}'

    async def say(value: Json) -> None:
        if "ref" in value:
            stuck.set()
            await asyncio.get_running_loop().create_future()

    serving = asyncio.create_task(Serving(config, forever(), say).run())
    async with asyncio.timeout(WITHIN):
        await stuck.wait()
        async with access(config) as line:
            assert not line.is_owner
            assert (await line.call("contact", name="bob"))["name"] == "bob"
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


# --- stdin ------------------------------------------------------------------------------------------


async def test_a_pipe_that_nobody_fills_holds_up_nothing() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream:
        found = lines(stream, LINE_MAX)
        os.write(writing, b"one\ntw")
        assert await anext(found) == b"one"
        waiting = asyncio.ensure_future(anext(found))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        os.write(writing, b"o\nthree")
        os.close(writing)
        assert await waiting == b"two"
        assert await anext(found) == b"three"
        with pytest.raises(StopAsyncIteration):
            await anext(found)
        assert os.get_blocking(reading)


async def test_waiting_for_stdin_can_be_cancelled() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream:
        waiting = asyncio.ensure_future(anext(lines(stream, LINE_MAX)))
        await asyncio.sleep(0.01)
        waiting.cancel()
        async with asyncio.timeout(WITHIN):
            await asyncio.wait([waiting])
        assert not asyncio.get_running_loop().remove_reader(reading)
    os.close(writing)


async def test_files_and_streams_of_no_system_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"a\nb")
    with (tmp_path / "in").open("rb") as file:
        assert [line async for line in lines(file, LINE_MAX)] == [b"a", b"b"]
    assert [line async for line in lines(io.BytesIO(b"a\nb\n"), LINE_MAX)] == [b"a", b"b"]


# --- stdout -----------------------------------------------------------------------------------------


async def test_a_pipe_that_nobody_empties_holds_up_nothing() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as source, os.fdopen(writing, "wb") as stream:
        writer = Writer(stream)
        lines_ = [bytes([65 + number]) * 100_000 + b"\n" for number in range(3)]
        tasks = [asyncio.create_task(writer.write(line)) for line in lines_]
        await asyncio.sleep(0.05)
        assert not any(task.done() for task in tasks)
        assert os.get_blocking(writing)
        assert await asyncio.to_thread(source.read, 300_003) == b"".join(lines_)
        await asyncio.gather(*tasks)


async def test_a_reader_that_is_gone_and_a_file(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as stream, pytest.raises(BrokenPipeError):
        await Writer(stream).write(b"one\n")
    with (tmp_path / "out").open("wb") as file:
        await Writer(file).write(b"x" * 10_000 + b"\n")
    assert (tmp_path / "out").stat().st_size == 10_001
