"""What a program costs, whatever else the machine does meanwhile."""

import resource
import subprocess
from collections.abc import Mapping, Sequence


def computing(command: Sequence[str], environment: Mapping[str, str] | None = None) -> tuple[float, str]:
    """Seconds of a processor that the program took to its good end, and what it said on stdout."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout
