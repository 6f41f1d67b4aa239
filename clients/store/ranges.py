"""Which sequences of a stream have arrived, as inclusive ranges.

Owns the arithmetic; knows nothing of what the sequences belong to.
"""

from dataclasses import dataclass
from typing import Final, Self

from wire.binary import u64

MAX_RANGES: Final = 1000  # of one stream; beyond, what arrived before the oldest gap is forgotten


@dataclass(frozen=True, slots=True)
class Ranges:
    """Ascending, disjoint, not adjacent (first, last) pairs."""

    pairs: tuple[tuple[int, int], ...] = ()

    @classmethod
    def decode(cls, record: bytes) -> Self:
        """From 16 bytes a pair."""
        numbers = [int.from_bytes(record[i : i + 8], "big") for i in range(0, len(record), 8)]
        return cls(tuple(zip(numbers[::2], numbers[1::2], strict=True)))

    def encode(self) -> bytes:
        """16 bytes a pair."""
        return b"".join(u64(first) + u64(last) for first, last in self.pairs)

    @property
    def highest(self) -> int:
        """The highest sequence, 0 for none."""
        return self.pairs[-1][1] if self.pairs else 0

    def __contains__(self, sequence: int) -> bool:
        return any(first <= sequence <= last for first, last in self.pairs)

    def added(self, sequence: int) -> "Ranges":
        """With one more sequence."""
        if self.pairs and self.pairs[-1][1] == sequence - 1:
            return Ranges((*self.pairs[:-1], (self.pairs[-1][0], sequence)))
        if sequence in self:
            return self
        merged: list[tuple[int, int]] = []
        for first, last in sorted((*self.pairs, (sequence, sequence))):
            if merged and first == merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], last)
            else:
                merged.append((first, last))
        # Never close a gap that was not filled: a receipt would say "delivered" of what was lost in it.
        return Ranges(tuple(merged[-MAX_RANGES:]))

    def gaps(self, limit: int) -> tuple[tuple[int, int], ...]:
        """What is missing before the highest, as inclusive ranges: the last `limit` of them, ascending."""
        if len(self.pairs) == 1 and self.pairs[0][0] == 1:
            return ()  # as nearly always
        ends = [last for _, last in self.pairs]
        # Of a stream with so many gaps it is forgotten what came first.
        before = [0, *ends] if len(ends) < MAX_RANGES else [ends[0], *ends] if ends else []
        found = [
            (last + 1, first - 1)
            for last, (first, _) in zip(before, self.pairs, strict=False)
            if last + 1 < first
        ]
        return tuple(found[-limit:])

    def covered_from(self, sequence: int) -> int:
        """The last sequence up to which everything after `sequence` has arrived."""
        for first, last in self.pairs:
            if first <= sequence + 1 <= last:
                return last
        return sequence

    def missing_between(self, low: int, high: int) -> int:
        """How many sequences after `low` and before `high` have not arrived."""
        arrived = sum(max(0, min(last, high - 1) - max(first, low + 1) + 1) for first, last in self.pairs)
        return max(0, high - low - 1) - arrived
