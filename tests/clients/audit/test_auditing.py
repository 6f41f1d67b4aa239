"""An audit of a relay that others use, from what was asked for to the signed report; and parts that fail."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import trustme

from clients.audit import beforehand, run
from clients.audit.auditing import Wanted, audit
from clients.audit.canaries.search import Canary, Search
from clients.audit.canaries.searching import search
from clients.audit.capture import evidence as kept
from clients.audit.capture.evidence import Evidence, Place
from clients.audit.capture.relays import RelayError
from clients.audit.capture.sight import Sight
from clients.audit.controls.catalogue import CONTROLS
from clients.audit.driving.stage import Stage
from clients.audit.reporting.auditor_key import own_auditor
from clients.audit.reporting.report_file import decode
from clients.audit.run import Course
from clients.audit.tap import wiretap
from clients.errors import ClientError
from clients.errors import RelayError as NoRelay
from tests.support.relay_process import RelayProcess, running_relay
from wire.control_values import encode_base64url

UNPLAYED = "no control was played: nothing shows that the audit sees a leak"


@pytest.fixture
def without_controls(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are played by `make audit`, and one by one in test_controls."""
    monkeypatch.setattr(run, "CONTROLS", ())


def wanted(directory: Path, **subject: object) -> Wanted:
    room = directory / "room"
    room.mkdir()
    return Wanted(room, directory / "audit.json", key=directory / "key", **subject)  # type: ignore[arg-type]


@pytest.mark.usefixtures("without_controls")
async def test_a_relay_with_tls_and_invites_from_outside(tmp_path: Path) -> None:
    authority, both, ca = trustme.CA(), tmp_path / "both.pem", tmp_path / "ca.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(both)
    authority.cert_pem.write_to_path(ca)
    said: list[str] = []
    with RelayProcess(tmp_path, settings={"tls-certificate": both, "tls-key": both}) as relay:
        report, auditor = await audit(wanted(tmp_path, url=relay.origin, ca=ca), said.append)
    assert report.verdict.reasons == (UNPLAYED,)
    assert (report.subject.kind, report.subject.url) == ("url", relay.origin)
    assert encode_base64url(report.subject.relay_key or b"") == relay.relay_key
    assert "its memory" in report.subject.not_looked_at
    assert report.driven == ("two people talked, each under a name", "both accounts deleted")
    assert {look.place for look in report.search.places} == {Place.WIRE, Place.HTTP, Place.CLIENT}
    assert (tmp_path / "audit.json").exists()
    assert (tmp_path / "audit.html").exists()
    assert encode_base64url(own_auditor(tmp_path / "key").key) == auditor


@pytest.mark.usefixtures("without_controls")
async def test_what_the_tap_could_not_keep_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiretap, "KEPT_MAX", 20_000)
    monkeypatch.setenv("BLINDPOST_PASSPHRASE", "of the auditor's own profile, and nobody else's")
    with running_relay(tmp_path) as relay:
        report, _ = await audit(wanted(tmp_path, url=relay.origin), lambda line: None)
    assert report.verdict.reasons[0] == (
        "it did not get through: more passed on the wire than was kept: not all of it was looked at"
    )


@pytest.mark.usefixtures("without_controls")
async def test_a_relay_that_runs_here_is_looked_into(tmp_path: Path) -> None:
    with running_relay(tmp_path) as relay:
        report, auditor = await audit(wanted(tmp_path, attach=str(relay.pid)), lambda line: None)
    assert decode((tmp_path / "audit.json").read_bytes()).report == report
    assert encode_base64url(own_auditor(tmp_path / "key").key) == auditor
    assert report.verdict.reasons == (UNPLAYED,)
    assert {Place.MEMORY, Place.STORE, Place.LOGS} <= {look.place for look in report.search.places}
    assert report.clients.found > 10
    assert report.leaks_total == 0


async def test_what_is_no_relay_is_said_before_anything_is_begun(tmp_path: Path) -> None:
    with pytest.raises(NoRelay, match="no relay"):
        await audit(wanted(tmp_path, attach=str(os.getpid())), lambda line: None)
    assert list((tmp_path / "room").iterdir()) == []


async def test_what_would_spoil_the_audit_is_said_before_anything_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(why: str, **subject: object) -> None:
        (room := tmp_path / "room").mkdir()
        asked = {"file": tmp_path / "r.json", "key": tmp_path / "key", **subject}
        with pytest.raises(ClientError, match=why):
            await audit(Wanted(room, **asked), lambda line: None)  # type: ignore[arg-type]
        room.rmdir()

    await refused("There is no directory", file=tmp_path / "nowhere" / "r.json")
    with monkeypatch.context() as patching:
        patching.setattr(beforehand, "ROOM", 1 << 60)
        await refused("GB are free: make room, or name another place with --keep or TMPDIR")
    await refused("nothing listens on port 1 of this host: start the relay", attach="ws://127.0.0.1:1")
    await refused("cannot be reached: Connection refused", url="ws://127.0.0.1:1")
    with running_relay(tmp_path, registration="invite") as relay:
        for subject in ({"url": relay.origin}, {"attach": relay.origin}):
            for invites in ((), ("one",)):
                await refused("give --invite WORD twice", **subject, invites=invites)
    authority, both = trustme.CA(), tmp_path / "both.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(both)
    with running_relay(tmp_path, tls_certificate=both, tls_key=both) as relay:
        for subject in ({"url": relay.origin}, {"attach": relay.origin}):
            await refused("name its authority with --ca FILE", **subject)


async def test_a_part_that_fails_is_a_failure_and_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    course = Course(tmp_path, lambda line: None)

    async def fails() -> int:
        raise RelayError("it is not there")

    async def hangs() -> int:
        await asyncio.Event().wait()
        return 0

    async def works() -> int:
        return 7

    monkeypatch.setattr(run, "LONGEST", 0.01)
    assert await course.part("looking", fails()) is None
    assert await course.part("waiting", hangs()) is None
    assert await course.part("working", works()) == 7
    assert course.failures == ["looking: it is not there", "waiting: it did not end within 0 s"]


async def test_a_control_that_does_not_work_is_no_fire(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(*_: object) -> None:
        raise RelayError("it did not start")

    monkeypatch.setattr(run, "play", breaks)
    course = Course(tmp_path, lambda line: None)
    assert await run._play_all(CONTROLS[:3], course) == []
    assert len(course.failures) == 3


async def test_a_search_that_nobody_waits_for_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, ended, loop = asyncio.Event(), asyncio.Event(), asyncio.get_running_loop()

    def long(evidence: object, canaries: object, places: object, progress: Callable[[int], None]) -> None:
        loop.call_soon_threadsafe(begun.set)
        try:
            for megabytes in range(3000):
                progress(megabytes)
                time.sleep(0.02)
        except CancelledError:
            loop.call_soon_threadsafe(ended.set)

    monkeypatch.setattr(run, "search", long)
    stage = cast(Stage, SimpleNamespace(evidence=Evidence(tmp_path), canaries=[]))
    searching = asyncio.create_task(run._searched(Course(tmp_path, lambda line: None), stage))
    await begun.wait()
    searching.cancel()
    async with asyncio.timeout(20):
        await ended.wait()


def test_processes_find_what_one_search_finds(tmp_path: Path) -> None:
    canaries = [Canary(str(number), os.urandom(32), is_text=False) for number in range(4)]
    evidence, alone = Evidence(tmp_path), Search(canaries)
    for number, canary in enumerate(canaries):
        for place in (Place.MEMORY, Place.CLIENT):
            data = os.urandom(1 << 20) + canary.value.hex().encode() * 3 + os.urandom(1 << 20)
            evidence.add(place, f"piece {number}", data)
            alone.look(f"piece {number}", data)
    scanned: list[int] = []
    found = search(evidence, canaries, progress=scanned.append)
    assert {finding.canary for _, finding in found.leaks} == {canary.name for canary in canaries}
    assert {place for place, _ in found.leaks} == {Place.MEMORY}
    assert found.scanned == alone.scanned == scanned[-1]
    assert {(each.canary, each.form) for each in alone.found} == {
        (each.canary, each.form) for each in found.found[Place.CLIENT]
    }
    assert found.encodings == alone.encodings


def test_what_was_seen_before_is_kept_once_and_too_much_is_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence = Evidence(tmp_path)
    evidence.add(Place.LOGS, "first", b"a line")
    evidence.add(Place.LOGS, "second", b"a line")
    evidence.add(Place.STORE, "third", b"a line")
    assert list(evidence.pieces(Place.LOGS)) == [("first", b"a line")]
    assert list(evidence.pieces(Place.STORE)) == [("third", b"a line")]
    assert (evidence.size(Place.LOGS), list(evidence.pieces(Place.MEMORY))) == (6, [])

    def read(sight: Sight) -> Iterator[tuple[str, bytes]]:
        sight.was_there = True
        yield from (("small", b"123"), ("large", b"1234"))

    monkeypatch.setattr(kept, "KEPT_MAX", 18)
    evidence.take(kept.Source(Place.STORE, "files", read), "now")
    assert [data for _, data in evidence.pieces(Place.STORE)] == [b"a line", b"123"]
    assert evidence.unread() == ["files, now: more is there than an audit keeps (18 bytes in all)"]
