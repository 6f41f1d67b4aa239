"""The sums: what was accepted against what arrived, message by message.

Owns the definitions of lost, duplicated and out of order. Knows nothing of processes.
"""

from dataclasses import dataclass, field
from itertools import pairwise

from examples.demo.processes import Line


@dataclass(slots=True)
class Direction:
    """One direction of the conversation."""

    bodies: dict[str, str] = field(
        default_factory=dict
    )  # message id -> what was said, as its recipient prints it
    accepted: set[str] = field(default_factory=set)
    delivered: set[str] = field(default_factory=set)
    shown: list[Line] = field(default_factory=list)  # what the recipient's program printed, in order
    kept: list[Line] = field(default_factory=list)  # the recipient's history at the end

    @property
    def lost(self) -> int:
        """Accepted, but not in the recipient's history and output with the same content."""
        kept = {line["id"]: content(line) for line in self.kept}
        shown = {line["id"]: content(line) for line in self.shown}
        return sum(
            kept.get(id) != self.bodies[id] or shown.get(id) != self.bodies[id] for id in self.accepted
        )

    @property
    def duplicated(self) -> int:
        """In the history twice, or printed again without the mark `redelivered`, or never sent."""
        kept = [line["id"] for line in self.kept]
        first_time = [line["id"] for line in self.shown if not line["redelivered"]]
        return (
            len(kept)
            - len(set(kept))
            + len(first_time)
            - len(set(first_time))
            + len(set(kept) - set(self.bodies))
        )

    @property
    def out_of_order(self) -> int:
        """Printed or kept behind a message with a higher sequence."""
        return _descents([line["sequence"] for line in self.shown]) + _descents(
            [line["sequence"] for line in self.kept]
        )


def content(line: Line) -> str:
    """Text or data of a printed message."""
    return str(line.get("text", line.get("data")))


def _descents(sequences: list[int]) -> int:
    """A message printed again after a crash repeats its own sequence, which is in order."""
    return sum(later < earlier for earlier, later in pairwise(sequences))
