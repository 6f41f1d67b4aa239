"""What the keys of a chat do, and how a terminal says that it has got or lost the keyboard.

Owns the bindings. Editing itself is prompt_toolkit's (Emacs keys).
"""

import os
import signal
from typing import TYPE_CHECKING, Final

from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.filters import Condition
from prompt_toolkit.input.ansi_escape_sequences import ANSI_SEQUENCES
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.output.base import Output

from clients.chat.commands import USAGES
from clients.chat.wire import Wire

if TYPE_CHECKING:
    from clients.chat.screen import Screen

# Keys that no keyboard has stand for the two reports of a terminal that was asked to tell of its focus.
FOCUS_IN: Final = Keys.ControlF23
FOCUS_OUT: Final = Keys.ControlF24
_REPORTS: Final = {"\x1b[I": FOCUS_IN, "\x1b[O": FOCUS_OUT}


def report_focus(output: Output, *, on: bool) -> None:
    """Ask the terminal to tell when it gets or loses the keyboard; one that cannot ignores it."""
    ANSI_SEQUENCES.update(_REPORTS)
    output.write_raw("\x1b[?1004h" if on else "\x1b[?1004l")
    output.flush()


def _suspend(output: Output, wire: Wire | None) -> None:
    """Give the terminal back to the shell until `fg`; it must not get reports that it has not asked for."""
    report_focus(output, on=False)
    if wire is not None:
        wire.drain()
    os.kill(0, signal.SIGTSTP)
    report_focus(output, on=True)


def complete(text: str, names: list[str]) -> str:
    """The line with its command or its name filled in as far as there is one way only."""
    word, blank, rest = text.partition(" ")
    if not word.startswith("/") or word.startswith("//"):
        return text
    choices = names if blank else [verb.value for verb in USAGES]
    begun = rest if blank else word[1:]
    fits = [choice for choice in choices if choice.startswith(begun)]
    if not fits or (blank and word != "/switch"):
        return text
    common = fits[0]
    while not all(choice.startswith(common) for choice in fits):
        common = common[:-1]
    done = " " if len(fits) == 1 and not blank else ""
    return f"{word} {common}" if blank else f"/{common}{done}"


def bindings(screen: "Screen") -> KeyBindings:
    """The keys of a chat."""
    found = KeyBindings()
    add = found.add
    buffer = screen.buffer

    @add("enter")
    def _(event: KeyPressEvent) -> None:
        screen.enter()

    @add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        buffer.newline(copy_margin=False)

    @add("c-c")
    def _(event: KeyPressEvent) -> None:
        if buffer.text or screen.answering:
            buffer.reset()
            screen.answering = None
            screen.talk.typed(has_text=False)
        else:
            screen.leave()

    @add("c-d", filter=Condition(lambda: not buffer.text))
    def _(event: KeyPressEvent) -> None:
        screen.leave()

    @add("c-z")
    def _(event: KeyPressEvent) -> None:
        run_in_terminal(lambda: _suspend(event.app.output, screen.wire))

    @add("tab")
    def _(event: KeyPressEvent) -> None:
        filled = complete(buffer.text, sorted(screen.talk.others))
        if filled != buffer.text:
            buffer.text = filled
            buffer.cursor_position = len(filled)

    @add("escape", "r")
    def _(event: KeyPressEvent) -> None:
        screen.answer_newest()

    @add("escape")
    def _(event: KeyPressEvent) -> None:
        screen.escape()

    @add("pageup")
    def _(event: KeyPressEvent) -> None:
        screen.scroll_back(page=True)

    @add("pagedown")
    def _(event: KeyPressEvent) -> None:
        screen.pane.page(1, screen.talk.conversation)

    @add("c-home")
    def _(event: KeyPressEvent) -> None:
        screen.scroll_back(page=False)

    @add("c-end")
    def _(event: KeyPressEvent) -> None:
        screen.pane.end()

    @add("up")
    def _(event: KeyPressEvent) -> None:
        buffer.auto_up(count=event.arg)

    @add("down")
    def _(event: KeyPressEvent) -> None:
        buffer.auto_down(count=event.arg)

    @add(FOCUS_IN)
    def _(event: KeyPressEvent) -> None:
        screen.focus(is_focused=True)

    @add(FOCUS_OUT)
    def _(event: KeyPressEvent) -> None:
        screen.focus(is_focused=False)

    return found
