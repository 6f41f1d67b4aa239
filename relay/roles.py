"""Who a session relies on, as it sees them.

Owns the roles, so that a session is tested without keys of its own. Knows no key and no signature.
"""

from collections.abc import Sequence
from typing import Protocol

from wire.device_lists import DeviceList
from wire.login import Greeting
from wire.prekeys import Prekey


class Authority(Protocol):
    """Who signs for the relay and checks what devices signed. See `relay.auth`."""

    @property
    def public(self) -> bytes:
        """The relay's key, 32 bytes."""

    def sign(self, message: bytes) -> bytes:
        """The relay's signature, 64 bytes."""

    def check_login(self, greeting: Greeting, device_key: bytes, signature: bytes) -> None:
        """Raises WireError(LOGIN_REFUSED)."""

    def check_deletion(self, account_key: bytes, login_hash: bytes, signature: bytes) -> None:
        """Raises WireError(LOGIN_REFUSED)."""

    def check_device_list(self, device_list: DeviceList) -> None:
        """Raises WireError(REGISTRATION_REFUSED)."""

    def check_prekeys(self, device_key: bytes, prekeys: Sequence[Prekey]) -> None:
        """Raises WireError(BAD_PREKEY)."""
