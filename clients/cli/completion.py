"""`blindpost completion`: what makes a shell complete commands, options and the names of contacts.

Owns the scripts, which are click's own.
"""

from typing import Any, Final

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    ShellComplete,
    add_completion_class,
    get_completion_class,
)

from clients.cli.program import PROGRAM_NAME, Settings, common_options, pass_settings, program

VARIABLE: Final = f"_{PROGRAM_NAME.upper()}_COMPLETE"
INSTALL: Final = {
    "bash": """Install: echo 'eval "$(blindpost completion bash)"' >> ~/.bashrc""",
    "zsh": """Install: echo 'eval "$(blindpost completion zsh)"' >> ~/.zshrc (behind compinit)""",
    "fish": "Install: blindpost completion fish > ~/.config/fish/completions/blindpost.fish",
}
_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%")


class _Bash(BashComplete):
    """Bash, for names that a shell would take apart: click hands them over as they are."""

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """Escaped for the command line, and once more for the `read` in click's script."""
        value = str(item.value)
        if item.type == "plain":
            value = "".join(c if c in _PLAIN or ord(c) > 0x7F else f"\\{c}" for c in value)
            value = value.replace("\\", "\\\\")
        return f"{item.type},{value}"


def prepare() -> None:
    """See to it that what a shell asks is answered with the right escapes."""
    add_completion_class(_Bash)


@click.command()
@click.argument("shell", type=click.Choice(list(INSTALL)))
@common_options
@pass_settings
def completion(settings: Settings, shell: str) -> None:
    """Print a script that lets SHELL complete words.

    It completes commands, options and the names of contacts.

    \b
    Try it:   eval "$(blindpost completion bash)"
    Keep it:  echo 'eval "$(blindpost completion bash)"' >> ~/.bashrc
    """
    kind = get_completion_class(shell)
    assert kind is not None
    script = _script(kind) + f"\n# {INSTALL[shell]}"
    settings.output.result({"shell": shell, "script": script}, script)


def _script(kind: type[ShellComplete]) -> str:
    return kind(program, {}, PROGRAM_NAME, VARIABLE).source().rstrip()
