"""What a message costs in keys, and end to end through two clients and a relay.

Owns the work that is timed; every message is checked.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from bench.goals import CLIENT_GOAL_ROW
from bench.processes import look
from bench.receiving_client import MESSAGES, receiving
from bench.relay_load import relay_process, relay_with_pid
from bench.rows import Row
from bench.servers import cpu_seconds
from bench.verdict import BrokenHarness, BrokenPromise
from clients.messenger import Messenger
from clients.model import MessageStatus
from keys.content import Content, Kind
from keys.handshake import Party, accept, initiate
from keys.identities import Account, Device
from keys.prekeys import generate_prekey
from keys.seal import InnerType, open_envelope, seal
from keys.sessions import Session
from wire.prekeys import DeviceBundle, PrekeyKind

TOGETHER: Final = 64  # sent, and in hand, at once


def keys_rates(rounds: int) -> tuple[list[float], list[float], list[float]]:
    """Handshakes, messages written and messages opened per second, on one core."""
    now = int(time.time())

    def party() -> tuple[Device, Party]:
        account, device = Account.generate(os.urandom), Device.generate(os.urandom, now)
        devices = account.sign_device_list((device.entry(account.key),), now)
        return device, Party(devices, devices.devices[0])

    (alice, at_alice), (bob, at_bob) = party(), party()
    prekeys = {kind: generate_prekey(bob, kind, 1, now, os.urandom) for kind in PrekeyKind}
    signed, kem = prekeys[PrekeyKind.SIGNED], prekeys[PrekeyKind.ONE_TIME_KEM]
    one_time, sealing = prekeys[PrekeyKind.ONE_TIME], prekeys[PrekeyKind.SEALING]
    bundle = DeviceBundle(bob.key, signed.public, sealing.public, kem.public, one_time.public)
    handshakes, written, opened = list[float](), list[float](), list[float]()
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(200):
            header, agreement = initiate(alice, at_alice, at_bob, bundle, os.urandom)
            accept(bob, at_bob, at_alice, header, signed, kem, one_time)
        handshakes.append(200 / (time.perf_counter() - start))
        header, agreement = initiate(alice, at_alice, at_bob, bundle, os.urandom)
        other = accept(bob, at_bob, at_alice, header, signed, kem, one_time)
        sender = Session.initiate(at_alice.devices, header, agreement, signed.public.key, now)
        receiver = Session.accept(header, other, signed.private, now)
        content = Content(Kind.TEXT, os.urandom(16), os.urandom(16), 1, now, b"x" * 200).encode()
        start = time.perf_counter()
        envelopes = []
        for _ in range(1000):
            sender, message = sender.encrypt(content, os.urandom)
            envelopes.append(seal(alice, bob.key, sealing.public.key, InnerType.MESSAGE, message, os.urandom))
        written.append(1000 / (time.perf_counter() - start))
        start = time.perf_counter()
        for envelope in envelopes:
            receiver, _ = receiver.decrypt(open_envelope(envelope, bob.key, [sealing.private]).inner, now)
        opened.append(1000 / (time.perf_counter() - start))
    return handshakes, written, opened


async def end_to_end(directory: Path, rounds: int, together: int) -> tuple[Row, int]:
    """Messages per second from Alice's `send` to Bob's stream, both stores on disk, with receipts going back.

    Alice has so many calls of `send` under way at once, and Bob takes as many messages in hand. The processor
    time is that of both clients and the relay, until all is receipted. Also Bob's resident memory at the
    end, bytes.
    """
    row = Row("client", CLIENT_GOAL_ROW if together == TOGETHER else "the same, one at a time", 0)
    async with (
        relay_with_pid(directory / "relay") as (relay, relay_pid),
        Messenger.open(directory / "alice", relay=relay.text) as alice,
        receiving(directory / "bob", relay.text, str(alice.address), rounds + 1, together) as bob,
    ):
        address = await bob.hear()
        if not await alice.connected(30):
            raise BrokenHarness("a client did not connect")
        alice.contacts.add("bob", address)
        for number in range(rounds + 1):
            pids = (os.getpid(), bob.pid, relay_pid)
            start, before = time.perf_counter(), sum(map(cpu_seconds, pids))
            last = await _send_all(alice, together)
            if (said := await bob.hear()) != "all":
                raise BrokenPromise(said)
            taken = time.perf_counter() - start  # a receipt waits, whatever the speed
            if await alice.wait(last, MessageStatus.DELIVERED, 30) is not MessageStatus.DELIVERED:
                raise BrokenPromise("the receipt is missing")
            if number:  # the first round meets no session
                row.rates.append(MESSAGES / taken)
                row.cpu_us.append(1e6 * (sum(map(cpu_seconds, pids)) - before) / MESSAGES)
        return row, look(bob.pid).memory


async def _send_all(alice: Messenger, together: int) -> bytes:
    """Send a round; the id of the last message."""
    ids: list[bytes] = []
    for begin in range(0, MESSAGES, together):
        numbers = range(begin, min(begin + together, MESSAGES))
        ids += await asyncio.gather(*(alice.send("bob", f"message {number}") for number in numbers))
    return ids[-1]


def start_ups(rounds: int, profile: Path, *arguments: str) -> list[float]:
    """Milliseconds from the command to its end, on a profile that holds what was measured before."""
    taken = []
    program = Path(sys.executable).parent / "blindpost"
    for _ in range(rounds):
        start = time.perf_counter()
        subprocess.run([program, "--profile", profile, *arguments], check=True, stdout=subprocess.DEVNULL)
        taken.append(1000 * (time.perf_counter() - start))
    return taken


async def ready(profile: Path, relay: Path, rounds: int) -> list[float]:
    """Milliseconds from opening a profile to a device that is logged in and receiving."""
    taken = []
    async with relay_process(relay) as url:
        async with Messenger.open(profile, relay=url.text) as me:
            await me.connected(30)
        for _ in range(rounds):
            start = time.perf_counter()
            async with Messenger.open(profile) as me:
                if not await me.connected(30):
                    raise BrokenHarness("a client did not connect")
                taken.append(1000 * (time.perf_counter() - start))
    return taken


def measure_keys(rounds: int) -> list[Row]:
    """Handshakes, and messages written and opened."""
    names = ("handshakes, both sides", "encrypted and sealed, 200 bytes", "opened and decrypted")
    return [Row("keys", name, 0, rates=rates) for name, rates in zip(names, keys_rates(rounds), strict=True)]


def measure_clients(rounds: int) -> list[Row]:
    """One pair of clients and a relay, all stores on disk; how fast they start, and what they hold."""
    with tempfile.TemporaryDirectory(prefix="blindpost-bench-") as name:
        directory = Path(name)
        many, memory = asyncio.run(end_to_end(directory / "many", rounds, TOGETHER))
        single, _ = asyncio.run(end_to_end(directory / "single", rounds, 1))
        lonely = asyncio.run(ready(directory / "carol", directory / "relay", rounds))
        alice = directory / "many" / "alice"
        return [
            many,
            single,
            Row("client", "MB resident, after so many messages", 0, rates=[memory / 1e6]),
            Row("client", "ms for blindpost --help", 0, rates=start_ups(rounds, alice, "--help")),
            Row(
                "client",
                "ms for blindpost contact list",
                0,
                rates=start_ups(rounds, alice, "contact", "list"),
            ),
            Row("client", "ms to be connected and receiving", 0, rates=lonely),
        ]
