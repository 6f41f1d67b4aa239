"""What is held of an account, shown to its own devices: from the store, and from memory.

Owns what of the memory belongs to an account. What strangers ask of it is counted by hashes that name nobody
(`relay.pairs`), and so is shown to nobody. Knows no SQL.
"""

from relay.rates import Limit, Pace
from relay.surroundings import Surroundings
from wire.account_messages import Exported, HeldPresence, HeldRates, HeldToken, Record


async def exported(
    ref: int, place: bytes | None, device_key: bytes, pace: Pace, shared: Surroundings
) -> Exported:
    """A page; what is in memory stands on the last one. Raises WireError(NOT_REGISTERED)."""
    page = await shared.mailboxes.export(device_key, place)
    records: list[Record] = []
    for record in page.records:
        if isinstance(record, HeldToken):
            record = record.model_copy(update={"puts_left": pace.room(Limit.PUT_PER_TOKEN, record.hash)})
        records.append(record)
    if page.place is None:
        account_key = page.account_key
        records.append(
            HeldRates(
                lists_left=pace.room(Limit.LIST, account_key),
                takes_left=pace.room(Limit.TAKE_PER_ACCOUNT, account_key),
            )
        )
        for key in page.device_keys:
            tail = shared.mailboxes.tails.of(key)
            presence = HeldPresence(
                device_key=key,
                connected=shared.mailboxes.resident(key) is not None,
                capabilities=sorted(shared.presence.shown(key)),
                passing=0 if tail is None else tail.unwritten(),
                changes_left=pace.room(Limit.DEVICE, key),
            )
            records.append(presence)
    return Exported(ref=ref, records=records, place=page.place)
