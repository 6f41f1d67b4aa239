"""Pinned relay keys: a relay is believed to be the one that was met first under its URL.

Owns the relays table.
"""

from clients.errors import TrustError
from clients.store.store import Store
from keys.primitives import equal
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
        """Pin the key of a relay met for the first time.

        Raises TrustError if another connection has met another key meanwhile.
        """
        with self._store.transaction() as db:
            known = self.get(relay)
            if known is None:
                db.execute("INSERT INTO relays VALUES (?, ?)", (relay.origin, key))
            elif not equal(known, key):
                raise TrustError(f"The relay {relay} showed two keys at once. Nothing was sent.")

    def forget(self, relay: RelayUrl) -> bool:
        """The user says that the relay's change of key is genuine; False if none was known."""
        with self._store.transaction() as db:
            db.execute("DELETE FROM relays WHERE origin = ?", (relay.origin,))
            return db.changes() == 1
