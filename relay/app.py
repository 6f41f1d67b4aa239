"""The relay, put together: store, mailboxes, directory, metrics and the web application over them.

Owns the composition and the life of what runs beside the connections. Knows no message.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi import FastAPI

from relay import endpoints
from relay.admission import Admission
from relay.auth import Authority, RelayKey
from relay.backlog import Backlog
from relay.config import Config
from relay.connection import Connection
from relay.data_directory import DATABASE
from relay.descriptors import most_connections, most_sockets
from relay.directory import Directory
from relay.logs import LOGGER
from relay.mailboxes import Mailboxes, unix_time
from relay.metrics import Metrics
from relay.presence import Presence
from relay.rates import Limit, Rates
from relay.registration import Registration
from relay.store.base import Store
from relay.store.memory import MemoryStore
from relay.store.sqlite import SqliteStore
from relay.surroundings import Surroundings
from relay.turns import Turns
from wire.limits import PROTOCOL_VERSION

EXPIRE_EVERY: Final = 3600.0
FORGET_EVERY: Final = 2
LAG_EVERY: Final = 0.5
WIPE_EVERY: Final = 10.0  # seconds between attempts, while a copy of the store is being made
WEBSOCKET_PATH: Final = "/v1/ws"

log = logging.getLogger(LOGGER)


@dataclass(slots=True)
class Relay:
    """One running relay."""

    config: Config
    authority: Authority
    origins: tuple[str, ...]
    store: Store
    metrics: Metrics
    mailboxes: Mailboxes
    surroundings: Surroundings
    admission: Admission
    rates: Rates
    heads: Admission  # sockets that have not asked for a WebSocket yet
    most_sockets: int  # of whatever kind: more are not even told why
    turns: Turns
    websocket_paths: frozenset[bytes]
    sockets: int = 0
    connections: set[Connection] = field(default_factory=set)
    empty: asyncio.Event = field(default_factory=asyncio.Event)
    draining: bool = False

    def enter(self, connection: Connection) -> None:
        """A connection begins."""
        self.connections.add(connection)
        self.empty.clear()

    def leave(self, connection: Connection) -> None:
        """A connection ended."""
        self.connections.discard(connection)
        if not self.connections:
            self.empty.set()

    async def drain(self, patience: float) -> None:
        """Tell every connection that the relay goes down; after `patience` seconds cut who is left."""
        self.draining = True
        if not self.connections:
            return
        for connection in tuple(self.connections):
            connection.restart()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self.empty.wait()
        self.cut()

    def cut(self) -> None:
        """Cut every connection now."""
        for connection in tuple(self.connections):
            connection.abort()


def open_store(config: Config, metrics: Metrics) -> Store:
    """The configured store. Raises StoreUnusableError."""
    if config.store == "memory":
        return MemoryStore(config.quota)

    def note(event: str, reason: str) -> None:
        log.error("%s: %s", event, reason)

    return SqliteStore.open(
        config.data_directory / DATABASE, config.quota, note, on_commit=metrics.commit_seconds.observe
    )


def compose(config: Config, key: RelayKey, origins: tuple[str, ...], store: Store, metrics: Metrics) -> Relay:
    """All parts, connected. Raises AllowListError."""
    mailboxes = Mailboxes(store, metrics)

    def fault(error: BaseException) -> None:
        log.error("a connection failed", exc_info=error)

    surroundings = Surroundings(
        mailboxes,
        Directory(store, mailboxes, metrics),
        Presence(),
        metrics,
        Backlog(config.buffered_bytes),
        Registration(config.registration, config.allow_list),
        unix_time,
        config.login_deadline,
        config.submit_idle,
        fault,
    )
    caps = config.caps(most_connections())
    return Relay(
        config,
        Authority(key),
        origins,
        store,
        metrics,
        mailboxes,
        surroundings,
        Admission(caps),
        Rates(config.rates, metrics.limited),
        Admission(caps),
        most_sockets(),
        Turns(asyncio.get_running_loop()),
        # Proxies differ in whether they strip the prefix they were reached under: both forms are served.
        frozenset(path.encode() for path in (WEBSOCKET_PATH, config.root_path + WEBSOCKET_PATH)),
    )


async def sweep(relay: Relay, now: int) -> None:
    """Let go of whatever has had its time at `now`, in Unix seconds, and of what was deleted since the last.

    What is gone from the tables stands in older pages of the log, on a quiet relay for ever. Raises WireError
    of the store.
    """
    await relay.mailboxes.prune(now, relay.config.mailbox_ttl)
    count = await relay.mailboxes.expire(now - relay.config.mailbox_ttl)
    if count:
        log.info("expired %d frames", count)
    await relay.store.wipe()  # where somebody copies the store, the next one does it


async def _expire(relay: Relay) -> None:
    while True:
        try:
            await sweep(relay, unix_time())
        except Exception as error:
            log.error("expiry failed", exc_info=error)
        await asyncio.sleep(EXPIRE_EVERY)


async def _forget(relay: Relay) -> None:
    """Forget who came and asked, once no rate needs it: their order alone ties an address to a token."""
    while True:
        for limit in Limit:
            relay.rates.forget(limit)
            await asyncio.sleep(0)  # one takes a millisecond or two where it remembers as many as it may
        await asyncio.sleep(FORGET_EVERY)


async def _clear(relay: Relay) -> None:
    """Follow every drop; at the start what was not done before the stop."""
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(EXPIRE_EVERY):  # where it failed, once more
                await relay.mailboxes.left_behind.wait()
        try:
            if not await relay.mailboxes.wiped():
                await asyncio.sleep(WIPE_EVERY)
        except Exception as error:
            log.error("dropped mailboxes were not cleared", exc_info=error)


async def _watch_loop(relay: Relay) -> None:
    """Note how late a sleep ends: as late as everything else in this process."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LAG_EVERY
        await asyncio.sleep(LAG_EVERY)
        relay.metrics.lag_seconds.observe(max(0.0, loop.time() - due))


def http_description() -> dict[str, Any]:
    """The HTTP side as an OpenAPI document, which the relay itself does not serve."""
    app = FastAPI(title="blindpost relay, HTTP side", version=str(PROTOCOL_VERSION))
    app.include_router(endpoints.router)
    return app.openapi()


def create_app(relay: Relay) -> FastAPI:
    """The web application. Pages that would load scripts from elsewhere are off, and so is telemetry."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Relay]]:
        beside = [asyncio.create_task(work(relay)) for work in (_expire, _forget, _clear, _watch_loop)]
        try:
            yield {"relay": relay}
        finally:
            for task in beside:
                task.cancel()
            await asyncio.wait(beside)

    app = FastAPI(
        title="blindpost relay",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.include_router(endpoints.router)
    if relay.config.root_path:
        # Both forms, as of the WebSocket's path.
        app.include_router(endpoints.router, prefix=relay.config.root_path)
    return app
