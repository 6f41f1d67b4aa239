"""Rows of a conversation, and the part of them that is on the screen."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from clients.chat.conversation import KEPT_MAX, Conversation
from clients.chat.layout import Layout, Row, day_name, row_text
from clients.chat.marks import MARKS, Signs
from clients.chat.pane import Pane
from clients.chat.wrap import shown
from tests.clients.chat.lines import message
from tests.clients.chat.test_wrap import texts, wide


def conversation(*messages: dict[str, Any], name: str = "bob") -> Conversation:
    talk = Conversation(name)
    talk.load(messages)
    return talk


def layout(*, is_unicode: bool = True) -> Layout:
    return Layout(Signs(is_unicode=is_unicode), UTC)


def rows(talk: Conversation, width: int = 60) -> list[str]:
    return [row_text(row).rstrip() for block in layout().blocks(talk, width) for row in block.rows]


def test_a_wide_terminal_shows_time_mark_name_and_text_in_columns() -> None:
    talk = conversation(
        message(1, "Have you seen it? It was above the harbour at ten, green and red."),
        message(2, "Not yet!", out=True, status="delivered"),
        message(3, "why", out=True, status="failed", failed="no receipt within 30 days"),
        message(9, "look", reply_to=f"{2:032x}"),
    )
    assert rows(talk) == [
        "───────────────── Friday, 20 November 2026 ─────────────────",
        " 10:01    bob  Have you seen it? It was above the harbour at",
        "               ten, green and red.",
        " 10:02 ✓✓ you  Not yet!",
        " 10:03  ✗      why",
        "               not sent: no receipt within 30 days",
        " 10:09    bob  ┃ you: Not yet!",
        "               look",
    ]


def test_a_narrow_one_runs_the_text_in_behind_the_name() -> None:
    talk = conversation(
        message(1, "It was above the harbour at ten"), message(2, "Yes", out=True, status="read")
    )
    assert rows(talk, 30) == [
        "── Friday, 20 November 2026 ──",
        "10:01 bob It was above the",
        "  harbour at ten",
        "10:02 you ◉ Yes",
    ]


def test_the_name_is_said_again_after_a_while_and_after_whatever_stands_between() -> None:
    talk = conversation(message(1, "a"), message(2, "b"), message(20, "c"), message(21, "d", seen=False))
    assert [row[6:].replace("─", "").strip() for row in rows(talk)[1:]] == [
        "bob  a", "b", "bob  c", "new since last time", "bob  d",
    ]  # fmt: skip


def test_the_name_is_said_again_below_a_gap_and_below_words_of_ours() -> None:
    talk = conversation(message(1, "a"), message(2, "b", missing_before=1), message(3, "c"))
    assert rows(talk)[-2:] == [" 10:02    bob  b", " 10:03         c"]
    talk.note("a note")
    talk.apply(message(4, "d"), is_looked_at=True)
    assert rows(talk)[-2:] == [" a note", " 10:04    bob  d"]


def test_what_is_odd_about_a_message_is_said() -> None:
    answer = message(3, "c", reply_to="f" * 32)
    talk = conversation(message(1, "a", missing_before=2), message(2, "b", late=True), answer)
    said = "\n".join(rows(talk))
    assert "2 messages are missing here" in said
    assert "b\n               (came late)" in said
    assert "an earlier message" in said


def test_a_new_day_has_its_heading() -> None:
    first = message(1, "a", sent="2026-11-19T23:59:00.000+00:00")
    talk = conversation(first, message(2, "b", sent="2026-11-20T00:01:00.000+00:00"))
    assert [row.replace("─", "").strip()[-20:] for row in rows(talk)[::2]] == [
        "ay, 19 November 2026", "ay, 20 November 2026",
    ]  # fmt: skip
    assert day_name(datetime(2027, 1, 1, tzinfo=UTC)) == "Friday, 1 January 2027"


def test_no_mark_looks_like_another_with_or_without_colour() -> None:
    for is_unicode in (True, False):
        signs = Signs(is_unicode=is_unicode)
        assert len({signs.mark(status)[1] for status in MARKS}) == len(MARKS)
        assert all(wide(signs.mark(status)[1]) == 2 for status in MARKS)
    assert all(mark.plain.isascii() for mark in MARKS.values())


def test_a_terminal_without_utf8_gets_ascii_from_us() -> None:
    talk = conversation(message(1, "a", reply_to=f"{2:032x}"), message(2, "b", out=True, status="read"))
    drawn = "".join(
        row_text(row) for block in layout(is_unicode=False).blocks(talk, 70) for row in block.rows
    )
    assert drawn.isascii()


def test_an_unknown_status_of_a_later_version_is_no_exception() -> None:
    assert rows(conversation(message(1, "a", out=True, status="burned")))[1] == " 10:01    you  a"


def test_years_that_no_clock_shows_are_no_exception() -> None:
    for sent in ("9999-12-30T23:59:59.000+00:00", "0001-01-01T00:00:00.000+00:00"):
        assert rows(conversation(message(1, "a", sent=sent)))


@given(
    st.lists(st.tuples(texts, st.booleans(), st.booleans(), st.sampled_from([*MARKS, "new"])), max_size=6),
    st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=30),
    st.integers(1, 90),
)
def test_no_row_is_ever_wider_than_the_terminal_and_no_text_is_lost(
    parts: list[tuple[str, bool, bool, str]], name: str, width: int
) -> None:
    talk = conversation(
        *(
            message(number, text, out=out, status=status, late=late, failed=text or None,
                    reply_to=f"{number - 1:032x}", missing_before=number % 2, seen=not late)
            for number, (text, out, late, status) in enumerate(parts)
        ), name=name,
    )  # fmt: skip
    talk.note("a note of ours:  with columns", is_trouble=True)
    blocks = layout().blocks(talk, width)
    assert all(wide(row_text(row)) <= width for block in blocks for row in block.rows)
    if width >= 40:
        for entry, (text, *_) in zip(talk.entries, parts, strict=True):
            (block,) = [block for block in blocks if block.key == entry.key]
            drawn = "".join("".join(row_text(row).split()) for row in block.rows)
            assert "".join(shown(text).split()) in drawn


def test_rows_are_made_again_only_where_something_changed() -> None:
    talk = conversation(message(1, "a", out=True), message(2, "b"))
    drawing = layout()
    before = {block.key: block.rows for block in drawing.blocks(talk, 60)}
    talk.apply(message(1, "a", out=True, status="read"), is_looked_at=True)
    after = {block.key: block.rows for block in drawing.blocks(talk, 60)}
    one, other = (entry.key for entry in talk.entries)
    assert after[one] is not before[one]
    assert after[other] is before[other]


def test_rows_are_made_again_for_another_width_and_when_the_answered_message_is_found() -> None:
    talk, drawing = conversation(message(2, "yes", reply_to=f"{1:032x}")), layout()

    def rows(width: int) -> list[list[Row]]:
        return [block.rows for block in drawing.blocks(talk, width)]

    assert "an earlier message" in str(rows(60))
    talk.load_older([message(1, "really?", out=True)])
    assert "you: really?" in str(rows(60))
    assert rows(20) != rows(60)


# --- the pane --------------------------------------------------------------------------------------------


def seen(pane: Pane, talk: Conversation, width: int = 60, height: int = 5) -> list[str]:
    return [row_text(row).split()[-1] for row in pane.show(talk, width, height)]


def late(number: int) -> str:
    return f"2026-11-21T{number // 3600:02d}:{number // 60 % 60:02d}:{number % 60:02d}.000+00:00"


def numbers(first: int, last: int) -> list[dict[str, Any]]:
    return [message(number, f"m{number}") for number in range(first, last)]


def test_it_sticks_to_the_end() -> None:
    talk, pane = conversation(*numbers(1, 30)), Pane(layout())
    assert seen(pane, talk) == ["m25", "m26", "m27", "m28", "m29"]
    talk.apply(message(30, "m30"), is_looked_at=True)
    assert seen(pane, talk)[-1] == "m30"
    assert pane.at_end


def test_what_is_scrolled_to_stays_where_it_is() -> None:
    talk, pane = conversation(*numbers(1, 30)), Pane(layout())
    seen(pane, talk)
    pane.scroll(-10, talk)
    looked_at = seen(pane, talk)
    assert looked_at[0] == "m15"
    talk.apply(message(30, "m30"), is_looked_at=False)
    talk.apply(message(31, "m31"), is_looked_at=False)
    assert seen(pane, talk) == looked_at
    assert pane.below(talk) == 2
    talk.load_older(numbers(100, 120))
    assert seen(pane, talk) == looked_at
    assert seen(pane, talk, 40, 8)[0] == "m15"
    pane.end()
    assert seen(pane, talk)[-1] == "m31"
    assert pane.below(talk) == 0


def test_where_everything_fits_there_is_nothing_to_scroll() -> None:
    talk, pane = conversation(*numbers(1, 10)), Pane(layout())
    seen(pane, talk)
    pane.scroll(-3, talk)
    seen(pane, talk)
    assert not pane.at_end
    seen(pane, talk, 60, 30)
    assert pane.at_end


def test_pages_overlap_and_end_at_both_ends() -> None:
    talk, pane = conversation(*numbers(1, 30)), Pane(layout())
    last = seen(pane, talk)
    assert pane.page(-1, talk)
    before = seen(pane, talk)
    assert before[-2:] == last[:2]
    pane.beginning(talk)
    assert seen(pane, talk)[1] == "m1"
    assert not pane.page(-1, talk)
    for _ in range(12):
        pane.page(1, talk)
        seen(pane, talk)
    assert pane.at_end


@given(
    st.integers(0, 30),
    st.lists(st.tuples(st.sampled_from(["up", "down", "top", "end", "new", "old"]), st.integers(1, 70),
                       st.integers(0, 30)), max_size=25),
)  # fmt: skip
def test_no_order_of_scrolling_growing_and_resizing_is_an_exception(
    count: int, steps: list[tuple[str, int, int]]
) -> None:
    talk, pane = conversation(*numbers(1, count + 1)), Pane(layout())
    for number, (step, width, height) in enumerate(steps):
        match step:
            case "up" | "down":
                pane.page(-1 if step == "up" else 1, talk)
            case "top":
                pane.beginning(talk)
            case "end":
                pane.end()
            case "new":
                talk.apply(message(100 + number, "new"), is_looked_at=False)
            case _:
                talk.load_older([message(200 + number, "old")])
        shown_rows: list[Row] = pane.show(talk, width, height)
        assert len(shown_rows) <= height
        assert pane.below(talk) >= 0


def test_what_is_looked_at_stays_when_the_flood_pushes_older_messages_out_of_memory() -> None:
    talk, pane = conversation(*numbers(1, 101)), Pane(layout())
    seen(pane, talk)
    pane.beginning(talk)
    for number in range(101, 101 + KEPT_MAX):
        talk.apply(message(number, f"m{number}", sent=late(number)), is_looked_at=False)
    seen(pane, talk)
    assert not pane.at_end
    assert seen(pane, talk)[1] == talk.entries[0].text


def test_a_note_that_is_taken_away_does_not_move_the_pane_to_its_end() -> None:
    talk, pane = conversation(*numbers(1, 30)), Pane(layout())
    talk.note(*(f"line {number}" for number in range(20)))
    for number in range(30, 60):
        talk.apply(message(number, f"m{number}"), is_looked_at=False)
    seen(pane, talk)
    while seen(pane, talk)[0] != "4":
        pane.scroll(-1, talk)
    talk.clear_notes()
    assert seen(pane, talk)[0] == "m30"
    assert not pane.at_end


def test_rows_are_made_for_what_is_visible_only() -> None:
    drawing = layout()
    talk, pane = conversation(*(message(number, "\n" * 65_000) for number in range(1, 60))), Pane(drawing)
    seen_rows = pane.show(talk, 60, 10)
    assert len(seen_rows) == 10
    made = [key for key, (_, _, block) in drawing._known.items() if block._rows is not None]
    assert made == [talk.entries[-1].key]
    pane.beginning(talk)
    pane.show(talk, 40, 10)
    made = [key for key, (_, _, block) in drawing._known.items() if block._rows is not None]
    assert made == [talk.entries[0].key, talk.entries[-1].key]


def test_no_row_is_no_sight() -> None:
    talk, pane = conversation(*numbers(1, 3)), Pane(layout())
    pane.show(talk, 60, 1)
    assert pane.is_visible
    pane.hide()
    assert not pane.is_visible
