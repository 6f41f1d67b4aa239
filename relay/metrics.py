"""What an operator may count: totals, never who.

Owns the counters and the vocabulary of drops, where one word is log word and metric label at once; that of
the rates is `relay.rates`'. No label ever holds a key, an address or a mailbox.
"""

import logging
import time
from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from relay.logs import LOGGER
from relay.rates import Limit
from relay.store.base import Measure
from relay.version import package_version
from wire.errors import ErrorCode
from wire.login import Mode

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
BELIEVED: Final = ("yes", "no")
VERSIONS: Final = (package_version(),)
COMMIT_SECONDS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
LAG_SECONDS: Final = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)

log = logging.getLogger(LOGGER)


class Drop(StrEnum):
    """Why the relay let go of a frame or a connection."""

    EXPIRED = "expired"  # frame: outlived the mailbox TTL
    DAMAGED = "damaged"  # frame: decayed on the relay's disk
    TOO_MANY_SOCKETS = "too_many_sockets"  # connection: a cap before or after login
    LOGIN_TIMEOUT = "login_timeout"  # connection: no finished hello or login in time
    SLOW_READER = "slow_reader"  # connection: the outbound queue was full
    DEAF = "deaf"  # connection: would not take its last words, or its HTTP response
    REPLACED = "replaced"  # connection: the device came back on a newer one
    DEVICE_REMOVED = "device_removed"  # connection: the device was dropped from its list
    ACCOUNT_DELETED = "account_deleted"  # connection: of a device whose account was deleted by its owner
    IDLE = "idle"  # connection: a submit connection nobody used
    RESTARTING = "restarting"  # connection: the relay is going down
    TOO_MANY_ERRORS = "too_many_errors"  # connection: the peer kept breaking the protocol
    IMPATIENT = "impatient"  # connection: the peer kept sending what had been refused for now
    SOCKET_RATE = "socket_rate"  # connection: its prefix opened too many in a short time
    HTTP_RATE = "http_rate"  # connection: its prefix made too many HTTP requests in a short time
    BACKLOG = "backlog"  # connection: it held most of what waited to be read, and that was too much in all
    DEAD = "dead"  # connection: answered no ping
    PING_FLOOD = "ping_flood"  # connection: pings and pongs without an end
    TOO_MANY_FRAGMENTS = "too_many_fragments"  # connection: a message in countless parts
    HEAD_TIMEOUT = "head_timeout"  # connection: no complete HTTP request head in time
    HEAD_TOO_LARGE = "head_too_large"  # connection: an endless HTTP request head
    FAULT = "fault"  # connection: a defect of ours


class Tally:
    """A counter on the way of every frame: a plain number, which the registry gets when it is read."""

    __slots__ = ("_counter", "_read", "value")

    def __init__(self, name: str, what: str, registry: CollectorRegistry) -> None:
        self._counter = Counter(name, what, registry=registry)
        self._read = 0
        self.value = 0

    def inc(self, count: int = 1) -> None:
        """Count so many."""
        self.value += count

    def read(self) -> None:
        """Let the registry know."""
        self._counter.inc(self.value - self._read)
        self._read = self.value


class Metrics:
    """Counters and gauges on a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._tallies: list[Tally] = []
        self.accepted: Final = self._tally("accepted", "Frames stored durably, or acknowledged before")
        self.requested: Final = self._tally("requested", "Frames stored durably as requests")
        self.delivered: Final = self._tally("delivered", "Frames handed to a connection")
        self.acknowledged: Final = self._tally("acknowledged", "Frames deleted by their device")
        self.logins: Final = Counter("blindpost_logins", "Logins that held", registry=self.registry)
        self.bundles: Final = Counter(
            "blindpost_bundles_served", "Fetches answered with a bundle", registry=self.registry
        )
        self._refused = Counter(
            "blindpost_refused", "Requests and frames refused", ["code"], registry=self.registry
        )
        self._dropped = Counter(
            "blindpost_dropped", "Frames and connections let go", ["reason"], registry=self.registry
        )
        self._limited = Counter(
            "blindpost_limited", "Times that a rate was reached", ["rate"], registry=self.registry
        )
        self._connections = Gauge(
            "blindpost_connections", "Open connections past their hello", ["mode"], registry=self.registry
        )
        self._forwarded = Counter(
            "blindpost_forwarded",
            "WebSockets that came with X-Forwarded-For, from a trusted proxy or not",
            ["believed"],
            registry=self.registry,
        )
        self.commit_seconds: Final = Histogram(
            "blindpost_commit_seconds",
            "From the begin of a transaction to the end of its fsync",
            buckets=COMMIT_SECONDS,
            registry=self.registry,
        )
        self.lag_seconds: Final = Histogram(
            "blindpost_loop_lag_seconds",
            "How late the event loop is, twice a second",
            buckets=LAG_SECONDS,
            registry=self.registry,
        )
        self._store_frames = self._gauge("blindpost_store_frames", "Frames that wait in all mailboxes")
        self._store_bytes = self._gauge("blindpost_store_bytes", "Bytes that the store takes on its disk")
        self._store_waiting = self._gauge("blindpost_store_waiting", "Writes that wait for the next commit")
        self._store_missing = self._gauge(
            "blindpost_store_missing_frames", "Accepted frames that the last start found to be lost, at least"
        )
        self._buffered = self._gauge("blindpost_buffered_bytes", "Bytes that peers have not read yet")
        self._gauge("blindpost_start_time_seconds", "Unix time of the start").set(time.time())
        build = Gauge("blindpost_build_info", "What runs here", ["version"], registry=self.registry)
        build.labels(*VERSIONS).set(1)
        for believed in BELIEVED:
            self._forwarded.labels(believed)
        for code in ErrorCode:
            self._refused.labels(code)
        for reason in Drop:
            self._dropped.labels(reason)
        for limit in Limit:
            self._limited.labels(limit)
        self._connected = {mode: self._connections.labels(mode) for mode in Mode}

    def _tally(self, name: str, what: str) -> Tally:
        self._tallies.append(Tally(f"blindpost_frames_{name}", what, self.registry))
        return self._tallies[-1]

    def _gauge(self, name: str, what: str) -> Gauge:
        return Gauge(name, what, registry=self.registry)

    def refused(self, code: ErrorCode) -> None:
        """Count one refusal."""
        log.debug("refused: %s", code)
        self._refused.labels(code).inc()

    def dropped(self, reason: Drop, count: int = 1) -> None:
        """Count what was let go."""
        log.debug("dropped: %s, %d", reason, count)
        self._dropped.labels(reason).inc(count)

    def limited(self, limit: Limit) -> None:
        """Count that a rate was reached."""
        log.debug("limited: %s", limit)
        self._limited.labels(limit).inc()

    def forwarded(self, believed: bool) -> None:
        """Count a WebSocket that came through a proxy."""
        self._forwarded.labels("yes" if believed else "no").inc()

    def connected(self, mode: Mode, change: int) -> None:
        """Count a connection in (1) or out (-1)."""
        self._connected[mode].inc(change)

    def measured(self, store: Measure, buffered: int) -> None:
        """Take in what is known only when somebody asks."""
        self._store_frames.set(store.frames)
        self._store_bytes.set(store.bytes)
        self._store_waiting.set(store.waiting)
        self._store_missing.set(store.missing)
        self._buffered.set(buffered)

    def render(self) -> bytes:
        """The Prometheus text format."""
        for tally in self._tallies:
            tally.read()
        return generate_latest(self.registry)
