"""One relay for all tests of a file that do not change it; both engines of the store; a bare relay.

Every test here is behind tripwires (`clients.audit.proving.tripwires`), and so is each relay that it starts.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import pytest

from relay.store.base import Store
from tests.relay.engines import Engine, Memory, Sqlite
from tests.relay.shells import Bench
from tests.support.relay_process import LOOP, RelayProcess
from tests.support.tripwires import behind_tripwires

if LOOP == "uvloop":  # tests of parts of a relay run in a loop of pytest's

    def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
        import uvloop

        return {LOOP: uvloop.new_event_loop}


@pytest.fixture(autouse=True)
def tripped(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """What code of a relay in this process called beside signing and verifying: it must stay empty."""
    called: list[str] = []
    with contextlib.ExitStack() as stack:
        if request.node.get_closest_marker("client_crypto") is None:
            called = stack.enter_context(behind_tripwires())
        yield called
    assert called == []


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    with RelayProcess(tmp_path_factory.mktemp("relay"), settings={"sockets-per-prefix": 200}) as process:
        yield process


@pytest.fixture
def quiet(relay: RelayProcess) -> Iterator[None]:
    """Nothing that a peer does is worth a line in the relay's log."""
    before = len(relay.log)
    yield
    assert relay.log[before:] == ""


@pytest.fixture(params=["memory", "sqlite"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engine]:
    engine: Engine = Memory() if request.param == "memory" else Sqlite(tmp_path / "relay.db")
    yield engine
    await engine.store.close()


@pytest.fixture
def store(engine: Engine) -> Store:
    return engine.store


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.close()
