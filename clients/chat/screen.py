"""The screen of a chat: conversation above, the line being written below.

Owns the full-screen application, its areas and what gives way when rows are few. What the areas say comes
from the pure modules beside it; what the keys do is in `keys`. Imported only when a chat runs.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input.base import Input
from prompt_toolkit.layout import (
    BufferControl,
    ConditionalContainer,
    Dimension,
    HSplit,
    Window,
)
from prompt_toolkit.layout import Layout as ScreenLayout
from prompt_toolkit.output.base import Output

from clients.chat import bars, keys
from clients.chat.actions import Actions
from clients.chat.commands import Command, Verb, parse
from clients.chat.conversation import Entry
from clients.chat.draft import SafeDisplay
from clients.chat.drawing import STYLE, Drawing, Rows
from clients.chat.errands import Busy
from clients.chat.layout import Layout, Row
from clients.chat.marks import Signs
from clients.chat.pane import Pane
from clients.chat.talk import Talk
from clients.chat.wire import Wire, open_output
from clients.chat.wrap import columns, shown
from clients.tasks import until_one_ends

INPUT_ROWS: Final = 5
DRAFTS_MAX: Final = 200_000  # characters of a line being written; far more than a message holds
REDRAW: Final = 0.02  # seconds between two drawings at least
RING: Final = 2.0  # seconds between two rings of the bell at least
READABLE: Final = 8  # columns; in less nobody has read anything
OF_THE_CONVERSATION: Final = (
    Verb.SAY, Verb.REPLY, Verb.ACCEPT, Verb.BLOCK, Verb.VERIFY, Verb.SEARCH, Verb.HISTORY,
)  # fmt: skip


class TerminalGone(Exception):
    """Its window was closed."""


class Screen:
    """One chat in a terminal."""

    def __init__(
        self,
        talk: Talk,
        signs: Signs,
        *,
        input: Input | None = None,
        output: Output | None = None,
    ) -> None:
        self.talk = talk
        self.actions = Actions(talk, signs)
        self.pane = Pane(Layout(signs))
        self.answering: Entry | None = None
        self.is_focused = True  # until the terminal says something else
        self._rang = -RING
        self._signs = signs
        self._shown = talk.conversation
        self.buffer = Buffer(
            multiline=True, history=InMemoryHistory(), on_text_changed=lambda _: self._typed(), name="draft"
        )
        self.wire: Wire | None = None
        if output is None:
            output, self.wire = open_output(sys.stdout, self.changed)
        self.app: Application[None] = Drawing(
            lambda: self.wire is not None and self.wire.is_busy,
            layout=ScreenLayout(self._areas()),
            key_bindings=keys.bindings(self),
            style=STYLE,
            full_screen=True,
            enable_page_navigation_bindings=False,
            mouse_support=False,
            min_redraw_interval=REDRAW,
            erase_when_done=False,
            input=input,
            output=output,
            before_render=lambda _: self.pane.hide(),
            after_render=lambda _: self._drawn(),
        )
        self.app.ttimeoutlen = 0.1
        self.app.timeoutlen = 0.3

    # --- areas ----------------------------------------------------------------------------------------

    def _areas(self) -> HSplit:
        draft = Window(
            BufferControl(self.buffer, input_processors=[SafeDisplay()]),
            height=lambda: Dimension(min=1, max=self._draft_rows(), preferred=self._draft_rows()),
            dont_extend_height=True,
            wrap_lines=True,
            get_line_prefix=lambda number, wrapped: self._prefix(number + wrapped),
        )
        return HSplit(
            [
                self._area(lambda w, h: [bars.title(self.talk, self._signs, w)], lambda: self._rows >= 5),
                Window(
                    Rows(lambda w, h: self._bars(w)[:h]),
                    height=lambda: Dimension.exact(len(self._bars(self._columns))),
                    wrap_lines=False,
                ),
                Window(Rows(self._conversation), height=Dimension(min=0, weight=1), wrap_lines=False),
                self._area(self._rule, lambda: self._rows >= 3),
                self._area(self._answering, lambda: self._is_answering),
                draft,
            ]
        )

    def _area(self, make: Callable[[int, int], list[Row]], there: Callable[[], bool]) -> ConditionalContainer:
        return ConditionalContainer(Window(Rows(make), height=1, wrap_lines=False), Condition(there))

    @property
    def _rows(self) -> int:
        return self.app.output.get_size().rows

    @property
    def _columns(self) -> int:
        return max(1, self.app.output.get_size().columns)

    @property
    def _is_answering(self) -> bool:
        return self.answering is not None and self._rows >= 4

    def _bars(self, width: int) -> list[Row]:
        most = 0 if self._rows < 2 else 1 if self._rows < 8 else 2 if self._rows < 16 else 5
        return bars.bar_rows(bars.alarms(self.talk), width, most)

    def _conversation(self, width: int, height: int) -> list[Row]:
        talk = self.talk.conversation
        if talk is not self._shown:  # another one: what was scrolled or answered was not in it
            self._shown, self.answering = talk, None
            self.pane.end()
        if not self.talk.is_loaded:
            return [[] for _ in range(height)]
        rows = self.pane.show(talk, width, height)
        return [[] for _ in range(height - len(rows))] + rows

    def _rule(self, width: int, height: int) -> list[Row]:
        return [bars.rule(self.talk, self._signs, width, self.pane.below(self.talk.conversation))]

    def _answering(self, width: int, height: int) -> list[Row]:
        assert self.answering is not None
        return [bars.answering(self.answering, self.talk, self._signs, width)]

    @property
    def _has_prefix(self) -> bool:
        return self._columns >= 8

    def _prefix(self, row: int) -> StyleAndTextTuples:
        return [("class:prompt", "> " if row == 0 else "  ")] if self._has_prefix else []

    def _draft_rows(self) -> int:
        """How many rows the line being written takes: as it grows, but never most of the screen."""
        most = max(1, min(INPUT_ROWS, self._rows // 3))
        width = max(1, self._columns - (2 if self._has_prefix else 0))
        rows = 0
        for line in self.buffer.text.split("\n", most)[:most]:
            rows += columns(shown(line[: width * most])) // width + 1
            if rows >= most:
                break
        return min(most, rows)

    # --- what happens ---------------------------------------------------------------------------------

    def changed(self) -> None:
        """There is something else to see."""
        self.app.invalidate()

    def heard(self, entry: Entry) -> None:
        """A new message at the end: ring, if the terminal says that nobody looks."""
        now = time.monotonic()
        if not entry.outgoing and not self.is_focused and now - self._rang >= RING:
            self._rang = now
            self.app.output.bell()
            self.app.output.flush()

    def focus(self, *, is_focused: bool) -> None:
        """The terminal has got or lost the keyboard."""
        self.is_focused = is_focused
        self.changed()

    def _drawn(self) -> None:
        before = self.talk.conversation.first_new
        is_readable = self.pane.is_visible and self._rows >= 3 and self._columns >= READABLE
        self.talk.look(is_looked_at=self.is_focused and self.pane.at_end and is_readable)
        if before != self.talk.conversation.first_new:
            self.changed()

    def _typed(self) -> None:
        text = self.buffer.text
        if len(text) > DRAFTS_MAX:
            self.buffer.text = text[:DRAFTS_MAX]
            self.talk.say_for_a_moment("That is more than one message holds; its end was cut off.")
        self.talk.typed(has_text=bool(text.strip()) and (not text.startswith("/") or text.startswith("//")))

    def enter(self) -> None:
        """Send the line, or do what it says."""
        text = self.buffer.text
        command = parse(text)
        if command.verb is Verb.NOTHING:
            self.buffer.reset()
            return
        if self._refuse(command):
            return
        self.buffer.append_to_history()
        self.buffer.reset()
        self._typed()
        try:
            self._perform(command, text)
        except Busy as error:
            self._give_back(text, str(error))
        self.pane.end()
        self.changed()

    def _refuse(self, command: Command) -> bool:
        """Whether the line stays where it is: it cannot be sent, and the pane or a bar says why."""
        why = command.text if command.verb is Verb.WRONG else ""
        is_text = command.verb is Verb.SAY or (command.verb is Verb.REPLY and bool(command.text))
        if command.verb in OF_THE_CONVERSATION and self.talk.is_switching:
            why = f"Not done: this was {self.talk.name} still. Look above who it is, then press Enter again."
        elif is_text and self.talk.alarm:
            why = f"Not sent. {self.talk.alarm}"
        elif is_text and self.talk.is_request:
            why = f"Not sent: {self.talk.name} is a request. /accept NAME first, or /block."
        elif is_text and self.talk.is_loaded and not self.talk.is_approved:
            why = f"Not sent: {self.talk.name} is no contact of yours, or blocked."
        if why:
            self.talk.conversation.note(why, is_trouble=True)
            self.pane.end()
            self.changed()
        return bool(why)

    def _perform(self, command: Command, typed: str) -> None:
        match command.verb:
            case Verb.QUIT:
                self.leave()
            case Verb.SAY:
                self._send(command.text, self.answering, typed)
            case Verb.REPLY if command.number is None:
                self.actions.number()
            case Verb.REPLY:
                entry = self.actions.numbered(command.number or 1)
                if entry is not None and command.text:
                    self._send(command.text, entry, typed)
                elif entry is not None:
                    self.answering = entry
            case _:
                self.actions.perform(command)

    def _send(self, text: str, answered: Entry | None, typed: str) -> None:
        reply_to = None if answered is None else answered.id
        self.talk.send(text, reply_to, refused=lambda why: self._give_back(typed, ""))
        self.answering = None

    def _give_back(self, text: str, why: str) -> None:
        """The line was not taken: it is in the input again, unless something else is; then Up brings it."""
        if why:
            self.talk.conversation.note(why, is_trouble=True)
        if not self.buffer.text:
            self.buffer.text = text
            self.buffer.cursor_position = len(text)

    def answer_newest(self) -> None:
        """What is typed next answers the other side's latest message."""
        numbered = self.talk.conversation.numbered()
        if numbered:
            self.answering = numbered[0]
        else:
            self.actions.number()

    def escape(self) -> None:
        """Stop answering, else take the program's own words away."""
        if self.answering is not None:
            self.answering = None
        else:
            self.talk.conversation.clear_notes()

    def scroll_back(self, *, page: bool) -> None:
        """Towards older messages; at the beginning more of them are loaded."""
        talk = self.talk.conversation
        if page:
            moved = self.pane.page(-1, talk)
        else:
            self.pane.beginning(talk)
            moved = False
        if not moved:
            self.talk.load_older()

    def leave(self) -> None:
        """End the chat."""
        if self.app.is_running and not self.app.is_done:
            self.app.exit()

    # --- run ------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Show it until it is left. Raises ClientError where the profile cannot be had."""
        loop = asyncio.get_running_loop()
        handler = loop.get_exception_handler()
        loop.set_exception_handler(self._failed)
        keys.report_focus(self.app.output, on=True)
        try:
            await until_one_ends(self._chat(), self.talk.run())
        finally:
            loop.set_exception_handler(handler)
            with contextlib.suppress(OSError):  # the terminal may be gone
                keys.report_focus(self.app.output, on=False)
            if self.wire is not None:
                self.wire.close()

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A key or a drawing met a bug of ours: that ends the chat, rather than being written across it."""
        error = context.get("exception")
        if "handle" in context and error is not None and self.app.is_running and not self.app.is_done:
            self.app.exit(exception=error)
        elif not self.app.is_running:
            loop.default_exception_handler(context)

    async def _chat(self) -> None:
        try:
            await self.app.run_async(handle_sigint=False, set_exception_handler=False)
        except (EOFError, OSError):
            raise TerminalGone from None
        await self.talk.finish()
