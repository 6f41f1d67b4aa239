"""`make bench`: what a message costs in keys, in the relay, and end to end; then what others cost it.

Ratios of one run, one machine. Exits non-zero when a frame or message is lost, repeated or out of order, or
when a disturber slows others too much (`bench.fairness`, alone with ARGS=fairness); speed is reported, not
judged.
"""

import asyncio
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from bench import fairness
from bench.relay_load import BrokenPromise, drain, make_pairs, put_all, register, relay_process
from clients.messenger import Messenger
from clients.model import MessageStatus
from keys.content import Content, Kind
from keys.handshake import Party, accept, initiate
from keys.identities import Account, Device
from keys.prekeys import generate_prekey
from keys.seal import InnerType, open_envelope, seal
from keys.sessions import Session
from wire.prekeys import DeviceBundle, PrekeyKind

ROUNDS = 3
PAIRS, FRAMES_EACH = 8, 1000
MESSAGES = 1000


def report(what: str, rates: list[float], unit: str) -> float:
    """Print minimum, median and maximum; returns the median."""
    middle = statistics.median(rates)
    print(f"{what:52} {min(rates):9,.0f} {middle:9,.0f} {max(rates):9,.0f}  {unit}", flush=True)
    return middle


def keys_rates() -> tuple[list[float], list[float], list[float]]:
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
    for _ in range(ROUNDS):
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
            envelopes.append(seal(alice, sealing.public.key, InnerType.MESSAGE, message, os.urandom))
        written.append(1000 / (time.perf_counter() - start))
        start = time.perf_counter()
        for envelope in envelopes:
            receiver, _ = receiver.decrypt(open_envelope(envelope, [sealing.private]).inner, now)
        opened.append(1000 / (time.perf_counter() - start))
    return handshakes, written, opened


async def relay_rates(directory: Path, size: int) -> tuple[list[float], list[float]]:
    """Durable puts and drained frames per second, over eight senders and mailboxes."""
    puts, drained = list[float](), list[float]()
    async with relay_process(directory) as relay:
        for _ in range(ROUNDS):
            pairs = make_pairs(PAIRS, FRAMES_EACH, size)
            await asyncio.gather(*(register(relay, pair) for pair in pairs))
            for work, rates in ((put_all, puts), (drain, drained)):
                start = time.perf_counter()
                await asyncio.gather(*(work(relay, pair) for pair in pairs))
                rates.append(PAIRS * FRAMES_EACH / (time.perf_counter() - start))
    return puts, drained


async def end_to_end_rates(directory: Path) -> list[float]:
    """Messages per second from Alice's `send` to Bob's stream and back by receipt, both stores on disk."""
    rates = []
    async with (
        relay_process(directory / "relay") as relay,
        Messenger.open(directory / "alice", relay=relay.text) as alice,
        Messenger.open(directory / "bob", relay=relay.text) as bob,
    ):
        if not (await alice.connected(30) and await bob.connected(30)):
            raise BrokenPromise("the clients did not connect")
        alice.contacts.add("bob", bob.address)
        bob.contacts.add("alice", alice.address)
        for _ in range(ROUNDS):
            start = time.perf_counter()
            ids = [await alice.send("bob", f"message {number}") for number in range(MESSAGES)]
            for number, message_id in enumerate(ids):
                message = await bob.receive(30)
                if message is None or message.id != message_id or message.text != f"message {number}":
                    raise BrokenPromise("a message is missing or out of order")
            if await alice.wait(ids[-1], MessageStatus.DELIVERED, 30) is not MessageStatus.DELIVERED:
                raise BrokenPromise("the receipt is missing")
            rates.append(MESSAGES / (time.perf_counter() - start))
    return rates


def main() -> int:
    """Run everything, or fairness alone; 0 unless a promise was broken."""
    if sys.argv[1:2] == ["fairness"]:
        return asyncio.run(fairness.main(sys.argv[2:]))
    cpus = os.cpu_count()
    print(f"{platform.system()} {platform.machine()}, {cpus} cores, Python {platform.python_version()}, "
          f"{time.strftime('%Y-%m-%d')}; {ROUNDS} rounds: minimum, median, maximum\n")  # fmt: skip
    handshakes, written, opened = keys_rates()
    report("keys: handshakes, both sides", handshakes, "/s")
    report("keys: messages encrypted and sealed (200 bytes)", written, "/s")
    report("keys: messages opened and decrypted", opened, "/s")

    def in_directory(work: Callable[[Path], Coroutine[Any, Any, Any]]) -> Any:
        with tempfile.TemporaryDirectory(prefix="blindpost-bench-") as directory:
            return asyncio.run(work(Path(directory)))

    try:
        puts, drained = in_directory(lambda directory: relay_rates(directory, 1024))
        put_rate = report("relay: durable puts, 1 KiB, 8 senders", puts, "frames/s")
        drain_rate = report("relay: pulled and acknowledged, 8 devices", drained, "frames/s")
        whole = report(
            "clients: sent, shown and receipted, one pair", in_directory(end_to_end_rates), "messages/s"
        )
    except BrokenPromise as broken:
        print(f"bench: FAILED: {broken}")
        return 1
    checks = ROUNDS * (2 * PAIRS * FRAMES_EACH + MESSAGES)
    ratios = f"drain is {drain_rate / put_rate:.1f} x put, end to end is {whole / put_rate:.2f} x put"
    print(f"\nbench: ok: {ratios}; {checks} checks, lost 0, duplicated 0, out of order 0\n")
    return asyncio.run(fairness.main([]))


if __name__ == "__main__":
    sys.exit(main())
