"""Plays a red control: a stage of its own with its leak, the short drive, and the audit's own search.

Owns the judgement whether it has fired. Knows no leak.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from clients.audit.canaries.search import Finding, Search
from clients.audit.capture.relays import OwnRelay, RelayError
from clients.audit.controls.catalogue import MARK, Control
from clients.audit.driving.people import PersonError
from clients.audit.driving.stage import Stage, open_stage
from clients.audit.driving.talk import talk


@dataclass(frozen=True, slots=True)
class Fired:
    """What came of a control: what of its leak was found first, or why it shows nothing."""

    control: Control
    found: tuple[Finding, ...]
    complaint: str  # one sentence; empty where it is red
    seconds: float

    @property
    def is_red(self) -> bool:
        """Whether the audit has found the leak, where and as what it leaked."""
        return not self.complaint and bool(self.found)


async def play(control: Control, directory: Path, say: Callable[[str], None] = lambda line: None) -> Fired:
    """Play one in an empty directory, within seconds; a conversation that breaks off is a complaint.

    It looks at its place alone, for what leaks there alone: neither makes a search see more.
    """
    started = monotonic()
    _mark(directory)
    relay = OwnRelay(directory, control.relay_program(directory))
    found, complaint = tuple[Finding, ...](), ""
    try:
        await relay.start()
        async with open_stage(
            directory,
            relay,
            control.client_program(directory),
            places={control.place},
            reads_keys=control.is_about_keys,
        ) as stage:
            await talk(stage, is_quick=True)
        found = await asyncio.to_thread(findings, control, stage)
        if not found:
            complaint = _missed(control, stage)
    except (PersonError, RelayError) as error:
        complaint = f"its conversation did not work: {error}"
    finally:
        await relay.kill()
    fired = Fired(control, found, complaint, monotonic() - started)
    say(f"{control.what}: {'red' if fired.is_red else complaint}")
    return fired


def _mark(directory: Path) -> None:
    directory.mkdir(mode=0o700, exist_ok=True)
    (directory / MARK).touch()


def findings(control: Control, stage: Stage) -> tuple[Finding, ...]:
    """What shows the leak; nothing where it is to be hidden, and stands there in clear."""
    search = Search(canary for canary in stage.canaries if control.leaks in canary.name)
    found = tuple[Finding, ...]()
    for where, data in stage.evidence.pieces(control.place):
        seen = search.look(where, data)
        if control.is_hidden and any(_is_clear(each) for each in seen):
            return ()
        found += tuple(each for each in seen if control.shown_as in f"{each.source} {each.form}")
        if found and not control.is_hidden:
            break
    return found


def _is_clear(finding: Finding) -> bool:
    return finding.form == "raw" and "unpacked" not in finding.source


def _missed(control: Control, stage: Stage) -> str:
    size = stage.evidence.size(control.place)
    return f"its leak was not found as {control.shown_as!r} in {size:,} bytes of {control.place}"
