"""Targets for what an audit reads of strangers: their reports, and the fields of what their programs say."""

from collections.abc import Iterator

from clients.audit.judging.fields import message_fields
from clients.audit.reporting.page import page
from clients.audit.reporting.report_file import ReportError, decode, encode
from clients.audit.reporting.summary import LINES_MAX, summary
from clients.audit.reporting.verdict import judged
from tests.clients.audit.reports import AUDITOR, facts
from tests.docs.control_examples import examples
from tests.fuzz.target import Target
from wire.control_values import encode_base64url
from wire.errors import WireError

WHOLE = encode(judged(facts()), AUDITOR)
RED = encode(judged(facts(leaks_total=1, failures=("grün",))), AUDITOR)


def report(data: bytes) -> None:
    """`decode`: a file as it is, or any text that an auditor has signed; then it is shown."""
    file = data[1:]
    if data[:1] == b"s":
        signature = encode_base64url(AUDITOR.sign_report(file))
        end = f'\n,"auditor":"{encode_base64url(AUDITOR.key)}","signature":"{signature}"}}\n'
        file = b'{"report":\n' + file + end.encode()
    try:
        found = decode(file)
    except ReportError as error:
        assert len(str(error)) < 800, "the file is quoted"
        assert "\n" not in str(error)
        return
    assert encode(found.report, AUDITOR) == file
    assert found.report.verdict.is_green != bool(found.report.verdict.reasons)
    assert "<script" not in page(found.report, found.auditor)
    assert len(summary(found.report)) <= LINES_MAX


def message(data: bytes) -> None:
    """`message_fields`: every name is short and harmless, whatever is said."""
    try:
        fields = [*message_fields(data.decode("utf-8", "replace"))]
    except WireError as error:
        assert str(error).isascii()
        return
    assert all(field.name.isascii() and field.name.isprintable() for field in fields)


def reports() -> Iterator[bytes]:
    for whole in (WHOLE, RED):
        yield b"f" + whole
        yield b"s" + whole.split(b"\n")[1]


TARGETS = [
    Target("audit_report", report, reports, (b"null", b'"', b"true", b"1e400", b"\\ud800"), 16_384),
    Target("audit_message", message, lambda: [each.encode().encode() for each in examples()], (b'{"', b"[")),
]
