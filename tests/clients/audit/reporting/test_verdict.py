"""Green is said of a whole audit alone: whatever is missing or was found makes it red, and says why."""

from typing import Any

import pytest

from clients.audit.capture.evidence import Place
from clients.audit.reporting.report import (
    Captured,
    ClientMemory,
    Completeness,
    Leak,
    Looked,
    StaticProof,
    Subject,
    Transcript,
    Tripwired,
)
from clients.audit.reporting.verdict import judged
from tests.clients.audit.reports import LOOKED_AT, control, facts, searching

LOOKS = facts().captured
LEAK = Leak(canary="send.text #1", form="hex", place=Place.LOGS, where="stderr", offset=3)


def without(place: Place) -> dict[str, Any]:
    looked = [each for each in searching().places if each.place is not place]
    return {
        "search": searching(places=looked),
        "captured": tuple(look for look in LOOKS if look.place is not place),
    }


def test_a_whole_audit_is_green() -> None:
    assert judged(facts()).verdict.model_dump() == {"is_green": True, "reasons": ()}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"failures": ("a backup was not restored",)}, "did not get through: a backup was not restored"),
        ({"driven": ()}, "nothing was driven"),
        ({"search": searching(typed={}, private={})}, "nothing was searched"),
        ({"search": searching(scanned=0)}, "nothing was searched"),
        ({"search": searching(private={})}, "not both typed texts and private keys"),
        ({"search": searching(typed={"send.text": 0})}, "not both typed texts and private keys"),
        ({"controls": (control(), control())}, "counted more than once"),
        ({"captured": tuple(look for look in LOOKS if look.place is not Place.MEMORY)},
         "nothing was captured of: memory"),
        ({"leaks": (LEAK,), "leaks_total": 9}, "leaks: 9: send.text #1, hex, in stderr"),
        ({"leaks_total": 1}, "leaks: 1"),
        ({"search": searching(places=[Looked(place=Place.LOGS, bytes=9, found=1), *searching().places])},
         "could see them"),
        ({"clients": ClientMemory(found=0)}, "the search is blind"),
        ({"clients": ClientMemory(found=7, missing=("send.text #2",))}, "not found there: send.text #2"),
        ({"controls": ()}, "no control was played"),
        ({"controls": (control(name="another"), control(has_fired=False))}, "did not fire: plaintext-logged"),
        ({"controls": (control(findings=0),)}, "did not fire: plaintext-logged"),
        ({"captured": (*LOOKS, Captured(place=Place.CORE, source="core", bytes=0, unread=("no", "room")))},
         r"could be read: core: no \(and 1 more\)"),
        ({"static_proof": None}, "no static proof"),
        ({"static_proof": StaticProof(modules=1, names=1, forbidden=1, complaints=("Box",))}, "proof: Box"),
        ({"static_proof": StaticProof(modules=1, names=0, forbidden=1)}, "nothing was read"),
        ({"tripwired": None}, "no relay with tripwires"),
        ({"tripwired": Tripwired(tripwires=0, served=("a",))}, "served nothing"),
        ({"tripwired": Tripwired(tripwires=1, served=())}, "served nothing"),
        ({"tripwired": Tripwired(tripwires=1, served=("a",), complaints=("it ended",))}, "it ended"),
        ({"completeness": Completeness(fields=2, exempt={}, complaints=("edit.text",))}, "tried: edit.text"),
        ({"completeness": Completeness(fields=0, exempt={})}, "no field"),
        ({"transcript": Transcript(judged={"frames": 1}, complaints=("a nonce again",))}, "a nonce again"),
        ({"transcript": Transcript(judged={"frames": 0})}, "nothing was judged"),
        ({"undeclared": ("json: login.who, 2 times",)}, "ledger of metadata: json: login.who"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_whatever_is_missing_or_was_found_makes_it_red(changes: dict[str, Any], why: str) -> None:
    verdict = judged(facts(**changes)).verdict
    assert not verdict.is_green
    assert len(verdict.reasons) == 1
    with pytest.raises(AssertionError, match=why):
        raise AssertionError(verdict.reasons[0])


@pytest.mark.parametrize("place", [Place.WIRE, *(place for place in LOOKED_AT if place is not Place.CLIENT)])
def test_a_relay_of_its_own_must_be_looked_at_everywhere(place: Place) -> None:
    assert judged(facts(**without(place))).verdict.reasons == (f"nothing was captured of: {place}",)


def test_of_a_strangers_relay_only_the_outside_is_asked_for() -> None:
    changes = {"static_proof": None, "tripwired": None, **without(Place.MEMORY)}
    outside = Subject(kind="url", url="wss://relay.example")
    assert judged(facts(**changes, subject=outside)).verdict.is_green
    inside = Subject(kind="attached", url="wss://relay.example")
    assert judged(facts(**changes, subject=inside)).verdict.reasons == ("nothing was captured of: memory",)
