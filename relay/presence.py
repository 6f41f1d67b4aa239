"""Who may know that a device is connected: those who hold a capability that it appears under.

Owns which device appears under which capabilities, and which open connection watches which. A watch names
nobody: neither the watcher, who never logged in, nor the watched. All of it is in memory, and ends with the
connections. Bounded by them: `relay.session` lets a device appear under so many capabilities and a connection
keep so many watches. However many watch one device, a turn of the event loop tells a few of them. Knows no
socket.
"""

import asyncio
from collections.abc import Collection
from typing import Final, Protocol

from wire.limits import CAPABILITIES_MAX, WATCHES_MAX

TOLD_AT_ONCE: Final = 32  # watchers, which takes a few tenths of a millisecond


class Watcher(Protocol):
    """An open connection that watches. May not block."""

    def tell(self, ref: int, online: bool) -> None:
        """Whether the device that `ref` watches is connected."""


class Presence:
    """Every device that appears and every watch, on this relay."""

    def __init__(self) -> None:
        self._shown: dict[bytes, frozenset[bytes]] = {}  # device key: capabilities
        self._online: dict[bytes, set[bytes]] = {}  # capability: device keys
        self._watches: dict[Watcher, dict[int, bytes]] = {}  # ref: capability
        self._watchers: dict[bytes, set[tuple[Watcher, int]]] = {}  # capability: connections, refs
        self._untold: dict[bytes, list[tuple[Watcher, int]]] = {}  # capability: who has not heard of a change
        self._is_telling = False

    def appear(self, device_key: bytes, capabilities: Collection[bytes]) -> None:
        """Show a connected device to who holds one of these, in place of those before."""
        before, now = self._shown.pop(device_key, frozenset()), frozenset(capabilities)
        assert len(now) <= CAPABILITIES_MAX
        if now:
            self._shown[device_key] = now
        for capability in now - before:
            devices = self._online.setdefault(capability, set())
            devices.add(device_key)
            if len(devices) == 1:
                self._changed(capability)
        for capability in before - now:
            devices = self._online[capability]
            devices.discard(device_key)
            if not devices:
                del self._online[capability]
                self._changed(capability)
        if not self._is_telling:
            self._tell_some()

    def disappear(self, device_key: bytes) -> None:
        """The device's connection ended, and no newer one has taken its place."""
        self.appear(device_key, ())

    def appears(self, device_key: bytes) -> bool:
        """Whether anybody may know of this device."""
        return device_key in self._shown

    def shown(self, device_key: bytes) -> frozenset[bytes]:
        """The capabilities under which a device appears."""
        return self._shown.get(device_key, frozenset())

    def watch(self, watcher: Watcher, ref: int, capability: bytes) -> None:
        """Tell `watcher` now and at each change; in place of what it watched by this `ref`."""
        watches = self._watches.setdefault(watcher, {})
        if ref in watches:
            self._forget(watcher, ref, watches[ref])
        watches[ref] = capability
        assert len(watches) <= WATCHES_MAX
        self._watchers.setdefault(capability, set()).add((watcher, ref))
        watcher.tell(ref, capability in self._online)

    def leave(self, watcher: Watcher) -> None:
        """The connection ended: forget its watches."""
        for ref, capability in self._watches.pop(watcher, {}).items():
            self._forget(watcher, ref, capability)

    def _forget(self, watcher: Watcher, ref: int, capability: bytes) -> None:
        watchers = self._watchers[capability]
        watchers.discard((watcher, ref))
        if not watchers:
            del self._watchers[capability]

    def _changed(self, capability: bytes) -> None:
        # Who has not heard of the change before hears only how it is now.
        if watchers := self._watchers.get(capability):
            self._untold[capability] = list(watchers)

    def _tell_some(self) -> None:
        """Tell a few, and the next ones in the next turn of the event loop, which others share."""
        for _ in range(TOLD_AT_ONCE):
            capability = next(iter(self._untold), None)
            if capability is None:
                break
            watcher, ref = self._untold[capability].pop()
            if not self._untold[capability]:
                del self._untold[capability]
            if self._watches.get(watcher, {}).get(ref) == capability:  # it may be gone, or watch another
                watcher.tell(ref, capability in self._online)
        self._is_telling = bool(self._untold)
        if self._is_telling:
            asyncio.get_running_loop().call_soon(self._tell_some)
