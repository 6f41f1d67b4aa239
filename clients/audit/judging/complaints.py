"""What a judge complains of: a rule, where and when, and a sentence.

Owns their bound: of each rule the first ones are kept, and the rest is counted, so that whoever breaks one
rule with every message hides no other.
"""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

KEPT_PER_RULE: Final = 20


class Rule(StrEnum):
    """What all traffic keeps to."""

    FRAME = "frame"  # every binary message is a frame, its envelope of version 1 and in an exact bucket
    RANDOM = "random"  # nothing in an envelope, or in a value that is opaque, looks as if nobody encrypted it
    REPEAT = "repeat"  # no header, nonce or block comes twice, but in a frame that is sent again
    CANARY = "canary"  # what was typed is seen in no form
    MESSAGE = "message"  # every text is a control message, and what is signed in it can be read
    LEDGER = "ledger"  # every field that travels is declared
    HTTP = "http"  # beside WebSockets there are a few plain requests, without a body
    ELSEWHERE = "elsewhere"  # nobody but the relay is called


@dataclass(frozen=True, slots=True)
class Complaint:
    """One breach. `at` in seconds since the beginning; `to_relay` is None for a connection as a whole."""

    rule: Rule
    connection: int
    at: float
    to_relay: bool | None
    what: str

    def __str__(self) -> str:
        way = {True: ", to the relay", False: ", from the relay", None: ""}[self.to_relay]
        return f"Connection {self.connection}, {self.at:.3f} s{way}: {self.what}."

    def to_json(self) -> dict[str, object]:
        """One JSON object."""
        way = {True: "relay", False: "client", None: None}[self.to_relay]
        return {
            "rule": self.rule.value,
            "connection": self.connection,
            "at": round(self.at, 6),
            "to": way,
            "what": self.what,
        }


class Complaints:
    """All of them; KEPT_PER_RULE of each rule with their sentences."""

    def __init__(self) -> None:
        self.kept: list[Complaint] = []
        self.counts: Counter[Rule] = Counter()

    def add(self, complaint: Complaint) -> None:
        """One more."""
        self.counts[complaint.rule] += 1
        if self.counts[complaint.rule] <= KEPT_PER_RULE:
            self.kept.append(complaint)

    @property
    def beyond(self) -> dict[Rule, int]:
        """How many more there were of each rule than were kept."""
        return {rule: count - KEPT_PER_RULE for rule, count in self.counts.items() if count > KEPT_PER_RULE}
