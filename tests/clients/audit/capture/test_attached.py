"""A relay that somebody else started is found, and whatever of it cannot be seen is said."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from clients.audit.capture.attached import AS_ROOT, AttachedRelay, StrangeRelay
from clients.audit.capture.evidence import Evidence, Place
from clients.audit.capture.processes import begun_with, dialled, family, listening
from clients.audit.capture.relays import Relay, RelayError, connections_of
from clients.audit.capture.sight import Sight
from tests.support.relay_process import RELAY, RelayProcess, free_port

NOBODY = 65534


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    with RelayProcess(tmp_path_factory.mktemp("relay")) as process:
        yield process


@contextmanager
def tls_relay(directory: Path) -> Iterator[tuple[RelayProcess, Path]]:
    authority, chain, key = trustme.CA(), directory / "chain.pem", directory / "key.pem"
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(chain)
    issued.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(directory / "ca.pem")
    with RelayProcess(directory, settings={"tls-certificate": chain, "tls-key": key}) as process:
        yield process, directory / "ca.pem"


def taken(directory: Path, relay: Relay) -> Evidence:
    evidence = Evidence(directory)
    for source in relay.sources():
        evidence.take(source, "now")
    return evidence


@pytest.mark.parametrize("how", ["by its id", "by its URL"])
def test_a_relay_is_found_and_seen_whole(relay: RelayProcess, tmp_path: Path, how: str) -> None:
    found = AttachedRelay.find(str(relay.pid) if how == "by its id" else relay.origin)
    assert (found.pid, found.url) == (relay.pid, relay.origin)
    said = os.urandom(16).hex()
    with relay.log_path.open("a") as log:
        log.write(said)
    evidence = taken(tmp_path, found)
    assert evidence.unread() == []
    assert {place for place, _ in evidence.sights} == set(Place) - {Place.CORE, Place.CLIENT}
    assert all(evidence.size(place) for place in (Place.HTTP, Place.STORE, Place.MEMORY))
    # What was said before it was found holds nothing of this audit.
    assert [data for _, data in evidence.pieces(Place.LOGS)] == [said.encode()]
    assert any(b"SQLite format 3" in data for _, data in evidence.pieces(Place.STORE))
    assert any(b"blindpost_" in data for _, data in evidence.pieces(Place.HTTP))


def test_words_that_go_into_a_pipe_are_unread_until_they_are_named(tmp_path: Path) -> None:
    command = [*RELAY, "--port", str(free_port()), "--data-directory", str(tmp_path / "data")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        pid, log = str(process.pid), tmp_path / "copy.log"
        (tmp_path / "1").mkdir()
        (unread,) = taken(tmp_path / "1", AttachedRelay.find(pid)).unread()
        assert "go to pipe:[" in unread
        assert "--log FILE" in unread
        log.touch()
        (tmp_path / "2").mkdir()
        assert taken(tmp_path / "2", AttachedRelay.find(pid, [log])).unread() == []
        with pytest.raises(RelayError, match="name a file with --log"):
            AttachedRelay.find(pid, [tmp_path / "none"])
        process.terminate()


def test_a_log_that_is_not_what_it_was_is_said(relay: RelayProcess, tmp_path: Path) -> None:
    log = tmp_path / "other.log"
    log.write_text("long before\n" * 10)
    found = AttachedRelay.find(str(relay.pid), [log])
    log.write_text("anew\n")
    for number, said in enumerate(("was begun anew", "is not there any more")):
        (tmp_path / str(number)).mkdir()
        (unread,) = taken(tmp_path / str(number), found).unread()
        assert said in unread
        log.unlink(missing_ok=True)


def test_a_relay_that_has_ended_is_not_seen(tmp_path: Path) -> None:
    with RelayProcess(tmp_path) as process:
        found = AttachedRelay.find(str(process.pid))
    (tmp_path / "seen").mkdir()
    unread = taken(tmp_path / "seen", found).unread()
    assert len(unread) == len(found.sources())


def test_what_is_no_relay_is_said() -> None:
    with pytest.raises(RelayError, match=f"process {os.getpid()} .* is no relay"):
        AttachedRelay.find(str(os.getpid()))
    with pytest.raises(RelayError, match="no process 4194999 runs here"):
        AttachedRelay.find("4194999")
    with pytest.raises(RelayError, match="--url"):
        AttachedRelay.find(f"ws://127.0.0.1:{free_port()}")
    with pytest.raises(RelayError, match="neither a process id nor a URL"):
        AttachedRelay.find("the relay")
    for url in (f"ws://127.0.0.1:{free_port()}", "no url"):
        with pytest.raises(RelayError, match="is no relay, or cannot be reached"):
            StrangeRelay(url)


def test_a_network_of_its_own_is_said() -> None:
    apart = ["unshare", "--net", *(() if os.geteuid() == 0 else ("--user", "--map-root-user"))]
    if subprocess.run([*apart, "true"], check=False, capture_output=True).returncode:
        return  # nobody here has one
    with subprocess.Popen(
        [*apart, "sh", "-c", "echo ready; exec sleep 60"], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        with pytest.raises(RelayError, match=f"nsenter --target {process.pid} --net"):
            AttachedRelay.find(str(process.pid))
        process.kill()


def test_a_relay_that_keeps_nothing_is_said(tmp_path: Path) -> None:
    with (
        RelayProcess(tmp_path, settings={"store": "memory"}) as memory_alone,
        pytest.raises(RelayError, match=r"has no relay\.db open"),
    ):
        AttachedRelay.find(str(memory_alone.pid))


def test_whoever_may_not_look_is_told_what_to_do(relay: RelayProcess, tmp_path: Path) -> None:
    """Root becomes nobody for a while; anybody else looks at the first process."""
    is_root = os.geteuid() == 0
    found = AttachedRelay.find(str(relay.pid))
    try:
        if is_root:
            os.seteuid(NOBODY)
        else:
            found.pid = 1
        with pytest.raises(RelayError, match="as root"):
            AttachedRelay.find(str(found.pid))
        evidence = Evidence(tmp_path)
        for source in found.sources():
            if source.place in (Place.MEMORY, Place.TEMPORARY):
                evidence.take(source, "now")
    finally:
        if is_root:
            os.seteuid(0)
    assert len(evidence.unread()) == 2
    assert all(each.endswith(AS_ROOT) for each in evidence.unread())


def test_a_relay_that_ends_tls_itself(tmp_path: Path) -> None:
    with tls_relay(tmp_path) as (process, ca):
        for place in ("inside", "outside"):
            (tmp_path / place).mkdir()
        assert taken(tmp_path / "inside", AttachedRelay.find(str(process.pid))).unread() == []
        outside = taken(tmp_path / "outside", StrangeRelay(process.origin, ca.read_bytes()))
        assert outside.unread() == []
        assert {place for place, _ in outside.sights} == {Place.HTTP}
        with pytest.raises(RelayError, match="no certificate that is trusted here"):
            StrangeRelay(process.origin)


def test_children_and_their_sockets_are_seen() -> None:
    program = (
        "import os, socket, time\n"
        "with socket.create_server(('127.0.0.1', 0)) as here:\n"
        "    open('/proc/self/comm', 'w').write('a) R 1 (b')\n"
        "    child = os.fork()\n"
        "    if child: print(child, here.getsockname()[1], flush=True)\n"
        "    time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child, port = map(int, process.stdout.readline().split())
        try:
            assert family(process.pid) == [process.pid, child]
            assert listening(child) == [f"127.0.0.1:{port}"]
            os.kill(child, signal.SIGKILL)
            while child in family(process.pid):  # until it has ended; its parent never asks
                time.sleep(0.01)
            assert (Path("/proc") / str(child)).exists()
        finally:
            os.kill(child, signal.SIGKILL)
            process.kill()


ORPHAN = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        time.sleep(60)
    os._exit(0)
os.wait()
time.sleep(60)
"""


def test_who_has_lost_its_parent_is_found_by_a_variable() -> None:
    word = os.urandom(8).hex()
    with subprocess.Popen(
        [sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, env={**os.environ, "FOUND_BY": word}
    ) as process:
        assert process.stdout is not None
        orphan = int(process.stdout.readline())
        try:
            assert orphan not in family(process.pid)
            assert sorted(begun_with(f"FOUND_BY={word}".encode())) == sorted([process.pid, orphan])
            assert begun_with(f"FOUND_BY={word[:-1]}".encode()) == []
        finally:
            os.kill(orphan, signal.SIGKILL)
            process.kill()


def test_ways_out_that_a_process_opened_itself_are_unread() -> None:
    here = os.getpid()
    before = Sight("before")
    assert (list(connections_of([here], "ws://127.0.0.1:1", before)), before.is_whole) == ([], True)
    with socket.create_server(("127.0.0.1", 0)) as door, socket.create_server(("127.0.0.1", 0)) as elsewhere:
        port, other = door.getsockname()[1], elsewhere.getsockname()[1]
        with socket.create_connection(door.getsockname()), door.accept()[0]:
            both = Sight("it is on both ends")
            list(connections_of([here], f"ws://127.0.0.1:{port}", both))
            assert both.unread == [
                f"it listens on port {other}, too, and what it says there was not asked for",
                f"process {here} has a connection to 127.0.0.1:{port}, and what goes there cannot be read",
            ]
        program = (
            "import socket, sys\n"
            "said = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
            "also = socket.socket(type=socket.SOCK_DGRAM)\n"
            "also.bind(('127.0.0.1', 0))\n"
            "local = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
            "print('ready', flush=True)\n"
            "sys.stdin.read()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program, str(other)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            sight = Sight("a process that dials")
            list(connections_of([process.pid], "ws://127.0.0.1:1", sight))
            assert [each.partition(" has ")[2].partition(", and")[0] for each in sight.unread] == [
                f"a connection to 127.0.0.1:{other}",
                "a socket for datagrams to another process",
                "a socket for udp",
            ]
            process.stdin.close()
    gone = Sight("gone")
    list(connections_of([process.pid], "ws://127.0.0.1:1", gone))
    assert not gone.is_whole


@pytest.mark.skipif(sys.byteorder != "little", reason="the entries are written in the machine's order")
@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ("0100007F:2239", "127.0.0.1:8761"),
        ("0501A8C0:01BB", "192.168.1.5:443"),
        ("00000000:2239", "127.0.0.1:8761"),
        ("00000000000000000000000001000000:2239", "[::1]:8761"),
        ("B80D0120000000000000000005000000:2239", "[2001:db8::5]:8761"),
        ("00000000000000000000000000000000:2239", "127.0.0.1:8761"),
    ],
)
def test_places_are_read_as_linux_writes_them(entry: str, place: str) -> None:
    assert dialled(entry) == place


def test_a_relay_with_files_of_its_own_is_seen_whole(tmp_path: Path) -> None:
    """As in a container: where it keeps its data, everybody else sees an empty directory."""
    apart = ["unshare", "--mount", *(() if os.geteuid() == 0 else ("--user", "--map-root-user"))]
    if subprocess.run([*apart, "true"], check=False, capture_output=True).returncode:
        return  # a system that lets nobody have that has no such relay either
    (tmp_path / "relay-data").mkdir()
    mounts = 'mount -t tmpfs none "$0" && exec "$@"'
    command = (*apart, "sh", "-c", mounts, str(tmp_path / "relay-data"), *RELAY)
    with RelayProcess(tmp_path, command=command) as process:
        assert [*process.data_dir.iterdir()] == []
        (tmp_path / "seen").mkdir()
        evidence = taken(tmp_path / "seen", AttachedRelay.find(str(process.pid)))
    assert evidence.unread() == []
    stored = [where for where, _ in evidence.pieces(Place.STORE)]
    assert any("relay.db" in where for where in stored)
    assert any("rows of" in where for where in stored)
