"""A report as tests need it: small, green, and made of the parts that an audit has."""

import hashlib
from typing import Any, Final

from clients.audit.capture.evidence import Place
from clients.audit.reporting.code import whole
from clients.audit.reporting.report import (
    Captured,
    ClientMemory,
    Code,
    Completeness,
    ConnectionSeen,
    ControlPlayed,
    CoreDump,
    Facts,
    Learned,
    Looked,
    Machine,
    Searching,
    Size,
    StaticProof,
    Subject,
    Traffic,
    Transcript,
    Tripwired,
    Way,
)
from keys.auditors import Auditor
from wire.ledger import Place as LedgerPlace

AUDITOR: Final = Auditor(hashlib.sha256(b"an auditor").digest())
OTHER: Final = Auditor(hashlib.sha256(b"another auditor").digest())
FILES: Final = {
    name: hashlib.sha256(name.encode()).hexdigest() for name in ("relay/app.py", "wire/frames.py")
}
LOOKED_AT: Final = (Place.HTTP, Place.LOGS, Place.STORE, Place.TEMPORARY, Place.MEMORY, Place.CLIENT)


def searching(**changes: Any) -> Searching:
    """What was searched: every place, and canaries in the clients alone."""
    places = [
        Looked(place=place, bytes=0 if place is Place.TEMPORARY else 1000, found=7 * (place is Place.CLIENT))
        for place in (Place.WIRE, *LOOKED_AT)
    ]
    parts: dict[str, Any] = {
        "typed": {"send.text": 3, "add.name": 2},
        "private": {"account.seed": 2},
        "encodings": 71,
        "scanned": 318_400_000,
        "seconds": 4.5,
        "places": places,
    }
    return Searching(**{**parts, **changes})


def control(**changes: Any) -> ControlPlayed:
    """A control that has fired."""
    parts: dict[str, Any] = {
        "name": "plaintext-logged",
        "what": "a relay that writes what it is sent into its log",
        "changes": "relay",
        "place": Place.LOGS,
        "has_fired": True,
        "findings": 4,
        "seconds": 2.5,
    }
    return ControlPlayed(**{**parts, **changes})


def facts(**changes: Any) -> Facts:
    """The facts of a green audit, with what is given in place of its parts."""
    way = Way(bytes=900, messages=3, frames=2)
    size = Size(bytes=1024, to_relay=2, from_relay=2)
    connection = ConnectionSeen(mode="device", opened=0.0, lasted=1.25, to_relay=way, from_relay=way)
    parts: dict[str, Any] = {
        "begun": "2026-11-21T16:40:02Z",
        "seconds": 74.2,
        "machine": Machine(system="Linux 6.1 x86_64", python="CPython 3.11.7", cores=2),
        "subject": Subject(kind="own", url="ws://127.0.0.1:8760", raised={"http-rate": "1000000+1000000/s"}),
        "driven": ("texts both ways", "a backup"),
        "captured": tuple(
            Captured(place=place, source=f"{place}, at the end", bytes=500) for place in LOOKED_AT
        ),
        "search": searching(),
        "clients": ClientMemory(found=7),
        "controls": (control(), control(name="key-uploaded", changes="client", place=Place.WIRE)),
        "static_proof": StaticProof(modules=58, names=21_000, forbidden=41),
        "tripwired": Tripwired(tripwires=212, served=("a conversation",)),
        "completeness": Completeness(fields=2, exempt={"send.id": "it stays in the profile"}),
        "transcript": Transcript(judged={"frames": 4, "messages": 6}),
        "traffic": Traffic(total=1, connections=(connection,), envelopes=(size,), messages=(size,)),
        "learned": (
            Learned(
                place=LedgerPlace.JSON,
                fields=("hello.mode",),
                purpose="which kind of connection it is",
                kept="until the connection ends",
                seen=("relay", "network"),
                times=4,
                examples=("hello.mode: device",),
            ),
        ),
        "core_dump": CoreDump(bytes=0, why_not="the relay forbids it"),
        "code": Code(version="0.1.0", files=FILES, sha256=whole(FILES)),
    }
    return Facts(**{**parts, **changes})
