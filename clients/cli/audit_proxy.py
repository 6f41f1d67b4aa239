"""`blindpost audit proxy` and `audit judge`: between a client and a relay, whosever they are."""

import asyncio
import contextlib
import shlex
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from clients.cli.output import Output, safe
from clients.cli.program import SECONDS, WORD, Settings, common_options, is_terminal, pass_settings, run
from clients.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from clients.audit.canaries.search import Canary
    from clients.audit.judging.complaints import Complaint
    from clients.audit.judging.judge import Judge
    from clients.audit.tap.proxy import Outcome

CANARIES_MAX: Final = 1_000
CANARY_MIN, CANARY_MAX = 8, 1_024  # bytes
CANARY_FILE_MAX: Final = 1024 * 1024  # bytes
FILE = click.Path(dir_okay=False, path_type=Path)
PROGRESS_EVERY: Final = 10  # seconds, where no terminal shows it in place


@contextlib.contextmanager
def from_extra() -> Iterator[None]:
    """Around imports that the extra `audit` brings along. Raises UsageError."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise UsageError(
            f"The audit needs {error.name}, which is not installed: pip install 'blindpost[audit]'"
        ) from None


_canary_option = click.option(
    "--canary", "canaries", type=WORD, multiple=True, metavar="TEXT",
    help="A text that will be typed into the client and must be seen nowhere; repeat it for more.",
)  # fmt: skip
_canary_file_option = click.option(
    "--canary-file", type=FILE, metavar="FILE", help="The same, one in each line of FILE."
)


@click.command()
@click.option(
    "--relay", "relay_url", type=WORD, required=True, metavar="URL", help="The only relay that is dialled."
)
@click.option(
    "--listen", default="127.0.0.1:8790", show_default=True, metavar="HOST:PORT",
    help="Where clients come to; port 0 is any that is free.",
)  # fmt: skip
@click.option("--ca", type=FILE, metavar="FILE", help="PEM of the relay's own certificate authority.")
@click.option(
    "--trust", type=FILE, default=Path("audit-proxy.pem"), show_default=True, metavar="FILE",
    help="Where the certificate goes that clients must trust, for a relay with TLS.",
)  # fmt: skip
@_canary_option
@_canary_file_option
@click.option("--transcript", type=FILE, metavar="FILE", help="Write down all that passes; a new file.")
@click.option("--for", "seconds", type=SECONDS, metavar="SECONDS", help="End by itself; else Ctrl-C ends it.")
@common_options
@pass_settings
def proxy(
    settings: Settings,
    relay_url: str,
    listen: str,
    ca: Path | None,
    trust: Path,
    canaries: tuple[str, ...],
    canary_file: Path | None,
    transcript: Path | None,
    seconds: float | None,
) -> None:
    """Stand between any client and any relay, and judge what passes.

    Each binary message must be an envelope of an exact size that looks random, with no key, nonce or block
    that was there before; each text a control message whose every field is in the ledger of metadata; and no
    canary may be seen in any encoding. The client need not be blindpost, and neither side is believed.

    Point the client at it: with BLINDPOST_PROXY, with its own setting for an HTTP proxy (CONNECT), or by
    dialling the proxy itself as if it were the relay, where the relay's public_urls include ws://HOST:PORT.
    With TLS the client must trust the certificate that --trust names (SSL_CERT_FILE, as the proxy says; a
    profile that was made with --ca trusts no other): it is made anew each time, its private half is never
    written, and the relay's own is checked as ever.

    \b
    Examples:  blindpost audit proxy --relay ws://127.0.0.1:8760 --for 600
               blindpost audit proxy --relay wss://relay.example \\
                   --canary "a text to send" --transcript seen.ndjson
               BLINDPOST_PROXY=http://127.0.0.1:8790 blindpost send bob hi

    With --json: an object when it listens, one for each complaint, and a summary at the end. A transcript
    holds ciphertext and delivery tokens: keep it to yourself.

    Exit code 0: envelopes were judged and nothing was complained of. 11: anything else.
    """
    with from_extra():
        from clients.audit.tap.proxy import Asked, stand_between
    from clients.config import read_proxy
    from clients.parsing import parse_relay
    from clients.relay_choice import read_authority
    from clients.route import Route

    relay, (host, port) = parse_relay(relay_url), _place(listen)
    looked_for = _given(canaries, canary_file)
    route = Route(None if ca is None else read_authority(ca), read_proxy())
    asked = Asked(relay, host, port, trust, route, looked_for, transcript)
    audience = _Terminal(settings.output, relay.origin)

    async def work() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        if seconds is not None:
            loop.call_later(seconds, stop.set)
        try:
            outcome = await stand_between(asked, audience, stop)
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
        _sum_up(settings.output, outcome, len(looked_for), transcript)

    run(work())


@click.command()
@click.argument("transcript", type=FILE)
@_canary_option
@_canary_file_option
@common_options
@pass_settings
def judge(settings: Settings, transcript: Path, canaries: tuple[str, ...], canary_file: Path | None) -> None:
    """Judge a transcript of `audit proxy` again, offline.

    The same rules give the same verdict; other canaries may be looked for. Its SHA-256 is of the whole file.

    \b
    Example:  blindpost audit judge seen.ndjson --canary "a text that was sent"

    Exit code 0: envelopes were judged and nothing was complained of. 11: anything else.
    """
    with from_extra():
        from clients.audit.tap.proxy import judge_file

    looked_for = _given(canaries, canary_file)
    outcome = judge_file(transcript, looked_for)
    for complaint in outcome.verdict.complaints:
        _say_complaint(settings.output, complaint)
    _sum_up(settings.output, outcome, len(looked_for), transcript)


class _Terminal:
    """Who is told: a person, or whoever reads JSON."""

    def __init__(self, output: Output, relay: str) -> None:
        self._output, self._relay = output, relay
        self._told = 0.0
        self._in_place = is_terminal(sys.stderr) and not output.as_json

    def listening(self, proxy: str, trust: Path | None) -> None:
        """Where, and how a client gets there."""
        first = "" if trust is None else f"SSL_CERT_FILE={shlex.quote(str(trust))} "
        place = proxy.removeprefix("http://")
        if self._output.as_json:
            file = None if trust is None else str(trust)
            self._output.result({"event": "listening", "proxy": proxy, "trust": file}, "")
        self._output.note(
            f"Between any client and {self._relay}, at {place}. Ctrl-C ends it, and gives the verdict.\n"
            f"A blindpost client: {first}BLINDPOST_PROXY={proxy} blindpost ...\n"
            f"Any other: {proxy} as its HTTP proxy, or ws://{place} as its relay."
        )

    def complained(self, complaint: "Complaint") -> None:
        """At once."""
        self._clear()
        _say_complaint(self._output, complaint)

    def progress(self, judge: "Judge") -> None:
        """On a terminal in place, else a line now and then."""
        figures = judge.figures
        said = (
            f"{figures.seconds:,.0f} s: {figures.connections:,} connections, "
            f"{figures.put + figures.delivered:,} envelopes, {figures.messages.total():,} messages, "
            f"{judge.complained:,} complaints"
        )
        if self._in_place:
            with contextlib.suppress(OSError):
                sys.stderr.write(f"\r\x1b[K{said}")
                sys.stderr.flush()
        elif figures.seconds >= self._told + PROGRESS_EVERY:
            self._told = figures.seconds
            self._output.note(said)

    def _clear(self) -> None:
        if self._in_place:
            with contextlib.suppress(OSError):
                sys.stderr.write("\r\x1b[K")
                sys.stderr.flush()


def _say_complaint(output: Output, complaint: "Complaint") -> None:
    value = {"event": "complaint", **complaint.to_json()}
    output.result(value, safe(f"{complaint.rule.value}: {complaint}", keep_lines=False))


def _sum_up(output: Output, outcome: "Outcome", canaries: int, transcript: Path | None) -> None:
    """The last object or lines. Raises SystemExit where it is not fine."""
    verdict, figures = outcome.verdict, outcome.verdict.figures
    file = None if transcript is None else {"file": str(transcript), "sha256": outcome.sha256}
    value = {"event": "summary", **verdict.to_json(), "canaries": canaries, "transcript": file}
    sizes = ", ".join(f"{size // 1024} KiB x {count:,}" for size, count in sorted(figures.sizes.items()))
    count = sum(verdict.counts.values())
    complaints = "1 complaint" if count == 1 else f"{count:,} complaints"
    lines = [
        f"envelopes: {figures.put:,} put, {figures.delivered:,} delivered ({sizes or 'none'})",
        f"messages: {figures.messages.total():,} of {len(figures.messages)} types; "
        f"{figures.connections:,} connections, {figures.seconds:,.1f} s",
        f"canaries: {canaries}, in {figures.scanned:,} bytes" if canaries else "canaries: none were given",
        *([f"transcript: {transcript}, SHA-256 {outcome.sha256}"] if transcript and outcome.sha256 else []),
        *(f"lacking: {sentence}" for sentence in verdict.lacks),
        *(f"rule {rule.value}: broken {count:,} times" for rule, count in sorted(verdict.counts.items())),
        "verdict: fine"
        if verdict.is_fine
        else f"verdict: NOT FINE, {complaints if count else 'nothing is shown'}",
    ]
    output.result(value, safe("\n".join(lines)))
    if not verdict.is_fine:
        raise SystemExit(ExitCode.AUDIT)


def _place(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port[:6]) > 65_535:
        raise UsageError(f"{safe(listen, keep_lines=False)!r} is no HOST:PORT, such as 127.0.0.1:8790.")
    return host.strip("[]"), int(port)


def _given(canaries: tuple[str, ...], file: Path | None) -> "tuple[Canary, ...]":
    """What to look for, named by numbers: what it says is nobody's business. Raises UsageError."""
    from clients.audit.canaries.search import Canary

    texts = [*canaries, *([] if file is None else _lines(file))]
    if len(texts) > CANARIES_MAX:
        raise UsageError(f"There are {len(texts):,} canaries; {CANARIES_MAX:,} can be looked for.")
    values = [text.encode() for text in texts]
    for number, value in enumerate(values, 1):
        if not CANARY_MIN <= len(value) <= CANARY_MAX:
            raise UsageError(
                f"Canary {number} has {len(value)} bytes. Give {CANARY_MIN} to {CANARY_MAX:,}: a shorter one "
                "is found by chance."
            )
    return tuple(Canary(f"{number}", value, is_text=True) for number, value in enumerate(values, 1))


def _lines(file: Path) -> list[str]:
    try:
        with file.open("rb") as opened:
            data = opened.read(CANARY_FILE_MAX + 1)
    except OSError as error:
        raise UsageError(f"The file {file} cannot be read: {error.strerror}.") from None
    if len(data) > CANARY_FILE_MAX:
        raise UsageError(f"The file {file} has more than {CANARY_FILE_MAX:,} bytes.")
    try:
        return [line for line in data.decode("utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise UsageError(f"The file {file} is not UTF-8.") from None
