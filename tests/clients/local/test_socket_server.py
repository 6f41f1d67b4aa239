"""The socket itself: raw lines, bounds, slow readers, other users, and the end."""

import asyncio
import contextlib
import json
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from clients.config import ClientConfig
from clients.errors import LockedError
from clients.local import place, socket_server
from clients.local.access import access
from clients.local.framing import LINE_MAX
from clients.local.socket_server import CALLS_MAX, LINES_MAX, LocalServer
from clients.messenger import Messenger
from clients.version import package_version

WITHIN = 10.0


class Raw:
    """A connection that says exactly what a test wants."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def hear(self) -> dict[str, Any] | None:
        """The next object, or None at the end."""
        async with asyncio.timeout(WITHIN):
            line = await self.reader.readline()
        return dict(json.loads(line)) if line else None

    async def error(self) -> dict[str, Any]:
        said = await self.hear()
        assert said is not None
        return dict(said["error"])


@contextlib.asynccontextmanager
async def dialled(profile: Path) -> AsyncIterator[Raw]:
    reader, writer = await asyncio.open_unix_connection(str(profile / "socket"), limit=LINE_MAX)
    try:
        yield Raw(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@pytest.fixture
async def raw(me: Messenger) -> AsyncIterator[Raw]:
    async with dialled(me.config.profile) as connection:
        assert await connection.hear() == {"blindpost": package_version(), "protocol": 1}
        yield connection


async def test_the_socket_is_there_while_the_messenger_is_open(config: ClientConfig) -> None:
    path = config.profile / "socket"
    async with Messenger.from_config(config):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()
    async with Messenger.from_config(config, connect=False):
        assert not path.exists()


async def test_a_call_and_its_answer(raw: Raw, me: Messenger) -> None:
    await raw.say(b'{"call": "contact", "ref": 7, "name": "bob"}\n')
    said = await raw.hear()
    assert said == {"ref": 7, "result": me.contacts.named("bob").to_json()}


@pytest.mark.parametrize(
    ("line", "ref", "code"),
    [
        (b"no json", None, "USAGE"), (b"[]", None, "USAGE"), (b'{"call": "sned", "ref": 3}', 3, "USAGE"),
        (b'{"call": "contact", "ref": 4}', 4, "USAGE"), (b'{"call": "me", "ref": 5, "x": 1}', 5, "USAGE"),
        (b"\xff\xfe", None, "USAGE"), (b"x" * LINE_MAX, None, "TOO_LARGE"),
        (b'{"call": "contact", "ref": 6, "name": "nobody"}', 6, "NOT_FOUND"),
    ],
)  # fmt: skip
async def test_a_bad_line_is_answered_and_ends_nothing(
    raw: Raw, line: bytes, ref: int | None, code: str
) -> None:
    await raw.say(line + b'\n\n\r\n{"call": "contact", "ref": 8, "name": "bob"}\n')
    said = [await raw.hear(), await raw.hear()]
    assert [one["ref"] for one in said if one] == [ref, 8]
    assert said[0] is not None
    assert said[0]["error"]["code"] == code
    assert said[0]["error"]["message"]


async def test_the_last_calls_of_a_line_are_answered(raw: Raw) -> None:
    await raw.say(
        b'{"call": "contact", "ref": 1, "name": "bob"}\n{"call": "contact", "ref": 2, "name": "bob"}'
    )
    raw.writer.write_eof()
    assert [(await raw.hear() or {})["ref"] for _ in range(2)] == [1, 2]
    assert await raw.hear() is None


async def test_32_lines_and_not_one_more(me: Messenger, config: ClientConfig) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(LINES_MAX):
            one = await stack.enter_async_context(dialled(me.config.profile))
            assert (await one.hear() or {})["protocol"] == 1
        async with dialled(me.config.profile) as refused:
            assert "32 commands" in (await refused.error())["message"]
            assert await refused.hear() is None
        with pytest.raises(LockedError, match="32 commands"):
            async with access(config):
                pass
    async with asyncio.timeout(WITHIN):
        while True:  # until the owner has noticed that they are gone
            with contextlib.suppress(LockedError):
                async with access(config) as line:
                    assert await line.call("contacts")
                    return
            await asyncio.sleep(0.01)


async def test_another_user_gets_nothing(me: Messenger, monkeypatch: pytest.MonkeyPatch) -> None:
    someone = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: someone)
    async with dialled(me.config.profile) as refused:
        assert "another user" in (await refused.error())["message"]
        assert await refused.hear() is None


async def test_more_calls_than_a_line_may_have_wait_unread(raw: Raw, me: Messenger) -> None:
    sent = await me.send("bob", "hi")
    wait = f'{{"call": "status", "ref": %d, "id": "{sent.hex()}", "wait": "delivered", "timeout": 0.5}}\n'
    await raw.say(b"".join((wait % ref).encode() for ref in range(CALLS_MAX)))
    await raw.say(b'{"call": "contact", "ref": 999, "name": "bob"}\n')
    answered = [(await raw.hear() or {})["ref"] for _ in range(CALLS_MAX + 1)]
    assert sorted(answered) == [*range(CALLS_MAX), 999]
    assert answered[0] != 999


async def test_a_full_line_whose_client_has_gone_is_let_go(
    me: Messenger, config: ClientConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_server, "ANYBODY_THERE", 0.02)
    server = me._server
    assert server is not None
    sent = await me.send("bob", "hi")
    wait = f'{{"call": "status", "ref": %d, "id": "{sent.hex()}", "wait": "read", "timeout": 86400}}\n'
    async with dialled(config.profile) as gone:
        await gone.hear()
        await gone.say(b"".join((wait % ref).encode() for ref in range(CALLS_MAX + 2)))
    async with asyncio.timeout(WITHIN):
        while server._lines:  # noqa: ASYNC110 the system says that the peer is gone, and no event of ours
            await asyncio.sleep(0.01)


async def test_who_does_not_read_is_closed_and_holds_up_nobody(
    raw: Raw, me: Messenger, config: ClientConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_server, "READS_WITHIN", 0.2)
    for _ in range(20):
        await me.send("bob", "x" * 20_000)
    await raw.say(b'{"call": "watch", "ref": 1}\n' + b'{"call": "history", "ref": 2, "name": "bob"}\n' * 50)
    raw.reader._transport.pause_reading()  # type: ignore[attr-defined]  # a reader that stops
    async with access(config) as other, asyncio.timeout(WITHIN):
        assert await other.call("contacts")
        server = me._server
        assert server is not None
        while len(server._lines) > 1:  # noqa: ASYNC110 nobody is told when the owner closes a line
            await asyncio.sleep(0.01)
        assert await other.call("contacts")


async def test_nothing_is_left_when_it_closes(me: Messenger, config: ClientConfig) -> None:
    server = me._server
    assert server is not None
    sent = await me.send("bob", "hi")
    wait = f'{{"call": "status", "ref": 1, "id": "{sent.hex()}", "wait": "delivered", "timeout": 60}}\n'
    async with dialled(me.config.profile) as one:
        await one.hear()
        await one.say(b'{"call": "watch", "ref": 1}\n{"call": "listen", "ref": 2}\n' + wait.encode())
        while (await one.hear() or {}).get("ref") != 2:
            pass
        async with asyncio.timeout(20):
            await server.close()
        said = [await one.hear()]
        while said[-1] is not None:
            said.append(await one.hear())
        assert said[-2] == {"closing": True}
        assert not any("ref" in one for one in said if one)
    assert not (config.profile / "socket").exists()
    assert not server._lines
    assert not any(word in repr(task) for task in asyncio.all_tasks() for word in ("_Line.", "Session."))
    await server.close()


async def test_without_a_socket_everything_else_works(
    me: Messenger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: Path) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(place, "listen_in", fails)
    server = LocalServer(me, tmp_path)
    await server.start()
    assert "Operation not supported" in str(server.problem)
    await server.close()
