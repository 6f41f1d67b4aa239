"""Text of others in rows: safe, whole, and never wider than the terminal, however hostile."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import iter_graphemes, wcswidth, wcwidth

from clients.chat.wrap import MARKS_MAX, columns, is_uncertain, one_line, shown, wrap

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
FLAG = "\U0001f1e9\U0001f1ea"
SCOTLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"
HEART = "\u2764\ufe0f"
PIECES = [
    "a", " ", "  ", "\n", "\t", "\r\n", "\r", "word", "-", "\x1b[2J", "\x07", "\x9b", "\u00ad", "\u200b",
    "\u2060", "\ufeff", "\u200d", "\u200c", "\ufe0f", "\u0301", "\u0301" * 20, "e\u0301", "\u6f22\u5b57",
    "\u05e9\u05dc\u05d5", "\u0645\u0631\u062d\u0628\u0627", "\u0915\u094d\u0937\u093f", "\ud55c",
    "\u1112\u1161\u11ab", FAMILY, FLAG, SCOTLAND, HEART, "\U0001f44d\U0001f3fd", "\U0001f1e9",
    "1\ufe0f\u20e3",
    "\ue000", "\U000e0041", "\ufffe", "\ud800", *BIDI,
]  # fmt: skip

texts = st.one_of(
    st.text(max_size=200),
    st.lists(st.sampled_from(PIECES), max_size=60).map("".join),
    st.text(alphabet=st.characters(categories=["Cf", "Mn", "Me", "Zs", "So"]), max_size=60),
)
widths = st.integers(1, 90)


def wide(row: str) -> int:
    """How wide a terminal may draw it, at most: some join characters, some do not."""
    return max(wcswidth(row), sum(max(0, wcwidth(c)) for c in row))


def escaped(text: str) -> str:
    return "".join(f"\\u{ord(c):04x}" if ord(c) <= 0xFFFF else f"\\U{ord(c):08x}" for c in text)


@given(texts, widths, st.integers(1, 90))
def test_no_row_is_wider_than_the_terminal(text: str, width: int, first: int) -> None:
    rows = wrap(shown(text), width, first)
    assert [wide(row.text) for row in rows] == [row.width for row in rows] or is_uncertain(text)
    assert wide(rows[0].text) <= first
    assert all(wide(row.text) <= width for row in rows[1:])


@given(texts, widths)
def test_nothing_acts_on_the_terminal_or_reverses_the_text(text: str, width: int) -> None:
    for row in wrap(shown(text), width):
        assert not {unicodedata.category(c) for c in row.text} & {"Cc", "Cs", "Zl", "Zp"}
        assert not set(row.text) & set(BIDI)
        assert not set(row.text) & set("\u200b\u2060\ufeff\u00ad\u180e")


@given(texts, st.integers(2, 90))
def test_the_text_can_be_put_together_again(text: str, width: int) -> None:
    whole = shown(text)
    rows = wrap(whole, width)
    joined = "".join(row.text + row.end for row in rows)
    if all(wide(unit) <= width for unit in iter_graphemes(whole)):  # else that is escaped, or taken apart
        assert joined == whole


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=300), widths)
def test_plain_text_is_shown_as_it_is(text: str, width: int) -> None:
    assert shown(text) == text
    rows = wrap(text, width)
    assert "".join(row.text + row.end for row in rows) == text
    assert all(row.end in ("", " ", "\n") for row in rows)


@given(texts, st.integers(0, 60))
def test_one_line_is_one_and_fits(text: str, width: int) -> None:
    line = one_line(text, width)
    assert "\n" not in line
    assert wide(line) <= max(1, width)


@pytest.mark.parametrize(
    "text", [FAMILY, FLAG, SCOTLAND, HEART, "\u0915\u094d\u0937\u093f", "e\u0301", "\u6f22"]
)
def test_what_belongs_together_is_neither_escaped_nor_cut(text: str) -> None:
    assert shown(text) == text
    rows = wrap(f"{text}{text} {text}", columns(text))
    assert [row.text for row in rows] == [text, text, text]


def test_rows_end_at_blanks_and_beside_wide_characters() -> None:
    assert [row.text for row in wrap("one two three", 8)] == ["one two", "three"]
    assert [row.text for row in wrap("abcdefghij", 4)] == ["abcd", "efgh", "ij"]
    assert [row.text for row in wrap("ab\u6f22\u5b57cd", 4)] == ["ab\u6f22", "\u5b57cd"]
    assert [row.text for row in wrap("a\n\nb", 4)] == ["a", "", "b"]


def test_only_the_first_row_is_shorter_where_something_stands_before_it() -> None:
    assert [row.text for row in wrap("one two three four", 12, 5)] == ["one", "two three", "four"]


def test_escapes_that_move_the_cursor_are_shown() -> None:
    assert shown("a\x1b[31mb\u202ec\u200bd") == "a\\x1b[31mb\\u202ec\\u200bd"
    assert shown("a\r\nb\tc") == "a\nb    c"


def test_what_nobody_sees_is_escaped_also_behind_a_letter() -> None:
    assert shown("a\u200bb\u2060c\ufeffd\u00ad") == "a\\u200bb\\u2060c\\ufeffd\\u00ad"
    assert shown("a\U000e0041") == "a\\U000e0041"
    assert (
        shown("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645")
        == "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
    )


def test_marks_on_nothing_and_floods_of_them_are_escaped() -> None:
    assert shown("\u0301") == "\\u0301"
    assert shown("e" + "\u0301" * 10) == "e" + "\u0301" * MARKS_MAX + "\\u0301" * 2


def test_terminals_agree_about_most_texts_and_not_about_joined_emoji() -> None:
    assert not any(is_uncertain(text) for text in ("hello", "\u6f22\u5b57", "e\u0301", "\u05e9\u05dc"))
    assert all(is_uncertain(text) for text in (FAMILY, FLAG, HEART))


@pytest.mark.parametrize(
    "text",
    [
        "x" * 65_000,
        "\u0301" * 32_000,
        "\u200d" * 21_000,
        "\u6f22" * 21_000,
        (FAMILY + "\u200d") * 3000,
        "\n" * 65_000,
    ],
)
def test_the_longest_texts_are_no_exception(text: str) -> None:
    rows = wrap(shown(text), 61)
    assert all(row.width <= 61 for row in rows)
