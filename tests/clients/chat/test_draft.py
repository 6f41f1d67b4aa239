"""The line being written: shown safely, completed, and the cursor where it belongs."""

import pytest
from hypothesis import given
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.layout.controls import BufferControl
from prompt_toolkit.layout.processors import Transformation, TransformationInput

from clients.chat.draft import SafeDisplay
from clients.chat.keys import complete
from tests.clients.chat.test_wrap import BIDI, FAMILY, texts


def transformed(text: str) -> tuple[str, Transformation]:
    buffer = Buffer()
    given = TransformationInput(BufferControl(buffer), buffer.document, 0, lambda i: i, [("", text)], 80, 24)
    made = SafeDisplay().apply_transformation(given)
    return "".join(fragment[1] for fragment in made.fragments), made


@given(texts)
def test_nothing_pasted_acts_on_the_terminal_and_every_place_has_its_place(text: str) -> None:
    text = text.replace("\n", " ")
    display, made = transformed(text)
    assert not set(display) & set(BIDI + "\x1b\x07\r\u200b\u200d")
    places = [made.source_to_display(position) for position in range(len(text) + 1)]
    assert places == sorted(places)
    assert places[-1] <= len(display)
    for position, place in enumerate(places):
        assert made.source_to_display(made.display_to_source(place)) == place or position == len(text)


def test_joined_emoji_are_shown_apart_and_letters_as_they_are() -> None:
    assert transformed(FAMILY)[0] == FAMILY.replace("\u200d", "")
    assert transformed("漢字 e\u0301")[0] == "漢字 e\u0301"
    assert transformed("a\u202eb")[0] == "a\\u202eb"


@pytest.mark.parametrize(
    ("begun", "whole"),
    [
        ("/sw", "/switch "),
        ("/h", "/h"),
        ("/hi", "/history "),
        ("/switch c", "/switch carol"),
        ("/switch d", "/switch da"),
        ("/switch x", "/switch x"),
        ("/reply c", "/reply c"),
        ("//sw", "//sw"),
        ("sw", "sw"),
        ("", ""),
    ],
)
def test_tab_completes_commands_and_names(begun: str, whole: str) -> None:
    assert complete(begun, ["carol", "dana", "dave"]) == whole
