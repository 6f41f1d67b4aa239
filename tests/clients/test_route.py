"""A proxy: nothing is dialled past it, it looks up the relay's name, and no password is shown."""

import ast
import os
import pickle
import ssl
from pathlib import Path

import pytest
import trustme

from clients.audit.judging.judge import judged
from clients.audit.tap.wiretap import open_tap
from clients.config import read_config
from clients.connection import dial
from clients.doctor import Verdict, examine
from clients.doctor.findings import Finding
from clients.doctor.relay_checks import Known
from clients.errors import RelayError, UsageError
from clients.messenger import Messenger
from clients.route import Proxy, Route
from tests.support.http_proxy import NAME, Forwarder, running
from tests.support.relay_process import RelayProcess
from wire.addresses import RelayUrl
from wire.login import Mode

WITHIN = 20.0
WHERE = "BLINDPOST_PROXY"


async def greet(relay: str, proxy: str, ca: bytes | None = None) -> None:
    """Dial and hang up."""
    route = Route(ca, Proxy.parse(proxy, WHERE))
    async with dial(RelayUrl.parse(relay), Mode.SUBMIT, None, os.urandom, route):
        pass


async def examined(relay: str, proxy: str, ca: bytes | None = None) -> list[Finding]:
    route = Route(ca, Proxy.parse(proxy, WHERE))
    return [finding async for finding in examine(Known(RelayUrl.parse(relay), route))]


# --- what a URL says ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "place", "url"),
    [
        ("http://127.0.0.1:8118", "127.0.0.1:8118", "http://127.0.0.1:8118"),
        ("HTTP://Proxy.Example/", "proxy.example:80", "http://proxy.example:80"),
        ("https://proxy.example", "proxy.example:443", "https://proxy.example:443"),
        ("http://[::1]:3128", "[::1]:3128", "http://[::1]:3128"),
        ("http://me:p%40ss%3Aword@proxy:1", "proxy:1", "http://me:p%40ss%3Aword@proxy:1"),
    ],
)
def test_a_proxy_by_its_url(text: str, place: str, url: str) -> None:
    proxy = Proxy.parse(text, WHERE)
    assert (proxy.place, str(proxy), proxy.url) == (place, place, url)
    assert "p@ss" not in repr(Route(b"PEM", proxy))
    assert "me" not in repr(proxy).replace("scheme", "")
    with pytest.raises(TypeError):
        pickle.dumps(proxy)


SECRET = "s3cr3t"


@pytest.mark.parametrize(
    "text",
    [
        f"me:{SECRET}@proxy:1", f"ftp://me:{SECRET}@proxy:1", f"http://me:{SECRET}@", f"http://me:{SECRET}@proxy:0",
        f"http://me:{SECRET}@proxy:70000", f"http://me:{SECRET}@proxy:x", f"http://me:{SECRET}@proxy/path",
        f"http://me:{SECRET}@proxy?{SECRET}", f"http://me:{SECRET}@proxy#x", f"http://me:{SECRET}@pro xy",
        f"http://me:{SECRET}@proxy\r\nX: y", f"http://me:{SECRET}%ff@proxy", f"http://me:{SECRET}@pröxy",
        f"http://{SECRET}@proxy", f"http://m%3Ae:{SECRET}@proxy", f"http://me:{SECRET}@[::1",
        f"socks5://me:{SECRET}@proxy:1", f"http://me:{SECRET * 100}@proxy", "nonsense", "http://", "http://-",
        "http://[:]", "http://:@[::]:@[:", "http://..",
    ],
)  # fmt: skip
def test_what_is_none_is_refused_without_being_shown(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=WHERE) as refused:
        Proxy.parse(text, WHERE)
    assert SECRET not in str(refused.value)
    assert refused.value.__cause__ is None
    if "\r" not in text:
        monkeypatch.setenv(WHERE, text)
        with pytest.raises(UsageError, match=WHERE):
            read_config(None)


def test_socks_is_told_from_nonsense() -> None:
    with pytest.raises(UsageError, match="SOCKS"):
        Proxy.parse("socks5h://127.0.0.1:9050", WHERE)


# --- a conversation, and a doctor ----------------------------------------------------------------------


async def test_all_of_a_conversation_goes_through_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RelayProcess(tmp_path, settings={"public-urls": f"ws://{NAME}"}) as relay:
        proxy = Forwarder(relay.port, wants="me:p@ss word")
        async with running(proxy) as place:
            monkeypatch.setenv(WHERE, f"http://me:p%40ss%20word@{place}")
            async with (
                Messenger.open(tmp_path / "alice", relay=f"ws://{NAME}") as alice,
                Messenger.open(tmp_path / "bob", relay=f"ws://{NAME}") as bob,
            ):
                alice.contacts.add("bob", bob.address)
                bob.contacts.add("alice", alice.address)
                await alice.send("bob", "hello")
                got = await bob.receive(WITHIN)
                assert got is not None
                assert got.text == "hello"
        # The name is not in the world: nobody but the proxy can have looked it up.
        assert set(proxy.asked) == {f"{NAME}:80"}
        assert len(proxy.asked) >= 3


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_the_doctor_goes_through_it_too_also_in_tls(tmp_path: Path, scheme: str) -> None:
    authority, both = trustme.CA(), tmp_path / "both.pem"
    authority.issue_cert(NAME).private_key_and_cert_chain_pem.write_to_path(str(both))
    ca = authority.cert_pem.bytes()
    context = None
    if scheme == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
    settings = {"tls-certificate": both, "tls-key": both, "public-urls": f"wss://{NAME}"}
    with RelayProcess(tmp_path, settings=settings) as relay:
        proxy = Forwarder(relay.port, wants="me:it")
        async with running(proxy, context) as place:
            found = await examined(f"wss://{NAME}", f"{scheme}://me:it@{place}", ca)
    assert [(finding.check, finding.verdict) for finding in found] == [
        (check, Verdict.OK)
        for check in ("versions", "proxy", "certificate", "http", "hello", "relay key", "clock")
    ]
    assert f"{place} connects" in found[1].what
    assert proxy.asked == [f"{NAME}:443"] * 4


# --- what goes wrong ---------------------------------------------------------------------------------------


async def test_a_proxy_that_is_not_there_is_not_gone_round(tmp_path: Path) -> None:
    async with open_tap() as relay:  # who only counts its visitors
        target = f"ws://127.0.0.1:{relay.proxy.rpartition(':')[2]}"
        with pytest.raises(RelayError, match=r"^The proxy 127\.0\.0\.1:1 cannot be reached\.$"):
            await greet(target, "http://127.0.0.1:1")
        found = await examined(target, "http://127.0.0.1:1")
        assert [finding.check for finding in found if finding.code] == ["proxy"]
        assert "127.0.0.1:1 cannot be reached" in found[-1].what
    assert relay.connections == []


@pytest.mark.parametrize(
    ("says", "wants", "sentence"),
    [
        (
            b"HTTP/1.1 403 Forbidden\r\n\r\n",
            "",
            r"The proxy \S+ refuses to connect to the relay .*status 403",
        ),
        (
            b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
            "",
            r"The proxy \S+ refuses to connect to the relay .*status 502",
        ),
        (b"", "you:it", r"The proxy \S+ does not take this user and password: BLINDPOST_PROXY=http://USER"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "", r"What answers at \S+ is no HTTP proxy: check BLINDPOST_PROXY"),
        (b"", "", r"What answers at \S+ is no HTTP proxy: check BLINDPOST_PROXY"),
    ],
)
async def test_a_proxy_that_refuses_is_told_from_a_relay(says: bytes, wants: str, sentence: str) -> None:
    async with running(Forwarder(0, wants, says)) as place:
        with pytest.raises(RelayError, match=sentence) as failed:
            await greet("ws://127.0.0.1:8760", f"http://me:{SECRET}@{place}")
        assert SECRET not in str(failed.value)
        found = (await examined("ws://127.0.0.1:8760", f"http://me:{SECRET}@{place}"))[-1]
        assert (found.check, found.verdict) == ("proxy", Verdict.FAILED)
        assert SECRET not in str(found)


async def test_without_a_password_it_says_what_is_wanted() -> None:
    async with running(Forwarder(0, "me:it")) as place:
        with pytest.raises(RelayError, match="wants a user and password"):
            await greet("ws://127.0.0.1:8760", f"http://{place}")


async def test_a_relay_that_is_not_there_behind_a_proxy_that_is() -> None:
    async with open_tap() as tap:
        with pytest.raises(RelayError, match=r"The proxy \S+ refuses to connect to the relay .*status 502"):
            await greet("ws://127.0.0.1:1", tap.proxy)


async def test_a_relay_that_hangs_up_behind_a_proxy_that_is_there(caplog: pytest.LogCaptureFixture) -> None:
    async with running(Forwarder(0, hangs_up=True)) as place:
        with pytest.raises(RelayError, match=r"The relay wss\S+ cannot be reached through the proxy local"):
            await greet("wss://127.0.0.1:1", f"http://{place}")
    assert caplog.records == []  # nor does a library tell the terminal of it


async def test_what_the_doctor_asks_is_judged_like_all_else(relay: RelayProcess) -> None:
    async with open_tap() as tap:
        await examined(relay.origin, tap.proxy)
    verdict = judged(tap.events(), relay=RelayUrl.parse(relay.origin))
    assert verdict.figures.requests == {"GET /v1/info": 1, "GET /v1/ws": 1}
    assert [str(each) for each in verdict.complaints] == []


async def test_certificates_are_checked_behind_a_proxy(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority, both = trustme.CA(), tmp_path / "both.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(both))
    with RelayProcess(tmp_path, settings={"tls-certificate": both, "tls-key": both}) as relay:
        async with open_tap() as tap:
            with pytest.raises(RelayError, match=r"certificate of the relay .* cannot be verified"):
                await greet(f"wss://localhost:{relay.port}", tap.proxy)
            found = await examined(f"wss://localhost:{relay.port}", tap.proxy)
            assert [finding.check for finding in found if finding.code] == ["certificate"]
    assert caplog.records == []


# --- nothing else dials ---------------------------------------------------------------------------------

DIALS = {"open_connection", "create_connection", "getaddrinfo", "gethostbyname", "urlopen", "sock_connect"}
DIALS |= {"HTTPConnection", "HTTPSConnection", "create_datagram_endpoint"}


def test_only_three_files_of_a_client_reach_the_network() -> None:
    root = Path(__file__).resolve().parents[2]
    found = {
        path.relative_to(root).as_posix()
        for path in (root / "clients").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Attribute) and node.attr in DIALS)
        or (isinstance(node, ast.Name) and node.id in DIALS)
        or (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("websockets.asyncio.client"))
    }
    # What audits a relay is no client of it: it dials the relay that it was given to look at, and is told so.
    own = {name for name in found if not name.startswith("clients/audit/")}
    assert own == {"clients/connection.py", "clients/doctor/network.py", "clients/tunnel.py"}
