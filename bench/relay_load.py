"""A real relay process, and durable puts into it while the recipient is away; each answer is awaited."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.verdict import BrokenPromise
from clients.connection import RelayConnection, dial
from keys.identities import Account, Device
from wire.addresses import RelayUrl
from wire.capabilities import token_hash
from wire.control import (
    Accepted,
    Allow,
    Allowed,
    AllowedToken,
    Attach,
    Register,
    Registered,
)
from wire.frames import Put
from wire.login import Mode

WINDOW = 128
TOKEN = os.urandom(16)  # one for all mailboxes: without, only a hundred frames would be taken as requests


@asynccontextmanager
async def relay_process(directory: Path, *flags: str) -> AsyncIterator[RelayUrl]:
    """A relay of its own on a free port, with its store on disk; `flags` are further ones of its own."""
    async with relay_with_pid(directory, *flags) as (relay, _):
        yield relay


@asynccontextmanager
async def relay_with_pid(directory: Path, *flags: str) -> AsyncIterator[tuple[RelayUrl, int]]:
    """The same, with the number of its process."""
    command = [
        sys.executable,
        "-P",
        "-m",
        "relay",
        "--json",
        "--port",
        "0",
        "--data-directory",
        str(directory),
        # What is measured is the work, so nothing is refused for coming all at once from one address.
        *(
            part
            for name in (
                "put-rate-per-prefix",
                "put-rate-per-token",
                "fetch-rate",
                "watch-rate",
                "device-rate",
                "register-rate",
                "list-rate",
                "socket-rate",
                "http-rate",
            )
            for part in (f"--{name}", "9000000+9000000/s")
        ),
        *flags,
    ]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            line = json.loads(await process.stdout.readline())
        yield RelayUrl.parse(line["url"]), process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


@dataclass(frozen=True, slots=True)
class Pair:
    """A mailbox, and the frames that one sender puts into it."""

    device: Device
    frames: tuple[Put, ...]


def make_pairs(count: int, frames_each: int, size: int) -> list[Pair]:
    """Frames of random envelopes: to the relay they are as good as real ones."""
    pairs = []
    for _ in range(count):
        device = Device.generate(os.urandom, int(time.time()))
        frames = tuple(
            Put(os.urandom(16), device.key, b"\x01" + os.urandom(size - 1)) for _ in range(frames_each)
        )
        pairs.append(Pair(device, frames))
    return pairs


async def register(relay: RelayUrl, pair: Pair) -> None:
    """Open the mailbox of a pair."""
    account = Account.generate(os.urandom)
    devices = account.sign_device_list((pair.device.entry(account.key),), int(time.time()))
    async with dial(relay, Mode.DEVICE, None, os.urandom) as connection:
        await connection.log_in(pair.device)
        await connection.send(Register(ref=0, device_list=devices.encode()))
        await connection.expect(Registered)
        await connection.send(Allow(ref=1, tokens=[AllowedToken(hash=token_hash(TOKEN))]))
        await connection.expect(Allowed)


async def put_all(relay: RelayUrl, pair: Pair) -> None:
    """Put every frame, up to 128 on their way, until all are accepted."""
    async with dial(relay, Mode.SUBMIT, None, os.urandom) as connection:
        await connection.send(Attach(mailbox=pair.device.key, token=TOKEN))
        room = asyncio.Semaphore(WINDOW)
        answers = asyncio.create_task(_hear(connection, room, {frame.frame_id for frame in pair.frames}))
        for frame in pair.frames:
            await room.acquire()
            await connection.send(frame)
        await answers


async def _hear(connection: RelayConnection, room: asyncio.Semaphore, waiting: set[bytes]) -> None:
    while waiting:
        message = await connection.receive()
        if not isinstance(message, Accepted):
            raise BrokenPromise("a frame was not accepted")
        for frame_id in message.frames:
            waiting.remove(frame_id)
            room.release()
