"""Names that people choose: for others, and for themselves.

Owns what a contact's name may be, the cleaning of display names, which anybody can make up, and the sentence
for a name that no contact has.
"""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final

from clients.errors import NotFoundError, UsageError

NAME_MAX: Final = 64
DISPLAY_NAME_MAX: Final = 64
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


def offered_name(display_name: str, names: Sequence[str]) -> str | None:
    """The display name as a contact's name that nobody of `names` has, with a number if need be.

    None if it cannot be a name. Whoever calls itself like another contact never gets that one's name.
    """
    taken = {name.casefold() for name in names}
    base = display_name[: NAME_MAX - 4].strip()
    for number in range(1, 1000):
        name = base if number == 1 else f"{base} {number}"
        try:
            check_name(name)
        except UsageError:
            return None
        if name.casefold() not in taken:
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
