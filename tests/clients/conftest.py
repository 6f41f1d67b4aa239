"""What tests of several files begin with: a relay that no test stops, homes, a clock, quick receipts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.repairs import Clock, exchange
from tests.support.homes import Home, converse
from tests.support.relay_process import RelayProcess


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    with RelayProcess(tmp_path_factory.mktemp("relay"), settings={"sockets-per-prefix": 200}) as process:
        yield process


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Home, Home]:
    alice, bob = Home(tmp_path, "alice"), Home(tmp_path, "bob")
    converse(alice, bob)
    exchange(alice, bob)
    return alice, bob


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture(autouse=True)
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Notes of clients in this process go out at once, where a test says nothing else."""
    monkeypatch.setattr("clients.delays.USUAL", 0.0)
