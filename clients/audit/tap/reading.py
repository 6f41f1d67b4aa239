"""One direction of a connection, read as HTTP and WebSocket: heads, messages, control frames.

Owns how bytes that come in any pieces become what they mean. Bounded: no head, frame or message is kept that
is larger than one may be. Knows nothing of what messages say, and no socket.
"""

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import DATA_OPCODES, Frame, Opcode
from websockets.streams import StreamReader

HEAD_END: Final = b"\r\n\r\n"
HEAD_MAX: Final = 16 * 1024  # bytes of a request's head, or an answer's
BODY_MAX: Final = 1 << 20  # bytes that a head may announce behind it
MESSAGE_MAX: Final = 1 << 20  # bytes of one message: more is no relay's
_RSV1: Final = 0x40  # of a frame's first byte


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a request or an answer: its first line, and (name, value) of its headers, names small."""

    first: str
    headers: tuple[tuple[str, str], ...]

    def value(self, name: str) -> str:
        """Of a header; "" where there is none."""
        return next((value for each, value in self.headers if each == name), "")

    @property
    def status(self) -> str:
        """Of an answer: three digits."""
        return self.first.partition(" ")[2][:3]


@dataclass(frozen=True, slots=True)
class Message:
    """One WebSocket message, unmasked: a text, a binary frame, or a control frame's payload."""

    opcode: Opcode
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Body:
    """What came behind the head of plain HTTP, as far as it has come."""

    data: bytes = field(repr=False)


Item: TypeAlias = Head | Message | Body


class NotReadError(Exception):
    """A recording is no WebSocket; what it is, is searched as bytes all the same."""


def _head(data: bytes) -> Head:
    first, *lines = data.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return Head(first, tuple((name.strip().lower(), value.strip()) for name, _, value in pairs))


class Reading:
    """One direction. `is_client` says which: a client's frames are masked."""

    def __init__(self, *, is_client: bool) -> None:
        self._is_client = is_client
        self._reader = StreamReader()
        self._found: list[Item] = []
        self._parsing = self._run()
        self.is_websocket = False
        self.is_compressed = False  # permessage-deflate, which no relay of ours agrees to
        self.failed = False

    def feed(self, data: bytes) -> list[Item]:
        """What is whole now. Raises NotReadError once, and reads nothing any more; what was found before it
        is then in `rest`."""
        if self.failed:
            return []
        self._reader.feed_data(data)
        try:
            next(self._parsing)
        except (ProtocolError, PayloadTooBig, _Broken) as error:
            self.failed = True
            self._reader = StreamReader()
            raise NotReadError(str(error)) from None
        return self.rest()

    def rest(self) -> list[Item]:
        """What was found and not handed over yet."""
        found, self._found = self._found, []
        return found

    def _run(self) -> Generator[None, None, None]:
        while not self.is_websocket:
            head = yield from self._next_head()
            self._found.append(head)
            is_upgrade = head.value("upgrade").lower() == "websocket"
            self.is_websocket = is_upgrade and (self._is_client or head.status == "101")
            if not self.is_websocket:
                yield from self._body(head)
        yield from self._frames()

    def _next_head(self) -> Generator[None, None, Head]:
        buffer = self._reader.buffer
        while (end := buffer.find(HEAD_END)) < 0:
            if len(buffer) > HEAD_MAX:
                raise _Broken(f"{len(buffer)} bytes without the end of a head")
            yield
        if end > HEAD_MAX:
            raise _Broken(f"a head of {end} bytes")
        data = yield from self._reader.read_exact(end + len(HEAD_END))
        return _head(bytes(data[:end]))

    def _body(self, head: Head) -> Generator[None, None, None]:
        """What a head announces; an answer that ends with its connection has all that comes."""
        length, left = head.value("content-length"), None
        if length:
            if not (length.isascii() and length.isdigit()) or int(length[:10]) > BODY_MAX:
                raise _Broken("a body that is too long")
            left = int(length)
        elif self._is_client or head.status.startswith("1") or head.status in ("204", "304"):
            left = 0
        while left is None or left:
            while not self._reader.buffer:
                yield
            part = bytes(self._reader.buffer[:left])
            del self._reader.buffer[: len(part)]
            left = None if left is None else left - len(part)
            self._found.append(Body(part))

    def _frames(self) -> Generator[None, None, None]:
        whole, kind = bytearray(), Opcode.TEXT
        # The widest that can be agreed on reads whatever was.
        inflate = PerMessageDeflate(False, False, 15, 15)
        while True:
            buffer = self._reader.buffer
            while not buffer:
                yield
            self.is_compressed |= bool(buffer[0] & _RSV1)
            frame = yield from Frame.parse(
                self._reader.read_exact,
                mask=self._is_client,
                max_size=MESSAGE_MAX - len(whole),
                extensions=(inflate,),
            )
            if frame.opcode not in DATA_OPCODES:
                self._found.append(Message(frame.opcode, bytes(frame.data)))
                continue
            if frame.opcode is not Opcode.CONT:
                whole.clear()
                kind = frame.opcode
            whole += frame.data
            if frame.fin:
                self._found.append(Message(kind, bytes(whole)))
                whole.clear()


class _Broken(Exception):
    """It cannot be read on; the text says why."""
