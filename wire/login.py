"""The exact bytes that relay and device sign when they meet.

Owns four byte strings; knows no keys. Every one names its purpose, the origin as the client dialled
it and fresh randomness of the other side, so that none is of use anywhere else.

    client                                  relay
      | -- hello {mode, origin, nonce_c} ----> |   the origin must be one of its public_urls
      | <- relay_hello {key, nonce_r, time, -- |   signed: `hello_bytes`
      |                 signature}             |
      | -- login {device_key, signature} ----> |   device mode only; signed: `login_bytes`
      | <- welcome {signature, ...} ---------- |   signed: `welcome_bytes`
"""

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from wire.binary import label, lp, u8, u64
from wire.limits import PROTOCOL_VERSION


class Mode(StrEnum):
    """The two kinds of connection."""

    DEVICE = "device"  # logs in; registers, publishes, allows, appears, pulls, acknowledges
    SUBMIT = "submit"  # never logs in; puts frames, fetches bundles, watches presence


@dataclass(frozen=True, slots=True)
class Greeting:
    """What both sides know after the two hellos. Keys and nonces are 32 bytes, `time` is Unix seconds."""

    mode: Mode
    origin: str
    relay_key: bytes
    relay_nonce: bytes
    client_nonce: bytes
    time: int

    def _fields(self) -> bytes:
        origin = lp(self.origin.encode())
        return origin + self.relay_key + self.relay_nonce + self.client_nonce

    def hello_bytes(self) -> bytes:
        """Signed by the relay: label `hello` || mode (1 device, 2 submit) || lp(origin) || relay key ||
        relay nonce || client nonce || time u64 || version u8."""
        mode = u8(1 if self.mode is Mode.DEVICE else 2)
        return label("hello") + mode + self._fields() + u64(self.time) + u8(PROTOCOL_VERSION)

    def login_bytes(self, device_key: bytes) -> bytes:
        """Signed by the device: label `login` || lp(origin) || relay key || relay nonce || client nonce ||
        device key || time u64 || version u8."""
        return label("login") + self._fields() + device_key + u64(self.time) + u8(PROTOCOL_VERSION)

    def login_hash(self, device_key: bytes, login_signature: bytes) -> bytes:
        """32 bytes that stand for this login alone: SHA-256(login_bytes || the device's signature)."""
        return sha256(self.login_bytes(device_key) + login_signature).digest()

    def welcome_bytes(self, device_key: bytes, login_signature: bytes) -> bytes:
        """Signed by the relay: label `login-ack` || login hash."""
        return label("login-ack") + self.login_hash(device_key, login_signature)


def deletion_bytes(account_key: bytes, login_hash: bytes) -> bytes:
    """Signed by the account: label `account-deletion` || account key || login hash.

    The login hash covers origin, relay key and both nonces: of use on this one connection, and once, because
    the connection ends with it.
    """
    return label("account-deletion") + account_key + login_hash
