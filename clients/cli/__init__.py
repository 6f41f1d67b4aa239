"""The command line `blindpost`: thin commands over `Messenger`.

Owns words, options and exit codes on the terminal. Messages go to stdout, everything else to stderr.
"""

import sys

__all__ = ["main"]


def main() -> None:
    """The entry point of `blindpost`. Ctrl-C ends it quietly, also while it is still loading."""
    try:
        from clients.cli.entry import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)
