"""Verifying a report: offline, from its file, those beside it, and a tree of sources.

Owns what is compared. Whether a signature holds and a report is consistent is for `report_file`.
"""

from dataclasses import dataclass
from pathlib import Path

from clients.audit.controls.catalogue import CONTROLS
from clients.audit.reporting.code import differences, sha256_of, whole
from clients.audit.reporting.report import Report
from clients.audit.reporting.report_file import LIES, REPORT_MAX, ReportError, decode
from clients.errors import StorageError, UsageError
from keys.primitives import equal
from wire.control_values import decode_base64url, encode_base64url
from wire.limits import PUBLIC_KEY


@dataclass(frozen=True, slots=True)
class Verified:
    """A report that holds.

    `absent`: files that it names and that are not beside it; `differing`: code that is not as under test.
    """

    report: Report
    auditor: bytes
    is_expected: bool  # whether the auditor's key was compared with one that was given
    present: tuple[str, ...]
    absent: tuple[str, ...]
    source: Path | None  # that was given, else what is installed was compared
    differing: tuple[str, ...]


def auditor_key(text: str) -> bytes:
    """An auditor's public key as it is printed. Raises UsageError."""
    try:
        key = decode_base64url(text)
    except ValueError:
        key = b""
    if len(key) != PUBLIC_KEY:
        raise UsageError("The auditor's key is 43 letters and digits, as `blindpost audit verify` prints it.")
    return key


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(REPORT_MAX + 1)
    except FileNotFoundError:
        raise UsageError(f"There is no report {file}. Give the file that ends in .json.") from None
    except OSError as error:
        raise StorageError(f"The report {file} cannot be read: {error.strerror}.") from None


def _lacks_controls(report: Report) -> bool:
    """Whether a green report of the code that is installed here does not have its red controls.

    Which controls another version has is not known here; a red report may have broken off before them.
    """
    played = {(control.name, control.what, control.changes, control.place) for control in report.controls}
    wanted = {(control.name, control.what, control.changes, control.place) for control in CONTROLS}
    return report.verdict.is_green and played != wanted and not differences(report.code.files, None)


def verify(file: Path, auditor: bytes | None = None, source: Path | None = None) -> Verified:
    """Check a report, whose `auditor` it has to be if one is given, and the files beside it.

    Code that is not as it was under test is an error below a `source` that is given; of the code that is
    installed here it is only told. Where that is the same, a green report has to have its red controls.
    Raises ReportError for what does not hold, UsageError for a report or a source that is none, StorageError
    for files.
    """
    signed = decode(_read(file))
    if auditor is not None and not equal(signed.auditor, auditor):
        raise ReportError(
            f"The report is signed by another auditor, whose key is {encode_base64url(signed.auditor)}.",
            "Believe it only if you know that key.",
        )
    if whole(signed.report.code.files) != signed.report.code.sha256:
        raise ReportError("The report's hash of the code is not that of the files it names.", LIES)
    present, absent = [], []
    for name, digest in signed.report.companions.items():
        beside = file.parent / name
        if not beside.is_file():
            absent.append(name)
        elif sha256_of(beside) != digest:
            raise ReportError(f"The file {name} beside the report is not the one that was signed with it.")
        else:
            present.append(name)
    if _lacks_controls(signed.report):
        raise ReportError("The report's red controls are not those of the code it names.", LIES)
    differing = differences(signed.report.code.files, source)
    if source is not None and differing:
        more = f", and {len(differing) - 3} more" if len(differing) > 3 else ""
        raise ReportError(
            f"The code in {source} is not the code under test: {', '.join(differing[:3])}{more}.",
            f"The report is of version {signed.report.code.version}: compare with its source.",
        )
    return Verified(
        signed.report,
        signed.auditor,
        auditor is not None,
        tuple(present),
        tuple(absent),
        source,
        tuple(differing),
    )
