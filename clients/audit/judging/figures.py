"""What was judged of a transcript, in figures, and the verdict.

Owns their form. Every counter whose names peers choose is bounded by whoever counts.
"""

from collections import Counter
from dataclasses import dataclass, field

from clients.audit.judging.complaints import Complaint, Rule


@dataclass(slots=True)
class Figures:
    """What was judged."""

    connections: int = 0
    websockets: int = 0
    bytes_to_relay: int = 0
    bytes_to_client: int = 0
    put: int = 0
    delivered: int = 0
    again: int = 0  # of these, frames that had been seen before, as may be
    sizes: Counter[int] = field(default_factory=Counter)  # envelopes, by bytes
    messages: Counter[str] = field(default_factory=Counter)  # control messages, by type
    beside: Counter[str] = field(default_factory=Counter)  # ping, pong and close
    requests: Counter[str] = field(default_factory=Counter)  # plain HTTP, by method and path
    ended_early: Counter[str] = field(default_factory=Counter)
    scanned: int = 0  # bytes that were searched for canaries
    first_frame: float | None = None
    last_frame: float | None = None
    seconds: float = 0.0

    def to_json(self) -> dict[str, object]:
        """One JSON object."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {
            name: {str(key): value[key] for key in sorted(value)} if isinstance(value, Counter) else value
            for name, value in values.items()
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """The end of it. `lacks`: what could not be judged, whole sentences."""

    figures: Figures
    complaints: tuple[Complaint, ...]
    counts: dict[Rule, int]
    lacks: tuple[str, ...]

    @property
    def is_fine(self) -> bool:
        """Whether envelopes were judged, all of it could be, and nothing was complained of."""
        return not self.complaints and not self.lacks

    def to_json(self) -> dict[str, object]:
        """One JSON object, without the complaints themselves."""
        return {
            "fine": self.is_fine,
            "complaints": {rule.value: count for rule, count in sorted(self.counts.items())},
            "lacks": list(self.lacks),
            **self.figures.to_json(),
        }
