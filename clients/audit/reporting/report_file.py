"""The report as a file: what is signed, and how it is read again.

Owns the file's three lines. It is JSON, and its second line is the report, which is signed as it stands:

    {"report":
    {"format":1, ...}
    ,"auditor":"...","signature":"..."}

The signature is Ed25519, by the auditor's key, over `label(audit-report)` and the bytes of the second line
without its line feed (`keys.auditors`). Each report has one such text, and no other is read.
"""

import re
from typing import Any, Final

from pydantic import ValidationError

from clients.audit.reporting.report import FORMAT, Report, SignedReport
from clients.audit.reporting.verdict import reasons
from clients.errors import TrustError
from keys.auditors import Auditor, verify_report
from wire.control_values import decode_base64url, encode_base64url
from wire.limits import PUBLIC_KEY, SIGNATURE

REPORT_MAX: Final = 8 * 1024 * 1024  # bytes
_BEGIN: Final = b'{"report":\n'
_END: Final = '\n,"auditor":"{}","signature":"{}"}}\n'
_KEY_AT: Final = _END.index("{}")
_KEY_SIZE, _SIGNATURE_SIZE = (len(encode_base64url(bytes(size))) for size in (PUBLIC_KEY, SIGNATURE))
_FIRST: Final = f'{{"format":{FORMAT},'.encode()
LIES: Final = "Whoever signed it did not use this program: believe nothing in it."
_END_SIZE: Final = len(_END.format("", "")) + _KEY_SIZE + _SIGNATURE_SIZE


class ReportError(TrustError):
    """The file is no report that its auditor signed so; the text says why, and what to do."""

    def __init__(self, why: str, then: str = "Get the file again from whoever published it.") -> None:
        super().__init__(f"{why} {then}")


def encode(report: Report, auditor: Auditor) -> bytes:
    """The whole file."""
    text = report.model_dump_json().encode()
    end = _END.format(encode_base64url(auditor.key), encode_base64url(auditor.sign_report(text)))
    return _BEGIN + text + end.encode()


def _split(data: bytes) -> tuple[bytes, bytes, bytes]:
    """The report's text, the auditor's key, the signature. Raises ReportError."""
    if len(data) > REPORT_MAX:
        raise ReportError(f"The file has over {REPORT_MAX // 2**20} MiB, and is no report.")
    if not data.startswith(_BEGIN):
        raise ReportError("The file is no report of an audit: it does not begin like one.")
    text, end = data[len(_BEGIN) : -_END_SIZE], data[-_END_SIZE:]
    key, signature = (
        end[_KEY_AT : _KEY_AT + _KEY_SIZE].decode("latin-1"),
        end[-len('"}\n') - _SIGNATURE_SIZE : -len('"}\n')].decode("latin-1"),
    )
    if end.decode("latin-1") != _END.format(key, signature) or b"\n" in text:
        raise ReportError("The report is cut off, or was written by something else: its end is no signature.")
    try:
        return text, decode_base64url(key), decode_base64url(signature)
    except ValueError:
        raise ReportError("The report's key or signature is damaged.") from None


def _where(error: ValidationError) -> str:
    """The field, whose name somebody else may have chosen."""
    first: Any = error.errors(include_url=False, include_context=False, include_input=False)[0]
    path = ".".join(str(part) for part in first["loc"][:3])
    return re.sub(r"[^\w.-]", "?", path[:60], flags=re.ASCII) or "its JSON"


def decode(data: bytes) -> SignedReport:
    """The report in a file's bytes, once its signature holds. Raises ReportError.

    Its verdict is drawn again: a report that calls itself green against its own facts is refused.
    """
    text, key, signature = _split(data)
    if not verify_report(key, text, signature):
        raise ReportError(
            "The signature does not hold: the report is not what the auditor of this key signed."
        )
    try:
        report = Report.model_validate_json(text, strict=True)
    except ValidationError as error:
        if not text.startswith(_FIRST):
            raise ReportError("The report is of another version.", "Verify it with that version.") from None
        raise ReportError(f"The report is not well formed, at {_where(error)}.", LIES) from None
    if report.model_dump_json().encode() != text:
        raise ReportError("The report is written in another form than the one that is signed.", LIES)
    if report.verdict.is_green == bool(report.verdict.reasons):
        raise ReportError("The report contradicts itself: green has no reasons, and red has some.", LIES)
    if report.verdict.is_green and (reason := next(reasons(report), None)) is not None:
        raise ReportError(f"The report calls itself green, and its own facts say: {reason}.", LIES)
    return SignedReport(report=report, auditor=key, signature=signature)
