"""The relay behind the real Caddy and the real nginx, with the files of deploy/: `make proxies`.

Outside `make test`, because it needs programs that Python does not bring.
"""

import asyncio
import contextlib
import os
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from websockets.asyncio.client import connect

from tests.proxies.programs import DEPLOY, Files, running
from tests.relay.devices import HELD, Account, envelope
from tests.relay.peers import Peer
from tests.support.client_process import ClientProcess
from tests.support.relay_process import RelayProcess, free_port
from wire import control
from wire.errors import CloseCode, ErrorCode
from wire.login import Mode

PREFIX = "/post"
QUIET = 75.0  # seconds: longer than any proxy's usual 60
SUBMITS = 4


@dataclass(frozen=True)
class Place:
    """A relay behind a proxy: at the root of one site, and below a path of another."""

    name: str
    relay: RelayProcess
    files: Files
    authority: Path
    root: str
    below: str

    @property
    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.authority)

    @asynccontextmanager
    async def dial(self, url: str, source: str, **headers: str) -> AsyncIterator[Peer]:
        """As a client at another address of loopback."""
        async with connect(
            url + "/v1/ws", ssl=self.tls, compression=None, proxy=None, local_addr=(source, 0),
            host="127.0.0.1", additional_headers=headers,
        ) as websocket:  # fmt: skip
            yield Peer(websocket, url)


@pytest.fixture(scope="module", params=["caddy", "nginx"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp(request.param)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(directory / "ca.pem")
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    certificate.private_key_pem.write_to_path(directory / "key.pem")
    for pem in certificate.cert_chain_pems:
        pem.write_to_path(directory / "cert.pem", append=True)
    files = Files(directory / "proxy", directory / "cert.pem", directory / "key.pem")
    ports = free_port(), free_port()
    root, below = f"wss://localhost:{ports[0]}", f"wss://localhost:{ports[1]}{PREFIX}"
    relay = RelayProcess(
        directory,
        settings={
            "public-urls": f"{root},{below}",
            "root-path": PREFIX,
            "trusted-proxies": "127.0.0.1",
            "submit-per-prefix": SUBMITS,
            "log-level": "debug",
        },
    )
    with relay, running(request.param, files, ports, relay.port):
        yield Place(request.param, relay, files, directory / "ca.pem", root, below)


@pytest.mark.parametrize("where", ["root", "below"])
def test_two_people_talk_through_it(place: Place, where: str, tmp_path: Path) -> None:
    url = getattr(place, where)
    alice, bob = (ClientProcess(tmp_path, name) for name in ("alice", "bob"))
    for one in (alice, bob):
        one.run("init", "--relay", url, "--ca", str(place.authority))
        one.address = one.run("address").stdout.decode().strip()
    for one, other in ((alice, bob), (bob, alice)):
        one.run("contact", "add", other.name, other.address)
    listening = bob.start("--json", "listen", "--count", "2")
    for text in ("through a proxy", "and once more"):
        (sent,) = alice.json("send", "bob", text, "--wait", "delivered", "--timeout", "20")
        assert sent["status"] == "delivered"
        assert listening.json()["text"] == text
    listening.close()
    (answer,) = bob.json("send", "alice", "and back")
    assert answer["status"] == "accepted"
    assert [line["text"] for line in alice.json("listen", "--count", "1")] == ["and back"]


async def test_a_quiet_connection_stays(place: Place) -> None:
    async with contextlib.AsyncExitStack() as stack:
        waiting = []
        for url in (place.root, place.below):
            account = Account()
            peer = await stack.enter_async_context(place.dial(url, "127.0.0.5"))
            await peer.log_in(account.device)
            await peer.register(account)
            await peer.allow(control.AllowedToken(hash=HELD))
            await peer.send(control.Pull())
            waiting.append((url, account, peer))
        await asyncio.sleep(QUIET)
        for url, account, peer in waiting:
            async with place.dial(url, "127.0.0.6") as sender:
                await sender.hello(Mode.SUBMIT)
                frame_id = await sender.put(account.device.key, envelope())
                await sender.next(control.Accepted)
            async with asyncio.timeout(10):
                assert (await peer.next_frame()).frame_id == frame_id


@pytest.mark.parametrize("where", ["root", "below"])
async def test_caps_count_the_client_and_believe_no_forged_address(place: Place, where: str) -> None:
    url = getattr(place, where)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(SUBMITS):
            peer = await stack.enter_async_context(place.dial(url, "127.0.0.7"))
            await peer.hello(Mode.SUBMIT)
        for number in range(3):
            forged = {"X-Forwarded-For": f"192.0.2.{number}", "Forwarded": f"for=192.0.2.{number}"}
            peer = await stack.enter_async_context(place.dial(url, "127.0.0.7", **forged))
            nonce = os.urandom(32)
            await peer.send(control.Hello(mode=Mode.SUBMIT, version=1, origin=url, nonce=nonce))
            await peer.next(control.RelayHello)
            assert (await peer.next(control.Error)).code is ErrorCode.TOO_MANY_CONNECTIONS
            assert await peer.close_code() == CloseCode.TOO_MANY_CONNECTIONS
        # Somebody else behind the same proxy is not in their way.
        peer = await stack.enter_async_context(place.dial(url, "127.0.0.8"))
        await peer.hello(Mode.SUBMIT)
        await peer.send(control.Fetch(ref=1, account_key=os.urandom(32), take=False))
        assert (await peer.next(control.Error)).code is ErrorCode.NOT_FOUND


def test_a_url_that_is_not_listed_is_named(place: Place, tmp_path: Path) -> None:
    alice = ClientProcess(tmp_path, "alice")
    other = place.root.replace("localhost", "127.0.0.1")
    done = alice.run("init", "--relay", other, "--ca", str(place.authority), code=None)
    said = done.stderr.decode()
    if done.returncode == 0:
        said += alice.run("listen", "--idle", "2", code=None).stderr.decode()
    assert "public_urls" in said


def test_the_doctor_finds_nothing_wrong_with_it(place: Place) -> None:
    """Every public URL is dialled, through the proxy, and answered by this relay."""
    relay = place.relay
    flags = [f"--{name}={value}" for name, value in relay.settings.items()]
    done = subprocess.run(
        [*relay._command, "doctor", f"--port={relay.port}", f"--data-directory={relay.data_dir}", *flags],
        capture_output=True, text=True, timeout=60, env={**os.environ, "SSL_CERT_FILE": str(place.authority)},
    )  # fmt: skip
    for url in (place.root, place.below):
        assert f"ok       way {url}: is answered by this relay" in done.stdout, done.stdout
    assert "not believed" not in done.stdout
    assert done.returncode == 0


def test_no_address_was_written_down(place: Place) -> None:
    """After all of the above, in every file that relay and proxy left."""
    written = place.files.log + place.relay.log
    for address in ("127.0.0.5", "127.0.0.7", "127.0.0.8", "192.0.2."):
        assert address not in written
    assert "going down" not in written


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "blindpost-relay.service"
    text = (DEPLOY / unit.name).read_text()
    program = tmp_path / "bin" / "blindpost-relay"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit.write_text(text.replace("/opt/blindpost/bin/blindpost-relay", str(program)))
    verified = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60)
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", unit],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert judged.returncode == 0, judged.stdout
