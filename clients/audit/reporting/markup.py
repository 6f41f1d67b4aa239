"""HTML that is put together from values: everything is escaped, once, where it enters.

Owns elements and tables. Knows nothing of what a page says.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final, TypeAlias

_EMPTY: Final = frozenset({"meta", "rect", "line", "br"})  # elements without an end


class Markup(str):
    """Text that is markup already; any other text is escaped."""

    __slots__ = ()


Inside: TypeAlias = "str | int | Iterable[Inside]"


def _text(inside: Inside) -> str:
    if isinstance(inside, Markup):
        return inside
    if isinstance(inside, str | int):
        return escape(str(inside))
    return "".join(map(_text, inside))


def element(name: str, /, *inside: Inside, **attributes: str | int | float | None) -> Markup:
    """One element. An attribute that is None is left out; `class_` is `class`, and `_` else a dash."""
    said = "".join(
        f' {attribute.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for attribute, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{said}>" if name in _EMPTY else f"<{name}{said}>{_text(inside)}</{name}>")


def table(heads: Sequence[str], rows: Iterable[Sequence[Inside]], class_: str = "") -> Markup:
    """A table; in a narrow window each cell says what it is, in place of the line of heads."""
    body = [
        element("tr", [element("td", cell, data_label=head) for head, cell in zip(heads, row, strict=True)])
        for row in rows
    ]
    return element(
        "table",
        element("thead", element("tr", [element("th", head, scope="col") for head in heads])),
        element("tbody", body),
        class_=class_ or None,
    )


def bar(start: float, size: float, of: float, class_: str) -> Markup:
    """A line of a drawing: from `start`, `size` long, on a ground of length `of`; seen if it is not 0."""
    scale = 100 / of if of > 0 else 0
    width = max(size * scale, 0.6) if size > 0 else 0
    return element(
        "svg",
        element("rect", x=round(min(start * scale, 99.4), 2), y=0, width=round(width, 2), height=10),
        class_=f"bar {class_}",
        viewBox="0 0 100 10",
        preserveAspectRatio="none",
        aria_hidden="true",
    )
