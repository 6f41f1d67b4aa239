"""Who may know that a device is connected: those who hold a capability that it appears under.

Owns which device appears under which hashes, and which open connection watches which hash. A watch names
nobody: neither the watcher, who never logged in, nor the watched, who is found by the hash of what was
shown. All of it is in memory, and ends with the connections. Bounded by them: `relay.session` lets a device
appear under so many hashes and a connection keep so many watches. Pure; knows no socket.
"""

from collections.abc import Collection
from typing import Protocol

from wire.limits import CAPABILITIES_MAX, WATCHES_MAX


class Watcher(Protocol):
    """An open connection that watches. May not block."""

    def tell(self, ref: int, online: bool) -> None:
        """Whether the device that `ref` watches is connected."""


class Presence:
    """Every device that appears and every watch, on this relay."""

    def __init__(self) -> None:
        self._shown: dict[bytes, frozenset[bytes]] = {}  # device key: hashes
        self._online: dict[bytes, set[bytes]] = {}  # hash: device keys
        self._watches: dict[Watcher, dict[int, bytes]] = {}  # ref: hash
        self._watchers: dict[bytes, set[tuple[Watcher, int]]] = {}  # hash: connections and their refs

    def appear(self, device_key: bytes, hashes: Collection[bytes]) -> None:
        """Show a connected device to who holds one of these, in place of those before."""
        before, now = self._shown.pop(device_key, frozenset()), frozenset(hashes)
        assert len(now) <= CAPABILITIES_MAX
        if now:
            self._shown[device_key] = now
        for hash in now - before:
            devices = self._online.setdefault(hash, set())
            devices.add(device_key)
            if len(devices) == 1:
                self._tell(hash, True)
        for hash in before - now:
            devices = self._online[hash]
            devices.discard(device_key)
            if not devices:
                del self._online[hash]
                self._tell(hash, False)

    def disappear(self, device_key: bytes) -> None:
        """The device's connection ended, and no newer one has taken its place."""
        self.appear(device_key, ())

    def appears(self, device_key: bytes) -> bool:
        """Whether anybody may know of this device."""
        return device_key in self._shown

    def watch(self, watcher: Watcher, ref: int, hash: bytes) -> None:
        """Tell `watcher` now and at each change; in place of what it watched by this `ref`."""
        watches = self._watches.setdefault(watcher, {})
        if ref in watches:
            self._forget(watcher, ref, watches[ref])
        watches[ref] = hash
        assert len(watches) <= WATCHES_MAX
        self._watchers.setdefault(hash, set()).add((watcher, ref))
        watcher.tell(ref, hash in self._online)

    def leave(self, watcher: Watcher) -> None:
        """The connection ended: forget its watches."""
        for ref, hash in self._watches.pop(watcher, {}).items():
            self._forget(watcher, ref, hash)

    def _forget(self, watcher: Watcher, ref: int, hash: bytes) -> None:
        watchers = self._watchers[hash]
        watchers.discard((watcher, ref))
        if not watchers:
            del self._watchers[hash]

    def _tell(self, hash: bytes, online: bool) -> None:
        for watcher, ref in self._watchers.get(hash, ()):
            watcher.tell(ref, online)
