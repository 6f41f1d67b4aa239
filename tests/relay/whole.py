"""All parts of a relay in the test's own process, composed as a relay composes them, and never served."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from relay.app import Relay, compose, open_store
from relay.auth import RelayKey
from relay.config import Config
from relay.metrics import Metrics


@asynccontextmanager
async def composed(directory: Path, **settings: object) -> AsyncIterator[Relay]:
    directory.mkdir(exist_ok=True)
    config = Config(data_directory=directory, **settings)  # type: ignore[arg-type]  # settings by their names
    metrics = Metrics()
    store = open_store(config, metrics)
    try:
        yield compose(config, RelayKey.generate(), ("ws://127.0.0.1:1",), store, metrics)
    finally:
        await store.close()
