"""Tokens, requests and presence over a real socket, on a relay that runs as it is run."""

import asyncio
import json
from base64 import b64encode
from pathlib import Path

import apsw

from tests.relay.devices import HELD, NOW, TOKEN, Account, envelope
from tests.relay.peers import dial, logged_in, submitting
from tests.relay.web import get, metric
from tests.support.relay_process import RelayProcess, running_relay
from wire import control
from wire.capabilities import presence_capability
from wire.control_values import encode_base64url
from wire.errors import CloseCode, ErrorCode
from wire.frames import FLAG_REQUEST

SECRET = b"presence of test"
CAPABILITY = presence_capability(SECRET)
SHOW = control.Appear(secrets=[SECRET])
HIDE = control.Appear(secrets=[])


async def test_without_a_token_a_frame_is_a_request_and_with_one_it_is_not(relay: RelayProcess) -> None:
    bob = Account()
    async with logged_in(relay.url, bob) as receiver, submitting(relay.url) as sender:
        requested = await metric(relay, "blindpost_frames_requested_total")
        accepted = await metric(relay, "blindpost_frames_accepted_total")
        stranger = await sender.put(bob.device.key, envelope(), as_stranger=True)
        assert (await sender.next(control.QueuedAsRequest)).frames == [stranger]
        await sender.send(control.Attach(mailbox=bob.device.key, token=bytes(16)))
        guess = await sender.put(bob.device.key, envelope(), as_stranger=True)
        assert (await sender.next(control.QueuedAsRequest)).frames == [guess]
        contact = await sender.put(bob.device.key, envelope())
        assert (await sender.next(control.Accepted)).frames == [contact]
        delivered = [await receiver.next_frame() for _ in range(3)]
        assert [(frame.frame_id, frame.flags) for frame in delivered] == [
            (stranger, FLAG_REQUEST),
            (guess, FLAG_REQUEST),
            (contact, 0),
        ]
        assert await metric(relay, "blindpost_frames_requested_total") == requested + 2
        assert await metric(relay, "blindpost_frames_accepted_total") == accepted + 1


async def test_a_revoked_token_makes_requests_on_open_connections_too(relay: RelayProcess) -> None:
    bob = Account()
    async with logged_in(relay.url, bob, pull=False) as receiver, submitting(relay.url) as sender:
        await sender.put(bob.device.key, envelope())
        await sender.next(control.Accepted)
        await receiver.allow(control.AllowedToken(hash=HELD, until=NOW * 2))
        await sender.put(bob.device.key, envelope())
        await sender.next(control.Accepted)
        await receiver.allow(control.AllowedToken(hash=HELD, until=1))
        await sender.put(bob.device.key, envelope())
        await sender.next(control.QueuedAsRequest)
        await receiver.allow()
        await sender.put(bob.device.key, envelope())
        await sender.next(control.QueuedAsRequest)


async def test_tokens_outlive_kill_9(tmp_path: Path) -> None:
    bob = Account()
    with running_relay(tmp_path) as relay:
        async with logged_in(relay.url, bob, pull=False):
            relay.kill()
        relay.start()
        async with submitting(relay.url) as sender:
            await sender.put(bob.device.key, envelope())
            await sender.next(control.Accepted)


def kept_hashes(directory: Path) -> set[bytes]:
    connection = apsw.Connection(str(directory / "relay.db"))
    try:
        return {hash for (hash,) in connection.execute("SELECT hash FROM tokens")}
    finally:
        connection.close()


async def test_a_relay_forgets_dead_tokens(tmp_path: Path) -> None:
    bob = Account()
    with running_relay(tmp_path) as relay:
        async with logged_in(relay.url, bob, pull=False) as device:
            dead = control.AllowedToken(hash=b"d" * 32, until=1)
            await device.allow(dead, control.AllowedToken(hash=HELD))
        assert kept_hashes(relay.data_dir) == {HELD, b"d" * 32}
        relay.terminate()
        relay.start()  # and hourly, as for frames
        async with asyncio.timeout(10):
            while kept_hashes(relay.data_dir) != {HELD}:
                await get(relay, "/healthz")


async def test_strangers_fill_their_own_quota_and_go_back(tmp_path: Path) -> None:
    bob = Account()
    with running_relay(tmp_path, request_frames=1, request_bytes=1024, mailbox_frames=1) as relay:
        enforced = json.loads((await get(relay, "/v1/info")).text)["limits"]
        assert (enforced["request_frames"], enforced["request_bytes"]) == (1, 1024)
        told = ("tokens_per_mailbox", "capabilities_per_device", "attached_per_submit", "watches_per_submit")
        assert [enforced[name] for name in told] == [16, 4, 64, 8]
        async with (
            logged_in(relay.url, bob, pull=False),
            submitting(relay.url) as stranger,
            submitting(relay.url) as contact,
        ):
            await stranger.put(bob.device.key, envelope(), as_stranger=True)
            await stranger.next(control.QueuedAsRequest)
            full = await stranger.put(bob.device.key, envelope(), as_stranger=True)
            assert (await stranger.next(control.Refused)).code is ErrorCode.QUOTA
            await stranger.put(bob.device.key, envelope(), as_stranger=True)
            assert (await stranger.next(control.Refused)).code is ErrorCode.GO_BACK
            # Whoever holds a token has its own room; so has the stranger, once given one.
            await contact.put(bob.device.key, envelope())
            await contact.next(control.Accepted)
            await stranger.put(bob.device.key, envelope(), full)
            assert (await stranger.next(control.Refused)).code is ErrorCode.QUOTA


async def test_presence_comes_goes_and_comes_back(relay: RelayProcess) -> None:
    bob = Account()
    async with submitting(relay.url) as watcher, submitting(relay.url) as other:
        for ref, capability in ((1, CAPABILITY), (2, bytes(32))):
            await watcher.send(control.Watch(ref=ref, capability=capability))
            assert await watcher.next(control.Presence) == control.Presence(ref=ref, online=False)
        for _ in range(2):
            async with logged_in(relay.url, bob) as device:
                await device.send(SHOW)
                assert await watcher.next(control.Presence) == control.Presence(ref=1, online=True)
                await device.send(HIDE)
                assert await watcher.next(control.Presence) == control.Presence(ref=1, online=False)
                await device.send(SHOW)
                assert await watcher.next(control.Presence) == control.Presence(ref=1, online=True)
            assert await watcher.next(control.Presence) == control.Presence(ref=1, online=False)
        await other.send(control.Watch(ref=9, capability=CAPABILITY))
        assert await other.next(control.Presence) == control.Presence(ref=9, online=False)


async def test_who_may_watch_cannot_appear(relay: RelayProcess) -> None:
    async with logged_in(relay.url, Account()) as contact, submitting(relay.url) as watcher:
        await contact.send(control.Appear(secrets=[CAPABILITY[:16], CAPABILITY[16:]]))
        await contact.allow()  # its answer: what was said before has been heard
        await watcher.send(control.Watch(ref=1, capability=CAPABILITY))
        assert await watcher.next(control.Presence) == control.Presence(ref=1, online=False)


async def test_a_device_that_comes_back_does_not_flap(relay: RelayProcess) -> None:
    bob = Account()
    async with submitting(relay.url) as watcher:
        async with logged_in(relay.url, bob, pull=False) as older:
            await older.send(SHOW)
            await watcher.send(control.Watch(ref=1, capability=CAPABILITY))
            while not (await watcher.next(control.Presence)).online:
                pass
            async with dial(relay.url) as newer:
                await newer.log_in(bob.device)
                assert await older.close_code() == CloseCode.REPLACED
                await newer.send(SHOW)
                await newer.allow()
                # An answer on the watcher's own connection: every earlier notice would be before it.
                await watcher.send(control.Watch(ref=2, capability=bytes(32)))
                assert await watcher.next(control.Presence) == control.Presence(ref=2, online=False)
        assert await watcher.next(control.Presence) == control.Presence(ref=1, online=False)


async def test_a_repeated_watch_keeps_a_connection_from_going_idle(tmp_path: Path) -> None:
    with running_relay(tmp_path, submit_idle=3) as relay:
        async with submitting(relay.url) as idle, submitting(relay.url) as watcher:
            closing = asyncio.create_task(idle.close_code())
            while not closing.done():
                await watcher.send(control.Watch(ref=1, capability=CAPABILITY))
                await watcher.next(control.Presence)
                await asyncio.wait((closing,), timeout=0.2)
            assert closing.result() == CloseCode.GOING_AWAY
            await watcher.send(control.Watch(ref=1, capability=CAPABILITY))
            await watcher.next(control.Presence)


async def test_neither_log_nor_metrics_nor_database_hold_a_token_or_capability(tmp_path: Path) -> None:
    bob = Account()
    with running_relay(tmp_path, log_level="debug") as relay:
        async with logged_in(relay.url, bob) as receiver, submitting(relay.url) as sender:
            await receiver.send(SHOW)
            await sender.put(bob.device.key, envelope())
            await sender.next(control.Accepted)
            await sender.send(control.Watch(ref=1, capability=CAPABILITY))
            await sender.next(control.Presence)
            # A malformed one is refused without being repeated.
            text = '{"type":"attach","mailbox":"x","token":"' + encode_base64url(TOKEN) + '"}'
            await sender.send_text(text)
            refusal = await sender.next(control.Error)
        metrics = (await get(relay, "/metrics")).text
        relay.terminate()
        told = relay.log + metrics + refusal.encode()
        shown = [TOKEN, SECRET, HELD, CAPABILITY]
        for value in shown:
            for form in (value.hex(), encode_base64url(value), b64encode(value).decode()):
                assert form not in told
        disk = b"".join(path.read_bytes() for path in relay.data_dir.glob("relay.db*"))
        assert HELD in disk, "the hash is what is kept"
        assert [value for value in (TOKEN, SECRET, CAPABILITY) if value in disk] == []
