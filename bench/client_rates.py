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

from bench.processes import look
from bench.receiving_client import MESSAGES, receiving
from bench.relay_load import relay_process
from bench.rows import Row
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


async def end_to_end_rates(directory: Path, rounds: int) -> tuple[list[float], int]:
    """Messages per second from Alice's `send` to Bob's stream and back by receipt, both stores on disk.

    Bob is a process of his own (`bench.receiving_client`). Also his resident memory at the end, bytes.
    """
    rates = []
    async with (
        relay_process(directory / "relay") as relay,
        Messenger.open(directory / "alice", relay=relay.text) as alice,
        receiving(directory / "bob", relay.text, str(alice.address), rounds) as bob,
    ):
        address = await bob.hear()
        if not await alice.connected(30):
            raise BrokenHarness("a client did not connect")
        alice.contacts.add("bob", address)
        for _ in range(rounds):
            start = time.perf_counter()
            ids = [await alice.send("bob", f"message {number}") for number in range(MESSAGES)]
            if (said := await bob.hear()) != "all":
                raise BrokenPromise(said)
            if await alice.wait(ids[-1], MessageStatus.DELIVERED, 30) is not MessageStatus.DELIVERED:
                raise BrokenPromise("the receipt is missing")
            rates.append(MESSAGES / (time.perf_counter() - start))
        return rates, look(bob.pid).memory


def start_ups(rounds: int) -> list[float]:
    """Milliseconds from the command to its end, for the command that does least."""
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        subprocess.run([Path(sys.executable).parent / "blindpost", "--help"], check=True, capture_output=True)
        taken.append(1000 * (time.perf_counter() - start))
    return taken


def measure_keys(rounds: int) -> list[Row]:
    """Handshakes, and messages written and opened."""
    names = ("handshakes, both sides", "encrypted and sealed, 200 bytes", "opened and decrypted")
    return [Row("keys", name, 0, rates=rates) for name, rates in zip(names, keys_rates(rounds), strict=True)]


def measure_clients(rounds: int) -> list[Row]:
    """One pair of clients and a relay, all stores on disk."""
    with tempfile.TemporaryDirectory(prefix="blindpost-bench-") as directory:
        rates, memory = asyncio.run(end_to_end_rates(Path(directory), rounds))
    return [
        Row("client", "sent, shown and receipted, one pair", 0, rates=rates),
        Row("client", "MB resident, after so many messages", 0, rates=[memory / 1e6]),
        Row("client", "ms for blindpost --help", 0, rates=start_ups(rounds)),
    ]
