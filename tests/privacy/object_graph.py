"""What the objects of this process tie together: who stands near whom, and what stands in the same order.

Runs inside a relay under test (`tests.privacy.watched_relay`). Looks at every container that Python's
collector knows or that one of those holds, not at what any of them is for, and at cycles that nobody has
collected as well. Places that most pairs share, such as the relay itself, tie nobody to anybody, and are no
way from one to the other. Does not see what libraries in C keep for themselves, nor locals of functions that
are running: `tests.privacy.raw_bytes` looks at bytes.
"""

import enum
import gc
import types
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.privacy.links import FEWEST, is_near, same_order

HUB: Final = 32  # neighbours: fewer than there are pairs
FARTHEST: Final = 12  # steps
SHORTEST: Final = 8  # bytes or characters: shorter texts are words
SMALLEST: Final = 1 << 40  # smaller numbers are counts, and seconds
BESIDE: Final = 64  # bytes from one name to another in one text

_UNCHANGING: Final = (
    tuple,
    frozenset,
    types.ModuleType,
    types.FunctionType,
    types.CodeType,
    types.BuiltinFunctionType,
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
)
_TIES_NOBODY: Final = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.FrameType)
_TEXTS: Final = (bytes, bytearray, str)
_ORDERED: Final = (dict, list, tuple, deque)

Names = Mapping[str, Sequence[bytes]]  # of each person, such as "S7": keys, and addresses in ASCII


@dataclass
class Seen:
    """What was found: for each sender the steps to each recipient, and the orders that senders or recipients
    stand in."""

    steps: list[list[float]] = field(default_factory=list)
    ways: list[str] = field(default_factory=list)  # from a sender to its own recipient
    order: float = 0.0
    ordered: str = ""
    kept: list[str] = field(default_factory=list)  # what holds a name of anybody

    @property
    def is_near(self) -> bool:
        return is_near(self.steps)


def _is_common(value: object) -> bool:
    """What stands everywhere for anything: small and round numbers, types, short words, states."""
    if isinstance(value, int | float) and not isinstance(value, enum.Enum):
        return abs(value) < SMALLEST if isinstance(value, int) else value == round(value, 1)
    if isinstance(value, _TEXTS):
        return len(value) < SHORTEST
    return value is None or isinstance(value, (*_TIES_NOBODY, enum.Enum))


def _inside(container: object) -> list[Any]:
    """What it refers to; the collector passes over the keys of a dict that are all texts."""
    inside = gc.get_referents(container)
    return [*inside, *dict.keys(container)] if isinstance(container, dict) else inside


def mutable_before() -> list[object]:
    """Everything that is there now and may change later: modules' globals, classes, lists."""
    return [each for each in gc.get_objects() if not isinstance(each, _UNCHANGING)]


def _forms(name: bytes) -> list[bytes]:
    from wire.control_values import encode_base64url

    return [name, name.hex().encode(), encode_base64url(name).encode()] if len(name) == 32 else [name]


class _Finder:
    """Which of the names a text holds, and where."""

    def __init__(self, names: Names) -> None:
        self._forms = {form: who for who, keys in names.items() for key in keys for form in _forms(key)}
        self._shortest = min(map(len, self._forms))

    def find(self, text: bytes | bytearray | str) -> list[tuple[str, int]]:
        if len(text) < self._shortest:
            return []
        data = text.encode("utf-8", "replace") if isinstance(text, str) else bytes(text)
        if data in self._forms:
            return [(self._forms[data], 0)]
        return [(who, data.index(form)) for form, who in self._forms.items() if form in data]


class Graph:
    """The objects there are `now`, as the collector names them; `before`: see `mutable_before`."""

    def __init__(self, before: Collection[object], now: Collection[object], names: Names) -> None:
        self._numbers: dict[object, int] = {}
        self._objects: list[object] = []
        self._beside: list[set[int]] = []
        self._who: dict[int, list[tuple[str, int]]] = {}
        self._finder = _Finder(names)
        self._containers: list[tuple[object, list[Any]]] = []
        young = {id(each) for each in now}
        looked_at = {id(before), id(now)}
        waiting = [*now, *before]
        for each in waiting:
            if id(each) in looked_at:
                continue
            looked_at.add(id(each))
            inside = _inside(each)
            # The collector does not track these, as long as all that they hold is texts and numbers.
            waiting += [ref for ref in inside if isinstance(ref, dict | tuple) and not gc.is_tracked(ref)]
            if id(each) not in young:
                inside = [ref for ref in inside if id(ref) in young or self._names_of(ref)]
            if inside and not isinstance(each, _TIES_NOBODY):
                self._add(each, inside)

    def _names_of(self, value: object) -> list[tuple[str, int]]:
        return self._finder.find(value) if isinstance(value, bytes | str) and len(value) < 128 else []

    def _number(self, value: object) -> int:
        key: object = id(value)
        if isinstance(value, _TEXTS) and len(value) >= SHORTEST:
            key = (str, value) if isinstance(value, str) else (bytes, bytes(value))
        elif isinstance(value, int | float):
            key = (float, value)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._objects)
            self._objects.append(value)
            self._beside.append(set())
            if isinstance(value, _TEXTS) and (found := self._finder.find(value)):
                self._who[number] = found
        return number

    def _tie(self, one: int, other: int) -> None:
        if one != other:
            self._beside[one].add(other)
            self._beside[other].add(one)

    def _add(self, container: object, inside: Sequence[object]) -> None:
        number = self._number(container)
        if isinstance(container, dict):
            items = list(dict.items(container))
            for key, value in items:
                if not _is_common(key) and not _is_common(value):
                    self._tie(self._number(key), self._number(value))
            self._containers.append((container, items))
        elif isinstance(container, _ORDERED):
            self._containers.append((container, [(each,) for each in container]))
        members = {self._number(each) for each in inside if not _is_common(each)}
        if len(members) <= HUB:
            for member in members:
                self._tie(number, member)

    # --- who is near whom --------------------------------------------------------------------------------

    def _of(self, who: str) -> list[int]:
        return [number for number, found in self._who.items() if any(name == who for name, _ in found)]

    def _walk(self, who: str) -> tuple[dict[int, int], dict[int, int]]:
        """Steps from a person's names, and where each step came from."""
        steps = dict.fromkeys(self._of(who), 0)
        came_from: dict[int, int] = {}
        edge = list(steps)
        for distance in range(1, FARTHEST + 1):
            following = []
            for number in edge:
                if len(self._beside[number]) > HUB:
                    continue
                for other in self._beside[number]:
                    if other not in steps:
                        steps[other], came_from[other] = distance, number
                        following.append(other)
            edge = following
        return steps, came_from

    def look(self, pairs: int) -> Seen:
        """From each sender S0, S1, ... to each recipient R0, R1, ..."""
        seen = Seen()
        ends = [self._of(f"R{number}") for number in range(pairs)]
        for number in range(pairs):
            steps, came_from = self._walk(f"S{number}")
            row = [min((float(steps.get(end, 99)) for end in found), default=99.0) for found in ends]
            if (nearest := self._in_one_text(f"S{number}", pairs)) is not None:
                row[nearest] = 0.0
            seen.steps.append(row)
            if row[number] < 99:
                end = min(ends[number], key=lambda end: steps.get(end, 99))
                seen.ways.append(self._way(end, came_from))
        seen.order, seen.ordered = self._orders()
        seen.kept = [self._holders(number) for number in self._who]
        return seen

    def _in_one_text(self, who: str, pairs: int) -> int | None:
        """The recipient whose name stands beside this one's in the same text."""
        for found in self._who.values():
            for name, at in found:
                if name == who:
                    others = [(abs(at - place), other) for other, place in found if other[0] == "R"]
                    if others and min(others)[0] <= BESIDE:
                        return int(min(others)[1][1:])
        return None

    def _way(self, end: int, came_from: Mapping[int, int]) -> str:
        way = [end]
        while way[-1] in came_from:
            way.append(came_from[way[-1]])
        return " - ".join(type(self._objects[number]).__name__ for number in reversed(way))

    def _holders(self, number: int) -> str:
        holders = {type(self._objects[other]).__name__ for other in self._beside[number]}
        return (
            f"{type(self._objects[number]).__name__} in {', '.join(sorted(holders)) or 'a large container'}"
        )

    # --- what stands in the same order -------------------------------------------------------------------

    def _labels(self, element: Iterable[object]) -> set[str]:
        labels: set[str] = set()
        for value in element:
            if _is_common(value):
                continue
            number = self._number(value)
            near = self._beside[number] if len(self._beside[number]) <= HUB else set()
            for each in (number, *near):
                labels |= {name for name, _ in self._who.get(each, ())}
        return labels

    def _orders(self) -> tuple[float, str]:
        orders: list[tuple[str, dict[str, float]]] = []
        for container, elements in self._containers:
            if len(elements) < FEWEST:
                continue
            places: dict[str, float] = {}
            for place, element in enumerate(elements):
                for label in self._labels(element):
                    places[label] = float(place)
            if len(places) >= FEWEST:
                orders.append((type(container).__name__, places))
        orders += [
            ("text", {who: float(at) for who, at in found}) for found in self._who.values() if len(found) > 1
        ]
        worst = (0.0, "")
        for one, senders in orders:
            for other, recipients in orders:
                alike = same_order(_numbered(senders, "S"), _numbered(recipients, "R"))
                worst = max(worst, (alike, f"{one} of {len(senders)}, {other} of {len(recipients)}"))
        return worst


def _numbered(places: Mapping[str, float], kind: str) -> dict[int, float]:
    return {int(who[1:]): place for who, place in places.items() if who[0] == kind}
