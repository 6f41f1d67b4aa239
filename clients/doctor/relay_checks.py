"""The checks of a relay, from its name to its login: every step, so that the first broken one is named.

Owns what is asked of the relay and how long is waited. Believes nothing that the relay says about itself but
what its key has signed. Sends nothing that another process of the same profile could notice.
"""

import asyncio
import json
import os
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Final

from clients.connection import Disconnected, dial
from clients.doctor.findings import Finding, failed, ok, quoted, warning
from clients.doctor.network import get, look_up, reach
from clients.errors import ExitCode, RelayError, TrustError
from clients.route import DIRECT, Proxy, Route
from clients.tunnel import ProxyRefused, connect
from keys.identities import Device
from keys.primitives import equal
from wire.addresses import RelayUrl
from wire.control_values import encode_base64url
from wire.errors import ErrorCode
from wire.limits import PROTOCOL_VERSION
from wire.login import Greeting, Mode

STEP: Final = 4.0  # seconds for each step
TOTAL: Final = 10.0  # seconds for all of them
EXPIRES_SOON: Final = 14 * 86_400
CLOCK_WARN: Final = 60
CLOCK_FAIL: Final = 86_400
_RELAY: Final = ExitCode.RELAY
_TAKES: Final = {
    "invite": "; takes new accounts by invite",
    "allow-list": "; takes new accounts that its operator has listed",
}

# OpenSSL's X509_V_ERR codes.
_NOT_YET, _EXPIRED, _OTHER_NAME, _OTHER_IP = 9, 10, 62, 64


def nobody_else() -> AbstractContextManager[bool]:
    """There is no profile that anybody could have open."""
    return nullcontext(True)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the relay beforehand.

    `refusal` is what was said when the account was to be registered. The login is tried with `device`, while
    `free` says that nobody else has the profile, or gets it: the relay lets one connection of a device live.
    """

    relay: RelayUrl
    route: Route = DIRECT
    pinned: bytes | None = None
    device: Device | None = field(default=None, repr=False)
    refusal: str | None = None
    free: Callable[[], AbstractContextManager[bool]] = nobody_else


class RelayChecks:
    """One examination of one relay."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._relay = known.relay
        self._proxy = known.route.proxy
        self._end = 0.0

    def _step(self) -> asyncio.Timeout:
        """A deadline for the next step, which the whole must keep, too."""
        return asyncio.timeout_at(min(asyncio.get_running_loop().time() + STEP, self._end))

    async def run(self) -> AsyncIterator[Finding]:
        """Every finding as it is made; a step that failed ends those that need it."""
        self._end = asyncio.get_running_loop().time() + TOTAL
        async for found in self._way():
            yield found
            if found.code:
                return
        if self._relay.scheme == "wss":
            found = await self._certificate()
            yield found
            if found.code:
                return
        else:
            yield self.unprotected()
        yield await self._info()
        async for found in self._greet():
            yield found

    # --- the way there ----------------------------------------------------------------------------------

    async def _way(self) -> AsyncIterator[Finding]:
        """The relay's name and its addresses, or the proxy to which both are left."""
        if self._proxy is not None:
            yield await self._through(self._proxy)
            return
        try:
            async with self._step():
                places = await look_up(self._relay)
        except TimeoutError:
            what = f"looking up {self._relay.host} took more than {STEP:g} s"
            yield failed("name", what, "check this machine's network and name server", _RELAY)
            return
        except OSError:
            what = f"there is no host named {self._relay.host}"
            yield failed("name", what, "check the spelling of the relay, and this machine's network", _RELAY)
            return
        if places != [self._relay.host]:
            yield ok("name", f"{self._relay.host} is {', '.join(places)}")
        yield await self._connect(places)

    async def _through(self, proxy: Proxy) -> Finding:
        """Whether the proxy connects. The relay's name is not looked up here: somebody could watch that."""
        name, advice = "proxy", "check BLINDPOST_PROXY, and whether the proxy may connect to the relay"
        try:
            async with self._step():
                _, writer = await connect(self._relay, self._known.route, tls=False)
        except TimeoutError:
            return failed(name, f"{proxy} did not connect to the relay within {STEP:g} s", advice, _RELAY)
        except ProxyRefused as refused:
            said = (
                proxy.strange if refused.status is None else proxy.refusal(str(self._relay), refused.status)
            )
            return failed(name, said.rstrip("."), None if refused.status is None else advice, _RELAY)
        except (OSError, ValueError):
            return failed(name, f"{proxy} cannot be reached", advice, _RELAY)
        writer.transport.abort()
        return ok(name, f"{proxy} connects to the relay; its name and addresses are left to the proxy")

    async def _connect(self, places: list[str]) -> Finding:
        """TCP, over every address of the name: clients try one after the other."""
        port = self._relay.port
        tries = await asyncio.gather(*(reach(place, port, self._step()) for place in places))
        if all(why is None for why in tries):
            return ok("connection", f"port {port} answers")
        refused = [place for place, why in zip(places, tries, strict=True) if why is not None]
        if len(refused) < len(places):
            what = f"port {port} answers, but not at {', '.join(refused)}"
            return warning("connection", what, "connecting may take longer; tell the relay's operator")
        if "refused" in tries:
            what = f"nobody listens at port {port} of {self._relay.host}"
            return failed("connection", what, "start the relay, or check the port in its URL", _RELAY)
        why = tries[0] or "no answer"
        advice = "check this machine's network; a firewall may be in between"
        return failed("connection", f"port {port} of {self._relay.host}: {why}", advice, _RELAY)

    def unprotected(self) -> Finding:
        """What there is to say of a relay that is reached without TLS."""
        if self._relay.text == self._relay.origin:  # not loopback, where `ws` goes without saying
            what = "this relay is used without TLS: the network between can see and stop, not read"
            return warning("certificate", what, "use wss:// if the relay offers it")
        return ok("certificate", "none needed on this machine's own loopback")

    async def _certificate(self) -> Finding:
        name = "certificate"
        try:
            async with self._step():
                _, writer = await connect(self._relay, self._known.route, tls=True)
        except ssl.SSLCertVerificationError as error:
            return self._mistrusted(error)
        except TimeoutError:
            what = f"TLS was not agreed upon within {STEP:g} s"
            return failed(name, what, "check the port; it may speak something else", _RELAY)
        except (OSError, ValueError, ProxyRefused):
            what = f"port {self._relay.port} speaks no TLS that this client understands"
            return failed(name, what, "check the port; a relay without TLS has a URL in ws://", _RELAY)
        peer = writer.get_extra_info("peercert") or {}
        version = writer.get_extra_info("ssl_object").version()
        writer.transport.abort()
        left = ssl.cert_time_to_seconds(str(peer["notAfter"])) - time.time()
        until = time.strftime("%Y-%m-%d", time.gmtime(ssl.cert_time_to_seconds(str(peer["notAfter"]))))
        if left < EXPIRES_SOON:
            days = max(0, int(left // 86_400))
            what = f"is valid, but expires on {until}, in {days} days"
            return warning(name, what, "ask the relay's operator to renew it")
        return ok(name, f"is valid until {until} ({version})")

    def _mistrusted(self, error: ssl.SSLCertVerificationError) -> Finding:
        name, operator = "certificate", "ask the relay's operator"
        match error.verify_code:
            case code if code == _EXPIRED:
                what, advice = "has expired", f"{operator} to renew it, or check this machine's clock"
            case code if code == _NOT_YET:
                what, advice = "is not valid yet", "check this machine's clock"
            case code if code in (_OTHER_NAME, _OTHER_IP):
                what = f"is not for {self._relay.host}"
                advice = f"check the host's name in the relay's URL, or {operator}"
            case _:
                what = f"is not signed by an authority that is trusted here ({error.verify_message})"
                advice = "if it is your own authority's, name it: blindpost init --ca FILE"
        return failed(name, what, advice, _RELAY)

    # --- what answers there -----------------------------------------------------------------------------

    async def _info(self) -> Finding:
        """`GET /v1/info`: the relay's versions. A proxy may hide it, and everything else may work."""
        name = "http"
        advice = "check the path in the relay's URL, and the proxy in front of the relay, if there is one"
        try:
            async with self._step():
                status, body = await get(self._relay, self._known.route, "/v1/info")
        except TimeoutError:
            return warning(name, f"no answer to {self._info_url} within {STEP:g} s", advice)
        except (OSError, ValueError, ProxyRefused):
            return warning(name, f"what answers at {self._info_url} is not HTTP", advice)
        try:
            said = json.loads(body)
            version, versions = said["version"], said["protocol_versions"]
            if status != 200 or not isinstance(version, str) or not isinstance(versions, list):
                raise ValueError
        except (ValueError, KeyError, TypeError, RecursionError):
            return warning(name, f"what answers at {self._info_url} is no relay (status {status})", advice)
        if PROTOCOL_VERSION not in versions:
            what = f"the relay speaks protocol versions {quoted(versions)}, this client {PROTOCOL_VERSION}"
            return failed(name, what, "upgrade blindpost, or ask the relay's operator to", _RELAY)
        taken = _TAKES.get(str(said.get("registration")), "")
        return ok(name, f"blindpost relay {quoted(version)} answers, protocol {PROTOCOL_VERSION}{taken}")

    @property
    def _info_url(self) -> str:
        return "http" + self._relay.origin.removeprefix("ws") + "/v1/info"

    # --- who answers there ------------------------------------------------------------------------------

    async def _greet(self) -> AsyncIterator[Finding]:
        """The WebSocket's signed hello, the relay's key, its clock; then the login."""
        before = time.time()
        found = await self._hello(Mode.SUBMIT)
        if isinstance(found, Finding):
            yield found
            return
        yield ok("hello", "the relay has proved its key")
        yield (key := self._key(found))
        yield _clock(found.time - (before + time.time()) / 2)
        if self._known.device is not None and not key.code:
            with self._known.free() as is_free:
                login = await self._hello(Mode.DEVICE, self._known.device) if is_free else None
            if isinstance(login, Finding):
                yield login

    async def _hello(self, mode: Mode, device: Device | None = None) -> Greeting | Finding:
        """What both sides know after the hello, or a finding: why there is none, or how the login went."""
        name = "hello" if device is None else "login"
        try:
            async with (
                self._step(),
                dial(self._relay, mode, self._known.pinned if device else None, os.urandom, self._known.route)
                as connection,
            ):  # fmt: skip
                if device is None:
                    return connection.greeting
                welcome = await connection.log_in(device)
        except TimeoutError:
            return failed(name, f"the relay did not answer within {STEP:g} s", "try again later", _RELAY)
        except Disconnected as error:
            return failed(name, quoted(error), _advice(error), _RELAY)
        except TrustError as error:
            return failed(name, str(error), None, ExitCode.TRUST)
        except RelayError as error:
            advice = "check its path, and whether a proxy in front of it passes WebSockets on"
            return failed(name, str(error).rstrip("."), advice, _RELAY)
        if not welcome.registered and self._known.refusal is not None:
            return failed(name, self._known.refusal, None, _RELAY)
        if not welcome.registered:
            return warning(
                name, "works, but the account is not registered there yet",
                "any command that connects registers it, such as: blindpost listen --idle 0",
            )  # fmt: skip
        if welcome.expired:
            return ok(
                name, f"works, registered; {welcome.expired:,} messages for you were ever lost unfetched"
            )
        return ok(name, "works, and the account is registered")

    def _key(self, greeting: Greeting) -> Finding:
        shown = encode_base64url(greeting.relay_key)
        if self._known.pinned is None:
            return ok("relay key", f"{shown}; not met before")
        if equal(self._known.pinned, greeting.relay_key):
            return ok("relay key", f"{shown}; the same as ever")
        advice = f"ask its operator; if the change is genuine: blindpost trust-relay {self._relay}"
        what = f"{shown} is another key than before; somebody else may have taken the relay's place"
        return failed("relay key", what, advice, ExitCode.TRUST)


def _advice(error: Disconnected) -> str:
    if error.error is not None and error.error.code is ErrorCode.WRONG_ORIGIN:
        return "use the URL that the relay is known by, or add this one to its public_urls"
    return "try again later, or ask the relay's operator"


def _clock(ahead: float) -> Finding:
    """The relay's clock against this machine's; `ahead` in seconds."""
    name, off = "clock", abs(ahead)
    if off <= CLOCK_WARN:
        return ok(name, "agrees with the relay's")
    amount = f"{off / 3600:,.1f} hours" if off >= 5400 else f"{off / 60:.0f} minutes"
    what = f"this machine's is {amount} {'behind' if ahead > 0 else 'ahead of'} the relay's"
    advice = "set this machine's clock, best by NTP (timedatectl set-ntp true), or tell the relay's operator"
    if off < CLOCK_FAIL:
        return warning(name, what, advice)
    return failed(name, what, advice, _RELAY)
