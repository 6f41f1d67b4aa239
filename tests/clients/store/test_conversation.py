"""Conversations: pages, searches in every script, and the walk through everything."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.errors import NotFoundError, UsageError
from clients.model import Message
from clients.store import conversation as conversation_module
from clients.store.conversation import SEARCH_MAX
from clients.store.store import Store
from keys.content import Extension, Kind
from tests.clients.store.desk import NOW, Desk
from wire.addresses import Address

TEXTS = (
    "Hello World, how are you?",
    "Привет, МИР!",
    "早上好世界。我们明天见",
    "おはようございます、東京タワー",
    "مرحبا بالعالم كيف حالك",
    "party 👍🎉🔥 tonight 👩‍👩‍👧",
    'she said "it\'s fine" OR not; a*b - NEAR(c d, 2) AND ^x : {y} +z',
    "100% of it_all \\ done",
    "two\nlines\there",
    "STRASSE und Straße",
)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    store = Store(tmp_path / "store.db", bytes(32))
    yield Desk(store)
    store.close()


@pytest.fixture
def talk(desk: Desk) -> Desk:
    for number, text in enumerate(TEXTS, start=1):
        desk.take(number, body=text.encode())
    return desk


def found(desk: Desk, search: str) -> list[str]:
    return [message.text for message in desk.history.conversation(desk.bob, 100, search=search)]


@pytest.mark.parametrize(
    ("search", "at"),
    [
        ("hello", 0), ("WORLD how", 0), ("ello are", 0), ("?", 0),
        ("привет", 1), ("ПРИВЕТ мир", 1), ("МИ", 1), ("ми", 1),
        ("早上好", 2), ("世界", 2), ("见", 2), ("我们明天", 2),
        ("東京タワー", 3), ("東京", 3), ("ございます おは", 3),
        ("مرحبا", 4), ("حا", 4), ("كيف حالك", 4),
        ("👍🎉🔥", 5), ("🎉", 5), ("👩‍👩‍👧", 5), ("🔥 PARTY", 5),
        ('"it\'s', 6), ('"', 6), ("NEAR(c", 6), ("NEAR(", 6), ("a*b", 6), ("^x : {y} +z", 6),
        ("she AND 2)", 6), ('fine"', 6), ("OR not;", 6),
        ("100%", 7), ("it_all", 7), ("\\", 7), ("%", 7),
        ("two lines", 8), ("here\ttwo", 8), ("two\0lines", 8), ("two\u3000lines", 8),
        ("strasse straße", 9),
    ],
)  # fmt: skip
def test_every_word_is_found_in_every_script_and_means_itself(talk: Desk, search: str, at: int) -> None:
    assert found(talk, search) == [TEXTS[at]]


@pytest.mark.parametrize(
    "search",
    ["nothing like it", "hello nothing", "helo", "hell*", "*", "h*llo", "text:hello", "hello OR привет",
     "NOT hello", '""', '"hello', "NEAR(hello world)", "rowid", "words", "- hello", "\ud800", "hello \udc80",
     "hello\ud800",
     "x 9", "__", "'; DROP TABLE messages; --"],
)  # fmt: skip
def test_what_is_not_there_is_not_found_and_breaks_nothing(talk: Desk, search: str) -> None:
    expected = [TEXTS[6]] if search == "*" else []
    assert found(talk, search) == expected


def test_any_text_can_be_searched_for(talk: Desk) -> None:
    for code in [*range(1, 0x300), 0x202E, 0xFEFF, 0xFFFD, 0x10FFFF]:
        for count in (1, 3):
            found(talk, chr(code) * count + " abc" * (code % 3))
    found(talk, "abc " * (SEARCH_MAX // 4))
    found(talk, "a " * (SEARCH_MAX // 2))
    found(talk, '"' * SEARCH_MAX)


def test_a_search_without_words_is_none(talk: Desk) -> None:
    assert found(talk, "  \t") == list(TEXTS)


def test_a_search_too_long_is_refused(talk: Desk) -> None:
    with pytest.raises(UsageError, match="500 characters"):
        found(talk, "a" * (SEARCH_MAX + 1))


def test_only_texts_are_searched_and_only_of_this_contact(desk: Desk) -> None:
    carol = desk.contacts.add("carol", Address(b"c" * 32)).id
    desk.take(1, body=b"a needle", kind=Kind.DATA)
    desk.take(2, body=b"a needle", contact=carol)
    desk.take(3, body=b"a needle", kind=200)
    assert found(desk, "needle") == found(desk, "a") == []
    desk.send(1, body=b"needles")
    assert found(desk, "needle") == found(desk, "ne") == ["needles"]


def test_what_is_not_utf8_is_found_by_what_is(desk: Desk) -> None:
    desk.take(1, body=b"\xff\xfe ordinary \xc3 end")
    assert found(desk, "ordinary") == found(desk, "or en") == ["\ufffd\ufffd ordinary \ufffd end"]


def test_what_is_removed_is_not_found_any_more(talk: Desk) -> None:
    row = talk.contacts.by_id(talk.bob)
    assert row is not None
    talk.contacts.remove(row)
    again = talk.contacts.add("bob", Address(b"b" * 32)).id
    talk.take(50, body=b"Hello again", contact=again)
    assert found(talk, "hello") == ["Hello again"]
    assert talk.store.db.execute("SELECT count(*) FROM words WHERE words MATCH 'hello'").get == 1


def test_the_last_of_what_was_found_come_oldest_first(desk: Desk) -> None:
    for number in range(1, 11):
        desk.take(number, body=f"number {number}".encode())
    for search in ("number", "nu", "number nu"):
        shown = desk.history.conversation(desk.bob, 3, search=search)
        assert [message.sequence for message in shown] == [8, 9, 10]
        shown = desk.history.conversation(desk.bob, 3, search=search, before=(8).to_bytes(16, "big"))
        assert [message.sequence for message in shown] == [5, 6, 7]
    assert desk.history.conversation(desk.bob, 0, search="nu") == []


def test_pages_backwards_meet_every_message_once(desk: Desk) -> None:
    for number in range(1, 24):
        desk.take(number)
        if number % 3 == 0:
            desk.now -= 1  # several in one millisecond
            desk.send(number)
            desk.now -= 1
    pages: list[Message] = []
    before = None
    while page := desk.history.conversation(desk.bob, 5, before=before):
        pages[:0] = page
        before = page[0].id
    assert pages == desk.history.conversation(desk.bob, 1000)
    assert len(pages) == 30
    with pytest.raises(NotFoundError, match="no such message"):
        desk.history.conversation(desk.bob, 5, before=b"?" * 16)


def test_the_walk_through_everything_is_the_whole_conversation(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation_module, "PAGE", 4)
    for number in range(1, 12):
        desk.take(number)
        desk.now -= number % 2
        desk.send(number)
    desk.take(20, kind=200)
    whole = desk.history.conversation(desk.bob, 1000)
    assert len(whole) == 22
    assert list(desk.history.everything(desk.bob)) == whole
    since = NOW + 5
    some = desk.history.conversation(desk.bob, 1000, since_ms=since)
    assert 0 < len(some) < 22
    assert list(desk.history.everything(desk.bob, since)) == some == whole[-len(some) :]


def test_a_message_is_found_by_its_id_and_ours_before_one_that_copies_it(desk: Desk) -> None:
    row = desk.send(1)
    ours = desk.message(row)
    desk.take(1, id=ours.id, body=b"a copy")
    assert desk.history.find(desk.bob, ours.id) == ours
    assert desk.history.find(desk.bob, b"?" * 16) is None
    assert desk.history.find(desk.bob + 1, ours.id) is None


def test_a_reply_says_what_it_answers_if_it_says_it_rightly(desk: Desk) -> None:
    desk.take(1, extensions=((Extension.REPLY_TO, b"r" * 16),))
    desk.take(2, extensions=((Extension.REPLY_TO, b"r" * 15),))
    desk.take(3)
    shown = desk.history.conversation(desk.bob, 10)
    assert [message.reply_to for message in shown] == [b"r" * 16, None, None]


def test_only_the_application_is_told_that_it_gets_a_message_again(desk: Desk) -> None:
    desk.take(1)
    found = desk.history.next_message(desk.now)
    assert found is not None
    with desk.store.transaction():
        desk.history.offered(found[0])
    again = desk.history.next_message(desk.now)
    assert again is not None
    assert again[1].redelivered
    assert not desk.message(found[0]).redelivered
    assert not desk.history.conversation(desk.bob, 1)[0].redelivered


def test_what_is_no_message_is_not_shown_by_its_row(desk: Desk) -> None:
    desk.take(1, kind=200)
    row = desk.store.db.execute("SELECT id FROM messages").get
    assert desk.history.message(row) is None
    assert desk.history.message(row + 1) is None
