"""One target under the fuzzer, in a process of its own.

    python -m tests.fuzz.campaign TARGET [libFuzzer flags]

Owns the instrumentation. Ends with libFuzzer's exit code: 0, or another where something was found.
"""

import contextlib
import sys

MISSING = (
    "fuzz: atheris is not here. It has wheels for Linux on x86-64 with Python 3.11 to 3.14, where `make` installs "
    "it. The corpus is replayed everywhere: make test ARGS=tests/fuzz"
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
    for data in target.seeds():
        # Whatever is made once is made before the clock of an input runs. What a seed breaks is found below.
        with contextlib.suppress(Exception):
            target.run(data)
    atheris.Setup(sys.argv, target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
