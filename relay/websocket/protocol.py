"""The WebSocket itself: where its bytes arrive and leave.

Owns one socket from its upgrade to its end: reading and writing in fair shares, pausing, pings, the close
handshake. No task or event stands between a frame and who receives it; what is to be written is written once,
at the end of a turn of the event loop. Knows no message: that is its receiver's business.
"""

import asyncio
import os
from collections.abc import Sequence
from typing import Any, Final, cast

from relay import entrance
from relay.metrics import Drop
from relay.sockets import Receiver
from relay.websocket.parser import BINARY, TEXT, BrokenError, Opcode, Parser, whole
from wire.errors import CloseCode
from wire.frames import FRAME_MAX
from wire.limits import CONTROL_FRAMES_MAX, PING_EVERY

MESSAGE_MAX: Final = FRAME_MAX + 64  # checked before anything is buffered
CLOSE_HANDSHAKE: Final = 5.0  # seconds for a peer to answer a close frame, and to take what is left for it
# What one socket may do before the others have their turn: read so many frames, or fewer control messages,
# each of which counts for eight; and write so many bytes.
SHARE: Final = 64
TEXT_SHARE: Final = 8
WRITE_SHARE: Final = 65_536
# What a socket holds of what its peer has not read: the rest waits where answers go before frames.
WRITE_HIGH: Final = 65_536
WRITE_LOW: Final = 16_384


class WebSocket(asyncio.Protocol):
    """One WebSocket, as uvicorn's `Config(ws=...)` makes it. See `relay.sockets.Socket`."""

    __slots__ = (
        "_abort_timer",
        "_connections",
        "_control_frames",
        "_counting_until",
        "_has_closed",
        "_has_ended",
        "_is_clogged",
        "_is_due",
        "_is_held",
        "_is_resting",
        "_loop",
        "_parser",
        "_pulse",
        "_receiver",
        "_relay",
        "_transport",
        "_unanswered",
        "accepted_at",
    )

    def __init__(
        self,
        config: object,
        server_state: Any,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._relay = app_state["relay"]
        self._connections: set[Any] = server_state.connections
        self._loop = asyncio.get_running_loop()
        self._parser = Parser(MESSAGE_MAX)
        self._receiver: Receiver | None = None
        self._is_held = False
        self._is_resting = False  # held only so that the others have their turn
        self._is_due = False
        self._is_clogged = False
        self._has_closed = False  # a close frame was sent
        self._has_ended = False  # nothing more is read
        self._unanswered: bytes | None = None  # payload of a ping
        self._control_frames = 0
        self._counting_until = 0.0
        self._pulse: asyncio.TimerHandle | None = None
        self._abort_timer: asyncio.TimerHandle | None = None

    # --- called by uvicorn and the event loop ---------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The HTTP side hands its socket over."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclasses of it
        self._connections.add(self)
        self._transport.set_write_buffer_limits(WRITE_HIGH, WRITE_LOW)
        http = self._transport.get_protocol()
        self.accepted_at: float = getattr(http, "accepted_at", self._loop.time())

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket that began as HTTP ends here."""
        self._relay.sockets -= 1
        self._connections.discard(self)
        self._has_ended = True
        for timer in (self._pulse, self._abort_timer):
            if timer is not None:
                timer.cancel()
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.lost()

    def eof_received(self) -> None:
        """The peer sends no more: the transport closes itself, once what is buffered is read."""
        self._abort_soon()

    def shutdown(self) -> None:
        """The server ends; whoever is still here was told so by its session."""
        self._end(CloseCode.RESTARTING)

    def data_received(self, data: bytes) -> None:
        """Take in what was read."""
        if self._has_ended:
            return
        self._parser.feed(data)
        if not self._is_held:
            self._go_on()

    def pause_writing(self) -> None:
        """The peer reads slower than it is written to."""
        self._is_clogged = True

    def resume_writing(self) -> None:
        """The peer read on."""
        self._is_clogged = False
        self.wake()

    # --- opening and reading --------------------------------------------------------------------------

    def open(self, peer: str | None, forwarded: Sequence[str]) -> None:
        """Its request was answered: frames come now. `peer` is an address; see `entrance.enter`."""
        self._pulse = self._loop.call_later(PING_EVERY, self._ping)
        self._receiver = entrance.enter(self._relay, self, peer, forwarded, self.accepted_at)

    def _go_on(self) -> None:
        """Hand over what was read, up to a fair share."""
        receiver, parser, share = self._receiver, self._parser, SHARE
        if receiver is None:
            return
        try:
            for kind, payload in parser.events():
                if kind == BINARY:
                    share -= 1
                    receiver.binary(payload)  # type: ignore[arg-type]  # what `Event` says of this opcode
                elif kind == TEXT:
                    share -= TEXT_SHARE
                    receiver.text(payload)  # type: ignore[arg-type]  # as above
                else:
                    share -= TEXT_SHARE
                    self._take_control(kind, payload)
                if share <= 0 or self._is_held or self._has_ended:
                    break
        except BrokenError as error:
            self._break(error.code, error.drop)
        receiver.read()
        if share <= 0 and not self._is_held and not self._has_ended:
            self.hold()
            self._is_resting = True
            self._loop.call_soon(self._rest_is_over)

    def _rest_is_over(self) -> None:
        """Go on, unless somebody else has asked to wait meanwhile."""
        if self._is_resting:
            self.release()

    def _take_control(self, kind: int, payload: bytes | str | int) -> None:
        if kind == Opcode.CLOSE:
            assert isinstance(payload, int)
            self._answer_close(payload)
            return
        now = self._loop.time()
        if now >= self._counting_until:
            self._control_frames, self._counting_until = 0, now + PING_EVERY
        self._control_frames += 1
        if self._control_frames > CONTROL_FRAMES_MAX:
            raise BrokenError(CloseCode.BAD_REQUEST, Drop.PING_FLOOD)
        if kind == Opcode.PONG:
            if payload == self._unanswered:
                self._unanswered = None
        elif not self._has_closed:
            assert isinstance(payload, bytes)
            self._transport.write(whole(Opcode.PONG, payload))

    def hold(self) -> None:
        """See `Socket.hold`."""
        if self._is_held:
            self._is_resting = False  # it is for longer now
        else:
            self._is_held = True
            if not self._transport.is_closing():
                self._transport.pause_reading()

    def release(self) -> None:
        """See `Socket.release`."""
        if not self._is_held or self._has_ended:
            return
        self._is_held = self._is_resting = False
        self._go_on()
        if not self._is_held and not self._transport.is_closing():
            self._transport.resume_reading()

    # --- writing --------------------------------------------------------------------------------------

    def wake(self) -> None:
        """See `Socket.wake`."""
        if not self._is_due:
            self._is_due = True
            self._relay.turns.at_end(self._write)

    def _write(self) -> None:
        """Write what waits, up to a fair share, in one go."""
        self._is_due = False
        receiver = self._receiver
        if receiver is None:
            return
        outbound = receiver.outbound
        if not self._is_clogged and not self._has_closed:
            messages = outbound.take(WRITE_SHARE)
            if messages:
                self._transport.write(
                    b"".join(
                        [
                            whole(TEXT, item.encode()) if isinstance(item, str) else whole(BINARY, item)
                            for item in messages
                        ]
                    )
                )
            if outbound.farewell is not None:
                self._end(outbound.farewell)
            elif outbound.size:
                self.wake()
        receiver.written()

    def unsent(self) -> int:
        """See `Socket.unsent`."""
        return self._transport.get_write_buffer_size()

    # --- pings ----------------------------------------------------------------------------------------

    def _ping(self) -> None:
        if self._has_closed or self._transport.is_closing():
            return
        if self._unanswered is not None and not self._is_held:
            self._relay.metrics.dropped(Drop.DEAD)
            self._end(CloseCode.INTERNAL)
            return
        self._unanswered = os.urandom(4)
        self._transport.write(whole(Opcode.PING, self._unanswered))
        self._pulse = self._loop.call_later(PING_EVERY, self._ping)

    # --- ends -----------------------------------------------------------------------------------------

    def _end(self, code: CloseCode) -> None:
        """Send a close frame and wait for the peer's, within a limit."""
        if self._has_closed:
            return
        self._has_closed = True
        self._transport.write(whole(Opcode.CLOSE, code.to_bytes(2)))
        if code == CloseCode.LOGIN_TIMEOUT:  # it had its ten seconds: no answer is waited for
            self._close_transport()
            return
        self._abort_soon()
        self.release()

    def _break(self, code: CloseCode, drop: Drop | None) -> None:
        """Close over something that no session gets to see; nothing more is read."""
        if drop is not None:
            self._relay.metrics.dropped(drop)
        if not self._has_closed:
            self._has_closed = True
            self._transport.write(whole(Opcode.CLOSE, code.to_bytes(2)))
        self._close_transport()

    def _answer_close(self, code: int) -> None:
        if not self._has_closed:
            self._has_closed = True
            payload = b"" if code == 1005 else code.to_bytes(2)
            self._transport.write(whole(Opcode.CLOSE, payload))
        self._close_transport()

    def _close_transport(self) -> None:
        self._has_ended = True
        self._transport.close()
        self._abort_soon()

    def _abort_soon(self) -> None:
        """A peer that reads nothing would outlive every close: what is buffered for it is never sent."""
        if self._abort_timer is None:
            self._abort_timer = self._loop.call_later(CLOSE_HANDSHAKE, self._transport.abort)

    def abort(self) -> None:
        """See `Socket.abort`."""
        self._has_ended = True
        self._transport.abort()
