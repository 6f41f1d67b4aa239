"""Every rate, reached on a real relay: what its peer is told, and that nothing passes by it."""

import asyncio
import json
import os
import time
from pathlib import Path

from relay.patience import REFUSED_MAX
from tests.relay.devices import Account, envelope
from tests.relay.peers import Peer, dial, logged_in, submitting
from tests.relay.test_refusals import until_cut
from tests.relay.web import get, metric
from tests.support.relay_process import running_relay
from wire import control
from wire.control import ControlMessage, decode_relay_message
from wire.errors import CloseCode, ErrorCode
from wire.login import Mode
from wire.prekeys import PrekeyKind, decode_prekey


async def answers(
    peer: Peer, count: int
) -> list[control.Refused | control.Accepted | control.QueuedAsRequest]:
    """What the relay says of the next `count` frames."""
    heard: list[control.Refused | control.Accepted | control.QueuedAsRequest] = []
    while count:
        text = await asyncio.wait_for(peer.websocket.recv(), 10)
        assert isinstance(text, str)
        message = decode_relay_message(text)
        assert isinstance(message, control.Refused | control.Accepted | control.QueuedAsRequest), message
        count -= 1 if isinstance(message, control.Refused) else len(message.frames)
        heard.append(message)
    return heard


def codes(heard: list[control.Refused | control.Accepted | control.QueuedAsRequest]) -> list[ErrorCode]:
    return [message.code for message in heard if isinstance(message, control.Refused)]


async def test_every_rate_is_published(tmp_path: Path) -> None:
    with running_relay(tmp_path, request_rate="7+3/min", take_rate_per_account="5+2/h") as relay:
        limits = json.loads((await get(relay, "/v1/info")).text)["limits"]
        assert limits["request_rate"] == {"burst": 7, "count": 3, "seconds": 60}
        assert limits["take_rate_per_account"] == {"burst": 5, "count": 2, "seconds": 3600}


async def test_a_sender_goes_on_in_order_after_the_time_it_was_told(tmp_path: Path) -> None:
    bob = Account()
    with running_relay(tmp_path, put_rate_per_token="3+1/s", log_level="debug") as relay:
        async with logged_in(relay.url, bob) as receiver, submitting(relay.url) as sender:
            sent = [await sender.put(bob.device.key, envelope()) for _ in range(6)]
            heard = await answers(sender, 6)
            refused = [message for message in heard if isinstance(message, control.Refused)]
            assert [refused[0].code, *set(codes(heard)[1:])] == [ErrorCode.RATE_LIMITED, ErrorCode.GO_BACK]
            assert refused[0].retry_after == 1
            kept = 6 - len(refused)
            assert 3 <= kept < 5  # a slow machine gives it time for a fourth
            assert refused[0].frame == sent[kept]
            for frame_id in sent[kept:]:
                await asyncio.sleep(refused[0].retry_after)  # as a sender does
                await sender.put(bob.device.key, envelope(), frame_id)
                assert codes(await answers(sender, 1)) == []
            assert [(await receiver.next_frame()).frame_id for _ in range(6)] == sent
        assert await metric(relay, 'blindpost_limited_total{rate="put_rate_per_token"}') == 1
        assert "limited: put_rate_per_token\n" in relay.log


async def test_a_prefix_is_one_over_all_its_connections_and_tokens(tmp_path: Path) -> None:
    with running_relay(tmp_path, put_rate_per_prefix="10+1/h") as relay:
        kept = 0
        for _ in range(4):
            bob = Account()
            async with logged_in(relay.url, bob), submitting(relay.url) as sender:
                for _ in range(4):
                    await sender.put(bob.device.key, envelope())
                kept += 4 - len(codes(await answers(sender, 4)))
        assert kept == 10


async def test_random_tokens_do_not_pass_by_the_rate_of_requests(tmp_path: Path) -> None:
    bob = Account()
    with running_relay(tmp_path, request_rate="3+1/min") as relay:
        async with logged_in(relay.url, bob) as receiver:
            queued = 0
            for number in range(8):
                async with submitting(relay.url) as stranger:
                    if number % 2:
                        await stranger.send(control.Attach(mailbox=bob.device.key, token=os.urandom(16)))
                    await stranger.put(bob.device.key, envelope(), as_stranger=True)
                    (heard,) = await answers(stranger, 1)
                    if isinstance(heard, control.Refused):
                        assert heard.code is ErrorCode.RATE_LIMITED
                        assert heard.retry_after is not None
                        assert 50 < heard.retry_after <= 60
                    else:
                        assert isinstance(heard, control.QueuedAsRequest)
                        queued += 1
            assert queued == 3
            # A contact at the same address is not held up, though strangers have used up their rate.
            async with submitting(relay.url) as contact:
                await contact.put(bob.device.key, envelope())
                assert isinstance((await answers(contact, 1))[0], control.Accepted)
            assert [(await receiver.next_frame()).flags for _ in range(4)] == [1, 1, 1, 0]


async def test_whoever_goes_on_without_waiting_is_closed(tmp_path: Path) -> None:
    bob = Account()
    with running_relay(tmp_path, put_rate_per_token="1+1/h") as relay:
        async with logged_in(relay.url, bob), submitting(relay.url) as sender:
            closing = asyncio.create_task(sender.close_code())
            for _ in range(1 + REFUSED_MAX):
                await sender.put(bob.device.key, envelope())
            assert await asyncio.wait_for(closing, 10) == CloseCode.BAD_REQUEST
        assert await metric(relay, 'blindpost_dropped_total{reason="impatient"}') == 1


def one_time_of(bundle: control.Bundle) -> list[int]:
    """The ids of the one-time prekeys that were handed out."""
    prekeys = [decode_prekey(item) for device in bundle.devices for item in device.prekeys]
    return [item.id for item in prekeys if item.kind is PrekeyKind.ONE_TIME]


async def test_one_take_too_many_gets_a_bundle_without_taking(tmp_path: Path) -> None:
    bob, carol = Account(), Account()
    with running_relay(tmp_path, take_rate="2+1/h", take_rate_per_account="9+1/h") as relay:
        async with logged_in(relay.url, bob) as owner, logged_in(relay.url, carol) as other:
            await owner.publish(bob.device, one_time=5)
            await other.publish(carol.device, one_time=5)
            taken = []
            for _ in range(5):  # an unknown account costs nothing that counts
                async with submitting(relay.url) as stranger:
                    await stranger.send(control.Fetch(ref=9, account_key=Account().key, take=True))
                    assert (await stranger.next(control.Error)).code is ErrorCode.NOT_FOUND
                    taken.append(one_time_of(await stranger.fetch(bob.key, take=True)))
            assert taken == [[1], [2], [], [], []]
            async with submitting(relay.url) as stranger:
                assert one_time_of(await stranger.fetch(carol.key, take=True)) == [1]
            assert [(await owner.next(control.Stock)).one_time for _ in range(2)] == [4, 3]
            assert await metric(relay, 'blindpost_limited_total{rate="take_rate"}') == 3


async def test_takes_of_an_account_are_bounded_wherever_they_come_from(tmp_path: Path) -> None:
    bob = Account()
    settings = {"take_rate_per_account": "3+1/h", "trusted_proxies": "127.0.0.1"}
    with running_relay(tmp_path, **settings) as relay:
        async with logged_in(relay.url, bob) as owner:
            await owner.publish(bob.device, one_time=9)
            taken = []
            for number in range(5):
                async with dial(relay.url, place=f"198.51.100.{number}") as stranger:
                    await stranger.hello(Mode.SUBMIT)
                    taken += one_time_of(await stranger.fetch(bob.key, take=True))
            assert taken == [1, 2, 3]


async def test_fetches_and_watches_have_a_rate(tmp_path: Path) -> None:
    with running_relay(tmp_path, fetch_rate="2+1/min", watch_rate="3+1/min") as relay:
        async with submitting(relay.url) as one, submitting(relay.url) as two:
            asked: list[ControlMessage] = [
                *(control.Fetch(ref=n, account_key=Account().key, take=False) for n in range(3)),
                *(control.Watch(ref=1, capability=bytes(32)) for _ in range(4)),
            ]
            said = []
            for number, message in enumerate(asked):
                peer = (one, two)[number % 2]
                await peer.send(message)
                text = await peer.websocket.recv()
                assert isinstance(text, str)
                answer = decode_relay_message(text)
                said.append(answer.code if isinstance(answer, control.Error) else answer.type)
            assert said == [*["NOT_FOUND"] * 2, "RATE_LIMITED", *["presence"] * 3, "RATE_LIMITED"]


async def test_a_devices_changes_have_a_rate_over_its_connections(tmp_path: Path) -> None:
    bob = Account()
    with running_relay(tmp_path, device_rate="4+1/h") as relay:
        async with logged_in(relay.url, bob, pull=False) as device:  # registers, allows
            await device.publish(bob.device, one_time=1)
        async with dial(relay.url) as again:
            await again.log_in(bob.device)
            await again.allow()
            await again.send(control.Allow(ref=7, tokens=[]))
            error = await again.next(control.Error)
            assert (error.code, error.ref) == (ErrorCode.RATE_LIMITED, 7)
            assert error.retry_after is not None
            assert 3500 < error.retry_after <= 3600
            # What it came for goes on.
            await again.send(control.Pull())
            async with submitting(relay.url) as sender:
                await sender.put(bob.device.key, envelope(), as_stranger=True)
                await again.next_frame()
        async with logged_in(relay.url, Account()):
            pass


async def test_new_sockets_of_an_address_have_a_rate(tmp_path: Path) -> None:
    with running_relay(tmp_path, socket_rate="5+1/s") as relay:
        began, refused = time.monotonic(), []
        for _ in range(8):
            reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = await until_cut(reader)
            if answer.startswith(b"HTTP/1.1 503 "):
                refused.append(answer)
            writer.close()
        assert len(refused) >= 3 - (time.monotonic() - began)
        assert all(b"\r\nretry-after: 1\r\n" in answer for answer in refused)
        await asyncio.sleep(1)
        assert await metric(relay, 'blindpost_dropped_total{reason="socket_rate"}') == len(refused)


async def test_behind_a_proxy_each_address_has_a_rate_of_its_own(tmp_path: Path) -> None:
    with running_relay(tmp_path, socket_rate="2+1/min", trusted_proxies="127.0.0.1") as relay:
        for number in range(4):
            async with dial(relay.url, place=f"198.51.100.{number}") as peer:
                await peer.hello(Mode.SUBMIT)
        for _ in range(2):
            async with dial(relay.url, place="203.0.113.1") as peer:
                await peer.hello(Mode.SUBMIT)
        async with dial(relay.url, place="203.0.113.1") as peer:
            error = await peer.next(control.Error)
            assert error.code is ErrorCode.TOO_MANY_CONNECTIONS
            assert error.retry_after is not None
            assert 50 < error.retry_after <= 60
            assert await peer.close_code() == CloseCode.TOO_MANY_CONNECTIONS
        assert await metric(relay, 'blindpost_dropped_total{reason="socket_rate"}') == 1
