"""The command line `blindpost`: thin commands over `Messenger`.

Owns words, options and exit codes on the terminal. Messages go to stdout, everything else to stderr.
"""

from clients.cli.entry import main

__all__ = ["main"]
