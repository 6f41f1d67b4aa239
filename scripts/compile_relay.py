"""Compile what stands in a frame's way, from the same sources, into .compiled: `make compiled`.

Owns which modules those are. `.compiled` gets a copy of relay/ and wire/ with these as machine code beside
their sources; nothing of the checkout changes. mypyc compiles them by the types that `make check` proves.
Needs a C compiler and Python's headers.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PLACE: Final = ROOT / ".compiled"
PACKAGES: Final = ("relay", "wire")
# On the way of every frame, and nothing else: what runs once a login or less gains nothing.
MODULES: Final = (
    "relay/actions.py",
    "relay/answers.py",
    "relay/attachments.py",
    "relay/backlog.py",
    "relay/buckets.py",
    "relay/connection.py",
    "relay/delivery.py",
    "relay/intake.py",
    "relay/lanes.py",
    "relay/outbound.py",
    "relay/patience.py",
    "relay/rates.py",
    "relay/session.py",
    "relay/submission.py",
    "relay/tails.py",
    "relay/turns.py",
    "relay/websocket/parser.py",
    "relay/websocket/protocol.py",
    "relay/window.py",
    "wire/frames.py",
    "wire/shortcuts.py",
)
WHY: Final = (
    "compiled: failed; it needs a C compiler and Python's headers (Debian: apt-get install gcc libc6-dev "
    "python3-dev)"
)


def main() -> int:
    """Copy, compile, and see that each module is there."""
    shutil.rmtree(PLACE, ignore_errors=True)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, PLACE / package, ignore=shutil.ignore_patterns("__pycache__"))
    print(f"compiling {len(MODULES)} modules with mypyc, about half a minute", file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "mypyc", "--follow-imports=silent", "--ignore-missing-imports", *MODULES],
        cwd=PLACE,
        env={**os.environ, "MYPYC_OPT_LEVEL": "3", "MYPYC_DEBUG_LEVEL": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    missing = [name for name in MODULES if not [*PLACE.glob(name.removesuffix(".py") + ".*.so")]]
    if done.returncode or missing:
        print(done.stdout[-3000:], done.stderr[-3000:], WHY, sep="\n", file=sys.stderr)
        shutil.rmtree(PLACE)
        return 1
    shutil.rmtree(PLACE / "build", ignore_errors=True)
    print(f"compiled: ok: {len(MODULES)} modules in .compiled; run PYTHONPATH=.compiled python -m relay")
    return 0


if __name__ == "__main__":
    sys.exit(main())
