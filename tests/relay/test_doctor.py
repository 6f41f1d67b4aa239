"""What the relay's doctor finds, on real files, certificates and relays that are as they should not be."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apsw
import pytest
import trustme

from relay.config import Config
from relay.doctor import machine
from relay.doctor.certificates import check_certificate
from relay.doctor.examination import examine
from relay.doctor.findings import Finding, Verdict
from relay.doctor.ways import check_way
from relay.store import schema
from relay.store.base import Quota
from relay.store.sqlite import SqliteStore
from tests.relay.devices import HELD, NOW
from tests.relay.engines import frames, registered
from tests.support.relay_process import RELAY, RelayProcess, free_port

OK, WARNING, FAILED = Verdict


def found(findings: Iterator[Finding], check: str) -> Finding:
    """The only one of that name."""
    (one,) = [finding for finding in findings if finding.check == check]
    assert one.advice or one.verdict is OK, one
    return one


def looked(check: str, **settings: object) -> Finding:
    return found(examine(Config(**{"port": 0, **settings})), check)  # type: ignore[arg-type]  # as a file gives them


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """What a relay that was stopped left."""
    directory = tmp_path / "data"
    directory.mkdir(0o700)
    (directory / "relay.key").write_bytes(os.urandom(32))
    (directory / "relay.key").chmod(0o600)
    store = SqliteStore.open(directory / "relay.db")
    account = await registered(store)
    await store.put(account.device.key, frames(3), NOW, HELD)
    await store.close()
    return directory


async def test_all_is_well_with_a_relay_that_was_stopped(data: Path) -> None:
    findings = list(examine(Config(data_directory=data, port=0)))
    assert {f.check: f.what for f in findings if f.verdict is not OK and f.check != "clock"} == {}
    assert "1 mailboxes, 3 frames" in found(iter(findings), "database").what
    assert found(iter(findings), "newest").verdict is OK


def test_nothing_is_there_yet(tmp_path: Path) -> None:
    assert looked("data directory", data_directory=tmp_path / "new").verdict is WARNING
    assert looked("database", data_directory=tmp_path).verdict is OK
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "content", "check", "word"),
    [
        ("relay.db", b"", "database", "damaged|not a relay's"),
        ("relay.db", os.urandom(20_000), "database", "damaged"),
        ("relay.db", None, "database", "missing"),
        ("relay.key", b"short", "key", "not a relay key"),
        ("relay.key", None, "key", "not there"),
        ("relay.mark", None, "newest", "does not tell"),
    ],
)
async def test_files_that_are_lost_or_damaged(
    name: str, content: bytes | None, check: str, word: str, data: Path
) -> None:
    if content is None:
        (data / name).unlink()
    else:
        (data / name).write_bytes(content)
    before = {path.name: path.read_bytes() for path in data.iterdir()}
    finding = looked(check, data_directory=data)
    assert finding.verdict is (WARNING if check == "newest" else FAILED)
    assert any(part in finding.what for part in word.split("|")), finding
    # Reading leaves an empty log and its index beside a database that nobody has open, and nothing else.
    after = {path.name: path.read_bytes() for path in data.iterdir()}
    assert after.pop("relay.db-wal", b"") == b""
    after.pop("relay.db-shm", None)
    assert after == before


async def test_damage_inside_newer_and_foreign_databases(data: Path) -> None:
    path, good = data / "relay.db", (data / "relay.db").read_bytes()
    path.write_bytes(good[:8192] + os.urandom(20_000) + good[28_192:])
    assert "damaged" in looked("database", data_directory=data).what
    for pragma, value, word in (
        ("application_id", 7, "not a relay's"),
        ("user_version", len(schema.MIGRATIONS) + 1, "newer"),
    ):
        path.write_bytes(good)
        connection = apsw.Connection(str(path))
        connection.pragma(pragma, value)
        connection.close()
        finding = looked("database", data_directory=data)
        assert finding.verdict is FAILED
        assert word in finding.what


async def test_a_column_that_is_not_declared_is_named(data: Path) -> None:
    connection = apsw.Connection(str(data / "relay.db"))
    connection.execute("ALTER TABLE frames ADD COLUMN sender BLOB")
    connection.close()
    finding = looked("database", data_directory=data)
    assert finding.verdict is FAILED
    assert "frames.sender, which the ledger of metadata does not declare" in finding.what


async def test_an_older_copy_is_noticed_before_the_relay_starts_on_it(data: Path) -> None:
    older = shutil.copy(data / "relay.db", data.parent / "older")
    store = SqliteStore.open(data / "relay.db")
    key = (await registered(store)).device.key
    await store.put(key, frames(5), NOW, HELD)
    await store.close()
    shutil.copy(older, data / "relay.db")
    finding = looked("newest", data_directory=data)
    assert (finding.verdict, "at least 5 accepted frames" in finding.what) == (WARNING, True)


async def test_what_others_can_read_or_write(data: Path) -> None:
    (data / "relay.db").chmod(0o644)
    finding = looked("data directory", data_directory=data)
    assert (finding.verdict, finding.advice) == (WARNING, f"run: chmod 600 {data / 'relay.db'}")
    data.chmod(0o777)
    assert "others can write" in looked("data directory", data_directory=data).what


@pytest.mark.parametrize(
    ("free", "verdict"), [(1000, FAILED), (1 << 28, WARNING), (1 << 33, WARNING), (1 << 40, OK)]
)
def test_free_space_against_what_mailboxes_may_hold(
    free: int, verdict: Verdict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=free))
    assert machine.check_space(tmp_path, Quota(), 1000, 5).verdict is verdict


def test_clock_and_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.check_clock(int(time.time()) + 3600).verdict is FAILED
    assert machine.check_clock(int(time.time())).verdict is OK
    for limit, verdict in ((None, OK), (100_000, OK), (256, WARNING)):
        monkeypatch.setattr(machine, "hard_limit", lambda limit=limit: limit)
        assert machine.check_open_files().verdict is verdict


def certificate(directory: Path, *names: str, days: float = 90) -> tuple[Path, Path]:
    until = datetime.now(UTC) + timedelta(days=days)
    issued = trustme.CA().issue_cert(*names, not_before=until - timedelta(days=400), not_after=until)
    issued.cert_chain_pems[0].write_to_path(directory / "cert.pem")
    issued.private_key_pem.write_to_path(directory / "key.pem")
    return directory / "cert.pem", directory / "key.pem"


@pytest.mark.parametrize(
    ("names", "days", "verdict", "word"),
    [
        (["relay.example", "127.0.0.1"], 90, OK, "89 more days"),
        (["relay.example", "127.0.0.1"], 5, WARNING, "4 more days"),
        (["relay.example", "127.0.0.1"], -1, FAILED, "expired"),
        (["relay.example"], 90, FAILED, "not for 127.0.0.1"),
        (["127.0.0.1"], 90, FAILED, "not for relay.example"),
    ],
)
def test_certificates(names: list[str], days: float, verdict: Verdict, word: str, tmp_path: Path) -> None:
    files = certificate(tmp_path, *names, days=days)
    finding = check_certificate(*files, ["relay.example", "127.0.0.1"])
    assert (finding.verdict, word in finding.what) == (verdict, True), finding


def test_a_key_that_does_not_fit(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    mine, _ = certificate(tmp_path, "relay.example")
    _, other = certificate(tmp_path / "other", "relay.example")
    assert "do not work together" in check_certificate(mine, other, ["relay.example"]).what
    assert check_certificate(mine, tmp_path / "none", ["relay.example"]).verdict is FAILED


def by_command(relay: RelayProcess, *more: str) -> tuple[int, dict[str, dict[str, str | None]]]:
    flags = [f"--{name}={value}" for name, value in relay.settings.items()]
    place = [f"--port={relay.port}", f"--data-directory={relay.data_dir}"]
    done = subprocess.run(
        [*RELAY, "doctor", "--json", *place, *flags, *more],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stderr == ""
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, {line["check"]: line for line in lines}


def test_a_relay_that_runs_is_asked_and_dialled(tmp_path: Path) -> None:
    relay = RelayProcess(tmp_path)
    url = relay.origin
    relay.settings["public-urls"] = url
    with relay:
        code, told = by_command(relay)
        assert code == 0
        assert told["relay"]["verdict"] == told[f"way {url}"]["verdict"] == "ok"
        assert "by this relay" in str(told[f"way {url}"]["what"])
        other = f"ws://localhost:{relay.port}"
        code, told = by_command(relay, f"--public-urls={other},ws://no.such.host.invalid,{url}/prefix")
        assert code == 3
        assert "does not know itself" in str(told[f"way {other}"]["what"])
        assert "no host named" in str(told["way ws://no.such.host.invalid"]["what"])
        assert "HTTP 403" in str(told[f"way {url}/prefix"]["what"])
    key = relay.data_dir / "relay.key"
    relay.terminate()
    with relay:
        key.write_bytes(os.urandom(32))
        code, told = by_command(relay)
        assert (code, "another key" in str(told[f"way {url}"]["what"])) == (3, True)
    code, told = by_command(relay)
    assert "nothing answers" in str(told["relay"]["what"])
    assert code == 3


class Forwarder:
    """A proxy of the simplest kind: it adds X-Forwarded-For to the first head, and passes on the rest."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [self._begin(self._serve)]

    def _begin(self, work: Callable[..., None], *given: socket.socket) -> threading.Thread:
        thread = threading.Thread(target=work, args=given, daemon=True)
        thread.start()
        return thread

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._threads.append(self._begin(self._forward, client))

    def _forward(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._to)) as relay:
            head = client.recv(65_536)
            relay.sendall(head.replace(b"\r\n", b"\r\nX-Forwarded-For: 192.0.2.7\r\n", 1))
            back = self._begin(self._pass, relay, client)
            self._pass(client, relay)
            back.join()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65_536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def close(self) -> None:
        """Wait for all that it began: a socket that a thread still holds would end in another test."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)


@pytest.mark.parametrize("trusted", [False, True])
def test_a_proxy_that_is_not_trusted_is_noticed(trusted: bool, tmp_path: Path) -> None:
    relay = RelayProcess(tmp_path)
    proxy = Forwarder(relay.port)
    url = f"ws://127.0.0.1:{proxy.port}"
    relay.settings["public-urls"] = url
    if trusted:
        relay.settings["trusted-proxies"] = "127.0.0.1"
    with relay:
        done = subprocess.run(
            [*RELAY, "doctor", f"--port={relay.port}",
             f"--data-directory={relay.data_dir}", f"--public-urls={url}"],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    proxy.close()
    assert done.returncode == 0
    assert ("not believed" in done.stdout) is not trusted
    assert f"ok       way {url}" in done.stdout


async def test_something_else_that_answers_is_told_from_a_relay(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    finding = await asyncio.to_thread(looked, "relay", data_directory=tmp_path, port=port)
    assert (finding.verdict, "something else" in finding.what) == (FAILED, True)
    (way,) = await asyncio.to_thread(check_way, f"ws://127.0.0.1:{port}", None, None)
    assert (way.verdict, "HTTP 200" in way.what) == (FAILED, True)
    server.close()
    (way,) = check_way(f"ws://127.0.0.1:{free_port()}", None, None)
    assert (way.verdict, "cannot be dialled" in way.what) == (FAILED, True)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"host": "0.0.0.0"}, "nobody else"),  # noqa: S104 - examined, not listened on
        ({"public_urls": "ws://relay.example"}, "no TLS"),
        ({"public_urls": "wss://relay.example"}, "trusted_proxies is not set"),
        ({"store": "memory"}, "forgotten"),
    ],
)
def test_settings_that_somebody_will_regret(
    settings: dict[str, str], word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.doctor.examination.check_way", lambda *_: [])
    findings = list(examine(Config(data_directory=tmp_path, port=0, **settings)))  # type: ignore[arg-type]  # as a file gives them
    assert [f.verdict for f in findings if f.check == "settings" and word in f.what] == [WARNING]


def test_no_finding_quotes_the_metrics_token(tmp_path: Path) -> None:
    token = "a token of some length"
    findings = examine(Config(data_directory=tmp_path, port=free_port(), metrics_token=token))
    assert not [finding for finding in findings if token in str(finding)]
