"""The event loop that is asked for is the one that runs, and what waits at the door costs nothing."""

import asyncio
import resource
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trustme

from clients.audit.proving.tripwires import program
from relay import loops
from tests.relay.peers import dial
from tests.support.relay_process import LOOP, RelayProcess, running_relay
from wire.login import Mode

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
WITHOUT_UVLOOP = "sys.modules['uvloop'] = None; from relay.__main__ import main; main(sys.argv[1:])"


def is_uvloop_in(process: RelayProcess) -> bool:
    return "/uvloop/" in Path(f"/proc/{process.pid}/maps").read_text()


@linux
def test_the_relays_of_tests_run_on_the_loop_that_is_said(relay: RelayProcess) -> None:
    assert is_uvloop_in(relay) == (LOOP == "uvloop")


@linux
@pytest.mark.parametrize(("choice", "expected"), [("auto", True), ("uvloop", True), ("asyncio", False)])
def test_the_loop_can_be_chosen(tmp_path: Path, choice: str, expected: bool) -> None:
    with running_relay(tmp_path, loop=choice) as relay:
        assert is_uvloop_in(relay) == expected


def test_a_loop_that_is_not_installed_is_missed_in_one_sentence(tmp_path: Path) -> None:
    flags = ["--loop", "uvloop", "--port", "0", "--data-directory", str(tmp_path)]
    done = subprocess.run(
        [*program(then=WITHOUT_UVLOOP), *flags], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "blindpost relay: loop uvloop is not installed here; run: pip install uvloop, or choose --loop auto\n"
    )


def test_auto_is_asyncio_where_there_is_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert loops.loop_class("auto") is asyncio.SelectorEventLoop


@linux
async def test_a_relay_without_descriptors_waits_and_goes_on_under_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(both := tmp_path / "both.pem"))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with running_relay(tmp_path, tls_certificate=both, tls_key=both) as relay:
        async with dial(relay.url, trusting) as peer:
            await peer.hello(Mode.SUBMIT)
            limits = resource.prlimit(relay.pid, resource.RLIMIT_NOFILE)
            held = len(list(Path(f"/proc/{relay.pid}/fd").iterdir()))
            resource.prlimit(relay.pid, resource.RLIMIT_NOFILE, (held, limits[1]))
            # The kernel lets it in, and the relay cannot: nobody says anything, and nobody computes.
            reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
            used, begun = cpu_seconds(relay.pid), time.monotonic()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), 1.5)
            assert cpu_seconds(relay.pid) - used < 0.5 * (time.monotonic() - begun)
            resource.prlimit(relay.pid, resource.RLIMIT_NOFILE, limits)
            async with asyncio.timeout(20), dial(relay.url, trusting) as other:
                await other.hello(Mode.SUBMIT)
            writer.close()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
