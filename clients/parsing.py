"""Addresses, relays, invites and messages as people type and paste them.

Owns the sentences for what cannot be one. Knows nothing of profiles.
"""

from clients.errors import UsageError
from wire import invites as wire_invites
from wire.addresses import Address, RelayUrl
from wire.errors import WireError


def parse_relay(text: str) -> RelayUrl:
    """A relay's URL as people type it. Raises UsageError."""
    try:
        return RelayUrl.parse(text)
    except WireError as error:
        raise UsageError(
            f"{str(error).capitalize()}. Example: wss://relay.example or ws://127.0.0.1:8760"
        ) from None


def parse_invite(text: str) -> bytes:
    """An invite as people paste it, 16 bytes. Raises UsageError."""
    try:
        return wire_invites.parse_invite(text)
    except WireError as error:
        raise UsageError(_sentence(error)) from None


def parse_address(address: str | Address) -> Address:
    """An address as people paste it. Raises UsageError."""
    if isinstance(address, Address):
        return address
    try:
        return Address.parse(address)
    except WireError as error:
        raise UsageError(_sentence(error)) from None


def parse_body(body: str | bytes) -> bytes:
    """The bytes of a message. Raises UsageError."""
    try:
        return body.encode() if isinstance(body, str) else body
    except UnicodeEncodeError:
        raise UsageError("The text contains half a character (a lone surrogate).") from None


def _sentence(error: WireError) -> str:
    text = str(error)
    return f"{text[0].upper()}{text[1:]}."
