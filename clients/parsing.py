"""Addresses and relays as people type and paste them.

Owns the sentences for what cannot be one. Knows nothing of profiles.
"""

from clients.errors import UsageError
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


def parse_address(address: str | Address) -> Address:
    """An address as people paste it. Raises UsageError."""
    if isinstance(address, Address):
        return address
    try:
        return Address.parse(address)
    except WireError as error:
        text = str(error)
        raise UsageError(f"{text[0].upper()}{text[1:]}.") from None
