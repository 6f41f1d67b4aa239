"""What a check found: one sentence, and one more that says what to do.

Owns the shape of a finding. A sentence may name files and settings, never a value that could be secret.
"""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How it is."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Finding:
    """The end of one check. `advice` is None where nothing is to be done."""

    check: str
    verdict: Verdict
    what: str
    advice: str | None = None

    def to_json(self) -> dict[str, str | None]:
        """One JSON object."""
        return {
            "check": self.check,
            "verdict": self.verdict.value.lower(),
            "what": self.what,
            "advice": self.advice,
        }

    def __str__(self) -> str:
        advice = f"; {self.advice}" if self.advice else ""
        return f"{self.verdict.value:<9}{self.check}: {self.what}{advice}"


def ok(check: str, what: str) -> Finding:
    """All is well."""
    return Finding(check, Verdict.OK, what)


def warning(check: str, what: str, advice: str) -> Finding:
    """It works, but the operator should know."""
    return Finding(check, Verdict.WARNING, what, advice)


def failed(check: str, what: str, advice: str) -> Finding:
    """It does not work."""
    return Finding(check, Verdict.FAILED, what, advice)
