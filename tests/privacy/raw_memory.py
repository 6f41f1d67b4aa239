"""How near names lie to each other in a process's memory, as bytes: objects, buffers, and what was freed.

Owns reading it (Linux). Needs no part of the process.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.privacy.links import Matrix
from tests.privacy.object_graph import Names

_WRITABLE: Final = re.compile(r"([0-9a-f]+)-([0-9a-f]+) rw\S+ \S+ \S+ (\d+)")
FAR: Final = 1 << 62


def regions(pid: int) -> list[tuple[int, bytes]]:
    """Whatever the process can write to and no file backs, with where it begins."""
    found = []
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text("utf-8").splitlines():
            if (match := _WRITABLE.match(line)) and match[3] == "0":
                begin, end = int(match[1], 16), int(match[2], 16)
                memory.seek(begin)
                found.append((begin, memory.read(end - begin)))
    return found


def _places(memory: Sequence[tuple[int, bytes]], names: Names) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for begin, data in memory:
        for who, keys in names.items():
            for key in keys:
                at = data.find(key)
                while at >= 0:
                    found[who].append(begin + at)
                    at = data.find(key, at + 1)
    return found


def apart(pid: int, names: Names, pairs: int) -> Matrix:
    """Bytes between a name of each sender S0, S1, ... and the nearest of each recipient R0, R1, ..."""
    found = _places(regions(pid), names)
    assert len(found) == 2 * pairs, "a key that is in use must be there"
    return [
        [
            min((abs(a - b) for a in found.get(f"S{i}", ()) for b in found.get(f"R{j}", ())), default=FAR)
            for j in range(pairs)
        ]
        for i in range(pairs)
    ]
