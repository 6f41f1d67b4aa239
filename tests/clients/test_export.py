"""Exports: what anybody wrote comes out as text, whole and harmless, in both forms."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path

import pytest

from clients.export import html_page, ndjson
from clients.model import Contact, ContactStatus, Message, MessageStatus
from clients.store.history import History
from clients.store.store import Store
from keys.content import Kind
from tests.clients.store.desk import Desk
from wire.addresses import Address, RelayUrl
from wire.limits import TEXT_MAX

BOB = Contact("bob", Address(b"b" * 32, RelayUrl.parse("relay.example")), ContactStatus.APPROVED, 1, None)
NOON = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp() * 1000)
BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"
HOSTILE = (
    "<script>alert(1)</script>",
    "</p></article></main></body></html><h1>x",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    "<!-- ", "-->", "]]>", "<![CDATA[", "<?php", "</style><style>*{display:none}",
    "&lt;script&gt; &amp; &#60; &#x3c; &nbsp", "{title} {0} %s {{",
    "javascript:alert(1) https://tracker.example/x.png",
    "<a href='//x'>", "<meta http-equiv=refresh content=0>", "<base href=//x>",
    f"abc{BIDI}def", "\x00\x01\x07\x08\x0b\x0c\x0d\x1b[2J\x7f\x80\x9b",
    "\u2028\u2029\ufeff\u200b\u00ad\U000e0041",
    "👩\u200d👩\u200d👧 \u0645\u06cc\u200c\u062e\u0648 é\u0301 \u00a0 \ufffe \U0010ffff \ue000",
    "<b>\u202e</b> \"\u2028' & <i \x1b>", "tabs\tand\nlines\r\nstay",
)  # fmt: skip
ALLOWED = {"html", "head", "meta", "title", "style", "body", "header", "main", "article", "blockquote",
           "footer", "h1", "h2", "p", "bdi", "time", "code"}  # fmt: skip


class Page(HTMLParser):
    """What a browser would make of a page: its elements, and the text of each message."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.others: list[str] = []
        self.articles: list[dict[str, str]] = []
        self.days: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self._open.append(tag)
        if tag == "article":
            self.articles.append(
                {"p": "", "blockquote": "", "footer": "", "class": dict(attrs).get("class") or ""}
            )
        if tag == "h2":
            self.days.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in reversed(self._open):
            if tag in ("p", "blockquote", "footer") and "article" in self._open:
                self.articles[-1][tag] += data
                return
            if tag == "h2":
                self.days[-1] += data

    def handle_comment(self, data: str) -> None:
        self.others.append(data)

    def handle_pi(self, data: str) -> None:
        self.others.append(data)

    def unknown_decl(self, data: str) -> None:
        self.others.append(data)


def message(
    text: str | bytes = "hi",
    *,
    outgoing: bool = False,
    kind: int = Kind.TEXT,
    sent_ms: int = NOON,
    status: MessageStatus | None = None,
    reply_to: bytes | None = None,
    failed: str | None = None,
    late: bool = False,
    missing: int = 0,
) -> Message:
    body = text.encode() if isinstance(text, str) else text
    usual = MessageStatus.DELIVERED if outgoing else MessageStatus.RECEIVED
    return Message(
        b"i" * 16,
        "bob",
        outgoing,
        kind,
        body,
        sent_ms,
        1,
        status or usual,
        late,
        False,
        missing,
        reply_to,
        failed,
    )


def nobody(id: bytes) -> Message | None:
    return None


def page(*messages: Message, contact: Contact = BOB) -> Page:
    return Page("".join(html_page(contact, messages, nobody)))


def shown(text: str) -> str:
    """How a text must read: the same, but for hidden characters, which are named."""
    kept = "\n\t\u200c\u200d"
    hidden = {
        *BIDI,
        *"\u2028\u2029\ufeff\u200b\u00ad\U000e0041",
        *map(chr, range(0x20)),
        *map(chr, range(0x7F, 0xA0)),
    }
    text = text.replace("\r\n", "\n")
    return "".join(f"U+{ord(c):04X}" if c in hidden and c not in kept else c for c in text)


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_somebody_writes_is_text(text: str) -> None:
    found = page(message(text), message("after"))
    assert [article["p"] for article in found.articles] == [shown(text), "after"]
    assert found.others == []
    assert {tag for tag, _ in found.tags} <= ALLOWED
    assert all(name in ("class", "datetime", "dir", "lang", "charset", "http-equiv", "content", "name")
               for _, attributes in found.tags for name in attributes)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_quotes_reasons_and_names_are_text_too(text: str) -> None:
    quoted = message(text)
    contact = Contact(text, Address(b"b" * 32), ContactStatus.APPROVED, 1, None)
    reply = message("yes", outgoing=True, reply_to=quoted.id, failed=text)
    html = "".join(html_page(contact, [reply], lambda id: quoted))
    found = Page(html)
    assert found.articles[0]["blockquote"] == shown(text)
    assert found.articles[0]["p"] == "yes"
    assert {tag for tag, _ in found.tags} <= ALLOWED
    assert found.others == []
    assert not any(character in html for character in BIDI)


def test_no_hidden_character_is_in_the_page_at_all() -> None:
    html = "".join(html_page(BOB, [message(text) for text in HOSTILE], nobody))
    left = {character for character in html if not character.isprintable()}
    assert left <= {*"\n\t\u200c\u200d\u00a0\ufffe\U0010ffff\ue000"}


def test_nothing_is_fetched_and_nothing_runs() -> None:
    html = "".join(html_page(BOB, [message(text) for text in HOSTILE], nobody))
    found = Page(html)
    policy = next(a["content"] for tag, a in found.tags if tag == "meta" and a.get("http-equiv"))
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"
    assert not {tag for tag, _ in found.tags} & {
        "script",
        "img",
        "link",
        "iframe",
        "a",
        "form",
        "object",
        "base",
    }
    head = html[: html.index("<main>")]
    assert "url(" not in head
    assert "@import" not in head
    assert "prefers-color-scheme: dark" in head


def test_what_is_not_utf8_and_what_is_very_long_comes_out_whole() -> None:
    long = "<&\"'>\u202e" * (TEXT_MAX // 8)
    found = page(message(b"\xff\xfe<b>\xc3"), message(long), message("€" * (TEXT_MAX // 3)))
    texts = [article["p"] for article in found.articles]
    assert texts == ["\ufffd\ufffd<b>\ufffd", shown(long), "€" * (TEXT_MAX // 3)]


def test_it_says_who_when_and_what_became_of_it() -> None:
    found = page(
        message("one", late=True, missing=1200),
        message("two", outgoing=True, status=MessageStatus.READ),
        message("three", outgoing=True, status=MessageStatus.FAILED, failed="no receipt within 30 days"),
        message(bytes(2048), kind=Kind.DATA),
    )
    assert [article["class"] for article in found.articles] == ["", "own", "own", ""]
    assert [article["footer"] for article in found.articles] == [
        "bob · 12:00 · came late · 1,200 missing before this",
        "You · 12:00 · read",
        "You · 12:00 · failed · no receipt within 30 days",
        "bob · 12:00",
    ]
    assert found.articles[3]["p"] == "2,048 bytes of data"
    assert BOB.address.text in "".join(html_page(BOB, [], nobody))


def test_each_day_has_a_heading_in_the_readers_zone() -> None:
    messages = [message(sent_ms=NOON + hours * 3_600_000) for hours in (0, 11, 13, 36)]
    assert page(*messages).days == [
        "Sunday, 01 March 2026",
        "Monday, 02 March 2026",
        "Tuesday, 03 March 2026",
    ]
    east = timezone(timedelta(hours=14))
    found = Page("".join(html_page(BOB, messages, nobody, east)))
    assert found.days == ["Monday, 02 March 2026", "Tuesday, 03 March 2026"]
    assert found.articles[0]["footer"] == "bob · 02:00"


@pytest.mark.parametrize("sent_ms", [0, 2**63 - 1])
@pytest.mark.parametrize("hours", [-23, 23])
def test_any_time_that_a_sender_claims_can_be_shown(sent_ms: int, hours: int) -> None:
    zone = timezone(timedelta(hours=hours))
    assert Page("".join(html_page(BOB, [message(sent_ms=sent_ms)], nobody, zone))).articles


def test_a_reply_shows_the_beginning_of_what_it_answers() -> None:
    def reply_to(answered: Message | None) -> str:
        reply = message("yes", reply_to=b"q" * 16)
        return Page("".join(html_page(BOB, [reply], lambda id: answered))).articles[0]["blockquote"]

    assert reply_to(message("short")) == "short"
    assert reply_to(message("x" * 160)) == "x" * 160
    assert reply_to(message("x" * 161)) == "x" * 160 + "…"
    assert reply_to(message(b"12", kind=Kind.DATA)) == "2 bytes of data"
    assert reply_to(None) == "a message that is not here"
    assert page(message()).articles[0]["blockquote"] == ""


def test_every_line_of_json_stands_alone_and_is_the_message() -> None:
    messages = [message(text, outgoing=bool(number % 2)) for number, text in enumerate(HOSTILE)]
    messages += [message(b"\xff\xfe"), message(bytes(range(256)), kind=Kind.DATA), message("€" * 21_000)]
    lines = list(ndjson(messages))
    assert len(lines) == len(messages)
    for line, original in zip(lines, messages, strict=True):
        assert line.endswith("\n")
        assert line[:-1].isprintable()
        assert line.isascii()
        assert json.loads(line) == original.to_json()
    assert base64.b64decode(json.loads(lines[-2])["data"]) == bytes(range(256))
    assert "".join(lines).splitlines(keepends=True) == lines


def test_nothing_is_read_ahead(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db", bytes(32))
    desk = Desk(store)
    read = 0

    def counted(history: History) -> Iterator[Message]:
        nonlocal read
        for found in history.everything(desk.bob):
            read += 1
            yield found

    for number in range(1, 6):
        desk.take(number, body=b"<b>")
    pieces = html_page(BOB, counted(desk.history), lambda id: desk.history.find(desk.bob, id))
    assert next(pieces).startswith("<!DOCTYPE html>")
    assert read == 0
    assert len(Page("".join([*html_page(BOB, counted(desk.history), nobody)])).articles) == 5
    lines = ndjson(counted(desk.history))
    read = 0
    next(lines)
    assert read == 1
    store.close()
