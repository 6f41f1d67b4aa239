"""The relay over a real uvicorn and real sockets: the way of a frame, from put to acknowledge."""

import asyncio
import contextlib
import os
from pathlib import Path

import pytest
from nacl.signing import VerifyKey
from websockets.exceptions import ConnectionClosed

from tests.relay.devices import Account, envelope
from tests.relay.peers import Peer, dial, logged_in, submitting
from tests.relay.web import metric
from tests.support.relay_process import RelayProcess, running_relay
from wire import control
from wire.control_values import encode_base64url
from wire.device_lists import decode_device_list
from wire.frames import Deliver
from wire.login import Mode
from wire.prekeys import PrekeyKind, decode_device_bundle


async def test_a_frame_goes_from_put_to_acknowledge(relay: RelayProcess) -> None:
    bob = Account()
    async with logged_in(relay.url, bob) as receiver, submitting(relay.url) as sender:
        content = envelope()
        frame_id = await sender.put(bob.device.key, content)
        assert (await sender.next(control.Accepted)).frames == [frame_id]
        frame = await receiver.next_frame()
        assert (frame.frame_id, frame.envelope, frame.sequence) == (frame_id, content, 1)
        assert frame.mailbox == bob.device.key
        await receiver.send(control.Acknowledge(through=1))
        await sender.put(bob.device.key, content)
        assert (await receiver.next_frame()).sequence == 2


async def test_what_was_put_before_the_pull_is_delivered_in_order(relay: RelayProcess) -> None:
    bob = Account()
    async with logged_in(relay.url, bob, pull=False) as receiver, submitting(relay.url) as sender:
        sent = [await sender.put(bob.device.key, envelope()) for _ in range(300)]
        accepted: list[bytes] = []
        while len(accepted) < 300:
            accepted += (await sender.next(control.Accepted)).frames
        assert accepted == sent
        await receiver.send(control.Pull())
        first = [await receiver.next_frame() for _ in range(256)]
        assert [frame.frame_id for frame in first] == sent[:256]
        await receiver.send(control.Acknowledge(through=256))
        rest = [await receiver.next_frame() for _ in range(44)]
        assert [frame.frame_id for frame in rest] == sent[256:]


async def accepted_until(sender: Peer, count: int) -> list[bytes]:
    accepted: list[bytes] = []
    while len(accepted) < count:
        accepted += (await sender.next(control.Accepted)).frames
    return accepted


async def put_for_ever(sender: Peer, mailbox: bytes, sent: list[bytes]) -> None:
    with contextlib.suppress(ConnectionClosed):
        while True:
            frame_id = os.urandom(16)
            sent.append(frame_id)
            await sender.put(mailbox, envelope(), frame_id)


async def drain_mailbox(url: str, bob: Account, until: bytes) -> list[Deliver]:
    """Everything that the mailbox holds, up to the frame of that id."""
    frames: list[Deliver] = []
    async with dial(url) as receiver:
        assert (await receiver.log_in(bob.device)).registered
        await receiver.send(control.Pull())
        while not frames or frames[-1].frame_id != until:
            frames.append(await receiver.next_frame())
            if len(frames) % 100 == 0:
                await receiver.send(control.Acknowledge(through=frames[-1].sequence))
    return frames


@pytest.mark.parametrize("after", [1, 200, 900])
async def test_nothing_accepted_is_lost_to_kill_9(tmp_path: Path, after: int) -> None:
    bob, sent = Account(), list[bytes]()
    # On a busy machine the sender is far ahead of the kill: the quota must not end it first.
    with running_relay(tmp_path, mailbox_frames=1_000_000, mailbox_bytes=2**34) as relay:
        async with logged_in(relay.url, bob, pull=False), submitting(relay.url) as sender:
            putting = asyncio.create_task(put_for_ever(sender, bob.device.key, sent))
            accepted = await accepted_until(sender, after)
            relay.kill()
            await putting
        relay.start()
        async with submitting(relay.url) as sender:
            last = await sender.put(bob.device.key, envelope())
            await sender.next(control.Accepted)
        frames = await drain_mailbox(relay.url, bob, last)
    ids = [frame.frame_id for frame in frames]
    assert ids[: len(accepted)] == accepted
    # What was stored but never answered is there as well, in order and once.
    assert ids[:-1] == sent[: len(ids) - 1]
    sequences = [frame.sequence for frame in frames]
    assert sequences == sorted(set(sequences))


async def test_unacknowledged_frames_come_again_and_acknowledged_ones_do_not(relay: RelayProcess) -> None:
    bob = Account()
    async with logged_in(relay.url, bob) as receiver, submitting(relay.url) as sender:
        for _ in range(3):
            await sender.put(bob.device.key, envelope())
            await sender.next(control.Accepted)
            await receiver.next_frame()
        before = await metric(relay, "blindpost_frames_acknowledged_total")
        await receiver.send(control.Acknowledge(through=1))
        while await metric(relay, "blindpost_frames_acknowledged_total") == before:
            pass
    async with dial(relay.url) as receiver:
        await receiver.log_in(bob.device)
        await receiver.send(control.Pull())
        assert [(await receiver.next_frame()).sequence for _ in range(2)] == [2, 3]


async def test_the_relay_signs_hello_and_welcome(relay: RelayProcess) -> None:
    bob = Account()
    async with dial(relay.url) as peer:
        hello = await peer.hello(Mode.DEVICE)
        assert peer.greeting is not None
        assert encode_base64url(hello.relay_key) == relay.relay_key
        VerifyKey(hello.relay_key).verify(peer.greeting.hello_bytes(), hello.signature)
        signature = bob.device.sign(peer.greeting.login_bytes(bob.device.key))
        await peer.send(control.Login(device_key=bob.device.key, signature=signature))
        welcome = await peer.next(control.Welcome)
        transcript = peer.greeting.welcome_bytes(bob.device.key, signature)
        VerifyKey(hello.relay_key).verify(transcript, welcome.signature)
        assert not welcome.registered


async def test_a_take_hands_out_each_key_once_and_tells_the_owner(relay: RelayProcess) -> None:
    bob = Account()
    async with logged_in(relay.url, bob) as owner, submitting(relay.url) as stranger:
        stock = await owner.publish(bob.device, one_time=2)
        assert (stock.one_time, stock.one_time_kem) == (2, 0)
        seen = []
        for left in (1, 0):
            bundle = await stranger.fetch(bob.key, take=True)
            assert decode_device_list(bundle.device_list) == bob.list()
            (offered,) = bundle.devices
            device = decode_device_bundle(offered.device_key, offered.prekeys)
            assert device.one_time is not None
            assert device.kem.kind is PrekeyKind.LAST_RESORT_KEM
            seen.append(device.one_time.id)
            assert (await owner.next(control.Stock)).one_time == left
        assert seen == [1, 2]
        (offered,) = (await stranger.fetch(bob.key, take=True)).devices
        assert len(offered.prekeys) == 3
