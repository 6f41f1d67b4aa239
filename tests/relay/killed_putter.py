"""A process that puts frames into a store's file until it is killed, and what it was told is durable."""

import signal
import subprocess
from pathlib import Path

from clients.audit.proving.tripwires import program
from tests.relay.devices import HELD

# Puts for ever and prints each id once the store says that it is durable.
PUTTER = """
import asyncio, os, sys
from pathlib import Path
from relay.store.base import Condition, NewFrame, PutResult
from relay.store.sqlite import SqliteStore

async def main():
    store = SqliteStore.open(Path(sys.argv[1]))
    mailbox, token_hash = bytes.fromhex(sys.argv[2]), bytes.fromhex(sys.argv[3])
    async def one():
        while True:
            frames = [NewFrame(os.urandom(16), b"\\x01" + bytes(1023)) for _ in range(3)]
            results = await store.put(mailbox, frames, 1, token_hash)
            assert set(results) == {PutResult.STORED}
            os.write(1, b"".join(frame.frame_id.hex().encode() + b"\\n" for frame in frames))
    await asyncio.gather(*(one() for _ in range(8)))

asyncio.run(main())
"""


def killed_putter(path: Path, mailbox: bytes, after: int) -> list[bytes]:
    """Every id that a process printed which was killed after it had printed `after` of them."""
    child = subprocess.Popen(
        [*program(then=PUTTER), str(path), mailbox.hex(), HELD.hex()], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    acknowledged = [child.stdout.readline().strip() for _ in range(after)]
    child.send_signal(signal.SIGKILL)
    acknowledged += [line for line in child.stdout.read().split(b"\n") if len(line) == 32]
    child.stdout.close()
    child.wait()
    return acknowledged
