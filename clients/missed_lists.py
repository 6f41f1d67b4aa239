"""Device lists that were missed: asking a relay for those between the known one and the newest.

Owns the questions. Believes nothing: whoever asks verifies the chain.
"""

from typing import Final

from clients.connection import RelayConnection
from wire.control import Bundle, Fetch
from wire.device_lists import DeviceList, decode_device_list
from wire.limits import FORMER_LISTS, FORMER_PER_BUNDLE

QUESTIONS_MAX: Final = -(-FORMER_LISTS // FORMER_PER_BUNDLE)


async def missed_lists(
    connection: RelayConnection, known: DeviceList | None, bundle: Bundle
) -> list[DeviceList]:
    """What the relay shows between `known` and the list of `bundle`, if anything is missing.

    On an idle submit connection. Raises Disconnected, or WireError for what is no list.
    """
    newest, found = decode_device_list(bundle.device_list).version, list[DeviceList]()
    last = newest if known is None else known.version
    for _ in range(QUESTIONS_MAX):
        if known is None or last + 1 >= newest:
            break
        await connection.send(Fetch(ref=0, account_key=known.account_key, take=False, since=last))
        shown = [decode_device_list(each) for each in (await connection.expect(Bundle)).former or ()]
        if not shown or shown[-1].version <= last:
            break  # it has no more, or shows the same again
        found += shown
        last = shown[-1].version
    return found
