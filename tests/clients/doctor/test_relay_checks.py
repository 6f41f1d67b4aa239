"""The checks of a relay: each way in which it can be broken has its own finding and its own advice."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clients.doctor import Finding, Verdict
from clients.doctor import relay_checks as checks_module
from clients.doctor.relay_checks import Known, RelayChecks
from clients.errors import ExitCode
from clients.route import Route
from keys.identities import Device
from tests.clients.doctor.relays import INFO, KEY, Authority, pretended
from tests.support.relay_process import RelayProcess, free_port
from wire.addresses import RelayUrl

OK, WARNING, FAILED = Verdict.OK, Verdict.WARNING, Verdict.FAILED


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def examined(url: str, **known: object) -> dict[str, Finding]:
    """Every finding by its check."""
    checks = RelayChecks(Known(RelayUrl.parse(url), **known))  # type: ignore[arg-type]  # of several types
    return {finding.check: finding async for finding in checks.run()}


def verdicts(found: dict[str, Finding]) -> dict[str, Verdict]:
    return {name: finding.verdict for name, finding in found.items()}


def only(found: dict[str, Finding], verdict: Verdict) -> Finding:
    """The one finding that is not ok."""
    (one,) = (finding for finding in found.values() if finding.verdict is not OK)
    assert one.verdict is verdict
    assert (one.code is ExitCode.OK) == (verdict is WARNING)
    return one


async def test_a_relay_that_is_well(relay: RelayProcess) -> None:
    found = await examined(relay.origin)
    assert set(verdicts(found).values()) == {OK}
    assert list(found) == ["connection", "certificate", "http", "hello", "relay key", "clock"]
    assert relay.relay_key in found["relay key"].what


async def test_a_device_that_another_process_uses_is_left_alone(relay: RelayProcess) -> None:
    device = Device.generate(os.urandom, 1)
    found = await examined(relay.origin, device=device, free=lambda: nullcontext(False))
    assert "login" not in found


async def test_a_device_that_is_unknown_there_is_told_how_to_register(relay: RelayProcess) -> None:
    found = only(await examined(relay.origin, device=Device.generate(os.urandom, 1)), WARNING)
    assert found.check == "login"
    assert "not registered" in found.what


async def test_nobody_listens_at_the_port() -> None:
    port = free_port()
    found = only(await examined(f"ws://127.0.0.1:{port}"), FAILED)
    assert (found.check, found.code) == ("connection", ExitCode.RELAY)
    assert f"nobody listens at port {port}" in found.what
    assert "check the port" in str(found.advice)


@pytest.mark.parametrize("name", ["nowhere.invalid", "a" * 70 + ".example", "a..b"])
async def test_a_host_that_nobody_knows(name: str) -> None:
    found = only(await examined(f"ws://{name}"), FAILED)
    assert (found.check, found.what) == ("name", f"there is no host named {name}")


async def test_a_name_server_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    release = asyncio.Event()
    loop = asyncio.get_running_loop()

    def silent(*_: object, **__: object) -> list[object]:
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result(60)
        return []

    monkeypatch.setattr(checks_module, "STEP", 0.1)
    monkeypatch.setattr(checks_module, "TOTAL", 60)
    monkeypatch.setattr("clients.doctor.network.socket.getaddrinfo", silent)
    started = time.monotonic()
    found = only(await examined("ws://relay.example"), FAILED)
    assert time.monotonic() - started < 20
    release.set()
    assert found.check == "name"
    assert "name server" in str(found.advice)


async def test_one_of_two_addresses_is_dead(relay: RelayProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    def both(*_: object, **__: object) -> list[object]:
        return [(0, 0, 0, "", (place, relay.port)) for place in ("127.0.0.1", "127.0.0.2")]

    monkeypatch.setattr("clients.doctor.network.socket.getaddrinfo", both)
    found = (await examined(f"ws://localhost:{relay.port}"))["connection"]
    # The relay listens on one address of loopback alone.
    assert found.verdict is WARNING
    assert "not at 127.0.0.2" in found.what


# --- certificates -----------------------------------------------------------------------------------


async def test_a_certificate_of_a_known_authority(authority: Authority) -> None:
    soon = datetime.now(UTC) + timedelta(days=100)
    async with pretended(context=authority.context(until=soon)) as port:
        found = await examined(f"wss://localhost:{port}", route=Route(authority.pem))
    assert set(verdicts(found).values()) == {OK}
    assert f"{soon:%Y-%m-%d}" in found["certificate"].what


async def test_a_certificate_that_is_not_trusted(authority: Authority) -> None:
    async with pretended(context=authority.context()) as port:
        found = only(await examined(f"wss://localhost:{port}"), FAILED)
    assert (found.check, found.code) == ("certificate", ExitCode.RELAY)
    assert "not signed by an authority" in found.what
    assert "blindpost init --ca FILE" in str(found.advice)


async def test_a_certificate_that_has_expired(authority: Authority) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    async with pretended(context=authority.context(until=yesterday)) as port:
        found = only(await examined(f"wss://localhost:{port}", route=Route(authority.pem)), FAILED)
    assert (found.check, found.what) == ("certificate", "has expired")


async def test_a_certificate_that_expires_soon(authority: Authority) -> None:
    soon = datetime.now(UTC) + timedelta(days=3, hours=1)
    async with pretended(context=authority.context(until=soon)) as port:
        found = only(await examined(f"wss://localhost:{port}", route=Route(authority.pem)), WARNING)
    assert "in 3 days" in found.what


async def test_a_certificate_for_another_host(authority: Authority) -> None:
    async with pretended(context=authority.context("other.example")) as port:
        found = only(await examined(f"wss://localhost:{port}", route=Route(authority.pem)), FAILED)
    assert found.what == "is not for localhost"


async def test_tls_where_there_is_none(relay: RelayProcess) -> None:
    found = only(await examined(f"wss://localhost:{relay.port}"), FAILED)
    assert found.check == "certificate"
    assert "ws://" in str(found.advice)


@pytest.mark.parametrize(
    ("url", "verdict"), [("ws://relay.example", WARNING), ("ws://127.0.0.1:1", OK), ("ws://localhost", OK)]
)
def test_a_relay_without_tls_is_warned_of_where_others_can_listen(url: str, verdict: Verdict) -> None:
    assert RelayChecks(Known(RelayUrl.parse(url))).unprotected().verdict is verdict


# --- what answers -----------------------------------------------------------------------------------


async def test_a_web_server_is_no_relay() -> None:
    async with pretended(info=None) as port:
        found = only(await examined(f"ws://127.0.0.1:{port}"), WARNING)
    assert (found.check, found.what) == (
        "http", f"what answers at http://127.0.0.1:{port}/v1/info is no relay (status 404)",
    )  # fmt: skip


@pytest.mark.parametrize("info", [b"", b"[]", b'"x"', b"{}", b'{"version": 1, "protocol_versions": []}',
                                  b"[" * 9000, b"\xff", INFO[:-9] + b"1}"])  # fmt: skip
async def test_an_answer_that_is_none(info: bytes) -> None:
    async with pretended(info=info) as port:
        found = only(await examined(f"ws://127.0.0.1:{port}"), WARNING)
    assert "is no relay" in found.what


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        (b'"invite"', "protocol 1; takes new accounts by invite"),
        (b'"allow-list"', "protocol 1; takes new accounts that its operator has listed"),
        (b'"open"', "protocol 1"),
        (b'["odd"]', "protocol 1"),
    ],
)
async def test_whom_a_relay_takes_is_told(mode: bytes, told: str) -> None:
    async with pretended(info=INFO.replace(b"[1]", b'[1], "registration": ' + mode)) as port:
        found = await examined(f"ws://127.0.0.1:{port}")
    assert found["http"].what.endswith(told)


async def test_a_relay_of_another_protocol() -> None:
    async with pretended(info=INFO.replace(b"[1]", b"[7]")) as port:
        found = only(await examined(f"ws://127.0.0.1:{port}"), FAILED)
    assert "speaks protocol versions [7]" in found.what


async def test_a_path_that_is_not_the_relays(relay: RelayProcess) -> None:
    found = await examined(f"{relay.origin}/other")
    assert verdicts(found) == {"connection": OK, "certificate": OK, "http": WARNING, "hello": FAILED}
    assert found["hello"].code is ExitCode.RELAY


async def test_a_relay_under_a_name_that_is_not_its_own(relay: RelayProcess) -> None:
    found = await examined(f"ws://localhost:{relay.port}")
    if found["hello"].code:
        assert "public_urls" in str(found["hello"])


@asynccontextmanager
async def mute() -> AsyncIterator[int]:
    """The port of something that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(("scheme", "last"), [("ws", "hello"), ("wss", "certificate")])
async def test_something_that_says_nothing_has_its_deadlines(
    monkeypatch: pytest.MonkeyPatch, scheme: str, last: str
) -> None:
    monkeypatch.setattr(checks_module, "STEP", 0.2)
    monkeypatch.setattr(checks_module, "TOTAL", 60)
    async with mute() as port:
        started = time.monotonic()
        found = await examined(f"{scheme}://localhost:{port}")
    assert found[last].verdict is FAILED
    assert "0.2 s" in found[last].what
    assert time.monotonic() - started < 20


async def test_the_whole_has_a_deadline_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks_module, "TOTAL", 0.2)
    monkeypatch.setattr(checks_module, "STEP", 60)
    async with mute() as port:
        async with asyncio.timeout(20):
            found = await examined(f"ws://127.0.0.1:{port}")
    assert found["hello"].verdict is FAILED


def test_all_together_take_less_than_20_seconds() -> None:
    from clients.connection import _CLOSE_DEADLINE
    from clients.doctor.owner import ANSWERS_WITHIN
    from clients.doctor.profile_checks import STORE_WITHIN

    assert checks_module.TOTAL + _CLOSE_DEADLINE + ANSWERS_WITHIN + STORE_WITHIN < 20


# --- who answers ------------------------------------------------------------------------------------


async def test_a_key_that_is_the_one_known_before() -> None:
    async with pretended() as port:
        found = await examined(f"ws://127.0.0.1:{port}", pinned=KEY)
    assert "the same as ever" in found["relay key"].what


async def test_a_key_that_is_another_than_before() -> None:
    async with pretended() as port:
        device = Device.generate(os.urandom, 1)
        found = only(await examined(f"ws://127.0.0.1:{port}", pinned=b"k" * 32, device=device), FAILED)
    assert (found.check, found.code) == ("relay key", ExitCode.TRUST)
    assert f"blindpost trust-relay 127.0.0.1:{port}" in str(found.advice)


@pytest.mark.parametrize(
    ("ahead", "verdict", "words"),
    [(30, OK, "agrees"), (-30, OK, "agrees"), (600, WARNING, "10 minutes behind"),
     (-7200, WARNING, "2.0 hours ahead of"), (90_000, FAILED, "25.0 hours behind"),
     (-90_000, FAILED, "25.0 hours ahead of")],
)  # fmt: skip
async def test_the_clocks_are_compared(ahead: float, verdict: Verdict, words: str) -> None:
    async with pretended(ahead=ahead) as port:
        found = (await examined(f"ws://127.0.0.1:{port}"))["clock"]
    assert found.verdict is verdict
    assert words in found.what
    assert found.code is (ExitCode.RELAY if verdict is FAILED else ExitCode.OK)
