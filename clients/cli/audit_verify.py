"""`blindpost audit verify`: whether a report is what its auditor signed, and what it says."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from clients.cli.output import safe
from clients.cli.program import WORD, Settings, common_options, pass_settings
from clients.errors import ExitCode

if TYPE_CHECKING:
    from clients.audit.reporting.verifying import Verified

FILES_SHOWN = 5


@click.command("verify")
@click.argument("file", metavar="REPORT", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--auditor", type=WORD, metavar="KEY", help="The public key of the auditor whose report it has to be."
)
@click.option(
    "--source",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Sources that have to be the code under test; else the installed code is compared, and told.",
)
@common_options
@pass_settings
def verify(settings: Settings, file: Path, auditor: str | None, source: Path | None) -> None:
    """Check the signature and the hashes of an audit's report.

    Needs no network and no relay. The report has to be as its auditor signed it, its verdict has to follow
    from what stands in it, and its page and transcript, where they lie beside it, have to be those that it
    names. Without --auditor anybody may have signed it: compare the key that is printed.

    \b
    Examples:  blindpost audit verify audit.json
               blindpost audit verify audit.json --auditor KEY --source DIR

    Exit code 0: all of it holds, and the audit was green. 11: all of it holds, and the audit was red. 6: the
    report, a file beside it or the source is not what was signed.
    """  # fmt: skip
    from clients.audit.reporting.verifying import auditor_key
    from clients.audit.reporting.verifying import verify as verified

    found = verified(file, None if auditor is None else auditor_key(auditor), source)
    settings.output.result(
        _as_json(found),
        safe("\n".join(_lines(found))),
        else_do="Run it again where there is space.",
    )
    if not found.report.verdict.is_green:
        raise SystemExit(ExitCode.AUDIT)


def _as_json(found: "Verified") -> dict[str, object]:
    from wire.control_values import encode_base64url

    report = found.report
    return {
        "signature": "holds",
        "auditor": encode_base64url(found.auditor),
        "auditor_compared": found.is_expected,
        "files": list(found.present),
        "files_absent": list(found.absent),
        "code": report.code.sha256,
        "code_differs": list(found.differing),
        "verdict": "green" if report.verdict.is_green else "red",
        "reasons": list(report.verdict.reasons),
        "audited": report.subject.kind,
        "begun": report.begun,
    }


def _lines(found: "Verified") -> list[str]:
    from clients.audit.reporting.summary import last_line, subject
    from wire.control_values import encode_base64url

    report = found.report
    whose = "as you expected" if found.is_expected else "compare it with one that you got from the auditor"
    files = [f"{name}: as signed" for name in found.present] + [f"{name}: not here" for name in found.absent]
    where = f"in {found.source}" if found.source else "as installed here"
    same = f"the same {len(report.code.files)} files {where}"
    if found.differing:
        more = len(found.differing) - FILES_SHOWN
        same = f"of {report.code.version}, and not what is installed here: "
        same += ", ".join(found.differing[:FILES_SHOWN]) + (f", and {more} more" if more > 0 else "")
    return [
        f"signature  holds, by auditor {encode_base64url(found.auditor)} ({whose})",
        f"files      {', '.join(files) or 'none beside it'}",
        f"code       {same}",
        f"audited    {subject(report)}, on {report.begun[:10]}, for {report.seconds:.0f} s",
        "verdict    the audit was green" if report.verdict.is_green else "verdict    THE AUDIT WAS RED",
        last_line(report),
    ]
