"""A conversation to take away: one JSON object a line, or one page of HTML to read.

Owns both forms, as generators of text, so that no history is too long. The page is complete in itself: no
script, nothing fetched from anywhere, and every character of a message is text, whatever the sender wrote.
Characters that are not seen or turn a line around are shown by their code.
"""

import json
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, tzinfo
from html import escape
from typing import Final

from clients.model import Contact, Message, MessageStatus
from keys.content import Kind

QUOTE_MAX: Final = 160  # characters of the message that a reply answers
_JOINERS: Final = "\u200c\u200d"  # within words of many scripts, and between parts of one emoji
_HIDDEN: Final = ("Cc", "Cf", "Cs", "Zl", "Zp")

_HEAD: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{plain}</title>
<style>
:root {{ color-scheme: light dark; --page: #f4f5f7; --ink: #1c1e21; --dim: #5c6370; --own: #d6e8ff;
  --other: #ffffff; --line: #d9dce1; }}
@media (prefers-color-scheme: dark) {{ :root {{ --page: #16181c; --ink: #e8eaed; --dim: #a3a9b4;
  --own: #1d3a5f; --other: #262a30; --line: #3a3f47; }} }}
body {{ margin: 0 auto; max-width: 46rem; padding: 1rem; background: var(--page); color: var(--ink);
  font: 1rem/1.45 system-ui, sans-serif; }}
header {{ border-bottom: 1px solid var(--line); margin-bottom: 1rem; }}
header p {{ color: var(--dim); overflow-wrap: anywhere; }}
h2 {{ color: var(--dim); font-size: .9rem; text-align: center; margin: 1.5rem 0 .5rem; }}
article {{ background: var(--other); border-radius: .8rem; margin: .4rem 20% .4rem 0; padding: .5rem .8rem; }}
article.own {{ background: var(--own); margin: .4rem 0 .4rem 20%; }}
article p {{ margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: plaintext; }}
article blockquote {{ margin: 0 0 .3rem; padding-left: .6rem; border-left: .2rem solid var(--dim);
  color: var(--dim); white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: plaintext; }}
article footer {{ color: var(--dim); font-size: .8rem; text-align: end; }}
code {{ color: var(--dim); border: 1px solid var(--line); border-radius: .2rem; font-size: .8em; }}
@media print {{ article {{ break-inside: avoid; border: 1px solid var(--line); }} }}
</style>
</head>
<body>
<header><h1 dir="auto">{title}</h1><p>{about}</p></header>
<main>
"""
_END: Final = "</main>\n</body>\n</html>\n"

Find = Callable[[bytes], Message | None]  # a message of the conversation, by its id


def ndjson(messages: Iterable[Message]) -> Iterator[str]:
    """One line of ASCII JSON a message, as `Message.to_json` gives it."""
    for message in messages:
        yield json.dumps(message.to_json()) + "\n"


def html_page(contact: Contact, messages: Iterable[Message], find: Find, zone: tzinfo = UTC) -> Iterator[str]:
    """One page with everything in it, a piece of text a message. Times are those of `zone`."""
    plain = escape("".join(filter(str.isprintable, contact.name)))
    title, about = (_text(text, keep_lines=False) for text in (contact.name, contact.address.text))
    yield _HEAD.format(plain=plain, title=title, about=about)
    day = ""
    for message in messages:
        today = message.sent.astimezone(zone).strftime("%A, %d %B %Y")
        if today != day:
            day = today
            yield f"<h2>{day}</h2>\n"
        yield _article(message, find, zone)
    yield _END


def _article(message: Message, find: Find, zone: tzinfo) -> str:
    sent = message.sent.astimezone(zone)
    quoted = "" if message.reply_to is None else _quote(find(message.reply_to))
    notes = [f'<time datetime="{sent.isoformat(timespec="seconds")}">{sent:%H:%M}</time>', *_notes(message)]
    who = "You" if message.outgoing else _text(message.contact, keep_lines=False)
    own = ' class="own"' if message.outgoing else ""
    return (
        f"<article{own}>{quoted}<p>{_body(message)}</p>"
        f"<footer><bdi>{who}</bdi> &middot; {' &middot; '.join(notes)}</footer></article>\n"
    )


def _body(message: Message) -> str:
    if message.kind == Kind.DATA:
        return f"<code>{len(message.body):,} bytes of data</code>"
    return _text(message.text)


def _quote(message: Message | None) -> str:
    if message is None:
        return "<blockquote>a message that is not here</blockquote>"
    if message.kind == Kind.DATA:
        return f"<blockquote>{_body(message)}</blockquote>"
    text = message.text
    cut = text[:QUOTE_MAX] + ("\u2026" if len(text) > QUOTE_MAX else "")
    return f"<blockquote>{_text(cut)}</blockquote>"


def _notes(message: Message) -> list[str]:
    """What else is to be said of a message, escaped."""
    notes = [] if message.status is MessageStatus.RECEIVED else [message.status.value]
    if message.failed:
        notes.append(_text(message.failed, keep_lines=False))
    if message.late:
        notes.append("came late")
    if message.missing_before:
        notes.append(f"{message.missing_before:,} missing before this")
    return notes


def _text(text: str, *, keep_lines: bool = True) -> str:
    """`text` as HTML that shows these characters and nothing else; hidden ones by their code."""
    if text.isprintable():
        return escape(text)
    kept = _JOINERS + ("\n\t" if keep_lines else "")
    text = text.replace("\r\n", "\n") if keep_lines else text
    return "".join(
        f"<code>U+{ord(character):04X}</code>"
        if character not in kept and unicodedata.category(character) in _HIDDEN
        else escape(character)
        for character in text
    )
