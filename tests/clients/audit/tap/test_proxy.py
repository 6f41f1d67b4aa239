"""Between real clients and a real relay: honest ones are judged fine, a client that leaks is not."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from clients.audit.canaries.search import Canary
from clients.audit.controls.catalogue import LEAKY_PROGRAMS, MARK
from clients.audit.driving.people import CLIENT, Person
from clients.audit.judging.complaints import Complaint, Rule
from clients.audit.judging.judge import Judge
from clients.audit.tap.proxy import Asked, Outcome, judge_file, stand_between
from clients.errors import UsageError
from clients.route import Route
from tests.support.relay_process import RelayProcess, free_port
from wire.addresses import RelayUrl

WITHIN = 30.0
LEAK = "base64_as_encryption"
COMMAND = (sys.executable, "-P", "-m", "clients", "audit")


class Ear:
    """Who is told."""

    def __init__(self) -> None:
        self.place: asyncio.Future[tuple[str, Path | None]] = asyncio.get_running_loop().create_future()
        self.complaints: list[Complaint] = []
        self.times = 0

    def listening(self, proxy: str, trust: Path | None) -> None:
        self.place.set_result((proxy, trust))

    def complained(self, complaint: Complaint) -> None:
        self.complaints.append(complaint)

    def progress(self, judge: Judge) -> None:
        self.times += 1


class Between:
    """A proxy that runs; `outcome` is there at the end."""

    def __init__(self, ear: Ear, proxy: str, trust: Path | None) -> None:
        self.ear, self.proxy, self.trust = ear, proxy, trust
        self.outcome: Outcome | None = None

    @property
    def ended(self) -> Outcome:
        assert self.outcome is not None
        return self.outcome


@contextlib.asynccontextmanager
async def between(asked: Asked) -> AsyncIterator[Between]:
    ear, stop = Ear(), asyncio.Event()
    running = asyncio.ensure_future(stand_between(asked, ear, stop))
    async with asyncio.timeout(WITHIN):
        await asyncio.wait((running, ear.place), return_when=asyncio.FIRST_COMPLETED)
    found = Between(ear, *ear.place.result()) if ear.place.done() else Between(ear, "", None)
    try:
        yield found
    finally:
        stop.set()
        async with asyncio.timeout(WITHIN):
            found.outcome = await running


async def talk(
    directory: Path, init: tuple[str, ...], text: str, program: Any = CLIENT, **variables: str
) -> None:
    """Two people, a text and its receipt."""
    alice, bob = [Person(directory / name, program, environment=variables) for name in ("alice", "bob")]
    made = await asyncio.gather(*(each.run("init", *init, "--name", text) for each in (alice, bob)))
    try:
        for person, name, whose in ((alice, "bob", made[1]), (bob, "alice", made[0])):
            await person.start()
            await person.call("add", name=name, address=whose[0]["address"])
        sent = await alice.call("send", to="bob", text=text)
        assert (await bob.message())["text"] == text
        now = await alice.call("status", id=sent["id"], wait="delivered", timeout=WITHIN)
        assert now["status"] == "delivered"
    finally:
        await asyncio.gather(alice.stop(), bob.stop())


async def test_two_people_behind_tls_are_judged_fine_then_and_again(tmp_path: Path) -> None:
    authority, both, transcript = trustme.CA(), tmp_path / "both.pem", tmp_path / "seen.ndjson"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(both))
    text = os.urandom(12).hex()
    canary = Canary("1", text.encode(), is_text=True)
    with RelayProcess(tmp_path, settings={"tls-certificate": both, "tls-key": both}) as relay:
        asked = Asked(
            RelayUrl.parse(relay.origin), "127.0.0.1", 0, tmp_path / "trust.pem",
            Route(authority.cert_pem.bytes()), (canary,), transcript,
        )  # fmt: skip
        async with between(asked) as proxy:
            init = ("--relay", relay.origin, "--ca", str(proxy.trust))
            await talk(tmp_path, init, text, BLINDPOST_PROXY=proxy.proxy)
    verdict = proxy.ended.verdict
    assert [str(each) for each in verdict.complaints] == []
    assert verdict.is_fine
    assert verdict.figures.put >= 3  # a text, receipts, names
    assert {"hello", "login", "welcome", "register", "fetch", "bundle"} <= set(verdict.figures.messages)
    # What was written down says the same to whoever reads it later, and finds what else is looked for.
    again = judge_file(transcript, (canary,))
    assert again.sha256 == proxy.ended.sha256
    assert again.verdict.is_fine
    first, second = again.verdict.figures.to_json(), verdict.figures.to_json()
    for figures in (first, second):
        figures.pop("scanned")  # how much is searched twice depends on when
    times = {name: (first.pop(name), second.pop(name)) for name in ("first_frame", "last_frame", "seconds")}
    assert first == second
    assert all(one == pytest.approx(other, abs=1e-5) for one, other in times.values())
    host = Canary("2", b"Sec-WebSocket-Version", is_text=True)
    found = judge_file(transcript, (host,)).verdict
    assert {each.rule for each in found.complaints} == {Rule.CANARY}
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_client_that_leaks_is_caught_without_knowing_what(tmp_path: Path) -> None:
    (tmp_path / MARK).touch()
    program = (sys.executable, "-P", str(LEAKY_PROGRAMS / "leaky_client.py"), LEAK, str(tmp_path))
    port = free_port()
    settings = {"public-urls": f"ws://127.0.0.1:{port}"}
    with RelayProcess(tmp_path, settings=settings) as relay:
        asked = Asked(RelayUrl.parse(relay.origin), "127.0.0.1", port, tmp_path / "trust.pem")
        async with between(asked) as proxy:
            assert proxy.trust is None  # without TLS there is nothing to trust
            # As somebody does whose program knows no proxies: it is dialled as if it were the relay.
            await talk(tmp_path, ("--relay", f"ws://127.0.0.1:{port}"), "Alice", program)
    verdict = proxy.ended.verdict
    assert Rule.RANDOM in verdict.counts
    assert proxy.ear.complaints == list(verdict.complaints)
    assert not verdict.is_fine


async def test_a_full_disk_ends_the_transcript_and_not_the_run(
    tmp_path: Path, relay: RelayProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked(RelayUrl.parse(relay.origin), "127.0.0.1", 0, tmp_path / "no", transcript=tmp_path / "seen")
    full = os.open("/dev/full", os.O_WRONLY)
    with monkeypatch.context() as patch:
        patch.setattr("clients.audit.tap.transcript.os.open", lambda *given: full)
        async with between(asked) as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.proxy.rpartition(":")[2]))
            writer.write(b"GET /v1/info HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n")
            assert b"protocol_versions" in await reader.read()
            writer.close()
    assert proxy.ended.sha256 is None
    assert any("No space left on device" in sentence for sentence in proxy.ended.verdict.lacks)
    assert proxy.ended.verdict.figures.requests.total() == 1


async def test_what_cannot_begin_says_why(tmp_path: Path, relay: RelayProcess) -> None:
    origin = RelayUrl.parse(relay.origin)
    with pytest.raises(UsageError, match=r"Nobody can listen at 127\.0\.0\.1"):
        await stand_between(Asked(origin, "127.0.0.1", relay.port, tmp_path / "no"), Ear(), asyncio.Event())
    (tmp_path / "mine").write_text("mine")
    secure = RelayUrl.parse("wss://relay.example")
    with pytest.raises(UsageError, match="--trust"):
        await stand_between(Asked(secure, "127.0.0.1", 0, tmp_path / "mine"), Ear(), asyncio.Event())
    assert (tmp_path / "mine").read_text() == "mine"
    (tmp_path / "other").write_text('{"transcript": 1, "relay": "", "began": ""}\n')
    for path in (tmp_path / "mine", tmp_path / "other", tmp_path / "nowhere"):
        with pytest.raises(UsageError):
            judge_file(path)


@pytest.mark.parametrize(
    ("number", "options"), [(signal.SIGINT, ()), (signal.SIGTERM, ()), (None, ("--for", "0.5"))]
)
async def test_the_command_ends_with_a_verdict(
    tmp_path: Path, relay: RelayProcess, number: signal.Signals | None, options: tuple[str, ...]
) -> None:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "proxy", "--json", "--listen", "127.0.0.1:0", "--relay", relay.origin, *options,
        "--transcript", str(tmp_path / "seen"),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    async with asyncio.timeout(WITHIN):
        begun = json.loads(await process.stdout.readline())
        assert begun["event"] == "listening"
        reader, writer = await asyncio.open_connection("127.0.0.1", int(begun["proxy"].rpartition(":")[2]))
        writer.write(b"GET /v1/info HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n")
        assert b"protocol_versions" in await reader.read()
        writer.close()
        if number is not None:
            process.send_signal(number)
        out, errors = await process.communicate()
    summary = json.loads(out)
    assert (process.returncode, summary["event"], summary["fine"]) == (11, "summary", False)
    assert summary["requests"] == {"GET /v1/info": 1}
    assert summary["lacks"] == ["No envelope has passed, so that nothing is shown."]
    assert b"BLINDPOST_PROXY=" in errors
    assert judge_file(tmp_path / "seen").sha256 == summary["transcript"]["sha256"]
    judged = await asyncio.create_subprocess_exec(
        *COMMAND, "judge", str(tmp_path / "seen"), "--canary", "/v1/info", stdout=asyncio.subprocess.PIPE
    )
    said, _ = await judged.communicate()
    assert judged.returncode == 11
    assert "canary: Connection 0, " in said.decode()
    assert "the canary 1 is seen (raw)" in said.decode()
    assert f"SHA-256 {summary['transcript']['sha256']}" in said.decode()
    assert "verdict: NOT FINE" in said.decode().splitlines()[-1]


@pytest.mark.parametrize(
    ("lacks", "command"),
    [("trustme", "proxy --relay ws://127.0.0.1:1"), ("zstandard", "judge seen"), ("ahocorasick_rs", "run")],
)
async def test_without_the_extra_it_says_what_to_install(lacks: str, command: str) -> None:
    arguments = ["blindpost", "audit", *command.split()]
    program = (
        f"import sys; sys.modules[{lacks!r}] = None; sys.argv = {arguments!r}\n"
        "from clients.cli import main; main()"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-c", program, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert errors.decode() == (
        f"blindpost: The audit needs {lacks}, which is not installed: pip install 'blindpost[audit]'\n"
    )


async def test_an_audit_that_cannot_go_through_a_proxy_does_not_go_past_it() -> None:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "run", "--url", "ws://127.0.0.1:1",
        stderr=asyncio.subprocess.PIPE, env={**os.environ, "BLINDPOST_PROXY": "http://127.0.0.1:1"},
    )  # fmt: skip
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert b"dials the relay itself, and BLINDPOST_PROXY says not to" in errors
