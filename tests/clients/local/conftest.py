"""A profile whose relay is not there, open in this process, with its socket."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from clients import clock
from clients.config import ClientConfig
from clients.local.access import Line, OwnLine, access
from clients.messenger import Messenger
from clients.profile import Profile
from tests.support.relay_process import RelayProcess
from wire.addresses import RelayUrl

NOWHERE = RelayUrl.parse("ws://127.0.0.1:1")
FAR = "bp1qk8qsqp7nuceluqrvpgxvcprxxja787kjqhazyfk3euhy3fr70xyqnzq53j@127.0.0.1:1"


def make(directory: Path, name: str = "alice", relay: RelayUrl = NOWHERE) -> ClientConfig:
    config = ClientConfig(directory / name)
    Profile.create(config, relay, clock.now_seconds()).close()
    return config


@pytest.fixture
def config(request: pytest.FixtureRequest, tmp_path: Path) -> ClientConfig:
    """At no relay, or at a real one where a test asks for `bob`."""
    if "bob" not in request.fixturenames:
        return make(tmp_path)
    relay: RelayProcess = request.getfixturevalue("relay")
    return make(tmp_path, relay=RelayUrl.parse(relay.origin))


@pytest.fixture
async def me(config: ClientConfig) -> AsyncIterator[Messenger]:
    """The owner, with a contact named bob."""
    async with Messenger.from_config(config) as messenger:
        messenger.contacts.add("bob", FAR)
        yield messenger


@pytest.fixture(params=["own", "remote"])
async def line(request: pytest.FixtureRequest, me: Messenger, config: ClientConfig) -> AsyncIterator[Line]:
    """A line to the owner: within its process, and through the socket."""
    async with contextlib.AsyncExitStack() as stack:
        if request.param == "own":
            own = OwnLine(me)
            stack.push_async_callback(own.close)
            yield own
        else:
            remote = await stack.enter_async_context(access(config))
            assert not remote.is_owner
            yield remote


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    with RelayProcess(tmp_path_factory.mktemp("relay"), settings={"sockets-per-prefix": 200}) as process:
        yield process


@pytest.fixture
async def bob(me: Messenger, tmp_path: Path, relay: RelayProcess) -> AsyncIterator[Messenger]:
    """Somebody at a real relay who writes to `me`, who is there too."""
    config = make(tmp_path, "bobs", RelayUrl.parse(relay.origin))
    async with Messenger.from_config(config) as messenger:
        messenger.contacts.add("alice", me.address)
        me.contacts.remove("bob")
        me.contacts.add("bob", messenger.address)
        assert await messenger.connected(10)
        yield messenger
