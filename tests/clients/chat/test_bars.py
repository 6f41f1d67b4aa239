"""The lines around the conversation."""

import contextlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from clients.chat import bars
from clients.chat.conversation import Entry
from clients.chat.layout import Row, row_text
from clients.chat.marks import Signs
from clients.chat.talk import Talk
from tests.clients.chat.lines import WrittenLine, message, person
from tests.clients.chat.test_wrap import BIDI, texts, wide

SIGNS = Signs()


def talk(*, name: str = "bob", is_connected: bool = True, **fields: Any) -> Talk:
    made = Talk(WrittenLine().open, name)
    made.person, made.is_loaded, made.connected = person(name, **fields), True, is_connected
    return made


def title(made: Talk, width: int = 80) -> str:
    return row_text(bars.title(made, SIGNS, width))


def said(made: Talk) -> list[str]:
    return [sentence for _, sentence in bars.alarms(made)]


def test_the_title_says_who_it_is_and_whether_that_is_known() -> None:
    assert title(talk()).split("  ")[:2] == [" bob", "not verified"]
    assert "✓ verified · online" in title(talk(verified=True, online=True))
    assert "away" in title(talk(online=False))
    assert not {"online", "away"} & set(title(talk(online=None)).split())
    assert title(talk()).endswith("connected ")
    assert len(title(talk())) == 80


def test_nobody_is_online_as_far_as_is_known_while_we_are_not() -> None:
    made = talk(online=True, is_connected=False)
    assert "online" not in title(made)
    assert "connecting ..." in title(made)
    made.was_connected = True
    assert "offline: what you write is kept" in title(made)


def test_the_name_stays_when_everything_else_gives_way() -> None:
    assert title(talk(), 12).startswith(" bob")
    assert title(talk(name="x" * 64), 20).strip() == "x" * 15 + "..."


def test_an_alarm_is_said_once_and_comes_first() -> None:
    made = talk(alarm="The list is no successor.")
    made.problems = ["The relay is away.", "ALARM: 'bob': The list is no successor. Nothing is sent there."]
    assert said(made)[0].startswith("ALARM: The list is no successor. Nothing is sent to bob")
    assert said(made)[1:] == ["The relay is away."]
    made.problems = ["ALARM: 'carol': another. Nothing is sent there."]
    assert bars.alarms(made)[1] == ("class:alarm", made.problems[0])


def test_a_request_says_what_it_calls_itself_and_that_anybody_can() -> None:
    assert 'calls itself "Mallory"' in said(talk(status="request", display_name="Mallory"))[0]
    assert "/accept NAME, or /block" in said(talk(status="request"))[0]


def test_a_long_name_of_a_stranger_leaves_our_words_on_the_screen() -> None:
    made = talk(status="request", display_name="漢" * 64)
    (row,) = bars.bar_rows(bars.alarms(made), 40, 1)
    assert row_text(row).startswith(" REQUEST: /accept NAME, or /block")


def test_what_goes_on_is_said_and_who_else_has_written() -> None:
    made = talk(typing=True)
    assert "bob is typing ..." in row_text(bars.rule(made, SIGNS, 60, 0))
    assert "3 new below" in row_text(bars.rule(made, SIGNS, 60, 3))
    made.others = {"carol": person("carol", unread=2), "dave": person("dave", status="blocked", unread=1)}
    assert row_text(bars.rule(made, SIGNS, 60, 0)).endswith(" carol: 2 new ──")
    made.others |= {"eve": person("eve", unread=1), "request-x": person("request-x", status="request")}
    assert "2 others have written, 1 request" in row_text(bars.rule(made, SIGNS, 80, 0))


def test_a_message_that_waits_to_be_accepted_is_explained() -> None:
    made = talk()
    made.conversation.load([message(1, "hi", out=True, status="requested")])
    assert "bob has not accepted you yet" in row_text(bars.rule(made, SIGNS, 80, 0))


@given(texts, texts, st.integers(1, 120), st.booleans(), st.sampled_from(["approved", "request", "blocked"]))
def test_no_line_is_ever_wider_than_the_terminal_or_acts_on_it(
    text: str, other: str, width: int, is_on: bool, status: str
) -> None:
    made = talk(
        name=text[:64] or "x",
        status=status,
        display_name=other,
        alarm=other or None,
        online=is_on,
        typing=is_on,
    )
    made.problems = [text, other]
    made._notice.words = other
    made.others = {other: person(other, unread=1)}
    entry = Entry.parse(message(1, text))
    rows: list[Row] = [
        bars.title(made, SIGNS, width),
        bars.rule(made, SIGNS, width, 0),
        bars.answering(entry, made, SIGNS, width),
        *bars.bar_rows(bars.alarms(made), width, 3),
    ]
    for row in rows:
        assert wide(row_text(row)) <= width
        assert not set(row_text(row)) & set(BIDI + "\x1b\n\r\x07")
    with contextlib.suppress(IndexError):
        assert wide(row_text(bars.bar_rows(bars.alarms(made), width, 1)[0])) <= width
