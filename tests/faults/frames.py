"""Load on a relay by the raw protocol, with an account by frame id of what it accepted.

Owns one mailbox's sender and receiver, who go on through every loss of the connection as a client does, and
the ledger between them. Knows the relay by its URL and the wire format; envelopes are random bytes.
"""

import asyncio
import contextlib
import os
import random
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from tests.faults.result import Result, out_of_place
from tests.relay.devices import HELD, TOKEN, Account, envelope
from tests.relay.peers import Peer
from tests.support.relay_process import RelayProcess
from wire import control
from wire.control import decode_relay_message
from wire.errors import ErrorCode
from wire.frames import Put, decode_deliver
from wire.login import Mode

WINDOW = 64  # frames on their way without an answer
ANSWER_WITHIN = 20.0  # seconds, then the connection is taken for dead
LONGEST_PAUSE = 1.0  # seconds: a test waits no longer before it tries again, whatever it is told


class UnexpectedAnswer(Exception):
    """The relay said what it may not say here."""


@dataclass
class Ledger:
    """What was put into one mailbox, what the relay accepted of it, and what its device was handed.

    A frame may be handed out again, on a later connection, as long as it is the same under the same
    sequence; or under another one if its sender put it again after it was deleted. A device keeps it once.
    """

    frames: dict[bytes, bytes] = field(default_factory=dict)  # envelope by frame id, in the order of the puts
    accepted: set[bytes] = field(default_factory=set)
    kept: list[bytes] = field(default_factory=list)
    has: set[bytes] = field(default_factory=set)
    by_sequence: dict[int, bytes] = field(default_factory=dict)
    handed_again: int = 0
    foreign: int = 0  # never put, or with another envelope
    sequence_reused: int = 0
    unordered: int = 0  # sequences that did not rise on one connection
    refusals: Counter[ErrorCode] = field(default_factory=Counter)
    retry_afters: set[int | None] = field(default_factory=set)
    last_words: list[ErrorCode] = field(default_factory=list)  # of connections that the relay ended
    close_codes: list[int | None] = field(default_factory=list)

    def add(self, count: int, size: int = 1024) -> None:
        """More frames to be put."""
        for _ in range(count):
            self.frames[os.urandom(16)] = envelope(size)

    def keep(self, sequence: int, frame_id: bytes, handed: bytes) -> None:
        """The device makes a frame its own, once."""
        if self.frames.get(frame_id) != handed:
            self.foreign += 1
            return
        if self.by_sequence.setdefault(sequence, frame_id) != frame_id:
            self.sequence_reused += 1
        if frame_id in self.has:
            self.handed_again += 1
        else:
            self.has.add(frame_id)
            self.kept.append(frame_id)

    @property
    def lost(self) -> int:
        """Frames that were accepted and never handed out."""
        return len(self.accepted - self.has)

    def nothing_lost(self) -> bool:
        """Whether all that was accepted so far has been handed out."""
        return self.lost == 0

    @property
    def duplicated(self) -> int:
        """Frames that a device would take for new ones though they are not."""
        return self.foreign + self.sequence_reused

    @property
    def out_of_order(self) -> int:
        """Frames kept after one that was put later."""
        return self.unordered + out_of_place(self.kept, self.frames)

    @property
    def settled(self) -> bool:
        """Whether all was accepted, and handed out."""
        return len(self.accepted) == len(self.frames) and not self.lost


@dataclass
class Lane:
    """One mailbox: its account, and who sends to it and receives from it."""

    url: str
    account: Account = field(default_factory=Account)
    ledger: Ledger = field(default_factory=Ledger)
    source: str | None = None  # the loopback address to dial from: a prefix of its own
    patient: bool = True  # go on after the loss of a connection
    acknowledge_every: int = 32
    connections: int = 0

    @contextlib.asynccontextmanager
    async def dial(self, receive_buffer: int | None = None) -> AsyncIterator[Peer]:
        """A connection before its hello. A small `receive_buffer`: the kernel reads on for nobody."""
        port = int(self.url.split(":")[2].split("/")[0])
        plain = socket.socket()
        try:
            plain.setblocking(False)
            if receive_buffer is not None:
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            if self.source is not None:
                plain.bind((self.source, 0))
            async with asyncio.timeout(ANSWER_WITHIN):
                await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", port))
                websocket = await connect(
                    self.url,
                    sock=plain,
                    compression=None,
                    proxy=None,
                    max_size=None,
                    open_timeout=None,
                    close_timeout=1,
                )
        except BaseException:
            plain.close()
            raise
        async with websocket:
            self.connections += 1
            yield Peer(websocket, self.url.removesuffix("/v1/ws"))

    async def open(self) -> None:
        """Register the mailbox."""
        async with self.dial() as peer:
            await peer.log_in(self.account.device)
            await peer.register(self.account)
            await peer.allow(control.AllowedToken(hash=HELD))

    # --- sending -----------------------------------------------------------------------------------

    async def put_all(self) -> None:
        """Put every frame in order until all are accepted; go back to the first that was refused."""
        while self._unaccepted():
            pause = 0.05
            try:
                pause = await self._put_once()
            except (OSError, TimeoutError, WebSocketException) as error:
                self._note_end(error)
                if not self.patient:
                    raise
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))

    def _unaccepted(self) -> list[bytes]:
        return [frame_id for frame_id in self.ledger.frames if frame_id not in self.ledger.accepted]

    def _note_end(self, error: BaseException) -> None:
        received = getattr(error, "rcvd", None)
        self.ledger.close_codes.append(None if received is None else received.code)

    async def _put_once(self) -> float:
        """One connection; returns how long to wait before the next."""
        async with self.dial() as peer:
            await peer.hello(Mode.SUBMIT)
            await peer.send(control.Attach(mailbox=self.account.device.key, token=TOKEN))
            while frame_ids := self._unaccepted():
                pause = await self._put_run(peer, frame_ids)
                if pause:
                    await asyncio.sleep(min(pause, LONGEST_PAUSE))
        return 0.0

    async def _put_run(self, peer: Peer, frame_ids: list[bytes]) -> float:
        """Put these in order until one is refused; returns how long the relay says to wait then."""
        waiting: set[bytes] = set()
        retry_after, refused, place = 0.0, False, 0
        while waiting or (place < len(frame_ids) and not refused):
            while not refused and place < len(frame_ids) and len(waiting) < WINDOW:
                frame_id = frame_ids[place]
                data = Put(frame_id, self.account.device.key, self.ledger.frames[frame_id]).encode()
                await peer.websocket.send(data)
                waiting.add(frame_id)
                place += 1
            async with asyncio.timeout(ANSWER_WITHIN):
                message = decode_relay_message(str(await peer.websocket.recv()))
            match message:
                case control.Accepted():
                    self.ledger.accepted.update(message.frames)
                    waiting.difference_update(message.frames)
                case control.Refused():
                    refused = True
                    waiting.discard(message.frame)
                    self.ledger.refusals[message.code] += 1
                    if message.code is not ErrorCode.GO_BACK:
                        self.ledger.retry_afters.add(message.retry_after)
                        retry_after = max(retry_after, float(message.retry_after or 0), 0.05)
                case control.Error():
                    self.ledger.last_words.append(message.code)
                case _:
                    raise UnexpectedAnswer(type(message).__name__)
        return retry_after

    # --- receiving ---------------------------------------------------------------------------------

    async def receive_until(self, is_enough: Callable[[], bool]) -> None:
        """Keep and acknowledge whatever comes, over as many connections as it takes."""
        while not is_enough():
            try:
                await self._receive_once(is_enough)
            except (OSError, TimeoutError, WebSocketException) as error:
                self._note_end(error)
                if not self.patient:
                    raise
                await asyncio.sleep(random.uniform(0.02, 0.1))

    async def receive_all(self) -> None:
        """Receive until everything that was put has been accepted and handed out."""
        await self.receive_until(lambda: self.ledger.settled)

    async def _receive_once(self, is_enough: Callable[[], bool]) -> None:
        async with self.dial() as peer:
            await peer.log_in(self.account.device)
            await peer.send(control.Pull())
            last, unacknowledged = 0, 0
            while not is_enough():
                try:
                    async with asyncio.timeout(0.2):
                        data = await peer.websocket.recv()
                except TimeoutError:
                    if unacknowledged:
                        await peer.send(control.Acknowledge(through=last))
                        unacknowledged = 0
                    continue
                if isinstance(data, str):
                    message = decode_relay_message(data)
                    if isinstance(message, control.Error):
                        self.ledger.last_words.append(message.code)
                    continue
                frame = decode_deliver(data)
                self.ledger.unordered += frame.sequence <= last
                last = frame.sequence
                self.ledger.keep(frame.sequence, frame.frame_id, frame.envelope)
                unacknowledged += 1
                if unacknowledged >= self.acknowledge_every:
                    await peer.send(control.Acknowledge(through=last))
                    unacknowledged = 0
            if unacknowledged:
                await peer.send(control.Acknowledge(through=last))


async def until(condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Wait for what others bring about. Raises TimeoutError naming it."""
    end = asyncio.get_running_loop().time() + seconds
    while not condition():
        if asyncio.get_running_loop().time() > end:
            raise TimeoutError(f"not within {seconds:.0f} s: {what}")
        await asyncio.sleep(0.01)


def account_for(result: Result, ledgers: Iterable[Ledger]) -> None:
    """Count these mailboxes into the result of a scenario."""
    for ledger in ledgers:
        result.messages += len(ledger.accepted)
        result.lost += ledger.lost
        result.duplicated += ledger.duplicated
        result.out_of_order += ledger.out_of_order


def store_size(data_directory: Path) -> int:
    """Bytes of the relay's database with its WAL."""
    return sum(path.stat().st_size for path in data_directory.glob("relay.db*"))


def look_at_log(result: Result, relay: RelayProcess) -> None:
    """A traceback is a defect, whatever became of the frames."""
    if "Traceback" in relay.log:
        result.problems.append(f"the relay's log has a traceback: {relay.log[-2000:]}")
