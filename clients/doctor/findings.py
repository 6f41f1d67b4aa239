"""What a check found: one sentence, and one more that says what to do.

Owns the shape of a finding. Parts of a sentence may be a relay's words: whoever shows them makes them safe.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from clients.errors import ExitCode

WORDS_MAX: Final = 200  # characters of a relay's or a library's own words in a finding


class Verdict(StrEnum):
    """How it is."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Finding:
    """The end of one check. `code` is what `doctor` ends with if this is the first that failed."""

    check: str
    verdict: Verdict
    what: str
    advice: str | None = None
    code: ExitCode = ExitCode.OK

    def to_json(self) -> dict[str, object]:
        """One JSON object."""
        return {
            "check": self.check,
            "verdict": self.verdict.value.lower(),
            "what": self.what,
            "advice": self.advice,
            "exit_code": int(self.code),
        }

    def __str__(self) -> str:
        advice = f"; {self.advice}" if self.advice else ""
        return f"{self.check}: {self.what}{advice}"


def ok(check: str, what: str) -> Finding:
    """All is well."""
    return Finding(check, Verdict.OK, what)


def warning(check: str, what: str, advice: str) -> Finding:
    """It works, but somebody should know."""
    return Finding(check, Verdict.WARNING, what, advice)


def failed(check: str, what: str, advice: str | None, code: ExitCode) -> Finding:
    """It does not work. `advice` is None where `what` says already what to do."""
    return Finding(check, Verdict.FAILED, what, advice, code)


def quoted(words: object) -> str:
    """Somebody else's words, cut to a length that a line bears."""
    text = str(words)
    return text if len(text) <= WORDS_MAX else text[: WORDS_MAX - 3] + "..."
