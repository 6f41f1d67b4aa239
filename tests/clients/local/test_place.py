"""The socket's file: private, replaced after a crash, reachable under a long path."""

import os
import socket
import stat
from pathlib import Path

import pytest

from clients.local import place


def talk(profile: Path) -> bytes:
    """What a listener in `profile` says to whoever dials."""
    with place.listen_in(profile) as listening:
        connection = place.dial(profile)
        assert connection is not None
        accepted, _ = listening.accept()
        with connection, accepted:
            accepted.sendall(b"hi")
            connection.setblocking(True)
            return connection.recv(2)


def test_it_is_private_and_where_it_should_be(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with place.listen_in(tmp_path):
            assert stat.S_IMODE((tmp_path / "socket").stat().st_mode) == 0o600
            assert [file.name for file in tmp_path.iterdir()] == ["socket"]
            assert place.is_served(tmp_path)
    finally:
        os.umask(before)
    place.remove_from(tmp_path)
    place.remove_from(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_a_crash_left_behind_is_nobody_and_is_replaced(tmp_path: Path) -> None:
    place.listen_in(tmp_path).close()
    (tmp_path / "socket.new").touch()
    assert (tmp_path / "socket").exists()
    assert not place.is_served(tmp_path)
    assert talk(tmp_path) == b"hi"


@pytest.mark.parametrize("content", [None, b"", b"text"])
def test_no_socket_is_nobody(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "socket").write_bytes(content)
    assert place.dial(tmp_path) is None
    assert place.dial(tmp_path / "none") is None


def test_a_path_longer_than_a_socket_can_have(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    open_before = len(os.listdir("/proc/self/fd"))
    assert talk(deep) == b"hi"
    assert len(os.listdir("/proc/self/fd")) == open_before


def test_another_user_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        assert place.is_ours(one)
        someone = os.geteuid() + 1
        monkeypatch.setattr(os, "geteuid", lambda: someone)
        assert not place.is_ours(one)
    with place.listen_in(tmp_path):
        assert place.dial(tmp_path) is None
