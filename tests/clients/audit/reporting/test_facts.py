"""What the parts of an audit return is what the report says of it: nothing is lost, and no value gets in."""

from collections.abc import Iterable
from pathlib import Path

from clients.audit.canaries.search import Canary, Finding
from clients.audit.canaries.searching import search
from clients.audit.capture.evidence import Evidence, Place, Source
from clients.audit.capture.sight import Sight
from clients.audit.controls.catalogue import CONTROLS
from clients.audit.controls.playing import Fired
from clients.audit.judging.judge import Judge
from clients.audit.proving.proof import Complaint, Proof, static_proof
from clients.audit.proving.tripwired import Tripwired
from clients.audit.reporting import facts
from clients.audit.reporting.report import LEAKS_MAX
from clients.audit.tap.transcript import Opened, Piece

TEXT = Canary("send.text #1", b"qwertzuiopasdfghjkyx2345", is_text=True)
KEYS = [
    Canary("alice: prekey ONE_TIME 12", bytes(range(32)), is_text=False),
    Canary("bob: prekey ONE_TIME 7", bytes(range(32, 64)), is_text=False),
    Canary("alice: session.chain.key", bytes(range(64, 96)), is_text=False),
]


def logged(sight: Sight) -> Iterable[tuple[str, bytes]]:
    sight.was_there, sight.bytes_read = True, 40
    yield "relay.log", b"got: " + TEXT.value


def closed(sight: Sight) -> Iterable[tuple[str, bytes]]:
    sight.unread.append("process 7: Permission denied")
    return ()


def test_what_was_captured_and_searched(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path)
    for place, read in ((Place.LOGS, logged), (Place.MEMORY, closed), (Place.STORE, lambda sight: ())):
        evidence.take(Source(place, f"{place}", read), "at the end")
    evidence.add(Place.WIRE, "connection 1", b"nothing")
    looks = facts.captured(evidence)
    assert [(look.place, look.bytes, look.unread) for look in looks] == [
        (Place.LOGS, 40, ()),
        (Place.MEMORY, 0, ("process 7: Permission denied",)),
        (Place.STORE, 0, ("it was not there",)),
    ]
    found = search(evidence, [TEXT, *KEYS])
    said = facts.searching(evidence, found, {"send.text": [TEXT]}, KEYS)
    assert said.typed == {"send.text": 1}
    assert said.private == {"prekey ONE_TIME": 2, "session.chain.key": 1}
    assert said.canaries == 4
    assert said.scanned >= 36
    assert {looked.place: (looked.bytes, looked.found) for looked in said.places} == {
        Place.WIRE: (7, 0),
        Place.LOGS: (29, 1),
        Place.STORE: (0, 0),
        Place.MEMORY: (0, 0),
    }
    shown = facts.leaks(found.leaks)
    assert {(leak.canary, leak.place, leak.where) for leak in shown} == {
        ("send.text #1", Place.LOGS, "relay.log")
    }
    assert TEXT.value.decode() not in str((looks, said, shown))
    many = [(Place.LOGS, Finding("x", "raw", "log", offset)) for offset in range(LEAKS_MAX + 1)]
    assert len(facts.leaks(many)) == LEAKS_MAX


def test_controls_and_proofs() -> None:
    quiet = facts.control(Fired(CONTROLS[0], (), "nothing was found", 1.5))
    assert (quiet.name, quiet.has_fired, quiet.complaint) == (CONTROLS[0].name, False, "nothing was found")
    found = Finding("send.text #1", "raw", "log", 3)
    assert facts.control(Fired(CONTROLS[0], (found,), "", 1.5)).findings == 1
    read = facts.static_proof(static_proof())
    assert read.modules > 20
    assert read.names > 5_000
    assert read.complaints == ()
    assert facts.static_proof(Proof((), 0, ())).complaints == ("no module of a relay was found",)
    named = facts.static_proof(Proof(("relay.app",), 9, (Complaint("relay.app", 3, "Box"),)))
    assert named.complaints == ("relay.app, line 3: Box",)
    wired = facts.tripwired(Tripwired(200, ("keys",), ("a text",), ("it ended",)))
    assert (wired.tripwires, wired.served, wired.complaints) == (200, ("a text",), ("it ended",))


def test_what_the_judge_says_is_whole() -> None:
    judge = Judge()
    judge.hear(Opened(0.0, 1, ""))
    judge.hear(Piece(0.1, 1, True, b"GET /elsewhere HTTP/1.1\r\n\r\n" * 30))
    verdict = judge.verdict(["The wire was cut."])
    said = facts.transcript(verdict)
    assert said.judged["connections"] == 1
    assert said.judged["plain requests"] == 30
    assert any("is not in the ledger" in complaint for complaint in said.complaints)
    assert any(complaint.startswith("10 more against the rule ledger") for complaint in said.complaints)
    assert "The wire was cut." in said.complaints
