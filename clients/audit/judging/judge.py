"""Judges what passed between any client and any relay: live, or as it was recorded.

Owns the order of the checks, and the figures. Believes nothing: a client that is not blindpost at all gets a
complaint for each thing that it does otherwise. Memory is bounded, whatever comes.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

from websockets.frames import Opcode

from clients.audit.canaries.search import Canary
from clients.audit.judging.canary_watch import CanaryWatch
from clients.audit.judging.complaints import Complaint, Complaints, Rule
from clients.audit.judging.fields import NAME_MAX, USUAL_ANSWER
from clients.audit.judging.figures import Figures, Verdict
from clients.audit.judging.repeats import Repeats
from clients.audit.judging.texts import Texts, is_text
from clients.audit.tap.reading import Body, Head, Message, NotReadError, Reading
from clients.audit.tap.transcript import Closed, Event, Opened, Piece
from wire import ledger
from wire.addresses import RelayUrl
from wire.errors import WireError
from wire.frames import decode_deliver, decode_put
from wire.ledger import Place
from wire.randomness import has_text, is_biased, is_file, repeats_itself

NAMES_MAX: Final = 100  # different names and reasons that peers chose and that are counted
OPEN_MAX: Final = 1_000  # connections at a time: more are not judged, and that is said
CLOSE_CODE: Final = 2  # bytes of a close frame that says nothing else

_LOOKS: Final[dict[str, Callable[[bytes], bool]]] = {
    "it begins like a file": is_file,
    "it has more ones or zeros than chance gives": is_biased,
    "it has a run of text": has_text,
    "it repeats itself": repeats_itself,
}


class _Line:
    """One open connection: both directions."""

    def __init__(self) -> None:
        self.to_relay = Reading(is_client=True)
        self.from_relay = Reading(is_client=False)


class Judge:
    """Hears events, in order. `relay` is the one that may be called; without it, whoever is."""

    def __init__(
        self, canaries: Sequence[Canary] = (), relay: RelayUrl | None = None, began: float = 0.0
    ) -> None:
        self.figures = Figures()
        self._relay = relay
        self._began = began
        self._complaints = Complaints()
        self._watch = CanaryWatch(canaries)
        self._repeats = Repeats()
        self._lines: dict[int, _Line] = {}
        self._passed_over = False
        declared = ledger.read()
        self._texts = Texts(declared)
        self._http = frozenset(declared.of(Place.HTTP))

    @property
    def complained(self) -> int:
        """How many complaints there are so far."""
        return self._complaints.counts.total()

    @property
    def complaints(self) -> Sequence[Complaint]:
        """Those that were kept so far."""
        return self._complaints.kept

    def hear(self, event: Event) -> None:
        """The next event."""
        at = event.at - self._began
        self.figures.seconds = max(self.figures.seconds, at)
        complain = partial(self._complain, event.connection, at)
        match event:
            case Opened(connection=number, target=target):
                self.figures.connections += 1
                if len(self._lines) < OPEN_MAX:
                    self._lines[number] = _Line()
                if target and self._relay is not None and not _is_place(target, self._relay):
                    complain(None, Rule.ELSEWHERE, f"it asked for {_shown(target)}, which is not the relay")
            case Piece(connection=number, to_relay=to_relay, data=data):
                self._piece(number, at, to_relay, data)
            case Closed(connection=number, why=why):
                for _, to_relay, what in self._watch.closed(number):
                    complain(to_relay, Rule.CANARY, what)
                if self._lines.pop(number, None) is not None and why:
                    _count(self.figures.ended_early, why)

    def catch_up(self) -> None:
        """Search what has come for canaries; as often as complaints shall be there."""
        for number, to_relay, what in self._watch.catch_up():
            self._complain(number, self.figures.seconds, to_relay, Rule.CANARY, what)
        self.figures.scanned = self._watch.scanned

    def verdict(self, lacks: Sequence[str] = ()) -> Verdict:
        """What there is to say by now. `lacks`: what the judge was not even shown."""
        self.catch_up()
        self.figures.again = self._repeats.again
        lacks = list(lacks)
        if not self.figures.put + self.figures.delivered:
            lacks.append("No envelope has passed, so that nothing is shown.")
        if self._repeats.forgot:
            lacks.append("There were more envelopes than can be compared with each other.")
        if self._passed_over:
            lacks.append(f"More than {OPEN_MAX:,} connections were open at a time, or some never began.")
        counts = dict(self._complaints.counts)
        return Verdict(self.figures, tuple(self._complaints.kept), counts, tuple(lacks))

    def _complain(self, number: int, at: float, to_relay: bool | None, rule: Rule, what: str) -> None:
        self._complaints.add(Complaint(rule, number, at, to_relay, what))

    def _piece(self, number: int, at: float, to_relay: bool, data: bytes) -> None:
        if to_relay:
            self.figures.bytes_to_relay += len(data)
        else:
            self.figures.bytes_to_client += len(data)
        line = self._lines.get(number)
        if line is None:
            self._passed_over = True
            return
        complain = partial(self._complain, number, at, to_relay)
        for what in self._watch.feed(number, to_relay, data, raw=True):
            complain(Rule.CANARY, what)
        reading = line.to_relay if to_relay else line.from_relay
        found, was_websocket, was_compressed = [], reading.is_websocket, reading.is_compressed
        try:
            found = reading.feed(data)
        except NotReadError as error:
            found = reading.rest()
            complain(Rule.FRAME, f"this is neither HTTP nor WebSocket ({error})")
        if reading.is_compressed and not was_compressed:
            complain(Rule.FRAME, "messages are compressed, which no relay agrees to")
        self.figures.websockets += to_relay and reading.is_websocket and not was_websocket
        for item in found:
            match item:
                case Head():
                    self._head(item, to_relay, complain)
                case Body(data=body):
                    if to_relay:
                        complain(Rule.HTTP, f"{len(body)} bytes stand in the body of a request")
                case Message():
                    for what in self._watch.feed(number, to_relay, item.payload, raw=False):
                        complain(Rule.CANARY, what)
                    self._message(item, at, to_relay, complain)

    def _head(self, head: Head, to_relay: bool, complain: Callable[[Rule, str], None]) -> None:
        side = "request-header" if to_relay else "response-header"
        if to_relay:
            method, _, rest = head.first.partition(" ")
            path, has_query, _ = rest.partition(" ")[0].partition("?")
            path = path.removeprefix("" if self._relay is None else self._relay.path)
            _count(self.figures.requests, f"{method} {path}")
            if has_query:
                complain(Rule.HTTP, f"the request for {_shown(path)} has a query, which no relay reads")
            if f"{method} {path}" not in self._http:
                complain(Rule.LEDGER, f"the request {_shown(f'{method} {path}')} is not in the ledger")
        for name, _ in head.headers:
            if f"{side}.{name}" not in self._http and (to_relay or name not in USUAL_ANSWER):
                complain(Rule.LEDGER, f"the {side.replace('-', ' ')} {_shown(name)} is not in the ledger")

    def _message(
        self, message: Message, at: float, to_relay: bool, complain: Callable[[Rule, str], None]
    ) -> None:
        if message.opcode is Opcode.BINARY:
            self._frame(message.payload, at, to_relay, complain)
        elif message.opcode is Opcode.TEXT:
            self._text(message.payload, to_relay, complain)
        else:
            self.figures.beside[message.opcode.name.lower()] += 1
            payload = message.payload
            if to_relay and message.opcode is Opcode.CLOSE and len(payload) > CLOSE_CODE:
                complain(Rule.MESSAGE, f"{len(payload) - CLOSE_CODE} bytes stand in a close as its reason")
            elif message.opcode is not Opcode.CLOSE and is_text(payload):
                complain(Rule.RANDOM, f"text stands in a {message.opcode.name.lower()}")

    def _frame(self, data: bytes, at: float, to_relay: bool, complain: Callable[[Rule, str], None]) -> None:
        name = "PUT" if to_relay else "DELIVER"
        try:
            frame = decode_put(data) if to_relay else decode_deliver(data)
        except WireError as error:
            complain(Rule.FRAME, f"a binary message of {len(data):,} bytes is no {name} ({error})")
            return
        if to_relay:
            self.figures.put += 1
        else:
            self.figures.delivered += 1
        if self.figures.first_frame is None:
            self.figures.first_frame = at
        self.figures.last_frame = at
        envelope = frame.envelope
        self.figures.sizes[len(envelope)] += 1
        for why, looks in _LOOKS.items():
            if looks(envelope):
                what = f"the envelope of a {name} of {len(envelope):,} bytes looks like plaintext: {why}"
                complain(Rule.RANDOM, what)
        if (repeated := self._repeats.envelope(frame.frame_id, frame.mailbox, envelope)) is not None:
            complain(Rule.REPEAT, repeated)

    def _text(self, payload: bytes, to_relay: bool, complain: Callable[[Rule, str], None]) -> None:
        message, found = self._texts.judged(payload, to_relay=to_relay)
        for rule, what in found:
            complain(rule, what)
        if message is None:
            return
        self.figures.messages[message.type] += 1
        if (nonce := getattr(message, "nonce", None)) is not None:
            repeated = self._repeats.nonce(message.type, nonce)
            if repeated is not None:
                complain(Rule.REPEAT, repeated)


def _is_place(target: str, relay: RelayUrl) -> bool:
    host, _, port = target.lower().rpartition(":")
    return (host.strip("[]"), port) == (relay.host, str(relay.port))


def _shown(name: str) -> str:
    """What a peer chose, short and harmless."""
    return "".join(c if c.isprintable() and c.isascii() else "?" for c in name[:NAME_MAX])


def _count(counter: Counter[str], name: str) -> None:
    shown = _shown(name)
    counter[shown if shown in counter or len(counter) < NAMES_MAX else "others"] += 1


def judged(
    events: Iterable[Event], canaries: Sequence[Canary] = (), relay: RelayUrl | None = None
) -> Verdict:
    """The verdict on all of these events, such as a tap has kept."""
    judge: Judge | None = None
    for event in events:
        judge = judge or Judge(canaries, relay, event.at)
        judge.hear(event)
    return (judge or Judge(canaries, relay)).verdict()
