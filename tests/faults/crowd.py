"""A process full of devices, for the reconnect storm: `python -m tests.faults.crowd --port P --devices N`.

Owns the devices: each has an address of loopback of its own, so that the relay's caps per prefix are as they
are for real ones, and waits between two attempts as the client does (`clients.backoff`). Commands come on
stdin, one per line; each is answered by a line of JSON:

    hold    log in and hear of frames, acknowledging none; answered once all are in
    put N   N frames into every mailbox; answered once all are accepted
    storm   every device reconnects whenever it must, drains its mailbox and acknowledges; answered once
            all have all that was put for them since the last storm
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from clients.backoff import Backoff
from tests.faults.light_socket import Closed, LightSocket
from tests.relay.devices import Account, envelope
from wire.capabilities import token_hash
from wire.control import Acknowledge, Allow, AllowedToken, Attach, Hello, Login, Pull, Register
from wire.control_values import decode_base64url
from wire.frames import Put, decode_deliver
from wire.limits import ATTACHED_MAX, PROTOCOL_VERSION
from wire.login import Greeting, Mode

REGISTERING = 24  # at once: below what one prefix may have, should the system give all one address
ATTEMPT_WITHIN = 10.0  # seconds for one attempt to connect, as in clients.connection


@dataclass
class Device:
    """One device of the crowd."""

    number: int
    port: int
    source: str
    account: Account = field(default_factory=Account)
    wanted: list[bytes] = field(default_factory=list)  # frame ids put since the last storm, in order
    got: list[bytes] = field(default_factory=list)  # frame ids on the present connection, in order
    seen: set[bytes] = field(default_factory=set)
    last: int = 0  # sequence
    holds: bool = True
    attempts: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    logged_in_at: float = 0.0
    drained_at: float = 0.0
    unordered: int = 0
    is_in: asyncio.Event = field(default_factory=asyncio.Event)
    is_drained: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def token(self) -> bytes:
        """Its delivery token: no two share one, and so no rate."""
        return self.account.device.key[:16]

    async def log_in(self) -> LightSocket:
        """A connection that has logged in. Raises OSError."""
        connection = await LightSocket.dial(self.port, self.source)
        try:
            nonce, origin = os.urandom(32), f"ws://127.0.0.1:{self.port}"
            hello = Hello(mode=Mode.DEVICE, version=PROTOCOL_VERSION, origin=origin, nonce=nonce)
            connection.send(hello.encode())
            said = self._said(await connection.receive(), "relay_hello")
            greeting = Greeting(
                Mode.DEVICE, origin, decode_base64url(said["relay_key"]), decode_base64url(said["nonce"]),
                nonce, said["time"],
            )  # fmt: skip
            device = self.account.device
            signature = device.sign(greeting.login_bytes(device.key))
            connection.send(Login(device_key=device.key, signature=signature).encode())
            self._said(await connection.receive(), "welcome")
        except BaseException:
            connection.abort()
            raise
        return connection

    async def submit(self) -> LightSocket:
        """A submit connection from where this device is. Raises OSError."""
        connection = await LightSocket.dial(self.port, self.source)
        origin = f"ws://127.0.0.1:{self.port}"
        hello = Hello(mode=Mode.SUBMIT, version=PROTOCOL_VERSION, origin=origin, nonce=os.urandom(32))
        connection.send(hello.encode())
        self._said(await connection.receive(), "relay_hello")
        return connection

    def _said(self, message: str | bytes, kind: str) -> dict[str, Any]:
        said = json.loads(message)
        if said["type"] != kind:
            self.ends[str(said.get("code", said["type"]))] += 1
            raise Closed
        return dict(said)

    async def register(self) -> None:
        """Open the mailbox."""
        connection = await self.log_in()
        connection.send(Register(ref=1, device_list=self.account.list().encode()).encode())
        self._said(await connection.receive(), "registered")
        connection.send(Allow(ref=2, tokens=[AllowedToken(hash=token_hash(self.token))]).encode())
        self._said(await connection.receive(), "allowed")
        connection.abort()

    async def stay(self) -> None:
        """Be connected for ever, as a client would."""
        backoff = Backoff()
        while True:
            began = time.monotonic()
            self.attempts += 1
            try:
                async with asyncio.timeout(ATTEMPT_WITHIN):
                    connection = await self.log_in()
                self.logged_in_at = time.time()
                await self._read(connection, backoff)
            except (OSError, TimeoutError) as error:
                code = getattr(error, "code", None) or type(error).__name__
                self.ends[str(code)] += 1
            self.is_in.clear()
            await asyncio.sleep(backoff.next(time.monotonic() - began))

    async def _read(self, connection: LightSocket, backoff: Backoff) -> None:
        try:
            connection.send(Pull().encode())
            self.got, self.last = [], 0
            self.is_in.set()
            self._look(connection)
            while True:
                message = await connection.receive()
                if isinstance(message, str):
                    continue
                frame = decode_deliver(message)
                self.unordered += frame.sequence <= self.last
                self.last = frame.sequence
                self.got.append(frame.frame_id)
                self._look(connection)
                backoff.reset()
        finally:
            connection.abort()

    def _look(self, connection: LightSocket) -> None:
        """Acknowledge once everything is there."""
        if self.holds or self.is_drained.is_set():
            return
        new = [frame_id for frame_id in self.got if frame_id not in self.seen]
        if set(self.wanted) <= set(new):
            self.unordered += new != self.wanted
            self.seen.update(new)
            self.drained_at = time.time()
            if self.last:
                connection.send(Acknowledge(through=self.last).encode())
            self.is_drained.set()


class Crowd:
    """All devices of this process."""

    def __init__(self, port: int, count: int, part: int) -> None:
        self.port = port
        self.devices = [
            Device(number, port, f"127.{10 + part}.{number // 250}.{number % 250 + 1}")
            for number in range(count)
        ]
        self._staying: list[asyncio.Task[None]] = []

    async def hold(self) -> dict[str, object]:
        """Register on the first call; then all are in, and acknowledge nothing from now on."""
        if not self._staying:
            room = asyncio.Semaphore(REGISTERING)

            async def register(device: Device) -> None:
                async with room:
                    await device.register()

            await asyncio.gather(*(register(device) for device in self.devices))
        for device in self.devices:
            device.holds = True
            device.is_drained.clear()
        if not self._staying:
            for start in range(0, len(self.devices), REGISTERING):
                some = self.devices[start : start + REGISTERING]
                self._staying += [asyncio.create_task(device.stay()) for device in some]
                await asyncio.gather(*(device.is_in.wait() for device in some))
        await asyncio.gather(*(device.is_in.wait() for device in self.devices))
        return {"in": len(self.devices)}

    async def put(self, count: int) -> dict[str, object]:
        """Fill the mailboxes, a few connections one after the other."""
        for start in range(0, len(self.devices), ATTACHED_MAX):
            await self._put_to(self.devices[start : start + ATTACHED_MAX], count)
        return {"put": count * len(self.devices)}

    async def _put_to(self, devices: list[Device], count: int) -> None:
        connection = await devices[0].submit()
        waiting: set[str] = set()
        for device in devices:
            key = device.account.device.key
            connection.send(Attach(mailbox=key, token=device.token).encode())
            for _ in range(count):
                frame_id = os.urandom(16)
                device.wanted.append(frame_id)
                waiting.add(frame_id.hex())
                connection.send(Put(frame_id, key, envelope()).encode())
        while waiting:
            said = json.loads(await connection.receive())
            assert said["type"] == "accepted", said
            waiting.difference_update(decode_base64url(each).hex() for each in said["frames"])
        connection.abort()

    async def storm(self) -> dict[str, object]:
        """Wait until everybody is back and has everything."""
        for device in self.devices:
            device.holds = False
            device.attempts = 0
            device.ends.clear()
        await asyncio.gather(*(device.is_drained.wait() for device in self.devices))
        ends: Counter[str] = sum((device.ends for device in self.devices), Counter())
        report: dict[str, object] = {
            "last_login": max(device.logged_in_at for device in self.devices),
            "last_drained": max(device.drained_at for device in self.devices),
            "frames": sum(len(device.wanted) for device in self.devices),
            "unordered": sum(device.unordered for device in self.devices),
            "attempts": sum(device.attempts for device in self.devices),
            "ends": dict(ends),
        }
        for device in self.devices:
            device.wanted.clear()
        return report


async def _serve(crowd: Crowd) -> None:
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command, *numbers = line.split()
        report = await getattr(crowd, command)(*map(int, numbers))
        print(json.dumps(report), flush=True)


def main() -> None:
    """Serve commands until stdin ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--devices", type=int, required=True)
    parser.add_argument("--part", type=int, default=0)
    given = parser.parse_args()

    async def run() -> None:
        await _serve(Crowd(given.port, given.devices, given.part))

    asyncio.run(run())
    os._exit(0)  # thousands of sockets need no farewell


if __name__ == "__main__":
    main()
