"""What the relay refuses over a real socket: each refusal has its error, its close code and its count."""

import asyncio
import contextlib
import json
import os
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from relay.descriptors import FOR_HTTP, OUR_FILES
from tests.relay.devices import Account, Device, envelope
from tests.relay.peers import dial, logged_in, submitting
from tests.relay.web import get, metric
from tests.support.relay_process import RELAY, RelayProcess, running_relay
from wire import control
from wire.errors import CloseCode, ErrorCode
from wire.frames import Put
from wire.login import Mode


async def test_a_wrong_origin_names_the_setting(relay: RelayProcess) -> None:
    async with dial(relay.url) as peer:
        nonce = os.urandom(32)
        await peer.send(control.Hello(mode=Mode.SUBMIT, version=1, origin="wss://elsewhere", nonce=nonce))
        error = await peer.next(control.Error)
        assert error.code is ErrorCode.WRONG_ORIGIN
        # One sentence for whoever dialled, and for the operator it is shown to.
        assert "check the URL" in error.message
        assert "public_urls" in error.message
        assert await peer.close_code() == CloseCode.WRONG_ORIGIN


async def test_localhost_is_an_origin_too(relay: RelayProcess) -> None:
    async with dial(relay.url) as peer:
        await peer.hello(Mode.SUBMIT, origin=f"ws://localhost:{relay.port}")


async def test_a_login_with_a_wrong_signature(relay: RelayProcess) -> None:
    async with dial(relay.url) as peer:
        await peer.hello(Mode.DEVICE)
        await peer.send(control.Login(device_key=Device().key, signature=bytes(64)))
        assert (await peer.next(control.Error)).code is ErrorCode.LOGIN_REFUSED
        assert await peer.close_code() == CloseCode.LOGIN_REFUSED


async def test_a_replayed_login_is_worth_nothing(relay: RelayProcess) -> None:
    device = Device()
    async with dial(relay.url) as first:
        await first.hello(Mode.DEVICE)
        assert first.greeting is not None
        seen = control.Login(
            device_key=device.key, signature=device.sign(first.greeting.login_bytes(device.key))
        )
        await first.send(seen)
        await first.next(control.Welcome)
    async with dial(relay.url) as second:
        # With the same client nonce as well: all that an eavesdropper could repeat.
        nonce = first.greeting.client_nonce
        await second.send(control.Hello(mode=Mode.DEVICE, version=1, origin=second.origin, nonce=nonce))
        await second.next(control.RelayHello)
        await second.send(seen)
        assert (await second.next(control.Error)).code is ErrorCode.LOGIN_REFUSED


async def test_an_oversized_message_is_not_even_buffered(relay: RelayProcess) -> None:
    async with submitting(relay.url) as peer:
        await peer.websocket.send(bytes(66_000))
        assert await peer.close_code() == CloseCode.MESSAGE_TOO_BIG
    # Just over the limit, because a peer that goes on writing may lose the close frame to a reset.
    async with submitting(relay.url) as peer:
        await peer.websocket.send(bytes(13_200) for _ in range(5))
        assert await peer.close_code() == CloseCode.MESSAGE_TOO_BIG


async def test_too_long_a_hello_is_named_so(relay: RelayProcess) -> None:
    async with dial(relay.url) as peer:
        await peer.send_text("{" + " " * 65_600)
        assert (await peer.next(control.Error)).code is ErrorCode.TOO_LARGE
        assert await peer.close_code() == CloseCode.TOO_LARGE


async def test_garbage_gets_codes_and_the_connection_lives(relay: RelayProcess) -> None:
    bob = Account()
    async with logged_in(relay.url, bob) as receiver, submitting(relay.url) as peer:
        await peer.send_text("no json at all")
        assert (await peer.next(control.Error)).code is ErrorCode.BAD_REQUEST
        await peer.websocket.send(b"\xff" * 2000)
        assert (await peer.next(control.Error)).code is ErrorCode.BAD_FRAME
        await peer.put(bob.device.key, bytes(1024))
        assert (await peer.next(control.Refused)).code is ErrorCode.BAD_ENVELOPE
        await peer.send(control.Pull())
        assert (await peer.next(control.Error)).code is ErrorCode.OUT_OF_TURN
        frame_id = await peer.put(bob.device.key, envelope())
        assert (await peer.next(control.Accepted)).frames == [frame_id]
        assert (await receiver.next_frame()).frame_id == frame_id


async def test_invalid_utf_8_ends_the_connection(relay: RelayProcess) -> None:
    async with submitting(relay.url) as peer:
        await peer.websocket.send(b"\xff\xfe", text=True)
        assert await peer.close_code() == CloseCode.INVALID_TEXT


async def test_unknown_mailboxes_and_accounts_get_the_same_word(relay: RelayProcess) -> None:
    async with submitting(relay.url) as peer:
        await peer.put(Device().key, envelope())
        assert (await peer.next(control.Refused)).code is ErrorCode.NOT_FOUND
        await peer.send(control.Fetch(ref=5, account_key=Account().key, take=True))
        error = await peer.next(control.Error)
        assert (error.code, error.ref) == (ErrorCode.NOT_FOUND, 5)


async def test_quota_and_go_back_over_the_wire(tmp_path: Path) -> None:
    bob = Account()
    with running_relay(tmp_path, mailbox_frames=2) as relay:
        async with logged_in(relay.url, bob) as receiver, submitting(relay.url) as sender:
            for _ in range(2):
                await sender.put(bob.device.key, envelope())
                await sender.next(control.Accepted)
                await receiver.next_frame()
            full = await sender.put(bob.device.key, envelope())
            refused = await sender.next(control.Refused)
            assert (refused.frame, refused.code) == (full, ErrorCode.QUOTA)
            assert refused.retry_after is not None
            await receiver.send(control.Acknowledge(through=2))
            later = await sender.put(bob.device.key, envelope())
            assert (await sender.next(control.Refused)).code is ErrorCode.GO_BACK
            await _retry_until_accepted(relay, sender.websocket.send, bob, full)
            assert (await sender.next(control.Accepted)).frames == [full]
            await sender.put(bob.device.key, envelope(), later)
            assert (await sender.next(control.Accepted)).frames == [later]
            assert [(await receiver.next_frame()).frame_id for _ in range(2)] == [full, later]


async def _retry_until_accepted(relay: RelayProcess, send: object, bob: Account, frame_id: bytes) -> None:
    """Wait for the acknowledgement to be carried out, as the relay's own counter tells; then retry."""
    while await metric(relay, "blindpost_frames_acknowledged_total") < 2:
        pass
    assert callable(send)
    await send(Put(frame_id, bob.device.key, envelope()).encode())


async def test_the_newest_connection_of_a_device_wins(relay: RelayProcess) -> None:
    bob = Account()
    async with logged_in(relay.url, bob) as older, dial(relay.url) as newer, submitting(relay.url) as sender:
        await newer.log_in(bob.device)
        await newer.send(control.Pull())
        assert (await older.next(control.Error)).code is ErrorCode.REPLACED
        assert await older.close_code() == CloseCode.REPLACED
        # The end of the older one does not unseat the newer.
        await sender.put(bob.device.key, envelope())
        assert (await newer.next_frame()).sequence == 1


async def test_a_dropped_device_is_cut_off(relay: RelayProcess) -> None:
    account = Account(devices=[Device(), Device()])
    first = account.list()
    kept, dropped = account.devices
    async with (
        logged_in(relay.url, account) as owner,
        dial(relay.url) as lost,
        submitting(relay.url) as sender,
    ):
        welcome = await lost.log_in(dropped)
        assert welcome.registered
        account.devices = [kept]
        successor = account.successor(first)
        await owner.send(control.Register(ref=9, device_list=successor.encode()))
        assert (await owner.next(control.Registered)).ref == 9
        assert (await lost.next(control.Error)).code is ErrorCode.NOT_REGISTERED
        assert await lost.close_code() == CloseCode.LOGIN_REFUSED
        await sender.put(dropped.key, envelope())
        assert (await sender.next(control.Refused)).code is ErrorCode.NOT_FOUND


async def test_silence_ends_at_the_deadline(tmp_path: Path) -> None:
    with running_relay(tmp_path, login_deadline=1.0, submit_idle=0.4) as relay:
        async with dial(relay.url) as silent:
            assert (await silent.next(control.Error)).code is ErrorCode.LOGIN_TIMEOUT
            assert await silent.close_code() == CloseCode.LOGIN_TIMEOUT
        async with dial(relay.url) as half:
            await half.hello(Mode.DEVICE)
            assert (await half.next(control.Error)).code is ErrorCode.LOGIN_TIMEOUT
        async with submitting(relay.url) as idle:
            assert await idle.close_code() == CloseCode.GOING_AWAY
        assert await metric(relay, 'blindpost_dropped_total{reason="login_timeout"}') == 2
        assert await metric(relay, 'blindpost_dropped_total{reason="idle"}') == 1
        # Who has registered may be silent for longer, now and at its next login.
        bob = Account()
        async with logged_in(relay.url, bob, pull=False):
            pass
        async with logged_in(relay.url, Account()) as device, dial(relay.url) as again:
            assert (await again.log_in(bob.device)).registered
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(device.websocket.recv(), 1.3)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(again.websocket.recv(), 0.1)


async def test_a_login_without_a_registration_ends_at_the_deadline(tmp_path: Path) -> None:
    with running_relay(tmp_path, login_deadline=0.6) as relay:
        async with dial(relay.url) as nobody:
            await nobody.log_in(Device())
            error = await nobody.next(control.Error)
            assert error.code is ErrorCode.LOGIN_TIMEOUT
            assert "register" in error.message
            assert await nobody.close_code() == CloseCode.LOGIN_TIMEOUT


async def until_cut(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the relay cuts the connection, with or without a reset."""
    said = b""
    with contextlib.suppress(ConnectionResetError):
        while part := await asyncio.wait_for(reader.read(1000), 20):
            said += part
    return said


@pytest.mark.parametrize("said", [b"", b"GET /v1/info HTTP/1.1\r\nHost: x\r\n", b"GET / HT"])
async def test_a_request_head_has_a_deadline(tmp_path: Path, said: bytes) -> None:
    with running_relay(tmp_path, login_deadline=0.4) as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        writer.write(said)
        assert await until_cut(reader) == b""
        writer.close()
        assert await metric(relay, 'blindpost_dropped_total{reason="head_timeout"}') == 1


async def test_a_dripping_second_head_has_the_same_deadline(tmp_path: Path) -> None:
    with running_relay(tmp_path, login_deadline=1.0) as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in await reader.readuntil(b"ok\n")

        async def drip() -> None:
            while True:
                writer.write(b"G" if not writer.is_closing() else b"")
                await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        await until_cut(reader)
        dripping.cancel()
        writer.close()


async def test_an_endless_head_is_cut(relay: RelayProcess) -> None:
    before = await metric(relay, 'blindpost_dropped_total{reason="head_too_large"}')
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    writer.write(b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000)
    assert await until_cut(reader) == b""
    writer.close()
    assert await metric(relay, 'blindpost_dropped_total{reason="head_too_large"}') == before + 1


async def test_caps_on_sockets_of_one_address(tmp_path: Path) -> None:
    with running_relay(tmp_path, sockets_per_prefix=2, submit_per_prefix=1) as relay:
        async with dial(relay.url) as one, dial(relay.url) as two:
            async with dial(relay.url) as three:
                assert (await three.next(control.Error)).code is ErrorCode.TOO_MANY_CONNECTIONS
                assert await three.close_code() == CloseCode.TOO_MANY_CONNECTIONS
            # A login with a key out of thin air makes no room, its registration does.
            account = Account()
            await one.log_in(account.device)
            async with dial(relay.url) as three:
                assert (await three.next(control.Error)).code is ErrorCode.TOO_MANY_CONNECTIONS
            await one.register(account)
            await two.hello(Mode.SUBMIT)
            async with dial(relay.url) as four:
                nonce = os.urandom(32)
                await four.send(control.Hello(mode=Mode.SUBMIT, version=1, origin=four.origin, nonce=nonce))
                await four.next(control.RelayHello)
                assert (await four.next(control.Error)).code is ErrorCode.TOO_MANY_CONNECTIONS
        async with submitting(relay.url):
            pass
        assert await metric(relay, 'blindpost_dropped_total{reason="too_many_sockets"}') == 3


async def test_idle_sockets_of_one_address_are_capped_before_they_say_anything(tmp_path: Path) -> None:
    with running_relay(tmp_path, sockets_per_prefix=3) as relay:
        silent = [await asyncio.open_connection("127.0.0.1", relay.port) for _ in range(3)]
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        assert (await until_cut(reader)).startswith(b"HTTP/1.1 503 ")
        writer.close()
        for _, socket in silent:
            socket.close()
            await socket.wait_closed()
        # Devices that are registered take no place here.
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(8):
                await stack.enter_async_context(logged_in(relay.url, Account()))
            async with dial(relay.url) as peer:
                await peer.log_in(Device())


async def test_sockets_in_all_stay_below_what_the_system_allows(tmp_path: Path) -> None:
    few = ("sh", "-c", 'ulimit -n 100; exec "$@"', "sh", *RELAY)
    with RelayProcess(tmp_path, settings={"sockets-per-prefix": 500}, command=few) as relay:
        cap = json.loads((await get(relay, "/v1/info")).text)["limits"]["connections"]
        assert cap == 100 - OUR_FILES - FOR_HTTP
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(cap):
                await stack.enter_async_context(logged_in(relay.url, Account(), pull=False))
            async with dial(relay.url) as one_more:
                assert (await one_more.next(control.Error)).code is ErrorCode.TOO_MANY_CONNECTIONS
                assert await one_more.close_code() == CloseCode.TOO_MANY_CONNECTIONS
            assert (await get(relay, "/healthz")).status == 200
            # Silent ones are turned away before the last descriptor is gone.
            silent = [await asyncio.open_connection("127.0.0.1", relay.port) for _ in range(FOR_HTTP)]
            reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
            assert (await until_cut(reader)).startswith(b"HTTP/1.1 503 ")
            for _, held in [*silent, (reader, writer)]:
                held.close()
                with contextlib.suppress(ConnectionError):
                    await held.wait_closed()
        # And every place comes back.
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(cap):
                await stack.enter_async_context(logged_in(relay.url, Account(), pull=False))
        assert "Too many open files" not in relay.log


async def test_who_does_not_read_is_closed_and_nobody_else_waits(relay: RelayProcess) -> None:
    bob = Account()
    async with logged_in(relay.url, bob) as receiver, submitting(relay.url) as sender:
        await receiver.publish(bob.device)
        deaf_reader, deaf = await asyncio.open_connection("127.0.0.1", relay.port, limit=1024)
        await _ask_without_reading(deaf_reader, deaf, relay, bob)
        await sender.put(bob.device.key, envelope())
        await sender.next(control.Accepted)
        assert (await receiver.next_frame()).sequence == 1
        deaf.transport.abort()


async def _ask_without_reading(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, relay: RelayProcess, bob: Account
) -> None:
    """A raw WebSocket client that fetches bundles until the relay has enough of it."""
    writer.write(
        b"GET /v1/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")

    def masked(text: str) -> bytes:
        data = text.encode()
        head = bytes([0x81, 0x80 | 126]) + len(data).to_bytes(2, "big")
        return head + bytes(4) + data

    hello = control.Hello(mode=Mode.SUBMIT, version=1, origin=relay.origin, nonce=bytes(32))
    writer.write(masked(hello.encode().ljust(130)))
    fetch = masked(control.Fetch(ref=1, account_key=bob.key, take=False).encode().ljust(130))
    slow = 'blindpost_dropped_total{reason="slow_reader"}'
    before = await metric(relay, slow)
    for _ in range(2000):
        writer.write(fetch * 50)
        if await metric(relay, slow) > before:
            return
        try:
            await asyncio.wait_for(writer.drain(), 0.2)
        except (TimeoutError, ConnectionError, ConnectionClosed):
            continue
    raise AssertionError("the relay queued without an end")
