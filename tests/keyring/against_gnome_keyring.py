"""A profile whose key is in a real Secret Service: GNOME Keyring on a D-Bus of its own. Needs both installed.

Run by `make test-keyring`, which installs them; not by `make test`.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.relay_process import RelayProcess

ROOT = Path(__file__).parents[2]
UNLOCKED = "printf 'login passphrase' | gnome-keyring-daemon --unlock --components=secrets >/dev/null"
LOCKED = "gnome-keyring-daemon --start --components=secrets >/dev/null"
WITHIN = 60.0


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[RelayProcess]:
    with RelayProcess(tmp_path) as process:
        yield process


class Desktop:
    """Somebody's sessions, one after the other: the same home, each time another D-Bus."""

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir()
        runtime = home / "runtime"
        runtime.mkdir(mode=0o700)
        self._environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(home),
            "XDG_RUNTIME_DIR": str(runtime),
            "PYTHONPATH": str(ROOT),
            "LANG": "C.UTF-8",
        }

    def session(self, keyring: str | None, *arguments: str) -> tuple[int, str]:
        """Run one `blindpost` in a session with this keyring, or without D-Bus; its exit code and words."""
        command = ["python", "-m", "clients", *arguments]
        if keyring is not None:
            command = ["dbus-run-session", "--", "sh", "-c", f'{keyring}; exec "$@"', "sh", *command]
        done = subprocess.run(
            command,
            env=self._environment, capture_output=True, text=True, timeout=WITHIN,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr


def test_a_profile_opens_in_a_session_that_is_unlocked_and_in_no_other(
    tmp_path: Path, relay: RelayProcess
) -> None:
    desktop = Desktop(tmp_path / "home")
    init = ("init", "--relay", relay.origin, "--keyring")
    code, said = desktop.session(None, *init)
    assert (code, "No keyring of the system can be used here" in said) == (7, True), said
    code, said = desktop.session(UNLOCKED, *init)
    assert code == 0, said
    assert not [*desktop.home.rglob("profile.key")]
    assert [*desktop.home.rglob("store.db")]
    code, said = desktop.session(UNLOCKED, "address", "--bare")
    assert (code, said[:3]) == (0, "bp1"), said
    code, said = desktop.session(LOCKED, "address", "--bare")
    assert (code, "The system keyring is locked" in said) == (7, True), said
    code, said = desktop.session(None, "address", "--bare")
    assert (code, "No keyring of the system can be used here" in said) == (7, True), said
