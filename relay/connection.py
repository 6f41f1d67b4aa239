"""The I/O shell of one socket: it feeds a session and carries out what that wants.

Owns the tasks, deadlines and queues of one connection. Decides nothing about the protocol, and knows a
socket only as something that receives, sends and closes.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Coroutine, Sequence
from typing import Final

from relay import intake
from relay.actions import (
    Acknowledge,
    Action,
    Allow,
    Appear,
    Close,
    Fetch,
    Greeted,
    KeepCheckpoint,
    LogIn,
    Publish,
    PutBatch,
    Register,
    Send,
    SendFrame,
    StartDelivery,
    Watch,
)
from relay.admission import Ticket
from relay.answers import stock_message
from relay.lanes import Batch
from relay.metrics import Drop
from relay.outbound import Outbound
from relay.rates import Pace
from relay.session import Session
from relay.sockets import Socket, SocketClosed
from relay.states import State
from relay.store.base import StockCount
from relay.surroundings import Surroundings
from relay.writing import SHARE, write
from wire import control
from wire.control import Error, Refused
from wire.errors import WireError
from wire.login import Mode

BATCHES: Final = 2  # of one connection with the store at a time: the next is ready when one is done
PULLED_FRAMES: Final = 64  # at a time: nobody else's turn waits for a whole window
LAST_WORDS: Final = 5.0  # seconds for a peer to take what is queued before its socket is cut


class Connection:
    """One connection, from its accept to its end."""

    def __init__(
        self,
        socket: Socket,
        session: Session,
        ticket: Ticket,
        pace: Pace,
        shared: Surroundings,
        login_by: float,
    ) -> None:
        self._socket = socket
        self._session = session
        self._ticket = ticket
        self._pace = pace
        self._shared = shared
        self._loop = asyncio.get_running_loop()
        self._backlog = shared.backlog.join(socket.unsent, self._overflow)
        self._outbound = Outbound(self._backlog.changed)
        self._doorbell = asyncio.Event()
        self._put_turn = asyncio.Semaphore(BATCHES)
        self._settled = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._puts: set[asyncio.Task[None]] = set()
        self._device_key: bytes | None = None
        self._welcomed = False
        self._held_notice: StockCount | None = None
        self._mode: Mode | None = None
        self._acknowledged = 0
        self._to_acknowledge = asyncio.Event()
        self._has_appeared = False
        self._timer = self._loop.call_at(login_by, self._time_out)
        self._former: asyncio.TimerHandle | None = None
        self._last_words: asyncio.TimerHandle | None = None

    # --- called by others, never blocking ----------------------------------------------------------

    def ring(self) -> None:
        """See `Resident.ring`."""
        self._doorbell.set()

    def replace(self) -> None:
        """See `Resident.replace`."""
        self._end(self._session.replaced())

    def remove(self) -> None:
        """See `Resident.remove`."""
        self._end(self._session.removed())
        if self._device_key is not None:
            self._shared.presence.disappear(self._device_key)

    def notify_stock(self, stock: StockCount) -> None:
        """See `Resident.notify_stock`."""
        if not self._welcomed:
            # The login is answered first; the welcome tells the stock as well, but perhaps an older one.
            self._held_notice = stock
            return
        self._outbound.set_notice("stock", stock_message(stock).encode())

    def tell(self, ref: int, online: bool) -> None:
        """See `Watcher.tell`."""
        self._outbound.set_notice(f"presence {ref}", control.Presence(ref=ref, online=online).encode())

    def restart(self) -> None:
        """The relay goes down: say so and close."""
        self._end(self._session.restarting())

    def refuse(self, retry_after: int | None = None) -> None:
        """A cap on sockets was reached, or their rate: say so and close."""
        self._end(self._session.too_many(retry_after))

    def abort(self) -> None:
        """Cut the connection now."""
        self._socket.abort()

    def _overflow(self) -> None:
        """Of all that waits to be read, this peer leaves most."""
        self._outbound.clear()
        self._end(self._session.too_slow(Drop.BACKLOG))

    # --- life --------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve the socket until either side closes it."""
        writer = self._start(write(self._outbound, self._socket, self.ring))
        try:
            for number in itertools.count(1):
                message = await self._socket.receive()
                if number % SHARE == 0:
                    await asyncio.sleep(0)  # what was read ahead is there without waiting
                if self._mode is Mode.SUBMIT:
                    self._rearm()
                if isinstance(message, str):
                    actions = self._session.receive_text(message, self._shared.now())
                else:
                    actions = self._session.receive_binary(message)
                await self._perform(actions)
                while self._session.saturated:
                    self._settled.clear()
                    await self._settled.wait()
        except SocketClosed:
            pass
        except Exception as error:
            self._shared.fault(error)
            self._end(self._session.fault())
            await asyncio.wait((writer,))
        finally:
            await self._clean_up()

    async def _clean_up(self) -> None:
        self._timer.cancel()
        if self._last_words is not None:
            self._last_words.cancel()
        if self._former is not None:
            self._former.cancel()
        self._ticket.leave()
        self._backlog.leave()
        self._shared.presence.leave(self)
        if self._device_key is not None and self._shared.mailboxes.leave(self._device_key, self):
            self._shared.presence.disappear(self._device_key)
        if self._mode is not None:
            self._shared.metrics.connected(self._mode, -1)
        for task in self._tasks:
            task.cancel()
        # Frames with the store are left to arrive, so that their doorbell rings.
        if waiting := self._tasks | self._puts:
            await asyncio.wait(waiting)

    def _start(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._puts.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._shared.fault(error)
            self._end(self._session.fault())

    # --- deadlines ---------------------------------------------------------------------------------

    def _time_out(self) -> None:
        self._end(self._session.time_out())

    def _idle(self) -> None:
        self._end(self._session.idle())

    def _cut(self) -> None:
        self._shared.metrics.dropped(Drop.DEAF)
        self._socket.abort()

    def _rearm(self) -> None:
        self._timer.cancel()
        self._timer = self._loop.call_later(self._shared.submit_idle, self._idle)

    # --- actions -----------------------------------------------------------------------------------

    def _end(self, actions: Sequence[Action]) -> None:
        """Carry out actions that only write."""
        for action in actions:
            self._write_out(action)

    def _write_out(self, action: Action) -> bool:
        metrics = self._shared.metrics
        match action:
            case Send(message):
                if isinstance(message, Error | Refused):
                    metrics.refused(message.code)
                if not self._outbound.add_control(message.encode()):
                    self._end(self._session.too_slow())
            case SendFrame(data):
                metrics.delivered.inc()
                self._outbound.add_frame(data)
            case Close(code, drop):
                if drop is not None:
                    metrics.dropped(drop)
                self._outbound.end(code)
                if self._last_words is None:
                    self._last_words = self._loop.call_later(LAST_WORDS, self._cut)
            case _:
                return False
        return True

    async def _perform(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if self._write_out(action):
                continue
            match action:
                case PutBatch(batch):
                    self._put(batch)
                case Greeted(mode):
                    self._greeted(mode)
                case LogIn(device_key):
                    await self._log_in(device_key)
                case StartDelivery():
                    self._start(self._deliver())
                case Acknowledge(through):
                    self._acknowledge(through)
                case KeepCheckpoint(checkpoint):
                    await self._keep(checkpoint)
                case Appear(capabilities):
                    self._appear(capabilities)
                case Watch(ref, capability):
                    self._shared.presence.watch(self, ref, capability)
                case Register() | Publish() | Allow() | Fetch():
                    await self._request(action)

    def _greeted(self, mode: Mode) -> None:
        if mode is Mode.SUBMIT:
            if not self._ticket.submit():
                self._end(self._session.too_many())
                return
            self._rearm()
        self._mode = mode
        self._shared.metrics.connected(mode, 1)

    async def _log_in(self, device_key: bytes) -> None:
        self._timer.cancel()
        self._device_key = device_key
        self._shared.metrics.logins.inc()
        status = await self._shared.mailboxes.arrive(device_key, self)
        self._end(self._session.welcome(status))
        self._welcomed = True
        if self._held_notice is not None:
            self.notify_stock(self._held_notice)
        if status.registered:
            self._ticket.settle()
            if self._shared.presence.appears(device_key):
                # A device that comes back is not said to be away in between; but it must say so anew.
                self._former = self._loop.call_later(self._shared.login_deadline, self._end_former)
        else:
            self._timer = self._loop.call_later(self._shared.login_deadline, self._time_out)

    def _appear(self, capabilities: Sequence[bytes]) -> None:
        assert self._device_key is not None
        self._has_appeared = True
        self._shared.presence.appear(self._device_key, capabilities)

    def _end_former(self) -> None:
        """What the connection before this one showed does not outlive it for long."""
        assert self._device_key is not None
        if not self._has_appeared and self._shared.mailboxes.resident(self._device_key) is self:
            self._shared.presence.disappear(self._device_key)

    async def _keep(self, checkpoint: bytes) -> None:
        assert self._device_key is not None
        # One that is not kept costs the device nothing but to recognise less.
        with contextlib.suppress(WireError):
            await self._shared.mailboxes.keep_checkpoint(self._device_key, checkpoint)

    async def _request(self, action: Register | Publish | Allow | Fetch) -> None:
        mailboxes, session = self._shared.mailboxes, self._session
        try:
            match action:
                case Register(ref, device_list, invite_hash):
                    shared = self._shared
                    terms = await shared.registration.terms(
                        device_list.account_key, invite_hash, shared.now()
                    )
                    await mailboxes.register(device_list, terms)
                    answer = session.enrolled(ref)
                    self._timer.cancel()
                    self._ticket.settle()
                case Publish(ref, prekeys, anew):
                    assert self._device_key is not None
                    stock = await mailboxes.publish(self._device_key, prekeys, anew)
                    answer = session.published(ref, stock)
                case Allow(ref, tokens):
                    assert self._device_key is not None
                    await mailboxes.allow(self._device_key, tokens)
                    answer = session.allowed(ref)
                case _:
                    offer = await self._shared.directory.fetch(action, self._pace)
                    answer = session.offered(action.ref, offer)
        except WireError as error:
            answer = session.failed(error, action.ref)
        self._end(answer)

    # --- puts --------------------------------------------------------------------------------------

    def _put(self, batch: Batch) -> None:
        task = self._start(self._put_and_tell(batch))
        self._tasks.discard(task)
        self._puts.add(task)

    async def _put_and_tell(self, batch: Batch) -> None:
        try:
            async with self._put_turn:
                results = await intake.put(self._shared.mailboxes, self._pace, batch, self._shared.now())
            actions = self._session.settle(batch, results)
        except WireError as error:
            actions = self._session.settle(batch, error)
        self._settled.set()
        await self._perform(actions)

    # --- delivery ----------------------------------------------------------------------------------

    async def _deliver(self) -> None:
        self._start(self._delete_acknowledged())
        assert self._device_key is not None
        while self._session.state is State.DELIVERING:
            self._doorbell.clear()
            max_frames, max_bytes = self._session.room()
            max_bytes = min(max_bytes, self._outbound.frame_room())
            frames = []
            if max_frames > 0 and max_bytes > 0:
                frames = await self._shared.mailboxes.pull(
                    self._device_key, self._session.delivered, min(max_frames, PULLED_FRAMES), max_bytes
                )
                self._end(self._session.deliver(frames))
            if not frames:
                await self._doorbell.wait()

    def _acknowledge(self, through: int) -> None:
        self._acknowledged = max(self._acknowledged, through)
        self._to_acknowledge.set()
        self._doorbell.set()  # the window has room again

    async def _delete_acknowledged(self) -> None:
        """One deletion at a time; acknowledgements that arrive meanwhile share the next."""
        assert self._device_key is not None
        while True:
            await self._to_acknowledge.wait()
            self._to_acknowledge.clear()
            # A failed deletion costs space until the next one: the device deduplicates.
            with contextlib.suppress(WireError):
                await self._shared.mailboxes.acknowledge(self._device_key, self._acknowledged)
