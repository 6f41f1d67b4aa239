"""A relay's store with as many frames as wanted, put through the store itself and known by their number.

    python -m tests.support.known_store DIRECTORY --frames 1000000

Owns the building, durable as a relay's; `tests.support.full_store` is quicker and writes the rows itself.
Frame ids and envelopes follow from their number, so that whoever reads them back knows what they must be
without keeping them.
"""

import argparse
import asyncio
import hashlib
import sys
import time
from pathlib import Path

from nacl.signing import SigningKey

from relay.store.base import ACCEPTED, NewFrame, Quota
from relay.store.sqlite import SqliteStore
from tests.relay.devices import ALLOWED, HELD, Account, Device

RUN = 50  # frames of one mailbox that lie together in the file
AHEAD = 100  # runs that are prepared while others are written
ENVELOPE = 1024


def _seed(mailbox: int, what: bytes) -> bytes:
    return hashlib.blake2b(what + mailbox.to_bytes(4, "big"), digest_size=32).digest()


def account_of(mailbox: int) -> Account:
    """The account of a mailbox, the same each time."""
    device = Device(SigningKey(_seed(mailbox, b"device")))
    return Account(SigningKey(_seed(mailbox, b"account")), [device])


def frame_of(mailbox: int, number: int) -> NewFrame:
    """The frame with that number (from 0) in a mailbox, the same each time."""
    key = mailbox.to_bytes(4, "big") + number.to_bytes(4, "big")
    digest = hashlib.blake2b(key, digest_size=64).digest()
    return NewFrame(digest[:16], b"\x01" + (digest * (ENVELOPE // 64))[1:])


async def fill(database: Path, mailboxes: int, frames_each: int) -> None:
    """Make the database: so many mailboxes, so many frames in each."""
    database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = SqliteStore.open(database, Quota(frames=frames_each, bytes=frames_each * ENVELOPE))
    room = asyncio.Semaphore(AHEAD)
    now = int(time.time())

    async def put(key: bytes, frames: list[NewFrame]) -> None:
        try:
            results = await store.put(key, frames, now, HELD)
            assert all(result in ACCEPTED for result in results), set(results)
        finally:
            room.release()

    try:
        for mailbox in range(mailboxes):
            account = account_of(mailbox)
            await store.register(account.list())
            await store.allow(account.device.key, ALLOWED)
        keys = [account_of(mailbox).device.key for mailbox in range(mailboxes)]
        async with asyncio.TaskGroup() as tasks:
            for start in range(0, frames_each, RUN):
                for mailbox, key in enumerate(keys):
                    numbers = range(start, min(frames_each, start + RUN))
                    await room.acquire()
                    tasks.create_task(put(key, [frame_of(mailbox, number) for number in numbers]))
    finally:
        await store.close()


def main() -> int:
    """Fill a directory."""
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--mailboxes", type=int, default=100)
    given = parser.parse_args()
    began = time.monotonic()
    asyncio.run(fill(given.directory / "relay.db", given.mailboxes, given.frames // given.mailboxes))
    size = (given.directory / "relay.db").stat().st_size
    took = time.monotonic() - began
    sys.stdout.write(f"{given.frames} frames, {size / 1e6:.0f} MB, in {took:.1f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
