"""What a process holds of its machine, from Linux's /proc. Knows nothing of what it does with it."""

from pathlib import Path
from typing import NamedTuple


class Look(NamedTuple):
    """At one moment."""

    memory: int  # resident, bytes
    files: int  # open descriptors
    threads: int


def look(pid: int) -> Look:
    """Raises ProcessLookupError or FileNotFoundError once it has ended."""
    values = {}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        values[name] = value.split()
    files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return Look(int(values["VmRSS"][0]) * 1024, files, int(values["Threads"][0]))
