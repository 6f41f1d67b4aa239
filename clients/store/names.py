"""Names that people choose: for others, and for themselves.

Owns what a contact's name may be, the cleaning of display names, which anybody can make up, and the sentence
for a name that no contact has.
"""

import unicodedata
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final

from clients.errors import NotFoundError, UsageError

NAME_MAX: Final = 64
DISPLAY_NAME_MAX: Final = 64
# Letters and blanks that show nothing although they count as printable.
_UNSEEN: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\u180b\u180c\u180d\u180e\u180f")
_ALIKE: Final = frozenset(("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE"))  # share shapes
_LIKE: Final = 0.6  # how alike two names must be, as difflib counts


def is_half(text: str) -> bool:
    """Whether a text holds half a character (a lone surrogate), which cannot be stored."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def clean_display_name(name: str) -> str:
    """A display name without what cannot be seen or turns the text around, at most 64 characters."""
    return "".join(character for character in name if character.isprintable())[:DISPLAY_NAME_MAX].strip()


def check_name(name: str) -> str:
    """A name as it will be kept. Raises UsageError."""
    name = name.strip()
    if (
        not name
        or len(name) > NAME_MAX
        or not name.isprintable()
        or name.lower().startswith(("-", "bp1", "request-", "removed-"))
    ):
        raise UsageError(
            "A contact's name has 1 to 64 printable characters, and does not begin with -, bp1, request- or "
            "removed-."
        )
    return name


def _visible(name: str) -> str:
    """Without characters that show nothing, of which there are more than `isprintable` knows."""
    return "".join(
        c for c in name if c not in _UNSEEN and not 0xFE00 <= ord(c) <= 0xFE0F and ord(c) < 0xE0000
    )


def _skeleton(name: str) -> str:
    """What two names have in common that look the same: width, composition, case and what is not seen."""
    return unicodedata.normalize("NFKC", _visible(name)).casefold().strip()


def _script(character: str) -> str:
    return unicodedata.name(character, "").partition(" ")[0]


def offered_name(display_name: str, names: Sequence[str]) -> str | None:
    """The display name as a contact's name that nobody of `names` has, with a number if need be.

    None if it cannot be a name, or mixes scripts as names that imitate others do. Whoever calls itself like
    another contact never gets that one's name.
    """
    taken = {_skeleton(name) for name in names}
    base = display_name[: NAME_MAX - 4].strip()
    if _skeleton(base) != base.casefold() and not base.isascii():
        base = unicodedata.normalize("NFKC", _visible(base)).strip()
    if len({_script(character) for character in base if character.isalpha()} & _ALIKE) > 1:
        return None
    for number in range(1, 1000):
        name = base if number == 1 else f"{base} {number}"
        try:
            check_name(name)
        except UsageError:
            return None
        if _skeleton(name) not in taken:
            return name
    return None


def unknown_name(name: str, names: Sequence[str]) -> NotFoundError:
    """What to say of a name that no contact has: the nearest one that there is, and the next command."""
    shown = name[:DISPLAY_NAME_MAX]
    known = {known.casefold(): known for known in names}
    near = get_close_matches(shown.casefold(), known, n=1, cutoff=_LIKE)
    meant = f" Did you mean {known[near[0]]!r}?" if near else ""
    return NotFoundError(
        f"There is no contact named {shown!r}.{meant} Add one: blindpost contact add NAME ADDRESS"
    )
