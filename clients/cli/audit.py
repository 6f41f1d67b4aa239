"""`blindpost audit`: whether a relay can see anything that it should not, shown and signed."""

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import Final

import click

from clients.cli.audit_proxy import from_extra, judge, proxy
from clients.cli.audit_verify import verify
from clients.cli.program import WORD, Program, Settings, common_options, pass_settings, run
from clients.errors import ExitCode, UsageError

FILE = click.Path(dir_okay=False, path_type=Path)
EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)
DEFAULT: Final = "blindpost-audit.json"


@click.group(cls=Program)
@common_options
def audit() -> None:
    """Check that a relay is blind: your own or a stranger's.

    \b
    Start:  blindpost audit run                a relay of its own, everything
            blindpost audit run --attach URL   the relay that runs on this machine
            blindpost audit proxy --relay URL  between any client and any relay
            blindpost audit verify REPORT      somebody else's report

    What it shows and what it cannot: docs/audit.md
    """


@audit.command("run")
@click.option(
    "--attach",
    type=WORD,
    metavar="URL|PID",
    help="Look into the relay that runs on this machine, found by its URL or process id.",
)
@click.option("--url", type=WORD, metavar="URL", help="Only what can be seen of that relay from outside.")
@click.option("--ca", type=EXISTING, metavar="FILE", help="PEM of that relay's own certificate authority.")
@click.option(
    "--invite",
    type=WORD,
    metavar="WORD",
    multiple=True,
    help="For a relay that wants one of a new account: repeat it, for two accounts are made.",
)
@click.option(
    "--log",
    "logs",
    type=EXISTING,
    metavar="FILE",
    multiple=True,
    help="With --attach: where that relay's log goes, if not to a file of its own.",
)
@click.option(
    "-o",
    "--output",
    "file",
    type=FILE,
    default=Path(DEFAULT),
    show_default=True,
    metavar="FILE",
    help="Where the signed report goes; a page to read is written beside it.",
)
@click.option(
    "--key",
    type=FILE,
    metavar="FILE",
    help="The auditor's key; made if it is not there. Else one beside the profiles.",
)
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep all that was captured in DIR, a new directory: profiles with their keys are in it.",
)
@common_options
@pass_settings
def run_audit(
    settings: Settings,
    attach: str | None,
    url: str | None,
    ca: Path | None,
    invite: tuple[str, ...],
    logs: tuple[Path, ...],
    file: Path,
    key: Path | None,
    keep: Path | None,
) -> None:
    """Search all that a relay can see, and sign a report.

    Starts a relay and its users as processes of their own, uses every feature with random marks in every
    field, takes what the relay has on its sockets, in its files, logs, metrics and memory, and looks for each
    mark and each private key in over a hundred encodings. Leaks made on purpose show that it would have found
    one. Your own profiles and relays are not touched. About a minute.

    With --attach or --url two new users talk through a relay that others use, and delete their accounts.

    \b
    Examples:  blindpost audit run
               sudo blindpost audit run --attach wss://relay.example --log LOG
               blindpost audit run --url wss://relay.example

    Progress goes to stderr, a summary to stdout; with --json it is one object, the report and its
    auditor's key. Exit code 0: all is green. 11: something was found, or could not be seen or shown.
    """
    from clients.config import read_proxy

    with from_extra():
        from clients.audit import auditing
        from clients.audit.reporting.summary import Progress, summary
    if attach is not None and url is not None:
        raise UsageError("--attach looks inside as well: give one of --attach and --url.")
    if (attach or url) and read_proxy() is not None:
        raise UsageError("This audit dials the relay itself, and BLINDPOST_PROXY says not to: unset it.")
    if logs and attach is None:
        raise UsageError("--log is for --attach: the relay that is started here has its log in a file.")
    output, directory = settings.output, _room(keep)
    wanted = auditing.Wanted(directory, file, attach, url, ca, invite, logs, key)
    progress = Progress(lambda line: click.echo(line, err=True), as_json=output.as_json)

    async def work() -> None:
        report, auditor = await auditing.audit(wanted, progress)
        if not output.as_json:
            output.note(
                f"Report: {file}, page: {file.with_suffix('.html')}, signed by the auditor {auditor}."
            )
        output.result({"auditor": auditor, **report.model_dump(mode="json")}, "\n".join(summary(report)))
        if not report.verdict.is_green:
            raise SystemExit(ExitCode.AUDIT)

    try:
        run(work())
    finally:
        if keep is None:
            shutil.rmtree(directory, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                directory.rmdir()  # where nothing was begun


for command in (proxy, judge, verify):
    audit.add_command(command)


def _room(keep: Path | None) -> Path:
    """An empty directory that nobody else can read. Raises UsageError."""
    if keep is None:
        return Path(tempfile.mkdtemp(prefix="blindpost-audit-"))
    try:
        keep.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise UsageError(f"The directory {keep} cannot be made: {error.strerror}. Name a new one.") from None
    return keep.absolute()
