"""`blindpost relay`: starts the relay by executing `python -m relay`. No import leads there."""

import os
import sys

import click


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def relay(arguments: tuple[str, ...]) -> None:
    """Run a relay, and what its operator does beside it. All options: blindpost relay --help"""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", "relay", *arguments])  # noqa: S606 no shell is meant
