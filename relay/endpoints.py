"""What answers HTTP.

Owns the routes. The WebSocket is none of them: see `relay.websocket`.
"""

import contextlib
import hmac
import ipaddress
import time
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from relay import metrics
from relay.session import ERRORS_BEFORE_CLOSE
from relay.store.base import Condition
from relay.store.writer import WAITING_BYTES
from relay.version import package_version
from wire import limits
from wire.control_values import encode_base64url
from wire.errors import WireError

if TYPE_CHECKING:
    from relay.app import Relay

router = APIRouter()

READY_FOR: Final = 1.0  # seconds: asking more often does not cause more commits
UNREADY: Final = {
    Condition.FULL: "the store cannot write: look for free space and at the log",
    Condition.FAILED: "the disk failed to keep a write: check it, and start the relay again",
    Condition.DAMAGED: "the database is damaged: stop the relay and restore a backup",
}
# What `info` answers, for docs/openapi.json; the limits stand in docs/protocol.md.
INFO: Final[dict[str, Any]] = {
    "type": "object",
    "required": [
        "name",
        "version",
        "protocol_versions",
        "relay_key",
        "public_urls",
        "registration",
        "firewall",
        "limits",
    ],
    "properties": {
        "name": {"type": "string"},
        "version": {"type": "string"},
        "protocol_versions": {"type": "array", "items": {"type": "integer"}},
        "relay_key": {"type": "string", "pattern": "^[A-Za-z0-9_-]{43}$"},
        "public_urls": {"type": "array", "items": {"type": "string"}},
        "registration": {"type": "string"},
        "firewall": {"type": "string"},
        "limits": {"type": "object"},
    },
}
FORWARDED_HEADERS: Final = ("x-forwarded-for", "forwarded", "x-real-ip", "via")
READ: Final = frozenset((b"authorization", *(name.encode() for name in FORWARDED_HEADERS)))


def about(relay: "Relay") -> dict[str, Any]:
    """What a relay says of itself."""
    config = relay.config
    return {
        "name": "blindpost relay",
        "version": package_version(),
        "protocol_versions": [limits.PROTOCOL_VERSION],
        "relay_key": encode_base64url(relay.authority.public),
        "public_urls": list(relay.origins),
        "registration": config.registration,
        "firewall": config.firewall,
        "limits": {
            "envelope_sizes": list(limits.BUCKETS),
            "control_bytes": limits.CONTROL_MAX,
            "control_depth": limits.CONTROL_DEPTH,
            "prekeys_per_page": limits.PREKEYS_PER_PAGE,
            "one_time_prekeys": limits.ONE_TIME_MAX,
            "devices_per_account": limits.DEVICES_PER_ACCOUNT,
            "former_lists": limits.FORMER_LISTS,
            "mailbox_frames": config.mailbox_frames,
            "mailbox_bytes": config.mailbox_bytes,
            "mailbox_ttl": config.mailbox_ttl,
            "request_frames": config.request_frames,
            "request_bytes": config.request_bytes,
            "tokens_per_mailbox": limits.TOKENS_MAX,
            "capabilities_per_device": limits.CAPABILITIES_MAX,
            "attached_per_submit": limits.ATTACHED_MAX,
            "watches_per_submit": limits.WATCHES_MAX,
            "unacknowledged_frames": limits.UNACKNOWLEDGED_FRAMES,
            "unacknowledged_bytes": limits.UNACKNOWLEDGED_BYTES,
            "outbound_bytes": limits.OUTBOUND_BUFFER,
            "buffered_bytes": config.buffered_bytes,
            "login_deadline": config.login_deadline,
            "submit_idle": config.submit_idle,
            "connections": relay.admission.caps.in_all,
            "sockets_before_login": relay.admission.caps.before_login,
            "sockets_before_login_per_prefix": config.sockets_per_prefix,
            "submit_per_prefix": config.submit_per_prefix,
            "errors_per_connection": ERRORS_BEFORE_CLOSE,
            "waiting_bytes": WAITING_BYTES,
            **{
                name: {"burst": rate.burst, "count": rate.more, "seconds": rate.seconds}
                for name, rate in config.rates.items()
            },
            "fragments_per_message": limits.FRAGMENTS_MAX,
            "control_frames": limits.CONTROL_FRAMES_MAX,
            "ping_every": limits.PING_EVERY,
            "dead_after": limits.DEAD_AFTER,
        },
    }


@router.get("/v1/info", responses={200: {"content": {"application/json": {"schema": INFO}}}})
async def info(request: Request) -> JSONResponse:
    """What a client or an operator may know of this relay: versions, key and every limit it enforces."""
    return JSONResponse(about(request.state.relay))


@router.get("/healthz", response_class=PlainTextResponse)
async def health() -> PlainTextResponse:
    """The process answers."""
    return PlainTextResponse("ok\n")


@router.get(
    "/readyz",
    response_class=PlainTextResponse,
    responses={503: {"description": "Not now", "content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def ready(request: Request) -> PlainTextResponse:
    """Whether the store takes writes; 503 when it does not, or when the relay is going down."""
    relay = request.state.relay
    known: tuple[float, Condition] | None = getattr(request.app.state, "ready", None)
    if known is None or time.monotonic() - known[0] > READY_FOR:
        known = (time.monotonic(), await relay.store.condition())
        request.app.state.ready = known
    if relay.draining:
        return PlainTextResponse("going down\n", 503)
    if known[1] is not Condition.READY:
        return PlainTextResponse(UNREADY[known[1]] + "\n", 503)
    return PlainTextResponse("ready\n")


def _may_read_metrics(request: Request, token: str | None) -> bool:
    given = request.headers.get("authorization", "")
    if token is not None and hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        return True
    # Behind a proxy on the same machine everybody comes from loopback: its headers tell.
    if request.client is None or any(name in request.headers for name in FORWARDED_HEADERS):
        return False
    try:
        address = ipaddress.ip_address(request.client.host)
        # Where the relay listens on :: an IPv4 address comes in an IPv6 one.
        return (getattr(address, "ipv4_mapped", None) or address).is_loopback
    except ValueError:
        return False


@router.get(
    "/metrics",
    response_class=PlainTextResponse,
    responses={403: {"description": "Refused", "content": {"text/plain": {"schema": {"type": "string"}}}}},
    openapi_extra={
        "parameters": [
            {"name": name, "in": "header", "required": False, "schema": {"type": "string"}}
            for name in ("Authorization", "X-Forwarded-For")
        ]
    },
)
async def read_metrics(request: Request) -> Response:
    """Prometheus metrics, for loopback or for whoever has the token."""
    relay = request.state.relay
    if not _may_read_metrics(request, relay.config.metrics_token):
        return PlainTextResponse("metrics are for loopback, or for a bearer of metrics_token\n", 403)
    # Asking more often causes no more reads; and what cannot be read now keeps its last value.
    if time.monotonic() - getattr(request.app.state, "measured", float("-inf")) > READY_FOR:
        request.app.state.measured = time.monotonic()
        with contextlib.suppress(WireError, OSError):
            relay.metrics.measured(await relay.store.measure(), relay.surroundings.backlog.count())
    return Response(relay.metrics.render(), media_type=metrics.CONTENT_TYPE)
