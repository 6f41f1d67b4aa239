"""How a relay is reached: whose certificates are believed, and the proxy that every connection goes through.

Owns the proxy's URL. With a proxy nothing is dialled past it, and it is the proxy that looks up the relay's
name: whoever hides where they are says so once, and nothing undoes it.
"""

import re
from base64 import b64encode
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import IPv6Address
from typing import Final, Self
from urllib.parse import quote, unquote, urlsplit

from clients.errors import UsageError
from keys.secrecy import Secret

URL_MAX: Final = 500  # characters
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?|[0-9a-f:.]*:[0-9a-f:.]*")
_DEFAULT_PORT: Final = {"http": 80, "https": 443}
_EXAMPLE: Final = "such as http://127.0.0.1:8118 or http://USER:PASSWORD@proxy.example:3128"


@dataclass(frozen=True, slots=True)
class Proxy(Secret):
    """An HTTP proxy that connects by CONNECT (RFC 9110, 9.3.6); with the scheme https, itself in TLS."""

    scheme: str
    host: str
    port: int
    user: str | None = field(default=None, repr=False)
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, text: str, where: str) -> Self:
        """From `http[s]://[user:password@]host[:port]`; `where` says so. Raises UsageError, without it."""
        wrong = UsageError(f"What {where} says is no URL of an HTTP proxy, {_EXAMPLE}.")
        if len(text) > URL_MAX or not text.isascii() or any(c <= " " or c == "\x7f" for c in text):
            raise wrong
        try:
            parts = urlsplit(text)
            host, port = (parts.hostname or "").lower(), parts.port
            if ":" in host:
                IPv6Address(host)
            user, password = parts.username, parts.password
            names = [None if each is None else unquote(each, errors="strict") for each in (user, password)]
        except ValueError:
            raise wrong from None
        if parts.scheme.startswith("socks"):
            raise UsageError(f"What {where} says is a SOCKS proxy. Give one that speaks HTTP, {_EXAMPLE}.")
        is_bare = parts.path in ("", "/") and not parts.query and not parts.fragment
        if parts.scheme not in _DEFAULT_PORT or not is_bare or not _HOST.fullmatch(host) or port == 0:
            raise wrong
        user, password = names
        if (user is None) != (password is None) or ":" in (user or ""):
            raise UsageError(f"What {where} says has a user without a password, or the other way round.")
        return cls(parts.scheme, host, port or _DEFAULT_PORT[parts.scheme], user, password or "")

    @property
    def place(self) -> str:
        """`host:port`, for people."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """All of it: a secret, if there is a password in it."""
        if self.user is None:
            return f"{self.scheme}://{self.place}"
        return f"{self.scheme}://{quote(self.user, safe='')}:{quote(self.password, safe='')}@{self.place}"

    @property
    def basic(self) -> str | None:
        """What `Proxy-Authorization: Basic` is given (RFC 7617), if there is a user."""
        if self.user is None:
            return None
        return b64encode(f"{self.user}:{self.password}".encode()).decode()

    def refusal(self, relay: str, status: int) -> str:
        """What there is to say when it answers a CONNECT with this status."""
        if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            known = (
                "wants a user and password" if self.user is None else "does not take this user and password"
            )
            return f"The proxy {self} {known}: BLINDPOST_PROXY={self.scheme}://USER:PASSWORD@{self}"
        return f"The proxy {self} refuses to connect to the relay {relay} (status {status})."

    @property
    def strange(self) -> str:
        """What there is to say when it answers in no way that is known."""
        return f"What answers at {self} is no HTTP proxy: check BLINDPOST_PROXY."

    def __str__(self) -> str:
        return self.place


@dataclass(frozen=True, slots=True)
class Route:
    """`ca`: PEM of the authority to trust besides the system's."""

    ca: bytes | None = field(default=None, repr=False)
    proxy: Proxy | None = None


DIRECT: Final = Route()
