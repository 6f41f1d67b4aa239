"""The ways in: the relay on its own port, and each public URL as a client would dial it, proxies included.

Owns one hello for each and what its answer means. Believes a relay only what its key has signed.
"""

import contextlib
import http.client
import json
import os
import re
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Final, cast

from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync.client import connect

from relay.auth import is_signed
from relay.doctor.certificates import EXPIRES_SOON, days_left
from relay.doctor.findings import Finding, failed, ok, warning
from wire import control
from wire.addresses import RelayUrl
from wire.errors import ErrorCode, WireError
from wire.limits import NONCE, PROTOCOL_VERSION
from wire.login import Greeting, Mode

STEP: Final = 5.0  # seconds for each way
CLOCK_WARN: Final = 60  # seconds
ANSWER_MAX: Final = 1 << 20
_FORWARDED: Final = re.compile(r'^blindpost_forwarded_total\{believed="no"\} ([0-9.e+]+)$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Own:
    """The relay's own port, as this machine reaches it."""

    host: str
    port: int
    tls: bool
    metrics_token: str | None

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, str] | None:
        """Status and text, or None where nobody answers."""
        if self.tls:
            # Our own port: who answers there is shown by the key, and the certificate has a check of its own.
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                self.host, self.port, timeout=STEP, context=context
            )
        else:
            connection = http.client.HTTPConnection(self.host, self.port, timeout=STEP)
        with contextlib.closing(connection):
            try:
                connection.request("GET", path, headers=headers or {})
                answer = connection.getresponse()
                return answer.status, answer.read(ANSWER_MAX).decode("utf-8", "replace")
            except (OSError, http.client.HTTPException):
                return None

    def unbelieved(self) -> float | None:
        """How many connections came through a proxy that is not trusted; None where that is not told."""
        token = {"Authorization": f"Bearer {self.metrics_token}"} if self.metrics_token else {}
        answer = self.get("/metrics", token)
        found = _FORWARDED.search(answer[1]) if answer else None
        return float(found[1]) if found else None


def check_running(own: Own, version: str) -> Finding:
    """Whether a relay answers on its own port, and takes writes."""
    name, place = "relay", f"{own.host} port {own.port}"
    ready, info = own.get("/readyz"), own.get("/v1/info")
    if ready is None or info is None:
        return warning(
            name, f"nothing answers at {place}", "start it, or give this command the relay's settings"
        )
    try:
        told = json.loads(info[1])
        runs = str(told["version"]) if told["name"] == "blindpost relay" else None
    except (ValueError, KeyError, TypeError):
        runs = None
    if runs is None:
        return failed(name, f"something else answers at {place}", "end it, or choose another --port")
    if ready[0] != 200:
        return failed(name, ready[1].strip()[:200], "see docs/operations.md")
    if runs != version:
        what = f"version {runs} runs, and {version} is installed"
        return warning(name, what, "start it again to run what is installed")
    return ok(name, f"runs at {place}, version {runs}, and takes writes")


def check_way(url: str, key: bytes | None, own: Own | None) -> list[Finding]:
    """What a client finds under one of the `public_urls`. `own`: where a relay that runs can be asked."""
    name, relay = f"way {url}", RelayUrl.parse(url)
    before = own.unbelieved() if own else None
    try:
        hello, days, nonce = _greet(relay)
    except InvalidStatus as error:
        return [failed(name, f"answers HTTP {error.response.status_code} to a WebSocket", _PROXY)]
    except ssl.SSLCertVerificationError as error:
        return [failed(name, f"has a certificate that this machine refuses: {error.verify_message}", _RENEW)]
    except socket.gaierror:
        return [failed(name, f"there is no host named {relay.host}", "check the URL and its DNS record")]
    except (OSError, EOFError, WebSocketException, WireError) as error:
        return [failed(name, f"cannot be dialled ({type(error).__name__})", _FIREWALL)]
    if isinstance(hello, control.Error):
        if hello.code is ErrorCode.WRONG_ORIGIN:
            what = "leads to a relay that does not know itself under that URL"
            return [failed(name, what, "list it in that relay's --public-urls, and start it again")]
        return [failed(name, f"is refused: {hello.code}", "look at the relay's log")]
    greeting = Greeting(Mode.SUBMIT, url, hello.relay_key, hello.nonce, nonce, hello.time)
    if not is_signed(hello.relay_key, greeting.hello_bytes(), hello.signature):
        return [failed(name, "is answered with a signature that does not hold", "look who answers there")]
    if key is not None and hello.relay_key != key:
        return [failed(name, "leads to a relay with another key", "check proxy, DNS and --data-directory")]
    findings = [ok(name, "is answered by this relay" if key else "is answered by a relay")]
    if days is not None and days < EXPIRES_SOON:
        findings.append(
            warning(name, f"has a certificate for {days} more days", "look why it is not renewed")
        )
    if abs(hello.time - time.time()) > CLOCK_WARN:
        findings.append(
            warning(name, "its clock and this machine's differ by over a minute", "use NTP on both")
        )
    after = own.unbelieved() if own else None
    if before is not None and after is not None and after > before:
        what = "leads through a proxy whose X-Forwarded-For is not believed, so all its clients share one cap"
        findings.append(warning(name, what, "list the proxy's address in --trusted-proxies"))
    return findings


_PROXY: Final = "the proxy must pass WebSocket upgrades for the path /v1/ws below the URL to the relay"
_RENEW: Final = "renew it, or have its authority trusted; clients may name one with --ca"
_FIREWALL: Final = "check proxy, firewall and port forwarding; some routers cannot be dialled from inside"


def _greet(relay: RelayUrl) -> tuple[control.RelayHello | control.Error, int | None, bytes]:
    """The answer to a hello, the days that the certificate has left, and our nonce."""
    nonce = os.urandom(NONCE)
    hello = control.Hello(mode=Mode.SUBMIT, version=PROTOCOL_VERSION, origin=relay.origin, nonce=nonce)
    url = relay.origin + "/v1/ws"
    with connect(
        url, compression=None, proxy=None, max_size=ANSWER_MAX, open_timeout=STEP, close_timeout=1.0
    ) as websocket:
        days = None
        if isinstance(websocket.socket, ssl.SSLSocket):
            days = days_left(cast(dict[str, object], websocket.socket.getpeercert() or {}))
        websocket.send(hello.encode())
        answer = websocket.recv(STEP)
    message = control.decode_relay_message(answer if isinstance(answer, str) else "")
    if not isinstance(message, control.RelayHello | control.Error):
        raise WireError(ErrorCode.BAD_REQUEST, "no answer to a hello")
    return message, days, nonce
