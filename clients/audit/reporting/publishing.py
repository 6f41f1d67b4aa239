"""From facts to files: the report, its page, and nothing in either that must not be published.

Owns the order in which they are made, what is taken out (paths of the auditor's machine), and the last look
for canaries. Knows nothing of how the facts were found.
"""

import hashlib
import re
import tempfile
from collections.abc import Callable, Sequence
from os import listdir
from pathlib import Path
from sys import prefix
from typing import Any, Final

from clients.audit.beforehand import check_files
from clients.audit.canaries.search import Canary, Search
from clients.audit.reporting.code import sha256_of
from clients.audit.reporting.page import page
from clients.audit.reporting.report import Facts, Report
from clients.audit.reporting.report_file import encode
from clients.audit.reporting.verdict import judged
from clients.errors import AuditError, StorageError
from keys.auditors import Auditor

INSTALLED: Final = Path(__file__).resolve().parents[3]
LEFT_OUT: Final = "(left out: it shows a canary)"


def _changed(facts: Facts, change: Callable[[str], str]) -> Facts:
    """The same with every text in it changed."""

    def of(value: Any) -> Any:
        if isinstance(value, str):
            return change(value)
        if isinstance(value, dict):
            return {of(key): of(inside) for key, inside in value.items()}
        return [of(inside) for inside in value] if isinstance(value, list) else value

    return Facts.model_validate(of(facts.model_dump(mode="json")))


def nameless(facts: Facts, directory: Path) -> Facts:
    """The same without paths of the auditor's machine: of each, the last part is what a reader needs.

    `directory` is where the audit kept its things.
    """
    places = {
        str(directory): "AUDIT",
        str(INSTALLED): "CODE",
        prefix: "PYTHON",
        str(Path.home()): "HOME",
        tempfile.gettempdir(): "TMP",
    }
    roots = "|".join(re.escape(name) for name in sorted(listdir("/"), key=len, reverse=True))
    other = re.compile(rf"(?<![\w.])/(?:{roots})(?:/[^\s:;,'\"()]*)?/([^\s:;,'\"()/]+)")

    def without(text: str) -> str:
        for path, name in places.items():
            text = text.replace(path, name) if len(path) > 1 else text
        return other.sub(r"…/\1", text)

    return _changed(facts, without)


def _write(path: Path, data: bytes) -> None:
    unfinished = path.with_name(path.name + ".new")
    try:
        unfinished.unlink(missing_ok=True)  # also a link that somebody else has put there
        with unfinished.open("xb") as opened:
            opened.write(data)
        unfinished.replace(path)
    except OSError as error:
        raise StorageError(f"The report {path} cannot be written: {error.strerror}.") from None


def publish(
    facts: Facts,
    auditor: Auditor,
    file: Path,
    canaries: Sequence[Canary],
    directory: Path,
    companions: Sequence[Path] = (),
) -> Report:
    """Write the signed report to `file` and its page beside it, with `.html`; the report as it was signed.

    `companions`: files in the same directory whose hashes go into the report, such as a transcript. Where a
    text in it shows a canary, as an example of what a leaky relay learns may, that text is left out. Raises
    AuditError where a canary would be published all the same, UsageError and StorageError for files.
    """
    check_files(file)
    page_file = file.with_suffix(".html")
    hashes = {path.name: sha256_of(path) for path in companions}
    search = Search(canaries)

    def censored(text: str) -> str:
        return LEFT_OUT if search.look("a text", text.encode("utf-8", "replace")) else text

    clean = nameless(facts, directory)
    for change in (None, censored):
        told = clean if change is None else _changed(clean, change)
        report = judged(told.model_copy(update={"companions": hashes}))
        shown = page(report, auditor.key).encode()
        with_page = {**hashes, page_file.name: hashlib.sha256(shown).hexdigest()}
        report = report.model_copy(update={"companions": with_page})
        signed = encode(report, auditor)
        if not search.look("report", signed) and not search.look("page", shown):
            _write(page_file, shown)
            _write(file, signed)
            return report
    raise AuditError("The report would show what was to stay secret, and is not written. Please report this.")
