"""Device lists and bundles, as strangers ask for them.

Owns the take: what one-time prekeys a fetch costs, and that their owner hears of it. Checks no signature:
whoever fetches does that, trusting nothing that a relay says.
"""

from relay.mailboxes import Mailboxes
from relay.metrics import Metrics
from relay.store.base import Offer, Store


class Directory:
    """Every account of this relay."""

    def __init__(self, store: Store, mailboxes: Mailboxes, metrics: Metrics) -> None:
        self._store = store
        self._mailboxes = mailboxes
        self._metrics = metrics

    async def fetch(self, account_key: bytes, take: bool) -> Offer | None:
        """The account's list and bundles, or None. A take is durable before this returns."""
        offer = await self._store.fetch(account_key, take)
        if offer is not None:
            self._metrics.bundles.inc()
            self._mailboxes.notify_stocks(offer.stocks)
        return offer
