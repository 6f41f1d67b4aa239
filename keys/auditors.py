"""Auditors: whoever ran an audit signs what it found.

Owns the auditor's key and what it signs. The key has nothing to do with any account, and no other purpose.
Knows nothing of what a report says, or of where the secret is kept.
"""

from dataclasses import dataclass, field

from keys.primitives import KEY, Random, sign, signing_key, verify
from keys.secrecy import Secret
from wire.binary import label


def _signed_bytes(report: bytes) -> bytes:
    """label `audit-report` || the report's text, byte for byte as it stands in its file."""
    return label("audit-report") + report


@dataclass(frozen=True, slots=True)
class Auditor(Secret):
    """An auditor: a 32-byte Ed25519 seed."""

    seed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.seed) != KEY:
            raise ValueError("an auditor's seed has 32 bytes")

    @classmethod
    def generate(cls, random: Random) -> "Auditor":
        """A new auditor."""
        return cls(random(KEY))

    @property
    def key(self) -> bytes:
        """The public key, 32 bytes: how others know the auditor."""
        return signing_key(self.seed)

    def sign_report(self, report: bytes) -> bytes:
        """The signature, 64 bytes, over a report's text."""
        return sign(self.seed, _signed_bytes(report))


def verify_report(key: bytes, report: bytes, signature: bytes) -> bool:
    """Whether the auditor of this public key signed exactly this text."""
    return verify(key, _signed_bytes(report), signature)
