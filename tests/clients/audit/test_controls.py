"""Red controls: each is named, played for real, and fires for its leak alone."""

import ast
import asyncio
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from clients.audit.canaries.search import Search
from clients.audit.capture.evidence import Place
from clients.audit.capture.relays import PROGRAM, OwnRelay
from clients.audit.controls.catalogue import CONTROLS, LEAKY_PROGRAMS, MARK, Control
from clients.audit.controls.playing import findings, play
from clients.audit.driving.people import CLIENT
from clients.audit.driving.stage import Stage, open_stage
from clients.audit.driving.talk import talk

ROOT = Path(__file__).parents[3]
BY_NAME = {control.name: control for control in CONTROLS}
WITHOUT_LEAK = {"relay": "nowhere", "client": "nothing"}
SEEN = {Place.WIRE, Place.HTTP, Place.LOGS, Place.STORE, Place.TEMPORARY, Place.MEMORY}


def leaks(program: Path) -> set[str]:
    """The functions of a leaky program that are listed as leaks."""
    (listed,) = (
        node.value
        for node in ast.parse(program.read_text()).body
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "LEAKS"
    )
    assert listed is not None
    return {node.id for node in ast.walk(listed) if isinstance(node, ast.Name)} - {"leak"}


async def talked(directory: Path, relay_control: Control | None, client_control: Control | None) -> Stage:
    """A stage after the short drive: all of it captured, or what is on disk where programs are changed."""
    directory.mkdir()
    is_changed = relay_control is not None or client_control is not None
    places = SEEN - {Place.MEMORY} if is_changed else SEEN
    (directory / MARK).touch()
    relay = OwnRelay(directory, relay_control.relay_program(directory) if relay_control else PROGRAM)
    await relay.start()
    try:
        program = client_control.client_program(directory) if client_control else CLIENT
        async with open_stage(directory, relay, program, places=places, reads_keys=not is_changed) as stage:
            await talk(stage, is_quick=True)
    finally:
        await relay.kill()
    return stage


def test_controls_are_told_apart_by_their_names_and_words() -> None:
    assert len(BY_NAME) == len({control.what for control in CONTROLS}) == len(CONTROLS)
    assert all(control.what and control.leaks and control.shown_as for control in CONTROLS)


@pytest.mark.parametrize("changes", ["relay", "client"])
def test_every_leak_is_a_control(changes: str) -> None:
    names = {control.name for control in CONTROLS if control.changes == changes}
    assert leaks(LEAKY_PROGRAMS / f"leaky_{changes}.py") == names | {WITHOUT_LEAK[changes]}


def test_every_place_where_a_relay_could_show_something_has_a_control() -> None:
    assert {control.place for control in CONTROLS} == SEEN == set(Place) - {Place.CORE, Place.CLIENT}


def test_a_control_changes_one_side_alone(tmp_path: Path) -> None:
    for control in CONTROLS:
        is_relay_changed = control.relay_program(tmp_path) != PROGRAM
        is_client_changed = control.client_program(tmp_path) != CLIENT
        assert (is_relay_changed, is_client_changed) == (
            control.changes == "relay",
            control.changes == "client",
        )


async def test_one_of_each_kind_fires(tmp_path: Path) -> None:
    names = ("in_a_file_without_a_name", "base64_as_encryption")
    said = list[str]()
    for fired in await asyncio.gather(*(play(BY_NAME[name], tmp_path / name, said.append) for name in names)):
        assert fired.is_red, fired
        assert {finding.canary.partition(" #")[0] for finding in fired.found} == {"send.text"}
    assert sorted(said) == sorted(f"{BY_NAME[name].what}: red" for name in names)


async def test_nothing_is_red_where_nobody_leaks(tmp_path: Path) -> None:
    """The real relay and the real clients: no canary anywhere, and no private key."""
    stage = await talked(tmp_path / "honest", None, None)
    assert stage.evidence.unread() == []
    search = Search(stage.canaries)
    assert len(search.canaries) > 100
    for place in SEEN:
        assert stage.evidence.size(place) > 0 or place is Place.TEMPORARY
        for where, data in stage.evidence.pieces(place):
            assert search.look(where, data) == []


async def test_no_control_fires_without_its_leak(tmp_path: Path) -> None:
    """The leaky programs on both sides, with all that goes before a leak: it is the leak that is found."""
    relay = replace(BY_NAME["in_the_log"], name=WITHOUT_LEAK["relay"])
    client = replace(BY_NAME["base64_as_encryption"], name=WITHOUT_LEAK["client"])
    stage = await talked(tmp_path / "no leak", relay, client)
    assert stage.evidence.unread() == []
    assert {control.name for control in CONTROLS if findings(control, stage)} == set()


async def test_a_conversation_that_does_not_work_is_no_fire(tmp_path: Path) -> None:
    fired = await play(replace(BY_NAME["in_the_log"], name="no such leak"), tmp_path / "broken")
    assert not fired.is_red
    assert fired.complaint.startswith("its conversation did not work: the relay did not start")


@pytest.mark.parametrize("changes", ["relay", "client"])
@pytest.mark.parametrize("is_marked", [False, True])
def test_a_leaky_program_runs_nowhere_but_in_a_control(tmp_path: Path, changes: str, is_marked: bool) -> None:
    directory, elsewhere = tmp_path / "control", tmp_path / "elsewhere"
    directory.mkdir()
    if is_marked:
        (directory / MARK).touch()
    control = replace(CONTROLS[0], changes=changes, name=WITHOUT_LEAK[changes])  # type: ignore[arg-type]
    program = control.relay_program(directory) if changes == "relay" else control.client_program(directory)
    inside = elsewhere if is_marked else directory
    option = "--data-directory" if changes == "relay" else "--profile"
    done = subprocess.run([*program, option, inside / "own"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "leaks on purpose" in done.stderr
    assert not elsewhere.exists()
    assert {path.name for path in directory.iterdir()} <= {MARK}


def test_no_import_can_name_a_leaky_program_and_an_installation_has_them(tmp_path: Path) -> None:
    assert not LEAKY_PROGRAMS.name.isidentifier()
    assert not (LEAKY_PROGRAMS / "__init__.py").exists()
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {path.relative_to(ROOT).as_posix() for path in LEAKY_PROGRAMS.glob("*.py")} <= names


def test_the_programs_are_this_pythons() -> None:
    assert {control.relay_program(ROOT)[0] for control in CONTROLS} == {sys.executable}
