"""The screen in a terminal in memory, on a line that says what a test wants: what real people seldom meet."""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Callable

import pyte
import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.output.vt100 import Vt100_Output
from pyte import modes

from clients.chat.marks import Signs
from clients.chat.screen import Screen
from clients.chat.talk import Talk
from clients.errors import ClientError, TooLargeError, TrustError
from clients.tasks import end
from tests.clients.chat.lines import WrittenLine, message, person
from tests.clients.chat.test_wrap import BIDI, wide
from tests.support.terminal import PersonsScreen

WITHIN = 10.0


class _Wire(io.StringIO):
    """What the application writes goes to the terminal in memory."""

    def __init__(self, seat: "Seat") -> None:
        super().__init__()
        self._seat = seat

    def write(self, text: str) -> int:
        self._seat.stream.feed(text)
        self._seat.drawn.set()
        return len(text)

    def fileno(self) -> int:
        raise io.UnsupportedOperation

    def isatty(self) -> bool:
        return True


class Seat:
    """A screen that runs, what it shows, and its keyboard."""

    def __init__(self, line: WrittenLine, keyboard: PipeInput, rows: int, columns: int) -> None:
        self.line = line
        self.rows, self.columns = rows, columns
        self.screen = PersonsScreen(columns, rows)
        self.stream = pyte.Stream(self.screen)
        self.drawn = asyncio.Event()
        output = Vt100_Output(
            _Wire(self), lambda: Size(self.rows, self.columns), default_color_depth=ColorDepth.DEPTH_4_BIT
        )
        self.talk = Talk(
            line.open, "bob", changed=lambda: self.chat.changed(), heard=lambda e: self.chat.heard(e)
        )
        with create_app_session(input=keyboard, output=output):
            self.chat = Screen(self.talk, Signs(), input=keyboard, output=output)
        self._keyboard = keyboard
        self.task = asyncio.create_task(self.chat.run())

    @property
    def lines(self) -> list[str]:
        buffer = self.screen.buffer
        return ["".join(buffer[y][x].data for x in range(self.columns)).rstrip() for y in range(self.rows)]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def resize(self, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns
        self.screen.resize(rows, columns)
        self.chat.app._on_resize()

    def type(self, text: str) -> "Seat":
        self._keyboard.send_text(text)
        return self

    async def until(self, *conditions: str | Callable[[], object]) -> None:
        """Wait until the screen shows each text, and each condition holds, one after the other."""
        for condition in conditions:
            await self._until(condition)

    async def _until(self, what: str | Callable[[], object]) -> None:
        try:
            async with asyncio.timeout(WITHIN):
                while not (what in self.text if isinstance(what, str) else what()):
                    waits = [asyncio.create_task(event.wait()) for event in (self.drawn, self.line.called)]
                    await asyncio.wait([*waits, self.task], return_when=asyncio.FIRST_COMPLETED)
                    for wait in waits:
                        wait.cancel()
                    if self.task.done():
                        self.task.result()
                    self.drawn.clear()
                    self.line.called.clear()
        except TimeoutError:
            raise AssertionError(f"not seen: {what!r}\n{self.text}") from None


@contextlib.asynccontextmanager
async def seat(
    line: WrittenLine, rows: int = 24, columns: int = 80, wait: str = "connected"
) -> AsyncIterator[Seat]:
    with create_pipe_input() as keyboard:
        sitting = Seat(line, keyboard, rows, columns)
        try:
            await sitting.until(wait)
            yield sitting
        finally:
            await end(sitting.task)


async def test_an_alarm_is_loud_and_nothing_is_sent() -> None:
    line = WrittenLine(person(alarm="The device list of bob is no successor of the one known before"))
    async with seat(line) as at:
        await at.until("ALARM: The device list of bob is no successor")
        bar = next(y for y, row in enumerate(at.lines) if "ALARM" in row)
        cells = at.screen.buffer[bar]
        assert all(cells[x].reverse and cells[x].bold and cells[x].fg == "red" for x in range(80))
        await at.type("a secret\r").until("Not sent. The device list")
        assert at.lines[-1] == "> a secret"
        assert not line.named("send")
        assert not line.named("typing")
        await at.type("\x1b").until(lambda: "Not sent" not in at.text)
        assert "ALARM" in at.text


async def test_an_alarm_that_comes_while_somebody_writes_stops_the_line() -> None:
    line = WrittenLine()
    async with seat(line) as at:
        await at.type("half").until("> half")
        line.errors["send"] = TrustError("The device list of bob is no successor.")
        await at.type("\r").until("The device list of bob is no successor.")
        await at.until("> half")
        line.say(event="contact", contact=person(alarm="no successor"))
        await at.until("ALARM: no successor")


async def test_a_problem_of_the_relay_stands_on_the_screen_until_it_is_over() -> None:
    line = WrittenLine()
    async with seat(line) as at:
        line.say(event="state", connected=False, problems=["The relay cannot be reached."], held=0)
        await at.until("offline: what you write is kept")
        await at.until("The relay cannot be reached.")
        line.say(event="state", connected=True, problems=[], held=2)
        await at.until(lambda: "cannot be reached" not in at.text)
        await at.until("2 messages wait for earlier ones")


async def test_a_text_that_is_not_taken_comes_back() -> None:
    line = WrittenLine()
    line.errors["send"] = TooLargeError("A message has at most 65,000 bytes.")
    async with seat(line) as at:
        await at.type("long\r").until("at most 65,000 bytes")
        await at.until("> long")


async def test_commands_answer_in_the_pane() -> None:
    messages = [message(1, "the northern lights"), message(2, "yes", out=True, status="read")]
    line = WrittenLine(
        person(), person("carol", unread=3), person("request-x", status="request"), messages=messages
    )
    async with seat(line) as at:
        await at.until("carol: 3 new, 1 request")
        await at.type("/help\r").until("/verify [DIGITS]", "✓✓ delivered")
        await at.type("\x1b").until(lambda: "/verify" not in at.text)
        await at.type("/contacts\r").until("carol    3 new", "request-x    request")
        await at.type("/search northern\r").until("Found: northern")
        await at.type("/search nothing\r").until("Nothing found: nothing")
        await at.type("/verify\r").until("12345 12345 12345 12345")
        await at.type("/verify 12345\r").until("bob is verified", "✓ verified")
        await at.type("/history 50\r").until("which are all there are")
        await at.type("/block\r").until("To do so: /block bob")
        assert not line.named("block")
        await at.type("/block carol\r").until("/switch carol first")
        await at.type("/reply\r").until("1  10:01  the northern lights")
        await at.type("/reply 1\r").until("answering bob: the northern lights")
        await at.type("indeed\r").until("indeed")
        assert line.named("send")[0]["reply_to"] == messages[0]["id"]
        await at.type("/reply 7\r").until("no message 7")
        await at.type("/accept\r").until("is no request")
        await at.type("/swi\t").until("> /switch")
        await at.type("car\t\r").until(lambda: at.lines[0].startswith(" carol"))
        await at.type("/quit\r").until(at.task.done)


async def test_a_blocked_contact_gets_nothing() -> None:
    line = WrittenLine()
    async with seat(line) as at:
        await at.type("/block bob\r").until("contact unblock bob")
        await at.type("hello\r").until("Not sent: bob is no contact of yours, or blocked.")
        assert not line.named("send")


async def test_the_bell_rings_only_where_the_terminal_says_that_nobody_looks() -> None:
    line = WrittenLine()
    async with seat(line) as at:
        rung: list[str] = []
        at.chat.app.output.bell = lambda: rung.append("ring")  # type: ignore[method-assign]  # listens
        line.tell(message(1, "seen", seen=False))
        await at.until(lambda: line.named("read"))
        await at.type("\x1b[O").until(lambda: not at.chat.is_focused)
        line.tell(message(2, "unseen", seen=False))
        await at.until("new since last time")
        assert rung == ["ring"]
        await at.type("\x1b[I").until(lambda: len(line.named("read")) == 2)


@pytest.mark.parametrize(
    ("rows", "columns"), [(24, 80), (10, 40), (6, 20), (3, 10), (2, 2), (1, 1), (50, 300)]
)
async def test_hostile_text_stays_in_its_place_at_every_size(rows: int, columns: int) -> None:
    hostile = (
        "\x1b[2J\x1b]0;title\x07" + BIDI + "\u0301" * 99 + "\u200b" * 99 + "x" * 500 + "\n10:00 you  forged"
    )
    messages = [message(number, hostile, seen=False, reply_to=f"{number - 1:032x}") for number in range(1, 6)]
    request = person(status="request", display_name="\x1b[2J\u202eadmin")
    line = WrittenLine(request, messages=messages)
    async with seat(line, rows, columns, wait="") as at:
        await at.until(lambda: at.talk.is_loaded)
        at.type("typed \u202e\x1b[200~pasted \x1b[31m\u0301\x1b[201~")
        for height, width in [(rows, columns), (columns % 7 + 1, rows % 11 + 1), (rows, columns)]:
            at.drawn.clear()
            at.resize(height, width)
            await at.until(at.drawn.is_set)
            assert not set(at.text) & set(BIDI + "\x1b\x07\u200b")
            assert all(wide(row) <= width for row in at.lines)
        if columns >= 40:
            forged = [row for row in at.lines if "forged" in row]
            assert all(row.startswith("  ") for row in forged)
        assert not line.named("read")


async def test_a_flood_is_drawn_and_the_line_stays() -> None:
    line = WrittenLine()
    async with seat(line) as at:
        await at.type("still here").until("> still here")
        for number in range(800):
            line.tell(message(number, f"number {number}", sent=f"2026-11-20T10:00:00.{number:03d}+00:00"))
        await at.until("number 799")
        assert at.lines[-1] == "> still here"


async def test_the_end_of_the_profile_ends_the_chat_with_its_error() -> None:
    line = WrittenLine()
    line.errors["watch"] = ClientError("The profile is damaged.")
    with pytest.raises(ClientError, match="damaged"):
        async with seat(line, wait="never"):
            pass


async def test_what_is_typed_while_another_conversation_is_opened_goes_to_nobody() -> None:
    line = WrittenLine(person(), person("carol"))
    async with seat(line) as at:
        held = line.hold("contact")
        await at.type("/switch carol\r").until(lambda: at.talk.is_switching)
        await at.type("my dear carol\r").until("Not done: this was bob still", "> my dear carol")
        held.set()
        await at.until(lambda: at.lines[0].startswith(" carol"))
        assert at.lines[-1] == "> my dear carol"
        await at.type("\r").until(lambda: line.named("send"))
        assert [call["to"] for call in line.named("send")] == ["carol"]


@pytest.mark.parametrize(("rows", "columns"), [(3, 40), (4, 40), (24, 6)])
async def test_nothing_counts_as_read_that_there_is_no_room_for(rows: int, columns: int) -> None:
    line = WrittenLine(messages=[message(1, "hello", seen=False)])
    async with seat(line, rows, columns, wait="") as at:
        await at.until(lambda: at.talk.is_loaded)
        line.say(event="state", connected=False, problems=["The relay cannot be reached."], held=0)
        await at.until(lambda: at.talk.problems)
        at.chat.answering = at.talk.conversation.entries[0]
        at.talk.conversation.apply(message(2, "unseen", seen=False), is_looked_at=False)
        before = len(line.named("read"))
        for turn in range(3):
            count = at.chat.app.render_counter
            await at.type("abc"[turn]).until(lambda count=count: at.chat.app.render_counter > count)  # type: ignore[misc]  # mypy on defaults
        assert len(line.named("read")) == before


async def test_a_flood_rings_once() -> None:
    line = WrittenLine()
    async with seat(line) as at:
        rung: list[str] = []
        at.chat.app.output.bell = lambda: rung.append("ring")  # type: ignore[method-assign]  # listens
        await at.type("\x1b[O").until(lambda: not at.chat.is_focused)
        for number in range(1, 30):
            line.tell(message(number, f"number {number}", seen=False))
        await at.until("number 29")
        assert rung == ["ring"]


@pytest.mark.parametrize("method", ["enter", "_drawn"])
async def test_a_bug_of_ours_ends_the_chat_and_gives_the_terminal_back(
    monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def fail(_: Screen) -> None:
        raise RuntimeError("a bug of ours")

    async with seat(WrittenLine()) as at:
        monkeypatch.setattr(Screen, method, fail)
        with pytest.raises(RuntimeError, match="a bug of ours"):
            await at.type("hello\r").until(lambda: False)
        assert modes.DECTCEM in at.screen.mode
