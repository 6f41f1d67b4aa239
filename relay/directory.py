"""Device lists and bundles, as strangers ask for them.

Owns the take: what one-time prekeys a fetch costs, and that their owner hears of it. Checks no signature:
whoever fetches does that, trusting nothing that a relay says.
"""

from relay.actions import Fetch
from relay.mailboxes import Mailboxes
from relay.metrics import Metrics
from relay.rates import Pace, give_back
from relay.store.base import Offer, Store
from wire.errors import WireError


class Directory:
    """Every account of this relay."""

    def __init__(self, store: Store, mailboxes: Mailboxes, metrics: Metrics) -> None:
        self._store = store
        self._mailboxes = mailboxes
        self._metrics = metrics

    async def fetch(self, wanted: Fetch, pace: Pace) -> Offer | None:
        """See `Store.fetch`. A take is durable before this returns.

        One take too many gets what a fetch without one gets.
        """
        taken = pace.take(wanted.account_key) if wanted.take else ()
        try:
            offer = await self._store.fetch(wanted.account_key, bool(taken), wanted.since)
        except WireError:
            give_back(taken)  # nothing has gone out
            raise
        if offer is None:
            give_back(taken)
        else:
            self._metrics.bundles.inc()
            self._mailboxes.notify_stocks(offer.stocks)
        return offer
