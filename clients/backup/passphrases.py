"""Which passphrases protect a backup, and how one becomes bytes.

Owns the rule. A backup may fall into anybody's hands, so that a weak one is refused when it is made.
"""

import unicodedata
from typing import Final

from clients.errors import UsageError

LENGTH_MIN: Final = 12  # characters
LENGTH_MAX: Final = 1000
DIFFERENT_MIN: Final = 6
_WEAK: Final = (
    f"This passphrase is too weak for a backup: it needs {LENGTH_MIN} characters, {DIFFERENT_MIN} of them "
    "different, and not digits alone. Five random words are good, and can be written down."
)


def check_passphrase(passphrase: str) -> None:
    """Raises UsageError for one that is guessed too easily."""
    if len(passphrase) > LENGTH_MAX:
        raise UsageError(f"A passphrase has at most {LENGTH_MAX:,} characters.")
    shown = passphrase.strip()
    if len(shown) < LENGTH_MIN or len(set(shown)) < DIFFERENT_MIN or shown.isdecimal():
        raise UsageError(_WEAK)


def passphrase_bytes(passphrase: str) -> bytes:
    """UTF-8 of the NFC form: the same, whichever way a keyboard composes its letters."""
    return unicodedata.normalize("NFC", passphrase).encode(errors="surrogateescape")
