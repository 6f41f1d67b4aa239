"""What a running client leaves for others on its machine: no core dump, and no file that they can read."""

import os
import resource
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.conftest import People
from tests.support.client_process import ClientProcess, Deadline
from tests.support.relay_process import RelayProcess


def core_limit(pid: int) -> str:
    """The limit on the size of a core dump."""
    limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
    (core,) = [line for line in limits if line.startswith("Max core file size")]
    return core.split()[4]


@pytest.fixture
def dumps() -> Iterator[None]:
    """Whatever is started here may write a core dump."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, before)


@pytest.mark.usefixtures("dumps")
def test_no_core_dump_of_a_client_would_be_written(people: People) -> None:
    assert core_limit(os.getpid()) not in ("0", "1"), "here nobody could write one, so this shows nothing"
    (alice,) = people("alice")
    with listening(alice) as process:
        assert core_limit(process.pid) == "1"  # 0 would let it through a pipe
        # Who runs it and root can look into it all the same: so an audit can scan it.
        with Path(f"/proc/{process.pid}/mem").open("rb") as memory:
            assert memory.readable()


@contextmanager
def listening(who: ClientProcess) -> Iterator[subprocess.Popen[bytes]]:
    """`listen`, once all its files are there."""
    running = who.start("listen")
    try:
        deadline = Deadline(f"listen: {who.errors}")
        while not {"socket", "store.db-wal"} <= {file.name for file in who.profile.iterdir()}:
            assert running.process.poll() is None, who.errors
            deadline.turn()
        yield running.process
    finally:
        running.close()


def modes(place: Path) -> dict[str, int]:
    return {str(each.relative_to(place)): stat.S_IMODE(each.stat().st_mode) for each in place.rglob("*")}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_whatever_the_umask_nobody_else_can_read_a_profile(
    relay: RelayProcess, tmp_path: Path, umask: int
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    alice = ClientProcess(home / "data" / "profiles", "alice")
    before = os.umask(umask)
    try:
        alice.init(relay.origin)
        alice.stderr_path = tmp_path / "errors"
        with listening(alice):
            found = modes(home)
        backup = alice.profile.with_name("alice.backup")
        alice.environment["BLINDPOST_BACKUP_PASSPHRASE"] = "correct horse battery staple"
        alice.run("backup", str(backup))
        found |= modes(home)
    finally:
        os.umask(before)
    directories = {"data", "data/profiles", "data/profiles/alice"}
    files = {f"data/profiles/alice/{name}" for name in (
        "lock", "profile.json", "profile.key", "socket", "store.db", "store.db-wal", "store.db-shm",
    )}  # fmt: skip
    assert found == dict.fromkeys(directories, 0o700) | dict.fromkeys(
        files | {"data/profiles/alice.backup"}, 0o600
    )
