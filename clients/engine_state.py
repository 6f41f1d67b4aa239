"""What the engine remembers between calls, as it asks for it.

Owns the border between the engine and whatever keeps its state: a profile's store, or plain dicts in tests.
"""

from collections.abc import Sequence
from typing import Protocol

from clients.past import Place
from keys.handshake import Party
from keys.prekeys import PrivatePrekey
from keys.sessions import Sessions
from wire.device_lists import DeviceList
from wire.prekeys import Prekey, PrekeyKind


class State(Protocol):
    """What the engine remembers between calls. All of it belongs to the caller's transaction."""

    @property
    def stream(self) -> bytes:
        """The 16-byte stream id of this store's life."""
        ...

    def party(self, device_key: bytes) -> Party | None:
        """A device of a known account, as its pinned device list shows it."""
        ...

    def owner(self, device_key: bytes) -> bytes | None:
        """The account under which a device was met first, also if it is no longer in its list."""
        ...

    def pinned(self, account_key: bytes) -> DeviceList | None:
        """The device list last believed for an account."""
        ...

    def pin(self, devices: DeviceList) -> None:
        """Believe a verified list: the first of an account, or a successor."""
        ...

    def own_list(self, version: int) -> DeviceList | None:
        """A version of our own device list."""
        ...

    def sessions(self, device_key: bytes) -> Sessions:
        """All sessions with a device."""
        ...

    def save_sessions(self, device_key: bytes, sessions: Sessions) -> None:
        """Keep them."""
        ...

    def last_repair(self, device_key: bytes) -> Place | None:
        """The newest REPAIR of a device, if there was one."""
        ...

    def save_repair(self, device_key: bytes, place: Place) -> None:
        """Keep it."""
        ...

    def next_sequence(self, device_key: bytes, count: int = 1) -> int:
        """Reserve the next sequences of our stream to a device, from 1; returns the first of them."""
        ...

    def sealing_key(self, device_key: bytes) -> bytes | None:
        """The newest known sealing key of a device."""
        ...

    def learn_sealing(self, device_key: bytes, prekey: Prekey, *, is_only: bool = False) -> None:
        """Keep a verified sealing prekey if it is newer than the known one, or the only one that is left."""
        ...

    def newest_signed(self, device_key: bytes) -> int:
        """The highest id of a signed prekey seen from a device, 0 for none."""
        ...

    def learn_signed(self, device_key: bytes, id: int) -> None:
        """Remember it."""
        ...

    def sealing_news(self, device_key: bytes) -> Prekey | None:
        """Our sealing prekey if this device has not been told yet; counts as told from now on."""
        ...

    def own_sealing(self) -> Prekey:
        """Our current sealing prekey."""
        ...

    def sealing_privates(self) -> Sequence[bytes]:
        """Our private sealing keys, newest first."""
        ...

    def private_prekey(self, kind: PrekeyKind, id: int) -> PrivatePrekey | None:
        """One of our prekeys, if we still hold it."""
        ...

    def spend_prekey(self, kind: PrekeyKind, id: int) -> None:
        """Delete a one-time private key: its session is accepted."""
        ...

    def spend_handshake(self, id: bytes) -> bool:
        """Remember an accepted handshake; False if it was accepted before (a replay)."""
        ...
