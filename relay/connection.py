"""The I/O shell of one socket: it feeds a session and carries out what that wants.

Owns the tasks and deadlines of one connection: a task lives only as long as something is waited for. Decides
nothing about the protocol, and knows a socket only as `relay.sockets` describes it.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Final

from relay import actions, endings, intake, requests
from relay.actions import Acknowledge, Say, SendFrames
from relay.admission import Ticket
from relay.answers import stock_message, written
from relay.delivery import LASTING, Delivery
from relay.lanes import Batch
from relay.metrics import Drop
from relay.outbound import Outbound
from relay.rates import Pace
from relay.session import Session
from relay.sockets import Socket
from relay.store.base import StockCount
from relay.submission import Submission
from relay.surroundings import Surroundings
from wire import control
from wire.errors import WireError
from wire.login import Mode

LAST_WORDS: Final = 5.0  # seconds for a peer to take what is queued before its socket is cut
# Names of the task that the peer waits for; the second is left to finish: dropped devices must be told.
REQUEST: Final = "request"
CHANGE: Final = "change"


class Connection:
    """One connection, from its upgrade to its end. `left` is called when nothing of it is left to do."""

    __slots__ = (
        "__weakref__",
        "_backlog",
        "_delivery",
        "_device_key",
        "_has_appeared",
        "_heard",
        "_held_notice",
        "_is_lost",
        "_last_words",
        "_left",
        "_loop",
        "_mode",
        "_pace",
        "_requesting",
        "_session",
        "_shared",
        "_socket",
        "_submission",
        "_tasks",
        "_ticket",
        "_timer",
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
        self._submission: Submission | None = None
        self._delivery: Delivery | None = None
        self._device_key: bytes | None = None
        self._welcomed = False
        self._held_notice: StockCount | None = None
        self._mode: Mode | None = None
        self._heard = 0.0
        self._has_appeared = False
        self._is_lost = False
        self._last_words: asyncio.TimerHandle | None = None
        # Of the login; then of silence, or of what a former connection showed.
        self._timer: asyncio.TimerHandle | None = self._loop.call_at(login_by, self._time_out)

    # --- called by others, never blocking ----------------------------------------------------------

    def ring(self) -> None:
        """See `Resident.ring`."""
        if self._delivery is not None:
            self._delivery.ring()

    def replace(self) -> None:
        """See `Resident.replace`."""
        self._perform(self._session.end(endings.REPLACED))

    def remove(self, why: endings.Ending) -> None:
        """See `Resident.remove`."""
        self._perform(self._session.end(why))
        if self._device_key is not None:
            self._shared.presence.disappear(self._device_key)

    def notify_stock(self, stock: StockCount) -> None:
        """See `Resident.notify_stock`."""
        if not self._welcomed:
            # The login is answered first; the welcome tells the stock as well, but perhaps an older one.
            self._held_notice = stock
            return
        self.outbound.set_notice("stock", written(stock_message(stock)))

    def tell(self, ref: int, online: bool) -> None:
        """See `Watcher.tell`."""
        self.outbound.set_notice(f"presence {ref}", written(control.Presence(ref=ref, online=online)))

    def restart(self) -> None:
        """The relay goes down: say so and close."""
        self._perform(self._session.end(endings.RESTARTING))

    def refuse(self, retry_after: int | None = None) -> None:
        """A cap on sockets was reached, or their rate: say so and close."""
        self._perform(self._session.end(endings.too_many(retry_after)))

    def abort(self) -> None:
        """Cut the connection now."""
        self._socket.abort()

    def _overflow(self) -> None:
        """Of all that waits to be read, this peer leaves most."""
        self.outbound.clear()
        self._perform(self._session.too_slow(Drop.BACKLOG))

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
            if refused := self._session.receive_binary(message):
                self._perform(refused)
        except Exception as error:
            self._fail(error)

    def read(self) -> None:
        """See `Receiver.read`."""
        if not self._session.has_puts:
            return
        try:
            self._perform(self._session.read())
        except Exception as error:
            self._fail(error)
        self._hold_or_release()

    def written(self) -> None:
        """See `Receiver.written`."""
        if self.outbound.size or self._backlog.size or self._socket.unsent():
            self._backlog.changed(self.outbound.size)
        if self._delivery is not None:
            self._delivery.written()

    def lost(self) -> None:
        """See `Receiver.lost`."""
        self._is_lost = True
        self.outbound.clear()
        if self._delivery is not None:
            self._delivery.end()
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
            if task.get_name() not in (LASTING, CHANGE):
                task.cancel()
        if self._submission is not None:
            self._submission.end()
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
        if task.get_name() in (REQUEST, CHANGE):
            self._requesting = False
            self._hold_or_release()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)
        self._tasks = self._tasks or None  # an empty set is not small
        self._leave_when_done()

    def _leave_when_done(self) -> None:
        if self._is_lost and not self._tasks:
            self._delivery = self._submission = None  # they name this connection: nothing else frees it soon
            self._left(self)
            self._ticket.give_way = None  # likewise, and with it the peer's address and whom it wrote to

    def _fail(self, error: BaseException) -> None:
        self._shared.fault(error)
        self._perform(self._session.end(endings.FAULT))

    def _hold_or_release(self) -> None:
        """Nothing more is heard while a request is under way, or too much has no answer."""
        if self._requesting or self._session.saturated:
            self._socket.hold()
        else:
            self._socket.release()

    # --- deadlines ---------------------------------------------------------------------------------

    def _time_out(self) -> None:
        self._timer = None
        self._perform(self._session.time_out())

    def _watch_idle(self) -> None:
        due = self._heard + self._shared.submit_idle
        if self._loop.time() >= due:
            self._timer = None
            self._perform(self._session.idle())
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

    def _perform(self, wanted: Sequence[actions.Action]) -> None:
        """Carry out what the session wants done."""
        for action in wanted:
            # What comes with every frame is looked for first, and by its type alone.
            if type(action) is Batch:
                self._submit(action)
            elif type(action) is SendFrames:
                self._shared.metrics.delivered.inc(len(action.frames))
                self.outbound.add_frames(action.frames)
            elif type(action) is Acknowledge:
                assert self._delivery is not None
                self._delivery.acknowledge(action.through)
            elif type(action) is Say:
                self._say(action.text)
            else:
                self._perform_rare(action)

    def _perform_rare(self, action: actions.Action) -> None:
        match action:
            case actions.Send(message):
                if isinstance(message, control.Error | control.Refused):
                    self._shared.metrics.refused(message.code)
                self._say(written(message))
            case actions.Close(code, drop):
                if drop is not None:
                    self._shared.metrics.dropped(drop)
                self.outbound.end(code)
                if self._last_words is None and not self._is_lost:
                    self._last_words = self._loop.call_later(LAST_WORDS, self._cut)
            case actions.Greeted(mode):
                self._greeted(mode)
            case actions.LogIn(device_key):
                self._request(self._log_in(device_key))
            case actions.StartDelivery():
                self._deliver()
            case actions.KeepCheckpoint(checkpoint):
                self._request(self._keep(checkpoint))
            case actions.Appear(capabilities):
                self._appear(capabilities)
            case actions.Watch(ref, capability):
                self._shared.presence.watch(self, ref, capability)
            case actions.Register() | actions.Delete():
                self._request(self._answer(action), CHANGE)
            case actions.Publish() | actions.Allow() | actions.Fetch() | actions.Export():
                self._request(self._answer(action))

    def _say(self, text: str) -> None:
        if not self.outbound.add_control(text):
            self._perform(self._session.too_slow())

    def _greeted(self, mode: Mode) -> None:
        if mode is Mode.SUBMIT:
            if not self._ticket.submit():
                self._perform(self._session.end(endings.too_many()))
                return
            self._stop_timer()
            self._heard = self._loop.time()
            self._watch_idle()
        self._mode = mode
        self._shared.metrics.connected(mode, 1)

    def _submit(self, batch: Batch) -> None:
        if self._submission is None:
            self._submission = Submission(self._pace, self._shared, self._start, self._answered)
        self._submission.put(batch)

    def _deliver(self) -> None:
        assert self._device_key is not None
        key, mailboxes = self._device_key, self._shared.mailboxes
        self._delivery = Delivery(key, mailboxes, self._session, self.outbound, self._start, self._perform)
        self._delivery.ring()

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

    def _request(self, work: Coroutine[object, object, None], name: str = REQUEST) -> None:
        self._requesting = True
        self._hold_or_release()
        self._start(work, name)

    async def _log_in(self, device_key: bytes) -> None:
        self._stop_timer()
        self._device_key = device_key
        self._shared.metrics.logins.inc()
        status = await self._shared.mailboxes.arrive(device_key, self)
        self._perform(self._session.welcome(status))
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

    async def _answer(self, request: requests.Request) -> None:
        session, shared = self._session, self._shared
        key, pace = self._device_key, self._pace
        self._perform(await requests.answer(request, key, self, session, pace, shared, self._enrolled))

    def _enrolled(self) -> None:
        self._stop_timer()
        self._ticket.settle()

    def _answered(self, batch: Batch, results: Sequence[intake.Result] | WireError) -> None:
        if self._is_lost:
            return
        try:
            self._perform(self._session.settle(batch, results))
        except Exception as error:  # not to reach whoever is answered next
            self._fail(error)
        self._hold_or_release()
