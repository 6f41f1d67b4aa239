"""The programs in examples/ do what their first lines say, as processes at a real relay."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.client_process import RUN_WITHIN, ClientProcess, Running
from tests.support.relay_process import RelayProcess

EXAMPLES = Path(__file__).parents[2] / "examples"
PORT = "8760"


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[RelayProcess]:
    with RelayProcess(tmp_path) as running:
        yield running


@contextmanager
def program(directory: Path, relay: RelayProcess, name: str, *arguments: str) -> Iterator[Running]:
    """An example in Python, run as a user would, at the test's relay."""
    source = (EXAMPLES / name).read_text().replace(PORT, str(relay.port))
    file = directory / name
    file.write_text(source)
    home = {**os.environ, "HOME": str(directory / "home")}
    home.pop("BLINDPOST_PROFILE", None)
    command = [sys.executable, str(file), *arguments]
    running = Running(subprocess.Popen(command, env=home, stdout=subprocess.PIPE))
    try:
        yield running
    finally:
        running.stop()
        running.close()


def said(running: Running) -> str:
    line = running.line()
    assert line is not None
    return line.decode().strip()


def test_the_presence_watcher_sees_a_friend_come_and_go(tmp_path: Path, relay: RelayProcess) -> None:
    friend = ClientProcess(tmp_path, "friend")
    friend.init(relay.origin)
    with program(tmp_path, relay, "presence.py", friend.address) as watcher:
        address = said(watcher).removeprefix("Watching as ")
        # The watcher is no contact until its friend says so.
        friend.run("contact", "add", "watcher", address)
        for _ in range(2):
            listening = friend.start("--json", "listen")
            assert said(watcher).endswith("friend is online")
            listening.stop()
            listening.close()
            assert said(watcher).endswith("friend is away")


def test_the_alert_is_sent_once_a_day_and_only_when_it_is_full(tmp_path: Path, relay: RelayProcess) -> None:
    cron, ops = ClientProcess(tmp_path, "cron"), ClientProcess(tmp_path, "ops")
    for client in (cron, ops):
        client.init(relay.origin)
    cron.add(ops)
    ops.add(cron)
    environment = {**cron.environment, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def run(limit: str) -> None:
        subprocess.run(
            [EXAMPLES / "alert.sh", "ops", "/", limit], env=environment, timeout=RUN_WITHIN, check=True
        )

    for limit in ("0", "0", "101", "0"):
        run(limit)
    heard = ops.json("listen", "--idle", "1")
    assert [message["text"].partition(": ")[2] for message in heard] == ["/ is more than 0 % full"]


def test_the_alert_waits_for_a_relay_that_is_down(tmp_path: Path, relay: RelayProcess) -> None:
    cron, ops = ClientProcess(tmp_path, "cron"), ClientProcess(tmp_path, "ops")
    for client in (cron, ops):
        client.init(relay.origin)
    cron.add(ops)
    ops.add(cron)
    relay.kill()
    environment = {**cron.environment, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    script: list[str | Path] = [EXAMPLES / "alert.sh", "ops", "/", "0"]
    done = subprocess.run(script, env=environment, timeout=RUN_WITHIN, check=True, capture_output=True)
    assert done.stdout == b""
    relay.start()
    subprocess.run(script, env=environment, timeout=RUN_WITHIN, check=True)
    assert len(ops.json("listen", "--idle", "1")) == 1
