"""What an attack is: a scene that is played twice, with every defence, and without the one that it names.

Owns the types of the catalogue, and how a defence is taken away from the running process. Knows no attack,
no relay and no client.
"""

import pkgutil
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

if TYPE_CHECKING:
    from tests.attacks.stage import Stage


@dataclass(frozen=True, slots=True)
class Caught:
    """Somebody noticed, or nothing came of it: `who` and `how`, and `after` how many messages.

    `says` is the sentence that a client told its user, where there is one.
    """

    who: str
    how: str
    after: int = 1
    says: str = ""


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The attacker has what it wanted."""

    what: str


def gained(is_so: object, what: str) -> Succeeded | None:
    """Succeeded, where it is so."""
    return Succeeded(what) if is_so else None


Outcome = Caught | Succeeded
Play = Callable[["Stage"], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Removal:
    """One function or value of ours, by its dotted name, and what the control has in its place.

    `instead` gets the original. Where a module has imported a function, that module's name is to be given.
    """

    target: str
    instead: Callable[[Any], Any]


def silenced(target: str) -> Removal:
    """A check that raises for what it refuses, and now refuses nothing."""
    return Removal(target, lambda original: lambda *arguments, **named: None)


def answering(target: str, answer: object) -> Removal:
    """A question that always gets this answer."""
    return Removal(target, lambda original: lambda *arguments, **named: answer)


def valued(target: str, value: object) -> Removal:
    """A limit, or another value of a module, that is this one."""
    return Removal(target, lambda original: value)


@dataclass(frozen=True, slots=True)
class Attack:
    """One row. `fell` is a real system that fell to it, in a sentence, or empty."""

    name: str
    does: str
    defence: str
    without: tuple[Removal, ...]
    fell: str
    play: Play

    @contextmanager
    def defenceless(self) -> Iterator[None]:
        """As long as this lasts, the one defence is gone from this process, and nothing else."""
        with ExitStack() as stack:
            for removal in self.without:
                original = pkgutil.resolve_name(removal.target)
                stack.enter_context(patch(removal.target, removal.instead(original)))
            yield


def attack(
    *, defence: str, without: Removal | tuple[Removal, ...], fell: str = ""
) -> Callable[[Play], Attack]:
    """Make an attack of a scene: its function's name is the row's, the docstring says what is tried.

    A scene returns Caught or Succeeded by what it has seen, and does not know which of its two plays it is.
    """
    removals = without if isinstance(without, tuple) else (without,)

    def made(play: Play) -> Attack:
        name: Final = getattr(play, "__name__", "")
        does = " ".join((play.__doc__ or "").split()).rstrip(".")
        return Attack(name.replace("_", "-"), does, defence, removals, fell, play)

    return made
