"""The page: whatever a report says is text on it, it asks for nothing, and it says what the report says."""

import base64
import hashlib
import re
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest

from clients.audit.reporting.markup import Markup, bar, element, table
from clients.audit.reporting.page import page
from clients.audit.reporting.report import CoreDump, Report, Subject
from clients.audit.reporting.verdict import judged
from tests.clients.audit.reports import AUDITOR, facts
from wire.control_values import encode_base64url

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&lt;"
ELEMENTS = re.compile(
    "html|head|meta|title|style|body|main|h[123]|div|p|strong|[uo]l|li|d[ldt]|table|thead|tbody|t[rhd]|span|code"
    "|pre|details|summary|svg|rect"
)
ATTRIBUTES = re.compile(
    "lang|charset|http-equiv|content|name|class|scope|data-label|viewbox|preserveaspectratio|aria-hidden|x|y"
    "|width|height"
)


class Seen(HTMLParser):
    """Every element, attribute and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "rect"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def hostile(value: Any, name: str = "") -> Any:
    """A report's plain form in which every free text is one that would do harm."""
    if isinstance(value, dict):
        named = name in ("typed", "private", "judged", "exempt", "raised")
        return {HOSTILE if named else key: hostile(inside, key) for key, inside in value.items()}
    if isinstance(value, list):
        return [hostile(inside, name) for inside in value]
    fixed = ("kind", "place", "changes", "begun", "sha256", "relay_key")
    return HOSTILE if isinstance(value, str) and name not in fixed else value


def hostile_report() -> Report:
    whole = judged(facts(failures=("x",), undeclared=("y",), core_dump=CoreDump(bytes=0, why_not="z")))
    plain = whole.model_dump(mode="json")
    files, plain["code"]["files"] = plain["code"]["files"], {}
    changed = hostile(plain)
    changed["code"]["files"] = {
        name.replace(".", HOSTILE.replace("/", "")): digest for name, digest in files.items()
    }
    return Report.model_validate(changed)


def test_whatever_a_report_says_is_text() -> None:
    text = page(hostile_report(), AUDITOR.key)
    seen = Seen(text)
    assert seen.open == []
    for name, attributes in seen.elements:
        assert ELEMENTS.fullmatch(name)
        assert all(map(ATTRIBUTES.fullmatch, attributes))
    assert "".join(seen.texts).count(HOSTILE) > 25
    assert "<script" not in text
    assert "<img" not in text


def test_it_asks_for_nothing_and_runs_nothing() -> None:
    text = page(judged(facts()), AUDITOR.key)
    seen = Seen(text)
    policy = next(
        a["content"] for tag, a in seen.elements if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    style = re.search("<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert not re.search(r"url\(|@import|<link|<a |src=|style=| on\w+=", text)
    assert "prefers-color-scheme: dark" in style[1]
    assert "@media print" in style[1]


def shown(**changes: Any) -> str:
    """The words of a page."""
    return unescape(re.sub(r"<[^>]*>", " ", page(judged(facts(**changes)), AUDITOR.key)))


def test_it_says_what_the_report_says() -> None:
    green = shown()
    assert "Green: nothing readable reached the relay" in green
    for said in ("plaintext-logged", "noticed", "send.text: 3", "which kind of connection it is", "318.4 MB",
                 "hello.mode: device", "No core dump: the relay forbids it", encode_base64url(AUDITOR.key),
                 "58 modules", "because all clients here have one address", "relay/app.py"):  # fmt: skip
        assert said in green, said
    assert "What was found" not in green
    red = shown(leaks_total=3, subject=Subject(kind="url", url="wss://relay.example"))
    assert "Red: this audit does not show that the relay is blind" in red
    assert "leaks: 3" in red
    outside = shown(subject=Subject(kind="url", url="wss://relay.example"))
    assert "a look from outside" in outside
    assert "Two new users talked through it" in outside
    assert "every feature" not in outside


@pytest.mark.parametrize("text", [HOSTILE, '"', "'", "&amp;", "</style>"])
def test_markup_is_escaped_once(text: str) -> None:
    made = element("p", text, [text, element("b", text)], class_=text, data_label=None)
    assert isinstance(made, Markup)
    seen = Seen(made)
    assert [(name, attributes) for name, attributes in seen.elements] == [("p", {"class": text}), ("b", {})]
    assert "".join(seen.texts) == text * 3
    cell = Seen(table((text,), [(text,)])).elements[-1]
    assert cell == ("td", {"data-label": text})


@pytest.mark.parametrize(
    ("start", "length", "of"), [(0, 0, 0), (0, 5, 10), (10, 0, 10), (0, 0, 10), (3, 7, 10)]
)
def test_bars_stay_inside(start: float, length: float, of: float) -> None:
    drawn = dict(Seen(bar(start, length, of, "one")).elements)["rect"]
    x, width = float(drawn["x"] or 0), float(drawn["width"] or 0)
    assert x >= 0
    assert (width > 0) == (length > 0)
    assert x + width <= 100.01
