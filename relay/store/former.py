"""Former device lists: what an account's list was before, so that who missed some can follow the chain.

Owns the table of them. Each list that is replaced moves here, the last 64 stay. Opens and ends no
transaction; judges nothing, because whoever fetches does.
"""

import apsw

from wire.device_lists import DeviceList, decode_device_list
from wire.limits import FORMER_LISTS, FORMER_PER_BUNDLE


def keep(connection: apsw.Connection, account: int, replaced: DeviceList) -> None:
    """A list is not the newest any more; the oldest goes."""
    connection.execute(
        "INSERT INTO former_lists (account, version, device_list) VALUES (?, ?, ?)",
        (account, replaced.version, replaced.encode()),
    )
    connection.execute(
        "DELETE FROM former_lists WHERE account = ? AND version <= ?",
        (account, replaced.version - FORMER_LISTS),
    )


def former_keys(connection: apsw.Connection, account: int) -> set[bytes]:
    """The devices of all lists that are kept from before."""
    rows = connection.execute("SELECT device_list FROM former_lists WHERE account = ?", (account,))
    lists = [decode_device_list(bytes(row[0])) for row in rows]
    return {entry.device_key for each in lists for entry in each.devices}


def behind(connection: apsw.Connection, account: int, since: int) -> tuple[DeviceList, ...]:
    """The lists that followed version `since`, oldest first, as many as a bundle carries."""
    rows = connection.execute(
        "SELECT device_list FROM former_lists WHERE account = ? AND version > ? ORDER BY version LIMIT ?",
        (account, since, FORMER_PER_BUNDLE),
    )
    return tuple(decode_device_list(bytes(row[0])) for row in rows)
