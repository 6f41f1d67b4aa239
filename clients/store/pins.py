"""Pinned relay keys: a relay is believed to be the one that was met first under its URL.

Owns the relays table.
"""

from clients.store.store import Store
from wire.addresses import RelayUrl


class Pins:
    """The relay keys of a profile."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, relay: RelayUrl) -> bytes | None:
        """The key known for this relay, or None at the first meeting."""
        value = self._store.db.execute("SELECT relay_key FROM relays WHERE origin = ?", (relay.origin,)).get
        return None if value is None else bytes(value)

    def keep(self, relay: RelayUrl, key: bytes) -> None:
        """Pin the key of a relay met for the first time."""
        if self.get(relay) is None:
            with self._store.transaction() as db:
                db.execute("INSERT INTO relays VALUES (?, ?)", (relay.origin, key))

    def forget(self, relay: RelayUrl) -> bool:
        """The user says that the relay's change of key is genuine; False if none was known."""
        with self._store.transaction() as db:
            db.execute("DELETE FROM relays WHERE origin = ?", (relay.origin,))
            return db.changes() == 1
