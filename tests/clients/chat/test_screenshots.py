"""The picture of the README is a picture of the program."""

import html
import re
from pathlib import Path
from xml.etree import ElementTree

import pyte

from scripts.make_screenshots import SCRIPT, converse
from scripts.terminal_picture import QUOTE, RULE, svg

ROOT = Path(__file__).resolve().parents[3]
NAMESPACE = "{http://www.w3.org/2000/svg}"


def words(picture: str) -> str:
    """The text of a picture, without blanks and drawn lines."""
    root = ElementTree.fromstring(picture)  # noqa: S314 made a moment ago
    return "".join("".join(part.text or "" for part in root.iter(f"{NAMESPACE}text")).split())


def test_the_picture_shows_what_was_on_the_screen(tmp_path: Path) -> None:
    with converse(tmp_path) as terminal:
        picture = svg(terminal.screen, "")
        on_screen = "".join(terminal.text.split())
    assert words(picture) == on_screen.replace(RULE, "").replace(QUOTE, "")
    for _, said in SCRIPT:
        assert said.lstrip("\u21b3").split()[0] in on_screen


def test_the_picture_of_the_readme_is_of_this_script() -> None:
    found = words((ROOT / "docs" / "pictures" / "chat.svg").read_text("utf-8"))
    for who, said in SCRIPT:
        assert "".join(said.lstrip("\u21b3").split()) in found or who not in found
    for sign in ("verified", "online", "connected", "typing", "\u2713\u2713", "\u25c9"):
        assert sign in found


def test_nothing_on_a_screen_becomes_part_of_the_picture_itself() -> None:
    screen = pyte.Screen(40, 3)
    hostile = "<script>&\"'</text>"
    pyte.Stream(screen).feed(f"\x1b[1;31m{hostile}\x1b[7m漢字")
    picture = svg(screen, hostile)
    assert hostile in html.unescape(picture)
    assert not re.search(r"<script|</text>[^<]*</text>", picture)
    assert words(picture).endswith("漢字")
