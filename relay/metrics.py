"""What an operator may count: totals, never who.

Owns the counters and the vocabulary of drops, where one word is log word and metric label at once; that of
the rates is `relay.rates`'. No label ever holds a key, an address or a mailbox.
"""

from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from relay.rates import Limit
from wire.errors import ErrorCode
from wire.login import Mode

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


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
    IDLE = "idle"  # connection: a submit connection nobody used
    RESTARTING = "restarting"  # connection: the relay is going down
    TOO_MANY_ERRORS = "too_many_errors"  # connection: the peer kept breaking the protocol
    IMPATIENT = "impatient"  # connection: the peer kept sending what had been refused for now
    SOCKET_RATE = "socket_rate"  # connection: its prefix opened too many in a short time
    BACKLOG = "backlog"  # connection: it held most of what waited to be read, and that was too much in all
    DEAD = "dead"  # connection: answered no ping
    PING_FLOOD = "ping_flood"  # connection: pings and pongs without an end
    TOO_MANY_FRAGMENTS = "too_many_fragments"  # connection: a message in countless parts
    HEAD_TIMEOUT = "head_timeout"  # connection: no complete HTTP request head in time
    HEAD_TOO_LARGE = "head_too_large"  # connection: an endless HTTP request head
    FAULT = "fault"  # connection: a defect of ours


class Metrics:
    """Counters and gauges on a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.accepted: Final = Counter(
            "blindpost_frames_accepted", "Frames stored durably", registry=self.registry
        )
        self.requested: Final = Counter(
            "blindpost_frames_requested", "Frames stored durably as requests", registry=self.registry
        )
        self.delivered: Final = Counter(
            "blindpost_frames_delivered", "Frames handed to a connection", registry=self.registry
        )
        self.acknowledged: Final = Counter(
            "blindpost_frames_acknowledged", "Frames deleted by their device", registry=self.registry
        )
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
        for believed in ("yes", "no"):
            self._forwarded.labels(believed)
        for code in ErrorCode:
            self._refused.labels(code)
        for reason in Drop:
            self._dropped.labels(reason)
        for limit in Limit:
            self._limited.labels(limit)
        for mode in Mode:
            self._connections.labels(mode)

    def refused(self, code: ErrorCode) -> None:
        """Count one refusal."""
        self._refused.labels(code).inc()

    def dropped(self, reason: Drop, count: int = 1) -> None:
        """Count what was let go."""
        self._dropped.labels(reason).inc(count)

    def limited(self, limit: Limit) -> None:
        """Count that a rate was reached."""
        self._limited.labels(limit).inc()

    def forwarded(self, believed: bool) -> None:
        """Count a WebSocket that came through a proxy."""
        self._forwarded.labels("yes" if believed else "no").inc()

    def connected(self, mode: Mode, change: int) -> None:
        """Count a connection in (1) or out (-1)."""
        self._connections.labels(mode).inc(change)

    def render(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self.registry)
