"""Addresses: an account's public key as text that people can paste, with the relay it lives on.

    bp1q<52 characters><6 checksum>[@relay]        relay = [scheme://]host[:port][/path]
    bp1p<77 characters><6 checksum>[@relay]        with a delivery token behind the account key

Owns the text forms. Whoever has the right address cannot be given wrong keys: everything else about the
account is signed by the key inside it. The QR code of an address is its text, as it stands.
"""

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, Self
from urllib.parse import urlsplit

from wire import bech32m
from wire.errors import ErrorCode, WireError
from wire.limits import PUBLIC_KEY, RELAY_TEXT_MAX, TOKEN

PREFIX: Final = "bp"
BARE: Final = 0  # version of an address that is the account key alone
WITH_TOKEN: Final = 1  # version of an address that also holds a delivery token
_SIZES: Final = {BARE: PUBLIC_KEY, WITH_TOKEN: PUBLIC_KEY + TOKEN}
_KEY_TEXT_MAX: Final = 87  # characters of the longer version; bech32m detects four errors in up to 90
_SCHEME_MAX: Final = len("https://")
_SCHEMES: Final = {"ws": "ws", "http": "ws", "wss": "wss", "https": "wss"}
_DEFAULT_PORT: Final = {"ws": 80, "wss": 443}
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?")
_PATH: Final = re.compile(r"(/[A-Za-z0-9._~-]+)*")


def _refuse(why: str) -> WireError:
    return WireError(ErrorCode.BAD_REQUEST, why)


def _ip(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _is_ipv6(host: str) -> bool:
    return "%" not in host and isinstance(_ip(host), IPv6Address)


def _is_loopback(host: str) -> bool:
    address = _ip(host)
    return host == "localhost" or (address is not None and address.is_loopback)


@dataclass(frozen=True, slots=True)
class RelayUrl:
    """Where a relay is dialled. The scheme is `wss` unless said otherwise; on loopback it is `ws`."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `host[:port][/path]`, with or without a scheme. Raises WireError(BAD_REQUEST)."""
        if len(text) > _SCHEME_MAX + RELAY_TEXT_MAX:
            raise _refuse("relay: longer than 200 characters")
        if not text.isascii() or any(c <= " " for c in text):
            raise _refuse("relay: contains a character that cannot occur")
        try:
            parts = urlsplit(text if "://" in text else "//" + text)
            host, port = (parts.hostname or "").lower(), parts.port
        except ValueError as error:
            raise _refuse("relay: not a host, port and path") from error
        if parts.scheme and parts.scheme not in _SCHEMES:
            raise _refuse("relay: the scheme must be ws, wss, http or https")
        if "@" in parts.netloc or "?" in text or "#" in text:
            raise _refuse("relay: only host, port and path may be given")
        path = parts.path.rstrip("/")
        is_bracketed = "[" in parts.netloc
        if is_bracketed != _is_ipv6(host) or not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
            raise _refuse("relay: host or path contains a character that cannot occur")
        if not is_bracketed and not _HOST.fullmatch(host):
            raise _refuse("relay: host or path contains a character that cannot occur")
        scheme = _SCHEMES[parts.scheme] if parts.scheme else ("ws" if _is_loopback(host) else "wss")
        if port is None:
            port = _DEFAULT_PORT[scheme]
        if port == 0:
            raise _refuse("relay: the port must be 1 to 65535")
        relay = cls(scheme, host, port, path)
        if len(relay._place) > RELAY_TEXT_MAX:
            raise _refuse("relay: longer than 200 characters")
        return relay

    @property
    def _place(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _DEFAULT_PORT[self.scheme] else f":{self.port}"
        return host + port + self.path

    @property
    def origin(self) -> str:
        """`scheme://host[:port][/path]`: what a login signs and `public_urls` lists."""
        return f"{self.scheme}://{self._place}"

    @property
    def websocket(self) -> str:
        """The URL of the WebSocket endpoint."""
        return self.origin + "/v1/ws"

    @property
    def text(self) -> str:
        """The shortest text that parses back to this."""
        usual = "ws" if _is_loopback(self.host) else "wss"
        return self._place if self.scheme == usual else self.origin

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Address:
    """An account key (32 bytes, Ed25519), and optionally its relay and a delivery token (16 bytes).

    Whoever writes with the token is no stranger to the relay. It says nothing about who the account is.
    """

    account_key: bytes
    relay: RelayUrl | None = None
    token: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Raises ValueError for a token of another size, whose text nobody could read back."""
        if self.token is not None and len(self.token) != TOKEN:
            raise ValueError(f"a delivery token has {TOKEN} bytes")

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `bp1...[@relay]`. Raises WireError(BAD_REQUEST) with a sentence for people."""
        text = text.strip()
        if len(text) > _KEY_TEXT_MAX + 1 + _SCHEME_MAX + RELAY_TEXT_MAX:
            raise _refuse("address: too long")
        key_text, at, relay_text = text.partition("@")
        # The length tells what may be inside, the checksum then covers the version that must fit it.
        size = _SIZES[WITH_TOKEN if len(key_text) == _KEY_TEXT_MAX else BARE]
        try:
            version, data = bech32m.decode(PREFIX, key_text, size)
        except ValueError as error:
            raise _refuse(f"address: {error}; copy the whole line that `blindpost address` prints") from error
        if version not in _SIZES:
            raise _refuse("address: made by a newer version of blindpost; upgrade to use it")
        if size != _SIZES[version]:
            raise _refuse("address: its length does not fit its version")
        return cls(data[:PUBLIC_KEY], RelayUrl.parse(relay_text) if at else None, data[PUBLIC_KEY:] or None)

    @property
    def bare(self) -> "Address":
        """The same account at the same relay, without the token."""
        return Address(self.account_key, self.relay)

    @property
    def text(self) -> str:
        """The canonical text, with the token where there is one."""
        version = BARE if self.token is None else WITH_TOKEN
        key = bech32m.encode(PREFIX, version, self.account_key + (self.token or b""))
        return key if self.relay is None else f"{key}@{self.relay.text}"

    def __str__(self) -> str:
        return self.text
