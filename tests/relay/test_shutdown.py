"""How a relay ends: it says so, closes with a code, exits with 0, and loses nothing."""

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from tests.relay.devices import Account, envelope
from tests.relay.peers import Peer, dial, logged_in, submitting
from tests.support.relay_process import RelayProcess, running_relay
from wire import control
from wire.errors import CloseCode, ErrorCode


async def test_sigterm_tells_everybody_and_exits_with_0(tmp_path: Path) -> None:
    with running_relay(tmp_path) as relay:
        async with (
            logged_in(relay.url, Account()) as device,
            submitting(relay.url) as sender,
            dial(relay.url) as new,
        ):
            relay.send_sigterm()
            for peer in (device, sender, new):
                assert (await peer.next(control.Error)).code is ErrorCode.RESTARTING
                assert await peer.close_code() == CloseCode.RESTARTING
        assert await asyncio.to_thread(relay.wait) == 0
        assert "Traceback" not in relay.log


async def test_a_deaf_peer_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with running_relay(tmp_path) as relay:
        bob = Account()
        async with logged_in(relay.url, bob, pull=False) as device, submitting(relay.url) as sender:
            for _ in range(16):
                await sender.put(bob.device.key, envelope(65_536))
            for _ in range(16):
                await sender.next(control.Accepted)
                break
            device.websocket.transport.pause_reading()
            await device.send(control.Pull())
            began = time.monotonic()
            relay.send_sigterm()
            assert await asyncio.to_thread(relay.wait) == 0
            assert time.monotonic() - began < 10
            device.websocket.transport.abort()


async def accepted_until_the_end(sender: Peer) -> list[bytes]:
    accepted: list[bytes] = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            message = control.decode_relay_message(str(await sender.websocket.recv()))
            if isinstance(message, control.Accepted):
                accepted += message.frames
    return accepted


async def test_what_was_accepted_before_sigterm_is_there_after(tmp_path: Path) -> None:
    bob = Account()
    with running_relay(tmp_path) as relay:
        async with logged_in(relay.url, bob, pull=False), submitting(relay.url) as sender:
            sent = [await sender.put(bob.device.key, envelope()) for _ in range(100)]
            relay.send_sigterm()
            accepted = await accepted_until_the_end(sender)
        assert await asyncio.to_thread(relay.wait) == 0
        relay.start()
        async with dial(relay.url) as device:
            await device.log_in(bob.device)
            await device.send(control.Pull())
            held = [(await device.next_frame()).frame_id for _ in range(len(accepted))]
        assert held == sent[: len(accepted)]
        assert accepted == sent[: len(accepted)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("pause", [0.0, 0.05, 0.15])
def test_being_asked_twice_ends_as_well_as_once(number: int, pause: float, tmp_path: Path) -> None:
    with RelayProcess(tmp_path) as relay:
        os.kill(relay.pid, number)
        time.sleep(pause)
        os.kill(relay.pid, number)
        assert relay.wait() == 0
        assert len(relay.log.splitlines()) == 1, relay.log  # the listening line


async def test_being_asked_twice_waits_for_nobody(tmp_path: Path) -> None:
    with running_relay(tmp_path) as relay:
        bob = Account()
        async with logged_in(relay.url, bob, pull=False) as device, submitting(relay.url) as sender:
            for _ in range(16):
                await sender.put(bob.device.key, envelope(65_536))
            await sender.next(control.Accepted)
            device.websocket.transport.pause_reading()
            await device.send(control.Pull())
            began = time.monotonic()
            relay.send_sigterm()
            await asyncio.sleep(0.1)
            relay.send_sigterm()
            assert await asyncio.to_thread(relay.wait) == 0
            assert time.monotonic() - began < 4
            assert "Traceback" not in relay.log
            device.websocket.transport.abort()


def test_a_relay_starts_again_on_its_port_with_its_key(tmp_path: Path) -> None:
    with RelayProcess(tmp_path) as relay:
        before = (relay.port, relay.relay_key)
        relay.restart()
        assert (relay.port, relay.relay_key) == before
