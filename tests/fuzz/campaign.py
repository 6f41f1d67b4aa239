"""One target under the fuzzer, in a process of its own.

    python -m tests.fuzz.campaign TARGET [libFuzzer flags]

Owns the instrumentation. Ends with libFuzzer's exit code: 0, or another where something was found.
"""

import contextlib
import sys
from pathlib import Path

MISSING = (
    "fuzz: atheris is not here. It has wheels for Linux on x86-64 with Python 3.11 to 3.14, and there `make` "
    "installs it. The corpus is replayed everywhere: make test ARGS=tests/fuzz"
)


def main() -> None:
    """Fuzz until libFuzzer's flags say stop."""
    try:
        import atheris
    except ImportError:
        sys.exit(MISSING)
    with atheris.instrument_imports(include=["wire", "keys", "relay", "clients"]):
        from tests.fuzz.catalogue import TARGETS
    target = TARGETS[sys.argv.pop(1)]
    # libFuzzer merges in processes of its own, which it starts as a shell would start its first argument.
    again = Path(".fuzz") / "again" / target.name
    again.parent.mkdir(parents=True, exist_ok=True)
    again.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tests.fuzz.campaign {target.name} "$@"\n')
    again.chmod(0o755)
    sys.argv[0] = str(again)
    for data in target.seeds():
        # Whatever is made once is made before the clock of an input runs. What a seed breaks is found below.
        with contextlib.suppress(Exception):
            target.run(data)
    atheris.Setup(sys.argv, target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
