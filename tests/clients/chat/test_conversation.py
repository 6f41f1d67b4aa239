"""A conversation as events change it."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from clients.chat.conversation import KEPT_MAX, NOTES_MAX, NUMBERED, Change, Conversation, Entry
from tests.clients.chat.lines import message


def conversation(*messages: dict[str, Any]) -> Conversation:
    talk = Conversation("bob")
    talk.load(messages)
    return talk


def texts(talk: Conversation) -> list[str]:
    return [entry.text for entry in talk.entries]


def test_a_message_of_the_application_is_understood() -> None:
    entry = Entry.parse(message(3, "hi", out=True, status="failed", failed="too old", reply_to="ab" * 16))
    assert (entry.text, entry.outgoing, entry.status, entry.failed) == ("hi", True, "failed", "too old")
    assert entry.reply_to == "ab" * 16
    assert "hi" not in repr(entry)


def test_bytes_are_shown_by_their_number() -> None:
    data = {key: value for key, value in message(1, "").items() if key != "text"} | {"data": "AAECAwQ="}
    assert Entry.parse(data).text == "<5 bytes>"


def test_a_new_message_stands_at_the_end_and_a_mark_where_its_message_is() -> None:
    talk = conversation(message(1, "a", out=True), message(2, "b"))
    assert talk.apply(message(3, "c"), is_looked_at=True) is Change.NEW
    assert talk.apply(message(1, "a", out=True, status="read"), is_looked_at=True) is Change.SAME
    assert texts(talk) == ["a", "b", "c"]
    assert talk.entries[0].status == "read"


def test_a_late_message_asks_for_the_history_because_only_that_knows_its_place() -> None:
    talk = conversation(message(1, "a"))
    late = message(2, "b", late=True)
    assert talk.apply(late, is_looked_at=True) is Change.ORDER
    talk.load([late, message(1, "a")])
    assert texts(talk) == ["b", "a"]
    assert talk.apply({**late, "missing_before": 1}, is_looked_at=True) is Change.SAME


def test_a_change_of_a_message_that_is_not_shown_does_not_make_it_the_newest() -> None:
    talk = conversation(*(message(number, str(number), out=True) for number in range(10, 20)))
    assert talk.apply(message(3, "3", out=True, status="read"), is_looked_at=True) is Change.NONE
    assert talk.apply(message(4, "4", seen=False), is_looked_at=True) is Change.ORDER  # a clock that is slow
    talk.has_all = True
    assert talk.apply(message(3, "3", out=True), is_looked_at=True) is Change.ORDER
    assert len(talk) == 10


def test_what_a_look_at_the_history_brings_is_new_only_where_nobody_looked() -> None:
    news = [message(1, "a"), message(2, "b", seen=False)]
    talk, other = conversation(news[0]), conversation(news[0])
    talk.load(news, is_looked_at=True)
    other.load(news, is_looked_at=False)
    assert (talk.first_new, other.first_new) == (None, other.entries[1].key)
    other.load([*news, message(3, "c", out=True)])
    assert other.first_new is None


def test_equal_ids_of_both_sides_are_two_messages() -> None:
    talk = conversation(message(1, "ours", out=True))
    talk.apply(message(1, "theirs"), is_looked_at=True)
    assert texts(talk) == ["ours", "theirs"]


def test_the_line_above_what_is_new_stays_while_it_is_read_and_goes_with_an_answer() -> None:
    unseen = message(2, "b", seen=False)
    talk = conversation(message(1, "a"), unseen, message(3, "c", seen=False))
    key = talk.entries[1].key
    assert talk.first_new == key
    talk.mark_seen()
    assert not talk.has_unseen
    talk.load([message(1, "a"), message(2, "b"), message(3, "c")])
    assert talk.first_new == key
    talk.apply(message(4, "d", out=True), is_looked_at=True)
    assert talk.first_new is None


def test_what_comes_while_nobody_looks_gets_the_line_and_what_is_looked_at_gets_none() -> None:
    talk = conversation(message(1, "a"))
    talk.apply(message(2, "b", seen=False), is_looked_at=True)
    assert talk.first_new is None
    talk.mark_seen()
    talk.apply(message(3, "c", seen=False), is_looked_at=False)
    talk.apply(message(4, "d", seen=False), is_looked_at=False)
    assert talk.first_new == talk.entries[2].key


def test_what_is_left_unseen_gets_the_line_also_where_an_older_one_stands() -> None:
    talk = conversation(message(1, "a", seen=False))
    talk.divide()
    assert talk.first_new == talk.entries[0].key
    talk.mark_seen()
    talk.divide()
    assert talk.first_new == talk.entries[0].key
    talk.apply(message(2, "b", seen=False), is_looked_at=True)
    talk.divide()
    assert talk.first_new == talk.entries[1].key


def test_a_message_once_seen_stays_seen_whatever_an_old_event_says() -> None:
    talk = conversation(message(1, "a", seen=False))
    talk.mark_seen()
    talk.apply(message(1, "a", seen=False), is_looked_at=False)
    assert not talk.has_unseen


def test_the_newest_incoming_has_number_one_and_there_are_nine() -> None:
    talk = conversation(*(message(number, str(number), out=number % 2 == 0) for number in range(1, 40)))
    assert [entry.text for entry in talk.numbered()] == [str(number) for number in range(39, 21, -2)]
    assert len(talk.numbered()) == NUMBERED


def test_the_answered_message_is_found_first_on_the_side_that_is_answered() -> None:
    answer = message(9, "yes", reply_to=f"{1:032x}")
    talk = conversation(message(1, "theirs"), message(1, "ours", out=True), answer)
    found = talk.answered(talk.entries[2])
    assert found is not None
    assert found.text == "ours"
    unknown = Entry.parse(message(10, "?", reply_to="ff" * 16))
    assert talk.answered(unknown) is None


def test_notes_stand_where_they_were_made_and_survive_a_reload() -> None:
    talk = conversation(message(1, "a"))
    talk.note("first")
    talk.apply(message(2, "b"), is_looked_at=True)
    talk.note("second")
    talk.load([message(1, "a"), message(2, "b"), message(3, "c")])
    keys = [entry.key for entry in talk.entries]
    assert [note.lines for note in talk.notes_below(keys[0])] == [("first",)]
    assert [note.lines for note in talk.notes_below(keys[1])] == [("second",)]
    talk.load([message(3, "c")])
    assert [note.lines for note in talk.notes_below(keys[2])] == [("first",), ("second",)]
    assert talk.clear_notes()
    assert not talk.clear_notes()


def test_everything_is_bounded() -> None:
    talk = conversation(*(message(number, "x") for number in range(KEPT_MAX + 100)))
    assert len(talk) == KEPT_MAX
    assert talk.is_full
    assert talk.load_older([message(9999, "older")]) == 0
    talk.apply(message(5000, "new"), is_looked_at=True)
    assert len(talk) == KEPT_MAX
    for number in range(NOTES_MAX + 20):
        talk.note(str(number))
    notes = [note for key in ["", *(entry.key for entry in talk.entries)] for note in talk.notes_below(key)]
    assert [note.lines[0] for note in notes] == [str(number) for number in range(20, NOTES_MAX + 20)]


def test_older_messages_go_above() -> None:
    talk = conversation(message(3, "c"))
    assert talk.load_older([message(1, "a"), message(2, "b"), message(3, "c")]) == 2
    assert texts(talk) == ["a", "b", "c"]
    assert talk.oldest == f"{1:032x}"


events = st.lists(
    st.builds(
        message,
        st.integers(0, 20),
        st.text(max_size=5),
        out=st.booleans(),
        late=st.booleans(),
        seen=st.booleans(),
        reply_to=st.none() | st.integers(0, 20).map(lambda number: f"{number:032x}"),
    ),
    max_size=40,
)


@given(events, st.lists(st.booleans(), min_size=40, max_size=40))
def test_no_order_of_events_loses_or_doubles_a_message(
    events: list[dict[str, Any]], looks: list[bool]
) -> None:
    talk = Conversation("bob")
    talk.has_all = True
    store: dict[str, dict[str, Any]] = {}
    for event, is_looked_at in zip(events, looks, strict=False):
        store[Entry.parse(event).key] = event
        if talk.apply(event, is_looked_at=is_looked_at) is Change.ORDER:
            talk.load(store.values())
    assert {entry.key: entry.text for entry in talk.entries} == {
        key: event["text"] for key, event in store.items()
    }
    assert talk.first_new is None or talk.first_new in store
