"""The report of an audit: everything that was done and found, as one closed value.

Owns the fields and their bounds. It is made to be published: no canary, no key and no text of a user stands
in it, and no name of the auditor's machine. `schema` writes its JSON schema. Whether it is green is for
`verdict`; how it is signed and kept, for `report_file`.
"""

import re
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from clients.audit.capture.evidence import Place
from wire.control_values import Key, Signature
from wire.ledger import Place as LedgerPlace

FORMAT: Final = 1
WORDS_MAX: Final = 500  # characters of a sentence or a name
SENTENCES_MAX: Final = 100
LEAKS_MAX: Final = 200  # that are shown; all are counted
LIST_MAX: Final = 2_000
# Control characters, halves of surrogate pairs, line separators, and what reverses the reading direction.
_NOT_SHOWN: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def _words(value: object) -> object:
    """Text on one line, without what cannot be written, not longer than a sentence."""
    if not isinstance(value, str):
        return value
    value = _NOT_SHOWN.sub("?", value)
    return value if len(value) <= WORDS_MAX else value[: WORDS_MAX - 1] + "…"


def _sentences(value: object) -> object:
    """Not more than a reader reads; how many more there are is the last one."""
    if not isinstance(value, list | tuple):
        return value
    if len(value) > SENTENCES_MAX:
        value = (*value[: SENTENCES_MAX - 1], f"and {len(value) - SENTENCES_MAX + 1} more")
    return tuple(value)


def _milliseconds(value: object) -> object:
    return round(value, 3) if isinstance(value, float) else value


# What comes from outside is made to fit. A report whose text would change by that is not read at all.
Words: TypeAlias = Annotated[str, BeforeValidator(_words), Field(max_length=WORDS_MAX)]
Sentences: TypeAlias = Annotated[
    tuple[Words, ...], BeforeValidator(_sentences), Field(max_length=SENTENCES_MAX)
]
Count: TypeAlias = Annotated[int, Field(ge=0, lt=2**53)]
Seconds: TypeAlias = Annotated[float, BeforeValidator(_milliseconds), Field(ge=0, lt=1e9)]
Sha256: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
CodePath: TypeAlias = Annotated[str, Field(pattern=r"^[^/\\\n][^\\\n]*$", max_length=300)]
FileName: TypeAlias = Annotated[str, Field(pattern=r"^[^/\\\n]+$", max_length=200)]  # beside the report
Moment: TypeAlias = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]  # UTC


class Closed(BaseModel):
    """Base of all parts: no field but those, and none changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Machine(Closed):
    """Where the audit ran; neither its name nor its user's."""

    system: Words
    python: Words
    cores: Count


class Subject(Closed):
    """What was audited.

    `raised`: settings of the relay that the audit needs to be others than in service. `not_looked_at`: what
    of such a relay cannot be seen from where the auditor is.
    """

    kind: Literal["own", "attached", "url"]
    url: Words
    version: Words | None = None  # as the relay says
    relay_key: Key | None = None
    raised: dict[Words, Words] = {}
    not_looked_at: Sentences = ()


class Captured(Closed):
    """One look at one place: `source` names both and the moment. With anything `unread` it is never green."""

    place: Place
    source: Words
    bytes: Count
    passed_over: Count = 0  # bytes of memory that nobody wrote to, and that hold nothing
    unread: Sentences = ()


class Looked(Closed):
    """What was kept of a place to be searched, the same bytes once, and how many canaries were there."""

    place: Place
    bytes: Count
    found: Count


class Searching(Closed):
    """What was searched for: counts of canaries by the field typed into, and by kind of private key."""

    typed: dict[Words, Count]
    private: dict[Words, Count]
    encodings: Count
    scanned: Count  # bytes, with what was unpacked
    seconds: Seconds
    places: Annotated[tuple[Looked, ...], Field(max_length=20)]

    @property
    def canaries(self) -> int:
        """All of them."""
        return sum(self.typed.values()) + sum(self.private.values())


class ClientMemory(Closed):
    """The control of the search itself: canaries must be in the memory of the clients that typed them.

    `missing`: names of those that should have been there and were not.
    """

    found: Count
    missing: Sentences = ()


class Leak(Closed):
    """A canary was seen where a relay could see it: its name, never its value."""

    canary: Words
    form: Words
    place: Place
    where: Words
    offset: Count


class ControlPlayed(Closed):
    """A leaky relay or client, made so on purpose: the audit must turn red where it leaks.

    `complaint`: why it did not fire.
    """

    name: Words
    what: Words
    changes: Literal["relay", "client"]
    place: Place
    has_fired: bool
    findings: Count  # of its leak
    seconds: Seconds
    complaint: Words = ""


class StaticProof(Closed):
    """What the relay's own sources name: nothing that opens, boxes, multiplies or converts."""

    modules: Count
    names: Count  # that were looked at
    forbidden: Count  # patterns of names that must not be there
    complaints: Sentences = ()


class Tripwired(Closed):
    """A relay without keys/ and clients/, in which each symbol but signing and verifying ends the process."""

    tripwires: Count  # functions, each of which was seen to end a process
    served: Sentences
    complaints: Sentences = ()


class Transcript(Closed):
    """The judgement of all that went over the wire; `judged` counts what, by kind."""

    judged: dict[Words, Count]
    complaints: Sentences = ()


class Way(Closed):
    """One direction of a connection."""

    bytes: Count
    messages: Count  # JSON
    frames: Count  # binary


class ConnectionSeen(Closed):
    """One connection: when it was opened, in seconds from the first one, and how long it lasted."""

    mode: Words
    opened: Seconds
    lasted: Seconds
    to_relay: Way
    from_relay: Way


class Size(Closed):
    """How many were of this size, or smaller and larger than the size before."""

    bytes: Count
    to_relay: Count
    from_relay: Count


class Traffic(Closed):
    """Sizes and times: what whoever watches the wire sees. `total` counts connections, shown or not."""

    total: Count
    connections: Annotated[tuple[ConnectionSeen, ...], Field(max_length=LIST_MAX)]
    envelopes: Annotated[tuple[Size, ...], Field(max_length=64)]
    messages: Annotated[tuple[Size, ...], Field(max_length=64)]


class Learned(Closed):
    """What a relay does learn: an entry of the ledger, with values of this very run, shortened."""

    place: LedgerPlace
    fields: Annotated[tuple[Words, ...], Field(max_length=100)]
    purpose: Words
    kept: Words
    seen: Annotated[tuple[Words, ...], Field(max_length=20)]
    times: Count
    examples: Annotated[tuple[Words, ...], Field(max_length=2)] = ()


class Completeness(Closed):
    """Whether everything that a user can type was typed, and everything that a client can do was done."""

    fields: Count
    exempt: dict[Words, Words]  # what was not, and why that is right
    complaints: Sentences = ()


class CoreDump(Closed):
    """A core dump of the relay that was searched, or why there is none."""

    bytes: Count
    why_not: Words | None = None


class Code(Closed):
    """SHA-256 of each file under test, and of the lines that `sha256sum` prints for them, by path.

    `compiled`: modules of which machine code runs, and not the source.
    """

    version: Words
    files: Annotated[dict[CodePath, Sha256], Field(max_length=5_000)]
    sha256: Sha256
    compiled: Sentences = ()


class Verdict(Closed):
    """Green, or why not."""

    is_green: bool
    reasons: Sentences = ()


class Facts(Closed):
    """All that an audit did and found, without what follows from it."""

    format: Literal[1] = FORMAT
    begun: Moment
    seconds: Seconds
    machine: Machine
    subject: Subject
    failures: Sentences = ()  # what did not work: a feature that was not driven proves nothing
    driven: Annotated[tuple[Words, ...], Field(max_length=LIST_MAX)]
    captured: Annotated[tuple[Captured, ...], Field(max_length=LIST_MAX)]
    search: Searching
    clients: ClientMemory
    leaks: Annotated[tuple[Leak, ...], Field(max_length=LEAKS_MAX)] = ()
    leaks_total: Count = 0
    controls: Annotated[tuple[ControlPlayed, ...], Field(max_length=200)] = ()
    static_proof: StaticProof | None = None
    tripwired: Tripwired | None = None
    completeness: Completeness
    transcript: Transcript
    traffic: Traffic
    learned: Annotated[tuple[Learned, ...], Field(max_length=LIST_MAX)]
    undeclared: Sentences = ()  # what travelled and is not in the ledger
    core_dump: CoreDump
    code: Code
    companions: Annotated[dict[FileName, Sha256], Field(max_length=20)] = {}  # files beside the report


class Report(Facts):
    """The whole, with the verdict."""

    verdict: Verdict


class SignedReport(Closed):
    """What stands in the file: docs/audit-report.md says what exactly is signed."""

    report: Report
    auditor: Key
    signature: Signature
