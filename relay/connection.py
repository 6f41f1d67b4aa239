"""The I/O shell of one socket: it feeds a session and carries out what that wants.

Owns the tasks and deadlines of one connection: a task lives only as long as something is waited for. Decides
nothing about the protocol, and knows a socket only as `relay.sockets` describes it.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
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
    Say,
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
from relay.sockets import Socket
from relay.states import State
from relay.store.base import StockCount, StoredFrame
from relay.surroundings import Surroundings
from wire import control
from wire.control import Error, Refused
from wire.errors import WireError
from wire.limits import ENVELOPE_MAX
from wire.login import Mode

BATCHES: Final = 2  # of one connection with the store at a time: the next is ready when one is done
PULLED_FRAMES: Final = 64  # at a time: nobody else's turn waits for a whole window
BUSY: Final = 1.0  # seconds between frames that are few enough to take the longer way
LAST_WORDS: Final = 5.0  # seconds for a peer to take what is queued before its socket is cut
# Names of tasks: those that a lost connection leaves to finish, and the one that its peer waits for.
PUT: Final = "put"
REQUEST: Final = "request"


class Connection:
    """One connection, from its upgrade to its end. `left` is called when nothing of it is left to do."""

    __slots__ = (
        "__weakref__",
        "_acknowledged",
        "_backlog",
        "_batches",
        "_deleting",
        "_device_key",
        "_has_appeared",
        "_heard",
        "_held_notice",
        "_is_lost",
        "_is_rung",
        "_last_words",
        "_left",
        "_loop",
        "_mode",
        "_pace",
        "_pulled_at",
        "_pulling",
        "_queued",
        "_requesting",
        "_session",
        "_shared",
        "_socket",
        "_tasks",
        "_ticket",
        "_timer",
        "_wants_room",
        "_welcomed",
        "outbound",
    )

    def __init__(
        self,
        socket: Socket,
        session: Session,
        ticket: Ticket,
        pace: Pace,
        shared: Surroundings,
        login_by: float,
        left: "Callable[[Connection], None]",
    ) -> None:
        self._socket = socket
        self._session = session
        self._ticket = ticket
        self._pace = pace
        self._shared = shared
        self._left = left
        self._loop = asyncio.get_running_loop()
        self._backlog = shared.backlog.join(socket.unsent, self._overflow)
        self.outbound = Outbound(socket.wake)
        self._tasks: set[asyncio.Task[None]] | None = None
        self._requesting = False
        self._batches = 0  # with the store
        self._queued: list[Batch] | None = None
        self._pulling = False
        self._pulled_at = 0.0
        self._is_rung = False
        self._wants_room = False  # the last pull ended because there was none
        self._deleting = False
        self._acknowledged = 0
        self._device_key: bytes | None = None
        self._welcomed = False
        self._held_notice: StockCount | None = None
        self._mode: Mode | None = None
        self._heard = 0.0
        self._has_appeared = False
        self._is_lost = False
        self._last_words: asyncio.TimerHandle | None = None
        # Of the login, then of a silent submit connection, or of what a former connection showed.
        self._timer: asyncio.TimerHandle | None = self._loop.call_at(login_by, self._time_out)

    # --- called by others, never blocking ----------------------------------------------------------

    def ring(self) -> None:
        """See `Resident.ring`."""
        self._is_rung = True
        if not self._pulling and self._session.state is State.DELIVERING and not self._is_lost:
            self._pulling = True
            self._start(self._pull())

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
        self.outbound.set_notice("stock", stock_message(stock).encode())

    def tell(self, ref: int, online: bool) -> None:
        """See `Watcher.tell`."""
        self.outbound.set_notice(f"presence {ref}", control.Presence(ref=ref, online=online).encode())

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
        self.outbound.clear()
        self._end(self._session.too_slow(Drop.BACKLOG))

    # --- called by the socket ----------------------------------------------------------------------

    def text(self, message: str) -> None:
        """See `Receiver.text`."""
        self._heard = self._loop.time()
        try:
            self._perform(self._session.receive_text(message, self._shared.now()))
        except Exception as error:
            self._fail(error)

    def binary(self, message: bytes) -> None:
        """See `Receiver.binary`."""
        self._heard = self._loop.time()
        try:
            actions = self._session.receive_binary(message)
            if actions:
                self._perform(actions)
        except Exception as error:
            self._fail(error)

    def read(self) -> None:
        """See `Receiver.read`."""
        try:
            self._perform(self._session.read())
        except Exception as error:
            self._fail(error)
        self._hold_or_release()

    def written(self) -> None:
        """See `Receiver.written`."""
        self._backlog.changed(self.outbound.size)
        if self._wants_room and self.outbound.has_room_again():
            self.ring()

    def lost(self) -> None:
        """See `Receiver.lost`."""
        self._is_lost = True
        for timer in (self._timer, self._last_words):
            if timer is not None:
                timer.cancel()
        self._ticket.leave()
        self._backlog.leave()
        self._shared.presence.leave(self)
        if self._device_key is not None and self._shared.mailboxes.leave(self._device_key, self):
            self._shared.presence.disappear(self._device_key)
        if self._mode is not None:
            self._shared.metrics.connected(self._mode, -1)
        for task in self._tasks or ():
            # Frames with the store are left to arrive, so that their doorbell rings.
            if task.get_name() != PUT:
                task.cancel()
        self._queued = None
        self._leave_when_done()

    # --- tasks -------------------------------------------------------------------------------------

    def _start(self, work: Coroutine[object, object, None], name: str | None = None) -> None:
        task = self._loop.create_task(work, name=name)
        if self._tasks is None:
            self._tasks = set()
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        assert self._tasks is not None
        self._tasks.discard(task)
        if task.get_name() == REQUEST:
            self._requesting = False
            self._hold_or_release()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)
        if self._is_lost:
            self._leave_when_done()
        elif not self._tasks:
            self._tasks = None

    def _leave_when_done(self) -> None:
        if not self._tasks:
            self._left(self)

    def _fail(self, error: BaseException) -> None:
        self._shared.fault(error)
        self._end(self._session.fault())

    def _hold_or_release(self) -> None:
        """Nothing more is heard while a request is under way, or too much has no answer."""
        if self._requesting or self._session.saturated:
            self._socket.hold()
        else:
            self._socket.release()

    # --- deadlines ---------------------------------------------------------------------------------

    def _time_out(self) -> None:
        self._timer = None
        self._end(self._session.time_out())

    def _watch_idle(self) -> None:
        due = self._heard + self._shared.submit_idle
        if self._loop.time() >= due:
            self._timer = None
            self._end(self._session.idle())
        else:
            self._timer = self._loop.call_at(due, self._watch_idle)

    def _cut(self) -> None:
        self._shared.metrics.dropped(Drop.DEAF)
        self._socket.abort()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

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
                if not self.outbound.add_control(message.encode()):
                    self._end(self._session.too_slow())
            case Say(text):
                if not self.outbound.add_control(text):
                    self._end(self._session.too_slow())
            case SendFrame(data):
                metrics.delivered.inc()
                self.outbound.add_frame(data)
            case Close(code, drop):
                if drop is not None:
                    metrics.dropped(drop)
                self.outbound.end(code)
                if self._last_words is None and not self._is_lost:
                    self._last_words = self._loop.call_later(LAST_WORDS, self._cut)
            case _:
                return False
        return True

    def _perform(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if self._write_out(action):
                continue
            match action:
                case PutBatch(batch):
                    self._put(batch)
                case Greeted(mode):
                    self._greeted(mode)
                case LogIn(device_key):
                    self._request(self._log_in(device_key))
                case StartDelivery():
                    self.ring()
                case Acknowledge(through):
                    self._acknowledge(through)
                case KeepCheckpoint(checkpoint):
                    self._request(self._keep(checkpoint))
                case Appear(capabilities):
                    self._appear(capabilities)
                case Watch(ref, capability):
                    self._shared.presence.watch(self, ref, capability)
                case Register() | Publish() | Allow() | Fetch():
                    self._request(self._answer(action))

    def _greeted(self, mode: Mode) -> None:
        if mode is Mode.SUBMIT:
            if not self._ticket.submit():
                self._end(self._session.too_many())
                return
            self._stop_timer()
            self._heard = self._loop.time()
            self._watch_idle()
        self._mode = mode
        self._shared.metrics.connected(mode, 1)

    def _appear(self, capabilities: Sequence[bytes]) -> None:
        assert self._device_key is not None
        self._has_appeared = True
        self._shared.presence.appear(self._device_key, capabilities)

    def _end_former(self) -> None:
        """What the connection before this one showed does not outlive it for long."""
        assert self._device_key is not None
        self._timer = None
        if not self._has_appeared and self._shared.mailboxes.resident(self._device_key) is self:
            self._shared.presence.disappear(self._device_key)

    # --- requests: nothing more is heard before one is answered ------------------------------------

    def _request(self, work: Coroutine[object, object, None]) -> None:
        self._requesting = True
        self._hold_or_release()
        self._start(work, REQUEST)

    async def _log_in(self, device_key: bytes) -> None:
        self._stop_timer()
        self._device_key = device_key
        self._shared.metrics.logins.inc()
        status = await self._shared.mailboxes.arrive(device_key, self)
        self._end(self._session.welcome(status))
        self._welcomed = True
        if self._held_notice is not None:
            self.notify_stock(self._held_notice)
            self._held_notice = None
        deadline = self._shared.login_deadline
        if not status.registered:
            self._timer = self._loop.call_later(deadline, self._time_out)
            return
        self._ticket.settle()
        if self._shared.presence.appears(device_key):
            # A device that comes back is not said to be away in between; but it must say so anew.
            self._timer = self._loop.call_later(deadline, self._end_former)

    async def _keep(self, checkpoint: bytes) -> None:
        assert self._device_key is not None
        # One that is not kept costs the device nothing but to recognise less.
        with contextlib.suppress(WireError):
            await self._shared.mailboxes.keep_checkpoint(self._device_key, checkpoint)

    async def _answer(self, action: Register | Publish | Allow | Fetch) -> None:
        mailboxes, session = self._shared.mailboxes, self._session
        try:
            match action:
                case Register(ref, device_list, invite_hash):
                    shared = self._shared
                    terms = await shared.registration.terms(
                        device_list.account_key, invite_hash, shared.now()
                    )
                    await mailboxes.register(device_list, terms)
                    if not session.registered:
                        self._stop_timer()
                        self._ticket.settle()
                    answer = session.enrolled(ref)
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
        answered = partial(self._answered, batch)
        if intake.pass_on(self._shared.mailboxes, self._pace, batch, self._shared.now(), answered):
            return
        if self._batches < BATCHES:
            self._batches += 1
            self._start(self._put_and_tell(batch), PUT)
            return
        if self._queued is None:
            self._queued = []
        self._queued.append(batch)

    def _answered(self, batch: Batch, results: Sequence[intake.Result] | WireError) -> None:
        if self._is_lost:
            return
        self._perform(self._session.settle(batch, results))
        self._hold_or_release()

    async def _put_and_tell(self, batch: Batch) -> None:
        results: list[intake.Result] | WireError
        try:
            results = await intake.put(self._shared.mailboxes, self._pace, batch, self._shared.now())
        except WireError as error:
            results = error
        finally:
            self._batches -= 1
        if self._queued and not self._is_lost:
            self._put(self._queued.pop(0))
        self._answered(batch, results)

    # --- delivery ----------------------------------------------------------------------------------

    async def _pull(self) -> None:
        """Hand over what the mailbox holds, until that is all or there is no room."""
        assert self._device_key is not None
        try:
            tails, before = self._shared.mailboxes.tails, self._session.delivered
            while self._session.state is State.DELIVERING:
                self._is_rung = False
                if tails.of(self._device_key) is not None:
                    return  # what is stored was handed over before; it rings when it ends
                max_frames, max_bytes = self._session.room()
                max_bytes = min(max_bytes, self.outbound.frame_room())
                self._wants_room = max_frames <= 0 or max_bytes < ENVELOPE_MAX
                frames = []
                if max_frames > 0 and max_bytes > 0:
                    frames = await self._shared.mailboxes.pull(
                        self._device_key, self._session.delivered, min(max_frames, PULLED_FRAMES), max_bytes
                    )
                    self._end(self._session.deliver(frames))
                if frames or self._is_rung:
                    continue
                if self._session.delivered == before or self._wants_room or not self._is_busy():
                    return
                before = self._session.delivered
                with contextlib.suppress(WireError):
                    await tails.begin(self._device_key, self, self._catch_up)
                if not self._is_rung:
                    return
        finally:
            self._pulling = False

    def _is_busy(self) -> bool:
        """Whether frames come so fast that a lease is worth its commits."""
        before, self._pulled_at = self._pulled_at, self._loop.time()
        return self._pulled_at - before < BUSY

    async def _catch_up(self, through: int) -> bool:
        """See `relay.tails.CatchUp`."""
        assert self._device_key is not None
        while self._session.delivered < through and not self._is_lost:
            max_frames, max_bytes = self._session.room()
            max_bytes = min(max_bytes, self.outbound.frame_room())
            if max_frames <= 0 or max_bytes < ENVELOPE_MAX:
                return False
            after, most = self._session.delivered, min(max_frames, PULLED_FRAMES)
            frames = await self._shared.mailboxes.pull(self._device_key, after, most, max_bytes)
            if not frames:
                break
            self._end(self._session.deliver(frames))
        return self._session.state is State.DELIVERING and not self._is_lost

    def has_room(self, frames: int, size: int) -> bool:
        """See `Reader.has_room`."""
        max_frames, max_bytes = self._session.room()
        return (
            frames <= max_frames
            and size <= max_bytes
            and size <= self.outbound.frame_room()
            and self._session.state is State.DELIVERING
        )

    def hand_over(self, frames: Sequence[StoredFrame]) -> None:
        """See `Reader.hand_over`."""
        self._end(self._session.deliver(frames))

    def stored_late(self) -> None:
        """See `Reader.stored_late`."""
        if not self._deleting and not self._is_lost:
            self._deleting = True
            self._start(self._delete_acknowledged())

    def _acknowledge(self, through: int) -> None:
        assert self._device_key is not None
        self._acknowledged = max(self._acknowledged, through)
        if self._shared.mailboxes.acknowledged(self._device_key, self, through):
            self.stored_late()
        if self._wants_room:
            self.ring()

    async def _delete_acknowledged(self) -> None:
        """One deletion at a time; acknowledgements that arrive meanwhile share the next."""
        assert self._device_key is not None
        deleted = 0
        try:
            while deleted < self._acknowledged:
                deleted = self._acknowledged
                # A failed deletion costs space until the next one: the device deduplicates.
                with contextlib.suppress(WireError):
                    await self._shared.mailboxes.acknowledge(self._device_key, deleted)
        finally:
            self._deleting = False
