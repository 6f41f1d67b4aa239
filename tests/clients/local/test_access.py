"""Who owns the profile, who hands over, and what happens when that changes."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from clients.config import ClientConfig
from clients.errors import InUseError, LockedError, NotFoundError
from clients.local import access as access_module
from clients.local import lasting, place
from clients.local.access import EVENTS_MAX, Line, OwnLine, access
from clients.local.failures import LineLost
from clients.local.framing import encode
from clients.local.lasting import lasting_access
from clients.local.socket_server import hello
from clients.messenger import Messenger
from clients.profile import Profile
from tests.clients.local.conftest import FAR
from wire.addresses import Address, RelayUrl

CAROL = Address(b"c" * 32, RelayUrl.parse("ws://127.0.0.1:1")).text
WITHIN = 10.0


async def test_the_first_owns_and_the_second_hands_over(config: ClientConfig) -> None:
    async with access(config) as first:
        assert first.is_owner
        async with access(config, connect=False) as second:
            assert not second.is_owner
            assert await second.call("me") == await first.call("me")
    async with access(config, connect=False) as third:
        assert third.is_owner
        assert (await third.call("me"))["connected"] is False


async def test_what_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="blindpost init"):
        async with access(ClientConfig(tmp_path / "nobody")):
            pass
    assert not (tmp_path / "nobody").exists()


async def test_a_profile_that_is_taken_for_a_moment_is_waited_for(config: ClientConfig) -> None:
    profile = Profile.open(config)
    asyncio.get_running_loop().call_later(0.3, profile.close)
    async with access(config, connect=False) as line:
        assert line.is_owner


async def test_a_profile_that_stays_taken_is_refused(
    config: ClientConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_module, "PATIENCE", 0.2)
    profile = Profile.open(config)
    with pytest.raises(InUseError, match="Another blindpost process"):
        async with access(config):
            pass
    profile.close()


async def test_a_wrong_key_is_not_waited_for(config: ClientConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_module, "PATIENCE", 60)
    (config.profile / "profile.key").write_text("ab" * 32)
    async with asyncio.timeout(20):
        with pytest.raises(LockedError, match="wrong passphrase"):
            async with access(config):
                pass


async def test_many_at_once_on_one_profile(config: ClientConfig) -> None:
    async def one(number: int) -> bool:
        async with access(config) as line:
            await line.call("set_name", display_name=str(number))
            await asyncio.sleep(0.05)
            return line.is_owner

    owners = await asyncio.gather(*(one(number) for number in range(10)), return_exceptions=True)
    # Whoever owned it may end before the others are answered; nobody meets a lock.
    assert all(isinstance(owner, bool | LineLost) for owner in owners), owners
    assert any(owner is True for owner in owners)


async def test_what_a_crash_left_is_replaced(config: ClientConfig) -> None:
    place.listen_in(config.profile).close()
    async with access(config) as first, access(config) as second:
        assert (first.is_owner, second.is_owner) == (True, False)


async def test_a_line_is_lost_with_its_owner(config: ClientConfig) -> None:
    owner = Messenger.from_config(config)
    await owner.__aenter__()
    async with access(config) as line:
        sent = asyncio.create_task(line.call("flush", timeout=60))
        waiting = asyncio.create_task(line.next_event())
        await line.call("watch")
        assert (await waiting)["event"] == "state"
        waiting = asyncio.create_task(line.next_event())
        await owner.__aexit__(None, None, None)
        async with asyncio.timeout(WITHIN):
            done = await asyncio.gather(sent, waiting, return_exceptions=True)
            assert done[0] == {"flushed": True} or isinstance(done[0], LineLost)
            assert isinstance(done[1], LineLost)
            for _ in range(2):
                with pytest.raises(LineLost):
                    await line.call("me")
            with pytest.raises(LineLost):
                await line.next_event()
    assert LineLost().exit_code == 7


async def test_a_lasting_line_goes_on_with_the_next_owner(config: ClientConfig) -> None:
    owner = Messenger.from_config(config)
    await owner.__aenter__()
    owner.contacts.add("bob", FAR)
    async with lasting_access(config, connect=False) as line:
        assert line.is_owner is False
        first = await line.call("send", to="bob", text="hi", key="k")
        await owner.__aexit__(None, None, None)
        assert await line.call("send", to="bob", text="hi", key="k") == first
        assert len(await line.call("history", name="bob")) == 1
        assert (await line.call("me"))["connected"] is False


async def test_what_an_ending_owner_has_not_heard_is_asked_again(
    config: ClientConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def counted(config: ClientConfig, *, connect: bool) -> contextlib.AbstractAsyncContextManager[Line]:
        opened.append(connect)
        return access(config, connect=connect)

    monkeypatch.setattr(lasting, "access", counted)
    owner = Messenger.from_config(config)
    await owner.__aenter__()
    async with lasting_access(config, connect=False) as line:
        flushing = asyncio.create_task(line.call("flush", timeout=60))
        adding = asyncio.create_task(line.call("add", name="bob", address=FAR))
        await owner.__aexit__(None, None, None)
        assert (await adding)["name"] == "bob"
        assert (await line.call("add", name="carol", address=CAROL))["name"] == "carol"
        assert await flushing == {"flushed": True}
        with pytest.raises(NotFoundError):
            await line.call("send", to="nobody", text="hi")
    assert opened == [False, False]


@pytest.mark.parametrize(
    ("call", "arguments", "is_repeated"),
    [
        ("contacts", {}, True), ("send", {"to": "bob", "text": "hi", "key": "k"}, True),
        ("send", {"to": "bob", "text": "hi"}, False), ("rename", {"name": "bob", "to": "bert"}, False),
    ],
)  # fmt: skip
async def test_what_a_crash_may_have_swallowed_is_repeated_where_that_does_no_harm(
    config: ClientConfig, call: str, arguments: dict[str, str], is_repeated: bool
) -> None:
    async with Messenger.from_config(config, connect=False) as me:
        me.contacts.add("bob", FAR)
    heard = []

    async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(encode(hello()))
        heard.append(await reader.readline())
        writer.close()

    server = await asyncio.start_unix_server(die, sock=place.listen_in(config.profile))
    async with lasting_access(config, connect=False) as line:
        server.close()
        if is_repeated:
            assert await line.call(call, **arguments)
        else:
            with pytest.raises(LineLost, match="Look, and run the command again"):
                await line.call(call, **arguments)
    assert len(heard) == 1


async def test_a_slow_program_is_told_to_look_again(line: Line) -> None:
    for number in range(EVENTS_MAX):
        line._happened({"event": "contact", "number": number})
    line._happened({"event": "message", "ref": 1})
    line._happened({"event": "contact", "number": -1})
    assert [await line.next_event(), await line.next_event()] == [
        {"event": "message", "ref": 1},
        {"event": "resync"},
    ]
    assert len(line._events) == 0


async def test_leaving_a_line_ends_what_it_began(line: Line, me: Messenger) -> None:
    assert isinstance(line, OwnLine) or not line.is_owner
    events = line.events()
    await line.call("watch")
    assert (await anext(events))["event"] == "state"
    await events.aclose()  # type: ignore[attr-defined]  # it is a generator


@pytest.mark.parametrize(
    ("hello", "said"),
    [
        (encode({"blindpost": "9", "protocol": 2}), "Another version"),
        (b"SSH-2.0\n", "Another version"),
        (encode({"error": {"exit_code": 7, "message": "Full."}}), "Full"),
        (b"", "does not answer"),
    ],
)
async def test_an_owner_that_speaks_otherwise(
    config: ClientConfig, hello: bytes, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_module, "HELLO_WITHIN", 0.3)
    writers = []

    def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        writer.write(hello)

    server = await asyncio.start_unix_server(greet, sock=place.listen_in(config.profile))
    with pytest.raises(LockedError, match=said):
        async with access(config):
            pass
    server.close()
    for writer in writers:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_an_owner_that_ends_while_it_is_dialled_is_tried_again(config: ClientConfig) -> None:
    server = await asyncio.start_unix_server(
        lambda _, writer: writer.close(), sock=place.listen_in(config.profile)
    )
    async with access(config, connect=False) as line:
        assert line.is_owner
    server.close()
