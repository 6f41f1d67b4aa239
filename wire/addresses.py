"""Addresses: an account's public key as text that people can paste, with the relay it lives on.

    bp1q<52 characters><6 checksum>[@relay]        relay = [scheme://]host[:port][/path]

Owns the text forms. Whoever has the right address cannot be given wrong keys: everything else about the
account is signed by the key inside it. The QR code of an address is its text, as it stands.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, Self
from urllib.parse import urlsplit

from wire import bech32m
from wire.errors import ErrorCode, WireError
from wire.limits import PUBLIC_KEY, RELAY_TEXT_MAX

PREFIX: Final = "bp"
VERSION: Final = 0
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
        if len(text) > RELAY_TEXT_MAX:
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
        if "@" in parts.netloc or parts.query or parts.fragment or "?" in text or "#" in text:
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
        return cls(scheme, host, port, path)

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
    """An account key (32 bytes, Ed25519) and optionally the relay of the account."""

    account_key: bytes
    relay: RelayUrl | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `bp1...[@relay]`. Raises WireError(BAD_REQUEST) with a sentence for people."""
        text = text.strip()
        if len(text) > 80 + RELAY_TEXT_MAX:
            raise _refuse("address: too long")
        key_text, at, relay_text = text.partition("@")
        try:
            version, key = bech32m.decode(PREFIX, key_text, PUBLIC_KEY)
        except ValueError as error:
            raise _refuse(f"address: {error}; copy the whole line that `blindpost address` prints") from error
        if version != VERSION:
            raise _refuse("address: made by a newer version of blindpost; upgrade to use it")
        return cls(key, RelayUrl.parse(relay_text) if at else None)

    @property
    def text(self) -> str:
        """The canonical text."""
        key = bech32m.encode(PREFIX, VERSION, self.account_key)
        return key if self.relay is None else f"{key}@{self.relay.text}"

    def __str__(self) -> str:
        return self.text
