"""A program of ours with something of it replaced: production code has no hooks for tests.

    python -m tests.faults.child --patch clock=/tmp/offset --patch kill=relay.stored:3 -- relay --port 8760

Owns the order: patch, then run the program's own `__main__` as `python -m` would. What can be patched is in
`tests.faults.patches`.
"""

import os
import runpy
import signal
import sys
import threading
import time
from typing import Final

from tests.faults.patches import PATCHES


def command(program: str, *patches: str) -> tuple[str, ...]:
    """How to start `relay` or `clients` with patches such as `clock=FILE`."""
    flags = [part for patch in patches for part in ("--patch", patch)]
    return (sys.executable, "-m", "tests.faults.child", *flags, "--", program)


LOOK_EVERY: Final = 1.0  # seconds


def _end_with(parent: int) -> None:
    """A harness that was killed leaves nobody behind."""
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY)
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Patch and run."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    arguments = sys.argv[1:]
    while arguments[0] == "--patch":
        name, _, value = arguments[1].partition("=")
        PATCHES[name](value)
        del arguments[:2]
    assert arguments[0] == "--", "-- stands between the patches and the program"
    program = arguments[1]
    sys.argv = [program, *arguments[2:]]
    runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
